//! Pops that wait. Java: `PopLongPollingService`.
//!
//! One task serves them all: those of a group are served one after the other as long as there are messages for them.

use std::sync::Arc;
use std::time::Duration;

use remoting::connection::{Peer, ReplyTo};
use remoting::protocol::ResponseCode;
use remoting::protocol::pop::PopMessageReply;
use remoting::types::Timestamp;
use store::Arrivals;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::request::{Key, Pop};
use super::take::{Patience, Taken, Wait};
use super::waiting::{Bounds, Waiter};
use super::{PopError, Pops, answer};
use crate::config::BrokerConfig;

/// How often deadlines and closed connections are looked for; a pop waits so much too long at most. Java: 20 ms.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// Whether a pop found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    Done,
    Waits,
}

impl Pops {
    /// Answers a pop, or lets it wait.
    pub(super) fn serve(self: &Arc<Self>, pop: Pop, patience: Patience) -> Served {
        let settings = self.ctx.settings();
        let taken = match self.check(&pop, &settings) {
            Ok(admitted) => self.take(&pop, &admitted, &settings, patience),
            Err(err) => {
                answer::refuse(&pop.peer, pop.to, &err);
                return Served::Done;
            }
        };
        match taken {
            Taken::Leased(lease) => {
                let (rest, key) = (lease.reply.rest_num, pop.key.clone());
                self.grant(&pop, lease);
                if rest > 0 {
                    // There is something for the next, too.
                    self.waiting.wake(key);
                }
                Served::Done
            }
            Taken::Nothing { reply, wait } => self.suspend(pop, &wait, &reply, &settings),
            // Only without patience.
            Taken::Cold => {
                self.serve_cold(pop);
                Served::Done
            }
        }
    }

    /// Serves a pop on a blocking thread.
    fn serve_cold(self: &Arc<Self>, pop: Pop) {
        let this = Arc::clone(self);
        let busy = pop.peer.busy();
        self.ctx.tasks.spawn(async move {
            let place = this.cold.acquire().await.expect("the semaphore is never closed");
            let (peer, to, pops) = (pop.peer.clone(), pop.to, Arc::clone(&this));
            let served = tokio::task::spawn_blocking(move || pops.serve(pop, Patience::ForDisk)).await;
            if let Err(err) = served {
                tracing::error!(%err, "a reader of old messages ended");
                answer::refuse(&peer, to, &PopError::ReaderGone);
            }
            drop((place, busy));
        });
    }

    fn suspend(&self, pop: Pop, wait: &Wait, reply: &PopMessageReply, settings: &BrokerConfig) -> Served {
        let (peer, to): (Peer, ReplyTo) = (pop.peer.clone(), pop.to);
        if pop.header.poll_time <= 0 || pop.expires <= self.ctx.clock.now() || self.ctx.stopping.is_cancelled() {
            answer::nothing(&peer, to, ResponseCode::POLLING_TIMEOUT, reply);
            return Served::Done;
        }
        let (key, busy) = (pop.key.clone(), pop.peer.busy());
        if self.waiting.add(Waiter { what: pop, busy }, bounds(settings)).is_some() {
            answer::nothing(&peer, to, ResponseCode::POLLING_FULL, reply);
            return Served::Done;
        }
        self.watch(&key, wait);
        Served::Waits
    }

    /// Has `key` served when something of this comes to pass; also if it has meanwhile.
    pub(super) fn watch(&self, key: &Key, wait: &Wait) {
        let arrivals: Vec<_> =
            wait.growth.iter().map(|(topic, queue, offset)| (self.store.arrivals(topic, *queue), *offset)).collect();
        self.waiting.watch(key, arrivals.iter().map(|(queue, _)| queue));
        for (queue, offset) in &arrivals {
            queue.report_past(*offset);
        }
        if wait.busy.iter().any(|(progress, queue)| !progress.is_popping(*queue)) {
            self.waiting.wake(key.clone());
        }
        let settings = self.ctx.settings();
        if wait.full.iter().any(|(topic, group, queue)| !self.is_full((topic, group, *queue), &settings)) {
            self.waiting.wake(key.clone());
        }
        if let Some(until) = wait.until {
            self.waiting.set_alarm(key, until);
        }
    }

    /// A queue has grown that was asked to be reported.
    pub(crate) fn grown(&self, queue: &Arrivals) {
        self.waiting.grown(queue);
    }

    /// Serves what waits until the broker stops.
    pub(super) async fn serve_waiting(self: Arc<Self>) {
        let mut look = interval(LOOK_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let alarm = self.waiting.next_alarm().map(|at| at.since(self.ctx.clock.now()));
            tokio::select! {
                biased;
                () = self.ctx.stopping.cancelled() => return self.end_all(),
                () = self.waiting.news() => {}
                () = sleep(alarm.unwrap_or_default()), if alarm.is_some() => {}
                _ = look.tick(), if !self.waiting.is_empty() => self.end_waits(self.ctx.clock.now()),
            }
            for key in self.waiting.take_woken(self.ctx.clock.now()) {
                self.serve_key(&key);
            }
        }
    }

    /// Serves those who wait for the same, as long as there is something.
    pub(super) fn serve_key(self: &Arc<Self>, key: &Key) {
        self.notify(key);
        for queue in self.waiting.queues(key) {
            while let Some(waiter) = self.waiting.take(key, queue) {
                if self.serve_again(waiter) == Served::Waits {
                    break;
                }
            }
        }
    }

    fn serve_again(self: &Arc<Self>, waiter: Waiter<Pop>) -> Served {
        let Waiter { what: mut pop, busy: _until_answered } = waiter;
        pop.began = Instant::now();
        self.serve(pop, Patience::None)
    }

    fn end_waits(self: &Arc<Self>, now: Timestamp) {
        let over = self.waiting.take_over(now);
        for waiter in over.pops {
            if waiter.what.peer.is_closed() {
                self.give_up(&waiter.what);
            } else {
                self.serve_again(waiter);
            }
        }
        over.notices.iter().for_each(|waiter| self.end_notice(waiter));
    }

    fn end_all(&self) {
        let over = self.waiting.take_over(Timestamp(i64::MAX));
        over.pops.iter().for_each(|waiter| self.give_up(&waiter.what));
        over.notices.iter().for_each(|waiter| self.end_notice(waiter));
    }

    fn give_up(&self, pop: &Pop) {
        let reply = PopMessageReply { order_count_info: None, ..answer::empty(pop, self.ctx.clock.now(), 0) };
        answer::nothing(&pop.peer, pop.to, ResponseCode::POLLING_TIMEOUT, &reply);
    }
}

pub(super) fn bounds(settings: &BrokerConfig) -> Bounds {
    Bounds { each: settings.pop_polling_size, all: settings.max_pop_polling_size }
}
