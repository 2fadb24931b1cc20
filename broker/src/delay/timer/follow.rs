//! How far the timer of a slave's master is. A slave has no wheel; should it have to go on with the timer one day, it makes one
//! of the timer topic, and passes over what the master has delivered.

use std::io;

use parking_lot::Mutex;
use remoting::body::TimerMetrics;
use remoting::types::Timestamp;
use store::timer::{TimerCheckpoint, TimerFiles};

use super::Timers;
use super::handover::{Done, Handover};
use crate::persist::{Home, LoadError, log_unsaved};

pub(super) struct Followed {
    handover: Handover,
    precision_ms: i64,
    /// As the master told it last.
    checkpoint: Mutex<TimerCheckpoint>,
}

impl Followed {
    pub(super) fn open(home: &Home, precision_ms: i64) -> Result<Self, LoadError> {
        let handover = Handover::open(home, true)?;
        let known = handover.told().map_or_else(TimerCheckpoint::default, |done| TimerCheckpoint {
            read_time: Timestamp(done.slot * precision_ms),
            queue_offset: done.queue_offset,
            master_queue_offset: done.queue_offset,
            ..TimerCheckpoint::default()
        });
        Ok(Self { handover, precision_ms, checkpoint: Mutex::new(known) })
    }

    pub(super) fn checkpoint(&self) -> TimerCheckpoint {
        *self.checkpoint.lock()
    }
}

impl Timers {
    /// What waits, by topic; for slaves.
    pub(crate) fn metrics(&self) -> TimerMetrics {
        self.metrics.snapshot()
    }

    /// Grows whenever something begins or ends to wait.
    pub(crate) fn step(&self) -> u64 {
        self.metrics.step()
    }

    /// How far the timer is: this broker's, or on a slave its master's.
    pub(crate) fn checkpoint(&self) -> TimerCheckpoint {
        let own = self.wheel.as_ref().map(|wheel| *wheel.checkpoint.lock());
        own.or_else(|| self.followed.as_ref().map(Followed::checkpoint)).unwrap_or_default()
    }

    /// Takes over what waits at the master of this slave. Blocks.
    pub(crate) fn copy_metrics(&self, master: TimerMetrics) {
        self.metrics.copy(master);
        self.metrics.save_or_log();
    }

    /// Gives up the wheel, to be called before anything is started: a slave has acted for this broker. The next one is made of the
    /// timer topic, and passes over what the slave has delivered. Blocks.
    ///
    /// # Errors
    /// Failing I/O; the wheel may be gone, or not.
    pub(crate) fn give_up(&self, home: &Home, slaves: &TimerCheckpoint) -> io::Result<()> {
        let Some(wheel) = &self.wheel else { return Ok(()) };
        let handover = Handover::open(home, true).map_err(io::Error::other)?;
        let done = Done { queue_offset: slaves.queue_offset, slot: slaves.read_time.0.div_euclid(wheel.precision_ms) };
        handover.tell(done, 1).map_err(io::Error::other)?;
        TimerFiles::discard(&self.store)
    }

    /// Takes over how far the master of this slave is. Blocks. Java: `SlaveSynchronize.syncTimerCheckPoint`.
    pub(crate) fn follow(&self, master: TimerCheckpoint) {
        let Some(followed) = &self.followed else { return };
        {
            // A master that was away knows less than this slave if that has acted for it.
            let mut known = followed.checkpoint.lock();
            if master.read_time < known.read_time {
                return;
            }
            *known = master;
        }
        // Java's master names both; the one is of what is in its log for sure.
        let queue_offset = master.master_queue_offset.max(master.queue_offset);
        let done = Done { queue_offset, slot: master.read_time.0.div_euclid(followed.precision_ms) };
        if let Err(err) = followed.handover.tell(done, self.metrics.pending()) {
            log_unsaved(&err, "how far the master's timer is, is not saved; it would be delivered again in its place");
        }
    }
}
