//! The task that enrols and delivers, and when it looks again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use remoting::types::Timestamp;
use store::{AppendError, Position};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::deliver::Delivery;
use super::{QUEUE, Tally, Timers, Wheel, timer_topic};
use crate::context::Role;
use crate::settle::append_settled;

/// Shortest time between two rounds that both found little: what comes meanwhile is worked on together.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest sleep, so that a changed clock is noticed.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Pause after the store or the disk refused something.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// When the next round is due.
pub(super) enum Next {
    Now,
    After(Duration),
    /// After this or as soon as there is a message to enrol.
    Arrival(Duration),
}

impl Timers {
    /// Enrols and delivers as long as this broker is the master, until it stops.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.wheel.is_some() {
            self.ctx.tasks.spawn(Arc::clone(self).run());
        }
    }

    async fn run(self: Arc<Self>) {
        let flushing = TaskTracker::new();
        flushing.spawn(Arc::clone(&self).flush_regularly());
        flushing.close();
        self.deliver_regularly().await;
        flushing.wait().await;
        self.flush().await;
    }

    async fn deliver_regularly(self: &Arc<Self>) {
        let mut role = self.ctx.role.clone();
        let mut kept = None;
        loop {
            tokio::select! {
                () = self.ctx.stopping.cancelled() => break,
                master = role.wait_for(|role| *role == Role::Master) => if master.is_err() { return },
            }
            // Not cancelled on the way: what was stored must be noted.
            let next = self.round(&mut kept, true).await;
            tokio::select! {
                () = self.ctx.stopping.cancelled() => break,
                () = self.until(next) => {}
            }
        }
        if *role.borrow() == Role::Master {
            self.finish_slot(kept).await;
        }
    }

    /// A slot that was delivered in part is delivered to its end: whoever opens the files next may know slots only.
    async fn finish_slot(self: &Arc<Self>, mut kept: Option<Delivery>) {
        let Some(wheel) = &self.wheel else { return };
        // A slot, and a round that meets another.
        let rounds_end = tokio::time::Instant::now() + 3 * Duration::from_millis(wheel.precision_ms.unsigned_abs());
        loop {
            if kept.is_none() {
                let mut state = wheel.state.lock();
                if state.reading.is_done() {
                    let slot = state.files.cursor().slot;
                    if let Err(err) = state.files.clear(slot) {
                        tracing::warn!(%err, "clear a slot of the timer");
                    }
                }
                let cursor = state.files.cursor();
                if state.reading.is_done() || cursor == store::timer::Cursor::start_of(cursor.slot) {
                    return;
                }
            }
            if tokio::time::Instant::now() > rounds_end {
                return tracing::warn!("a slot of the timer was not delivered to its end");
            }
            match self.round(&mut kept, false).await {
                Next::Now => {}
                Next::After(pause) | Next::Arrival(pause) => sleep(pause).await,
            }
        }
    }

    async fn until(&self, next: Next) {
        match next {
            Next::Now => tokio::task::yield_now().await,
            Next::After(pause) => sleep(pause.max(PAUSE)).await,
            Next::Arrival(pause) => {
                sleep(PAUSE).await;
                let offset = match &self.wheel {
                    Some(wheel) => wheel.state.lock().files.queue_offset(),
                    None => return,
                };
                let arrivals = self.store.arrivals(timer_topic(), QUEUE);
                tokio::select! {
                    () = sleep(pause.saturating_sub(PAUSE)) => {}
                    () = arrivals.past(offset) => {}
                }
            }
        }
    }

    /// Enrols some and delivers some. `kept` is what the store refused last time.
    pub(super) async fn round(self: &Arc<Self>, kept: &mut Option<Delivery>, enrols: bool) -> Next {
        let mut enrolled_all = true;
        let mut delivery = kept.take();
        if delivery.is_none() {
            let enrols = enrols && !self.ctx.settings().timer_stop_enqueue;
            let this = Arc::clone(self);
            // The messages may have to come from the disk.
            let prepared = tokio::task::spawn_blocking(move || this.prepare(enrols)).await;
            match prepared {
                Ok(Ok(prepared)) => {
                    enrolled_all = !prepared.more_to_enrol;
                    delivery = prepared.delivery;
                    if delivery.is_none() && enrolled_all {
                        return if enrols { Next::Arrival(prepared.pause) } else { Next::After(prepared.pause) };
                    }
                }
                Ok(Err(err)) => {
                    tracing::error!(%err, "the files of the timer cannot be worked on; tried again");
                    return Next::After(RETRY_PAUSE);
                }
                Err(err) => {
                    tracing::error!(%err, "a round of the timer ended early");
                    return Next::After(RETRY_PAUSE);
                }
            }
        }
        let Some(mut delivery) = delivery else { return Next::Now };
        match append_settled(&self.ctx, &self.store, &mut delivery.batch).await {
            Ok(positions) => {
                self.note(delivery, &positions);
                if enrolled_all && positions.len() < 64 { Next::After(PAUSE) } else { Next::Now }
            }
            Err(err) => {
                if !matches!(err, AppendError::Closed) {
                    tracing::warn!(%err, "timed messages are not delivered yet");
                }
                *kept = Some(delivery);
                Next::After(RETRY_PAUSE)
            }
        }
    }

    fn prepare(&self, enrols: bool) -> io::Result<Prepared> {
        let wheel = self.wheel.as_ref().expect("a timer without a wheel is not started");
        let mut state = wheel.state.lock();
        self.follow_clock(wheel, &mut state)?;
        let more_to_enrol = enrols && self.enrol(wheel, &mut state)?;
        let delivery = self.due(wheel, &mut state)?;
        let now = self.ctx.clock.now();
        let pause = match state.reading.next_due() {
            Some(due) => due.since(now),
            None => self.until_next_slot(wheel, &state.files, now)?,
        };
        Ok(Prepared { more_to_enrol, delivery, pause: pause.min(LOOK_PERIOD) })
    }

    fn until_next_slot(&self, wheel: &Wheel, files: &store::timer::TimerFiles, now: Timestamp) -> io::Result<Duration> {
        let slot = now.0.div_euclid(wheel.precision_ms) + 1;
        let looks = LOOK_PERIOD.as_millis() as i64 / wheel.precision_ms + 1;
        let next = files.next_filled(slot, slot + looks)?;
        Ok(next.map_or(LOOK_PERIOD, |next| Timestamp(next * wheel.precision_ms).since(now)))
    }

    /// The messages were stored.
    fn note(&self, delivery: Delivery, positions: &[Position]) {
        let wheel = self.wheel.as_ref().expect("a timer without a wheel delivers nothing");
        if let Err(err) = wheel.state.lock().files.delivered(delivery.cursor) {
            tracing::warn!(%err, "the progress of the timer could not be noted; a crash would deliver again");
        }
        Tally::add(&self.tally.delivered, positions.len());
        for ((topic, queue_id), position) in delivery.to.iter().zip(positions) {
            self.stats.put(topic, *queue_id, 1, 1, position.size as u64);
        }
        self.metrics.add(delivery.changes, self.ctx.clock.now());
    }
}

struct Prepared {
    /// The timer topic has more than was enrolled now.
    more_to_enrol: bool,
    delivery: Option<Delivery>,
    /// Until something is due, if nothing comes.
    pause: Duration,
}
