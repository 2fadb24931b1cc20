//! Reads of messages that are no longer in memory, on threads that may wait for the disk.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::ReadOutcome;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

use super::PullError;
use super::answer;
use super::checks::Admitted;
use super::reader::{Reader, Turn};
use super::request::Pull;

/// Reads at a time; further ones queue. As many as Java has threads for pulls on a small machine.
pub(super) const READERS_MAX: usize = 16;

const PAGE_BYTES: usize = 4096;

/// Places for reads that may wait for the disk.
pub(super) struct Places {
    free: Semaphore,
    waiting: AtomicUsize,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Semaphore::new(count), waiting: AtomicUsize::new(0) }
    }

    /// A place, once one is free.
    ///
    /// # Errors
    /// [`PullError::WaitedTooLong`]: none was within `patience`.
    async fn place(&self, patience: Duration) -> Result<SemaphorePermit<'_>, PullError> {
        let began = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = tokio::time::timeout(patience, self.free.acquire()).await;
        let waiting = self.waiting.fetch_sub(1, Ordering::Relaxed) - 1;
        let waited = |_| PullError::WaitedTooLong { waited_ms: began.elapsed().as_millis(), waiting };
        place.map_err(waited).map(|place| place.expect("the semaphore is never closed"))
    }
}

impl Reader {
    /// Reads on a blocking thread, and only answers once the messages are in memory: otherwise writing them to the
    /// socket would wait for the disk, and with it all connections of that worker.
    pub(super) fn serve_cold(self: &Arc<Self>, pull: Pull, admitted: Admitted) {
        let this = Arc::clone(self);
        let busy = pull.peer.busy();
        self.ctx.tasks.spawn(async move {
            let (peer, to) = (pull.peer.clone(), pull.to);
            let place = match this.cold.place(this.patience_for_a_place()).await {
                Ok(place) => place,
                Err(err) => return answer::refuse(&peer, to, &err),
            };
            let reader = Arc::clone(&this);
            match spawn_blocking(move || reader.read_cold(pull, admitted)).await {
                Ok((pull, admitted, outcome, cold)) => {
                    let progress = this.offsets.progress(&pull.header.consumer_group, &pull.header.topic);
                    this.finish(pull, &admitted, &progress, outcome, cold, Turn::First);
                }
                Err(err) => {
                    tracing::error!(%err, "a reader of old messages ended");
                    answer::refuse(&peer, to, &PullError::ReaderGone);
                }
            }
            drop((place, busy));
        });
    }

    /// How long a pull may wait for its turn.
    fn patience_for_a_place(&self) -> Duration {
        let settings = self.ctx.settings();
        if settings.broker_fast_failure_enable { *settings.wait_time_mills_in_pull_queue } else { Duration::MAX }
    }

    /// Also has what comes next read from disk; tells whether some of it was not in memory.
    fn read_cold(&self, pull: Pull, admitted: Admitted) -> (Pull, Admitted, ReadOutcome, bool) {
        let outcome = self.read(&pull, &admitted);
        let cold = self.store.read_ahead(&outcome);
        outcome.messages.iter().for_each(|messages| fetch(messages));
        (pull, admitted, outcome, cold)
    }
}

/// Has every page read from disk.
pub(crate) fn fetch(messages: &Bytes) {
    for page in messages.chunks(PAGE_BYTES) {
        black_box(page[0]);
    }
    // The first byte of each chunk lies in every page but, where the slice begins inside one, the last.
    black_box(messages.last().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_read_that_gets_no_place_in_time_is_told_how_long_it_waited_and_with_how_many() {
        let places = Places::new(1);
        let first = places.place(Duration::from_secs(5)).await.expect("free");
        let (second, third) = tokio::join!(places.place(Duration::from_secs(5)), places.place(Duration::from_secs(7)));
        let remark = second.expect_err("taken").to_string();
        assert!(
            remark.starts_with("[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period"),
            "{remark}"
        );
        assert!(remark.ends_with("size of queue: 1"), "{remark}");
        assert!(matches!(third, Err(PullError::WaitedTooLong { waiting: 0, .. })));
        drop(first);
        drop(places.place(Duration::ZERO).await.expect("free again"));
    }
}
