//! Reads of messages that are no longer in memory, on threads that may wait for the disk.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use store::ReadOutcome;
use tokio::task::spawn_blocking;

use super::PullError;
use super::answer;
use super::checks::Admitted;
use super::reader::{Reader, Turn};
use super::request::Pull;

/// Reads at a time; further ones queue. As many as Java has threads for pulls on a small machine.
pub(super) const READERS_MAX: usize = 16;

const PAGE_BYTES: usize = 4096;

impl Reader {
    /// Reads on a blocking thread, and only answers once the messages are in memory: otherwise writing them to the
    /// socket would wait for the disk, and with it all connections of that worker.
    pub(super) fn serve_cold(self: &Arc<Self>, pull: Pull, admitted: Admitted) {
        let this = Arc::clone(self);
        let busy = pull.peer.busy();
        self.ctx.tasks.spawn(async move {
            let place = this.cold.acquire().await.expect("the semaphore is never closed");
            let (peer, to) = (pull.peer.clone(), pull.to);
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

    /// Also has what comes next read from disk; tells whether some of it was not in memory.
    fn read_cold(&self, pull: Pull, admitted: Admitted) -> (Pull, Admitted, ReadOutcome, bool) {
        let outcome = self.read(&pull, &admitted);
        let cold = self.store.read_ahead(&outcome);
        outcome.messages.iter().for_each(fetch);
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
