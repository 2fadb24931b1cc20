//! Serves the pulls that wait for a message. Java: `PullRequestHoldService`.
//!
//! One task serves all of them, those of all queues that grew meanwhile in one turn: a waiting pull costs no task and no
//! timer of its own.

use std::sync::Arc;

use store::{Arrivals, ReadStatus};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use super::PullError;
use super::answer::{self, Answer};
use super::reader::{Reader, Turn};
use super::request::Pull;
use super::waiting::Waiter;

/// How long a pull goes on waiting once messages came that it does not want: so long, at most, is the group's offset
/// behind what was looked through. Java looks at every waiting pull this often.
const UNWANTED_PATIENCE: Duration = Duration::from_secs(5);

/// How often deadlines and closed connections are looked for; a pull waits so much too long at most. Java: 5 s.
pub(super) const LOOK_PERIOD: Duration = Duration::from_millis(100);

impl Reader {
    pub(super) fn suspend(&self, pull: Pull) {
        let now = Instant::now();
        // Beyond all time there is no deadline; a year will do.
        let deadline = now.checked_add(self.patience(&pull)).unwrap_or(now + Duration::from_secs(365 * 86_400));
        let busy = pull.peer.busy();
        self.add(Waiter { pull, deadline, busy });
    }

    fn add(&self, waiter: Waiter) {
        // Asked for anew each time: those of a deleted topic never come.
        let queue = self.store.arrivals(&waiter.pull.header.topic, waiter.pull.header.queue_id);
        if let Some(Waiter { pull, .. }) = self.waiting.add(queue, waiter) {
            answer::refuse(&pull.peer, pull.to, &PullError::TooManyWaiting);
        }
        if self.ctx.stopping.is_cancelled() {
            self.end_all();
        }
    }

    fn patience(&self, pull: &Pull) -> Duration {
        let settings = self.ctx.settings();
        match pull.patience() {
            Some(patience) if settings.long_polling_enable => patience,
            _ => *settings.short_polling_time_mills,
        }
    }

    /// Serves waiting pulls until the broker stops.
    pub(super) async fn serve_waiting(self: Arc<Self>, tell: impl Fn(&Arrivals) + Send) {
        let mut look = interval(LOOK_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.ctx.stopping.cancelled() => return self.end_all(),
                queues = self.store.grown() => for queue in &queues {
                    tell(queue);
                    self.serve_grown(queue);
                },
                _ = look.tick(), if self.waiting.len() > 0 => self.end_waits(),
                () = self.waiting.begun() => {}
            }
        }
    }

    fn serve_grown(self: &Arc<Self>, queue: &Arrivals) {
        for waiter in self.waiting.take(queue) {
            self.serve_again(waiter, true);
        }
    }

    /// Whoever comes again is served by others.
    fn end_all(&self) {
        self.waiting.take_all().iter().for_each(|waiter| self.give_up(&waiter.pull));
    }

    fn end_waits(self: &Arc<Self>) {
        for waiter in self.waiting.take_over(Instant::now()) {
            if waiter.pull.peer.is_closed() {
                self.give_up(&waiter.pull);
            } else {
                self.serve_again(waiter, false);
            }
        }
    }

    /// Checks, reads and answers once more. If messages came and the pull wants none of them, it goes on waiting.
    fn serve_again(self: &Arc<Self>, waiter: Waiter, arrived: bool) {
        let Waiter { mut pull, deadline, busy } = waiter;
        pull.began = Instant::now();
        let settings = self.ctx.settings();
        let admitted = match self.check(&pull, &settings) {
            Ok(admitted) => admitted,
            Err(err) => return answer::refuse(&pull.peer, pull.to, &err),
        };
        let header = &pull.header;
        let progress = self.offsets.progress(&header.consumer_group, &header.topic);
        let start = progress.begin(header.queue_id);
        if let Some(to) = start.reset.filter(|_| settings.use_server_side_reset_offset) {
            return self.hand_out_reset(&pull, &admitted, &progress, to);
        }
        let outcome = self.read(&pull, &admitted);
        // Told too early, or of messages it does not want.
        if arrived && matches!(outcome.status, ReadStatus::NoMatched | ReadStatus::OffsetOverflowOne) {
            let moved_on = outcome.status == ReadStatus::NoMatched;
            let deadline = if moved_on { deadline.min(pull.began + UNWANTED_PATIENCE) } else { deadline };
            pull.from = outcome.next_offset;
            return self.add(Waiter { pull, deadline, busy });
        }
        self.finish(pull, &admitted, &progress, outcome, false, Turn::Last);
    }

    /// The connection is closing, ours or theirs: an answer leaves if it still can.
    fn give_up(&self, pull: &Pull) {
        match self.check(pull, &self.ctx.settings()) {
            Ok(admitted) => {
                let bounds = self.offsets.bounds(&pull.header.topic, pull.header.queue_id);
                Answer::nothing(pull, &admitted, bounds).send(pull, ());
            }
            Err(err) => answer::refuse(&pull.peer, pull.to, &err),
        }
    }
}
