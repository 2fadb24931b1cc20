//! A member that cannot follow the log, as what it lacks is gone from it, is filled with the files of one that leads.
//!
//! ```text
//! leader                                          member that lacks too much, or has nothing
//! list: entries, tables, files of the log ──────▶ may it? has it room?
//! each: "what have you of it?"            ──────▶ so many bytes, with this checksum
//!       what is missing, in chunks        ──────▶ gathered beside its own files
//!       …                                         all of it is on disk: a mark, and it ends
//!       is it back?                               starts again with the new files, and follows the log
//! ```
//!
//! The member's log is not touched until everything is there. Its vote stays, and so does the mark of its
//! [quarantine](crate::quarantine): what it is sent was agreed on, so it only knows more afterwards.
//!
//! What breaks off is taken up again by whoever leads then: bytes that are there are sent again only if their checksum is not
//! that of the leader's. The files that are still to be sent are kept from retention, and all that follow them.

mod list;
mod pace;
mod receive;
mod send;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use remoting::types::MemberNumber;
use store::{Pinned, RaftLog};
use tokio::time::Instant;
use tracing::info;

use self::pace::Pace;
pub(crate) use self::receive::{Receiver, Tasks};
pub(crate) use self::send::{Lack, Sender};
use crate::files::Files;
use crate::state::State;

/// Bytes that are read, sent and written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Longest wait for the other side: it may have to read a file of the log from a slow disk.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two lines of the log that tell how far it is.
const TELL: Duration = Duration::from_secs(5);
/// So long after a member was filled nothing is deleted that it may need next: by then it follows the log.
const LINGER: Duration = Duration::from_secs(10);
/// A leader that wants to fill a member tries again much sooner.
const GIVEN_UP: Duration = Duration::from_secs(10 * 60);
/// Bytes per second that are sent if nobody says otherwise.
const RATE: u64 = 100 << 20;

/// What a member has for others.
#[derive(Clone)]
pub struct Supply {
    pub(crate) log: RaftLog,
    pub(crate) files: Arc<Files>,
    pub(crate) state: Arc<dyn State>,
    pub(crate) fills: Arc<Fills>,
}

impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supply").field("log", &self.log).finish_non_exhaustive()
    }
}

/// How far somebody is filled, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// Whose fill it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// This member fills that one.
    To(u64),
    /// This member is filled by that one.
    From(u64),
}

/// The fills that this member has to do with.
#[derive(Debug)]
pub(crate) struct Fills {
    rate: AtomicU64,
    pace: Pace,
    running: Mutex<BTreeMap<Side, Progress>>,
    /// When this member was filled last, or has started.
    active: Mutex<Instant>,
    lingering: Mutex<Vec<(Instant, Arc<Pinned>)>>,
}

impl Default for Fills {
    fn default() -> Self {
        let (rate, active) = (AtomicU64::new(RATE), Mutex::new(Instant::now()));
        Self { rate, active, pace: Pace::default(), running: Mutex::default(), lingering: Mutex::default() }
    }
}

impl Fills {
    /// Bytes per second to all members together; 0: as fast as they can.
    pub(crate) fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// How far that fill is, if there is one.
    pub(crate) fn progress(&self, side: Side) -> Option<Progress> {
        self.running.lock().get(&side).copied()
    }

    /// By whom this member is filled, and how far.
    pub(crate) fn filled_by(&self) -> Option<(u64, Progress)> {
        let running = self.running.lock();
        running.iter().find_map(|(side, progress)| match side {
            Side::From(number) => Some((*number, *progress)),
            Side::To(_) => None,
        })
    }

    /// Returns when so many bytes more may be sent.
    pub(crate) async fn pace(&self, bytes: u64) {
        self.pace.take(bytes, self.rate.load(Ordering::Relaxed)).await;
    }

    /// Keeps what is pinned a while longer.
    pub(crate) fn linger(&self, pinned: Arc<Pinned>) {
        self.lingering.lock().push((Instant::now() + LINGER, pinned));
    }

    /// Lets go what has lingered for long enough.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        self.lingering.lock().retain(|(until, _)| *until > now);
    }

    /// Whether nobody will go on with a fill of this member that broke off, if it knows of a leader.
    fn is_given_up(&self) -> bool {
        self.filled_by().is_none() && self.active.lock().elapsed() > GIVEN_UP
    }
}

impl Supply {
    /// Drops what a fill of this member has left that is not gone on with: the log has what was missing, after all. Blocks.
    pub(crate) fn tidy_staging(&self) -> io::Result<()> {
        let staging = self.log.staging();
        if self.fills.is_given_up() && staging.is_begun() {
            info!("what came of a fill of this member is dropped: it follows the log");
            staging.discard()?;
        }
        Ok(())
    }
}

/// One fill, while it runs; tells now and then how far it is.
struct Track {
    fills: Arc<Fills>,
    side: Side,
    progress: Progress,
    told: Instant,
}

impl Track {
    fn begin(fills: &Arc<Fills>, side: Side, total: u64) -> Self {
        let track =
            Self { fills: Arc::clone(fills), side, progress: Progress { done: 0, total }, told: Instant::now() };
        track.show();
        track.tell("begins");
        track
    }

    fn add(&mut self, bytes: u64) {
        self.progress.done += bytes;
        self.show();
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            self.tell("goes on");
        }
    }

    fn show(&self) {
        if let Side::From(_) = self.side {
            *self.fills.active.lock() = Instant::now();
        }
        self.fills.running.lock().insert(self.side, self.progress);
    }

    fn tell(&self, what: &'static str) {
        let Progress { done, total } = self.progress;
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        match self.side {
            Side::To(number) => {
                let member = MemberNumber(number);
                info!(%member, done, total, percent, "fill of a member that cannot follow the log {what}");
            }
            Side::From(number) => {
                let leader = MemberNumber(number);
                info!(%leader, done, total, percent, "the fill of this member {what}");
            }
        }
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        self.fills.running.lock().remove(&self.side);
    }
}
