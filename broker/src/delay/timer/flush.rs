//! Bringing the timer's files to disk, and deleting those of no use. Java: `TimerMessageStore.TimerFlushService`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::handover::Done;
use super::{Timers, Wheel};
use crate::persist::log_unsaved;

/// Time between two looks at what to delete.
const CLEAN_PERIOD: Duration = Duration::from_secs(30);
/// Shortest time between two flushes.
const PERIOD_MIN: Duration = Duration::from_millis(100);

impl Timers {
    /// Flushes every `timerFlushIntervalMs`, until the broker stops.
    pub(super) async fn flush_regularly(self: Arc<Self>, wheel: Arc<Wheel>) {
        let mut cleaned = Instant::now();
        let (mut seen, mut at) = (self.done(), Instant::now());
        loop {
            let period = Duration::from(self.ctx.settings().timer_flush_interval_ms).max(PERIOD_MIN);
            tokio::select! {
                () = self.ctx.stopping.cancelled() => return,
                () = sleep(period) => {}
            }
            self.flush(&wheel).await;
            let done = self.done();
            let per_second = |now: u64, before: u64| (now - before) as f64 / at.elapsed().as_secs_f64().max(0.001);
            *self.tally.rates.lock() = (per_second(done.0, seen.0), per_second(done.1, seen.1));
            (seen, at) = (done, Instant::now());
            if cleaned.elapsed() >= CLEAN_PERIOD {
                cleaned = Instant::now();
                self.clean(&wheel).await;
            }
        }
    }

    fn done(&self) -> (u64, u64) {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.tally.enrolled), load(&self.tally.delivered))
    }

    /// Brings all to disk, off the async workers.
    pub(super) async fn flush(self: &Arc<Self>, wheel: &Arc<Wheel>) {
        let (this, wheel) = (Arc::clone(self), Arc::clone(wheel));
        let flush = move || {
            if let Err(err) = this.flush_files(&wheel) {
                wheel.flush_failed.store(true, Ordering::Relaxed);
                tracing::error!(%err, "the timer's files could not be flushed; they are not any more until the next start");
            }
            let (done, pending) = {
                let state = wheel.state.lock();
                let files = &state.files;
                (Done { queue_offset: files.queue_offset(), slot: files.cursor().slot }, files.pending())
            };
            if let Err(err) = wheel.handover.tell(done, pending) {
                log_unsaved(&err, "the group is not told how far the timer is; the next leader may deliver again");
            }
            this.metrics.save_or_log();
        };
        if let Err(err) = tokio::task::spawn_blocking(flush).await {
            tracing::error!(%err, "a flush of the timer ended early");
        }
    }

    pub(super) fn flush_files(&self, wheel: &Wheel) -> io::Result<()> {
        // What a failed flush left on disk is unknown, so the checkpoint stays where it is, and a start goes on from there.
        if wheel.flush_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let flush = {
            let mut state = wheel.state.lock();
            if !state.files.needs_flush() {
                return Ok(());
            }
            state.files.begin_flush(self.ctx.clock.now())?
        };
        flush.to_sync.sync()?;
        let (to_sync, checkpoint) = {
            let mut state = wheel.state.lock();
            (state.files.end_flush(&flush)?, state.files.checkpoint())
        };
        *wheel.checkpoint.lock() = checkpoint;
        to_sync.sync()
    }

    async fn clean(&self, wheel: &Arc<Wheel>) {
        let (store, wheel) = (Arc::clone(&self.store), Arc::clone(wheel));
        let clean = move || match wheel.state.lock().files.delete_before(store.min_physical_offset()) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "files of the timer log were deleted: their messages are gone"),
            Err(err) => tracing::warn!(%err, "files of the timer log could not be deleted"),
        };
        if let Err(err) = tokio::task::spawn_blocking(clean).await {
            tracing::error!(%err, "cleaning the timer log ended early");
        }
    }
}
