//! What is kept and for how long, and what happens when the disk fills up.
//!
//! ```text
//! every pass:  look at the disk ─▶ expired files of the log go ─▶ queues follow the log's first byte and their topic's rule
//!                    │                        └─▶ graves: their space is given back in small steps
//!                    └─▶ too full: appends are refused, reads go on; resumes by itself
//! ```
//!
//! All of it happens on one thread of its own: no append and no reader waits for a deletion.
//! Java: `DefaultMessageStore.CleanCommitLogService`, `ConsumeQueueStore.CleanConsumeQueueService`.

mod cleaner;
mod graves;
mod hours;
mod settings;
mod space;
mod topics;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use remoting::types::TopicName;
use tracing::{error, info};

pub(crate) use cleaner::Cleaner;
pub use hours::{BadHours, Hours};
pub use settings::Retention;
pub(crate) use space::{Need, Space};

use crate::error::AppendError;
use crate::shared::Shared;
use crate::signal::Signal;

/// Passes that a deletion by hand is good for. Java: `MAX_MANUAL_DELETE_FILE_TIMES`.
const MANUAL_PASSES: u32 = 20;

/// What the cleaner shares with the rest of the store.
#[derive(Debug)]
pub(crate) struct Cleaning {
    settings: RwLock<Arc<Retention>>,
    /// How long topics of their own rule keep messages.
    topics: RwLock<Arc<HashMap<TopicName, Duration>>>,
    /// Somebody asked for a deletion: the next pass is due now.
    asked: AtomicBool,
    /// Passes left that delete because somebody asked.
    manual_passes: AtomicU32,
    /// What the last look at the disk saw.
    space: Mutex<Space>,
    /// The disk is fuller than the warning level, and since then not below the forcible one. Java: `RunningFlags` bit 16.
    disk_full: AtomicBool,
    /// A write ran out of space, and nothing has shown since that there is some again.
    out_of_space: AtomicBool,
    pub(crate) signal: Signal,
}

impl Cleaning {
    pub(crate) fn new(settings: Retention) -> Self {
        Self {
            settings: RwLock::new(Arc::new(settings)),
            topics: RwLock::default(),
            asked: AtomicBool::new(false),
            manual_passes: AtomicU32::new(0),
            space: Mutex::default(),
            disk_full: AtomicBool::new(false),
            out_of_space: AtomicBool::new(false),
            signal: Signal::default(),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Retention> {
        Arc::clone(&self.settings.read())
    }

    pub(crate) fn change(&self, settings: Retention) {
        *self.settings.write() = Arc::new(settings);
        self.signal.raise();
    }

    pub(crate) fn topics(&self) -> Arc<HashMap<TopicName, Duration>> {
        Arc::clone(&self.topics.read())
    }

    pub(crate) fn change_topics(&self, topics: HashMap<TopicName, Duration>) {
        *self.topics.write() = Arc::new(topics);
    }

    /// Has the next passes delete what has expired, whatever the hour.
    pub(crate) fn ask(&self) {
        self.manual_passes.store(MANUAL_PASSES, Ordering::Release);
        self.asked.store(true, Ordering::Release);
        self.signal.raise();
    }

    fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }

    /// Whether this pass deletes because somebody asked.
    pub(crate) fn take_manual_pass(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.manual_passes.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok()
    }

    /// Whether appends are refused for want of space.
    pub(crate) fn refuses(&self) -> bool {
        self.disk_full.load(Ordering::Acquire) || self.out_of_space.load(Ordering::Acquire)
    }

    pub(crate) fn refusal(&self) -> AppendError {
        let space = *self.space.lock();
        AppendError::DiskFull { commit_log: space.commit_log, consume_queue: space.consume_queue }
    }

    /// A write found no space: refuse the next ones without trying, until the cleaner has found some.
    pub(crate) fn note_out_of_space(&self, cause: &std::io::Error) {
        if !self.out_of_space.swap(true, Ordering::AcqRel) {
            error!(%cause, "the disk has no space left: no messages are taken until it has");
            self.signal.raise();
        }
    }

    fn is_out_of_space(&self) -> bool {
        self.out_of_space.load(Ordering::Acquire)
    }

    fn note_space_again(&self) {
        if self.out_of_space.swap(false, Ordering::AcqRel) {
            info!("the disk has space again");
        }
    }
}

/// Looks how full the disks are, and sets by that whether appends are taken.
pub(crate) fn look(shared: &Shared, settings: &Retention) -> Need {
    let cleaning = &shared.cleaning;
    let space = Space::of(shared, settings);
    *cleaning.space.lock() = space;
    let (need, full) = space.judge(settings, cleaning.disk_full.load(Ordering::Acquire));
    if cleaning.disk_full.swap(full, Ordering::AcqRel) != full {
        let Space { commit_log, consume_queue, .. } = space;
        if full {
            error!(commit_log, consume_queue, "the disk is nearly full: no messages are taken until there is space");
        } else {
            info!(commit_log, consume_queue, "the disk has space again");
        }
    }
    need
}
