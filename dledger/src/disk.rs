//! Whether the disk of this member keeps up.
//!
//! A disk that is about to die often hangs first: it keeps a flush or a write waiting for seconds, and does so again. The
//! group goes on without it as long as it does not lead, so a member with such a disk [gives the lead away](crate::lead), and
//! takes none before the disk has been quick for a while.

use std::time::Duration;

use parking_lot::Mutex;
use store::RaftLog;
use tokio::time::Instant;
use tracing::{info, warn};

/// A disk is taken for slow until it has kept nothing waiting for so many times the limit.
const QUICK_FOR: u32 = 15;

#[derive(Debug)]
pub(crate) struct Disk {
    log: RaftLog,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// A flush or a write that takes longer is slow. `None`: none is.
    limit: Option<Duration>,
    /// Where the log ended when it was first seen to be written to without getting longer, and when that was.
    writing: Option<(i64, Instant)>,
    /// Until when the disk is taken for slow.
    slow_until: Option<Instant>,
}

impl Disk {
    pub(crate) fn new(log: RaftLog) -> Self {
        Self { log, seen: Mutex::new(Seen { limit: None, writing: None, slow_until: None }) }
    }

    pub(crate) fn set_limit(&self, limit: Option<Duration>) {
        let mut seen = self.seen.lock();
        if seen.limit != limit {
            seen.limit = limit;
            seen.slow_until = None;
        }
    }

    /// Looks at what is under way. To be called more often than the limit is long.
    pub(crate) fn look(&self) {
        let (flushes, end) = (self.log.flushes(), self.log.end().0);
        let is_being_written = self.log.is_being_written();
        let now = Instant::now();
        let mut seen = self.seen.lock();
        let begun = seen.writing.filter(|(at, _)| *at == end);
        seen.writing = is_being_written.then(|| begun.unwrap_or((end, now)));
        let Some(limit) = seen.limit else { return };
        let writes_for = seen.writing.map_or(Duration::ZERO, |(_, since)| now - since);
        let waits = flushes.under_way.unwrap_or_default().max(writes_for);
        if flushes.failed || waits > limit {
            if seen.slow_until.is_none() {
                let waits_ms = waits.as_millis() as u64;
                warn!(
                    waits_ms,
                    failed = flushes.failed,
                    "the disk keeps this member waiting: it does not want the lead"
                );
            }
            seen.slow_until = Some(now + limit * QUICK_FOR);
        } else if seen.slow_until.is_some_and(|until| until <= now) {
            seen.slow_until = None;
            info!("the disk has been quick for a while: this member may lead again");
        }
    }

    /// As far as was seen by the last look.
    pub(crate) fn is_slow(&self) -> bool {
        self.seen.lock().slow_until.is_some()
    }
}
