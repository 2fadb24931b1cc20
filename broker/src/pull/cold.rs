//! Reads of messages that are no longer in memory, on threads that may wait for the disk.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::body::ConsumeType;
use store::ReadOutcome;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::PullError;
use super::answer;
use super::checks::{self, Admitted};
use super::reader::{Reader, Turn};
use super::request::Pull;
use crate::config::BrokerConfig;

/// Reads at a time; further ones queue. As many as Java has threads for pulls on a small machine.
pub(super) const READERS_MAX: usize = 16;

const PAGE_BYTES: usize = 4096;

/// A consumer that pulls itself waits for so long when its group has read too much from disk. Java: 3 to 8 s.
const PUT_OFF_FOR: Duration = Duration::from_secs(3);

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
    pub(super) fn serve_cold(self: &Arc<Self>, mut pull: Pull, admitted: Admitted) {
        let is_over = self.has_read_too_much(&pull, &self.ctx.settings());
        if is_over && !self.pulls_itself(&pull) {
            return answer::refuse(&pull.peer, pull.to, &PullError::TooMuchFromDisk);
        }
        let this = Arc::clone(self);
        let busy = pull.peer.busy();
        self.ctx.tasks.spawn(async move {
            if is_over {
                // Ends early when the broker stops.
                let _ = this.ctx.stopping.run_until_cancelled(sleep(PUT_OFF_FOR)).await;
                pull.header.max_msg_nums = 1;
            }
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

    /// Whether a pull may have messages that are in memory: not if they were read from disk just now, for who reads too much.
    pub(super) fn may_have(&self, pull: &Pull, outcome: &ReadOutcome, settings: &BrokerConfig) -> bool {
        if !settings.cold_data_flow_control_enable || !self.store.is_from_disk(outcome) {
            return true;
        }
        let may = !self.has_read_too_much(pull, settings);
        if may {
            self.note_from_disk(pull, outcome, settings);
        }
        may
    }

    fn note_from_disk(&self, pull: &Pull, outcome: &ReadOutcome, settings: &BrokerConfig) {
        let group = &pull.header.consumer_group;
        if !checks::is_of_tools(group) {
            self.cold_flow.note(group, outcome.bytes, settings);
        }
    }

    pub(super) fn has_read_too_much(&self, pull: &Pull, settings: &BrokerConfig) -> bool {
        let group = &pull.header.consumer_group;
        self.cold_flow.is_over(group, settings) && !checks::is_of_tools(group)
    }

    /// Others pull for a listener, as soon as it is done.
    fn pulls_itself(&self, pull: &Pull) -> bool {
        let group = self.clients.consumers.group(&pull.header.consumer_group);
        group.is_none_or(|group| group.consume_type == ConsumeType::ConsumeActively)
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
        self.note_from_disk(&pull, &outcome, &self.ctx.settings());
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
