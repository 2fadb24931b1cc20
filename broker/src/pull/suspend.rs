//! Pulls that wait for a message. Java: `PullRequestHoldService`.

use std::pin::pin;
use std::sync::Arc;

use store::ReadStatus;
use tokio::time::{Duration, Instant, sleep};

use super::PullError;
use super::answer::{self, Answer};
use super::reader::{Reader, Turn};
use super::request::Pull;

/// Pulls that may wait at a time, each a task of about a kilobyte. One more is told to come again later.
///
/// A single connection is bounded before: it is not read any further while too many of its calls wait.
pub(super) const WAITING_MAX: usize = 100_000;

/// How long a pull goes on waiting once messages came that it does not want: so long, at most, is the group's offset
/// behind what was looked through. Java looks at every waiting pull this often.
const UNWANTED_PATIENCE: Duration = Duration::from_secs(5);

impl Reader {
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        WAITING_MAX - self.waiting.available_permits()
    }

    pub(super) fn suspend(self: &Arc<Self>, pull: Pull) {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return answer::refuse(&pull.peer, pull.to, &PullError::TooManyWaiting);
        };
        let this = Arc::clone(self);
        let busy = pull.peer.busy();
        self.ctx.tasks.spawn(async move {
            this.wait(pull).await;
            drop((place, busy));
        });
    }

    async fn wait(self: &Arc<Self>, mut pull: Pull) {
        let mut deadline = pin!(sleep(self.patience(&pull)));
        loop {
            // Asked for anew each time, because those of a deleted topic never come.
            let arrivals = self.store.arrivals(&pull.header.topic, pull.header.queue_id);
            let arrived = tokio::select! {
                biased;
                () = pull.peer.closed() => return self.give_up(&pull),
                () = arrivals.past(pull.from) => true,
                () = &mut deadline => false,
            };
            match self.serve_again(pull, arrived) {
                Some(unserved) => pull = unserved,
                None => return,
            }
            let soon = Instant::now() + UNWANTED_PATIENCE;
            if deadline.deadline() > soon {
                deadline.as_mut().reset(soon);
            }
        }
    }

    fn patience(&self, pull: &Pull) -> Duration {
        let settings = self.ctx.settings();
        match pull.patience() {
            Some(patience) if settings.long_polling_enable => patience,
            _ => *settings.short_polling_time_mills,
        }
    }

    /// Checks, reads and answers once more. Gives the pull back, to wait on, if messages came and it wants none of
    /// them.
    fn serve_again(self: &Arc<Self>, mut pull: Pull, arrived: bool) -> Option<Pull> {
        pull.began = Instant::now();
        let settings = self.ctx.settings();
        let admitted = match self.check(&pull, &settings) {
            Ok(admitted) => admitted,
            Err(err) => {
                answer::refuse(&pull.peer, pull.to, &err);
                return None;
            }
        };
        let header = &pull.header;
        let progress = self.offsets.progress(&header.consumer_group, &header.topic);
        let start = progress.begin(header.queue_id);
        if let Some(to) = start.reset.filter(|_| settings.use_server_side_reset_offset) {
            self.hand_out_reset(&pull, &admitted, &progress, to);
            return None;
        }
        let outcome = self.read(&pull, &admitted);
        if arrived && outcome.status == ReadStatus::NoMatched {
            pull.from = outcome.next_offset;
            return Some(pull);
        }
        self.finish(pull, &admitted, &progress, outcome, Turn::Last);
        None
    }

    /// The connection is closing, ours or theirs: an answer leaves if it still can.
    fn give_up(&self, pull: &Pull) {
        match self.check(pull, &self.ctx.settings()) {
            Ok(admitted) => Answer::nothing(pull, &admitted, self.bounds(pull)).send(pull, ()),
            Err(err) => answer::refuse(&pull.peer, pull.to, &err),
        }
    }
}
