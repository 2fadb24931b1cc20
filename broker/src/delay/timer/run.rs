//! The task that enrols and delivers, and when it looks again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use remoting::types::{QueueOffset, Timestamp};
use store::timer::{Cursor, TimerFiles};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::deliver::Delivery;
use super::{QUEUE, Tally, Timers, Wheel, timer_topic};

/// Shortest time between two rounds that both found little: what comes meanwhile is worked on together.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest sleep, so that a changed clock is noticed.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// After so many messages at once there is no pause.
const MANY: usize = 64;
/// Pause after the store or the disk refused something.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// When the next round is due.
pub(super) enum Next {
    Now,
    After(Duration),
    /// After this or as soon as there is a message at this offset, which is the next to enrol.
    Arrival(Duration, QueueOffset),
}

impl Timers {
    /// Enrols and delivers as long as this broker is the master or acts for it, until it stops.
    pub(crate) fn start(self: &Arc<Self>) {
        if let Some(wheel) = &self.wheel {
            self.ctx.tasks.spawn(Arc::clone(self).run(Arc::clone(wheel)));
        }
    }

    async fn run(self: Arc<Self>, wheel: Arc<Wheel>) {
        let flushing = TaskTracker::new();
        flushing.spawn(Arc::clone(&self).flush_regularly(Arc::clone(&wheel)));
        flushing.close();
        self.deliver_regularly(&wheel).await;
        flushing.wait().await;
        self.flush(&wheel).await;
    }

    async fn deliver_regularly(self: &Arc<Self>, wheel: &Arc<Wheel>) {
        let mut role = self.ctx.role.clone();
        let mut kept = None;
        loop {
            tokio::select! {
                () = self.ctx.stopping.cancelled() => break,
                delivers = role.wait_for(|role| role.delivers()) => if delivers.is_err() { return },
            }
            // Not cancelled on the way: what was stored must be noted.
            let next = self.round(wheel, &mut kept, true).await;
            tokio::select! {
                () = self.ctx.stopping.cancelled() => break,
                () = self.until(next) => {}
            }
        }
        if role.borrow().delivers() {
            self.finish_slot(wheel, kept).await;
        }
    }

    /// A slot that was delivered in part is delivered to its end: whoever opens the files next may know slots only.
    async fn finish_slot(self: &Arc<Self>, wheel: &Arc<Wheel>, mut kept: Option<Delivery>) {
        // A slot, and a round that meets another.
        let rounds_end = tokio::time::Instant::now() + 3 * Duration::from_millis(wheel.precision_ms.unsigned_abs());
        loop {
            if kept.is_none() {
                let mut state = wheel.state.lock();
                let cursor = state.files.cursor();
                let is_begun = cursor != Cursor::start_of(cursor.slot);
                if state.reading.is_done() {
                    if let Err(err) = state.files.clear(cursor.slot) {
                        tracing::warn!(%err, "clear a slot of the timer");
                    }
                    if is_begun {
                        self.leave(&mut state);
                        state.files.move_to(cursor.slot + 1);
                    }
                    return;
                }
                if !is_begun {
                    return;
                }
            }
            if tokio::time::Instant::now() > rounds_end {
                return tracing::warn!("a slot of the timer was not delivered to its end");
            }
            match self.round(wheel, &mut kept, false).await {
                Next::Now => {}
                Next::After(pause) | Next::Arrival(pause, _) => sleep(pause).await,
            }
        }
    }

    async fn until(&self, next: Next) {
        match next {
            Next::Now => tokio::task::yield_now().await,
            Next::After(pause) => sleep(pause.max(PAUSE)).await,
            Next::Arrival(pause, offset) => {
                sleep(PAUSE).await;
                let arrivals = self.store.arrivals(timer_topic(), QUEUE);
                tokio::select! {
                    () = sleep(pause.saturating_sub(PAUSE)) => {}
                    () = arrivals.past(offset) => {}
                }
            }
        }
    }

    /// Enrols some and delivers some. `kept` is what the store refused last time.
    pub(super) async fn round(self: &Arc<Self>, wheel: &Arc<Wheel>, kept: &mut Option<Delivery>, enrols: bool) -> Next {
        let (delivery, next) = match kept.take() {
            Some(delivery) => (Some(delivery), Next::After(PAUSE)),
            None => {
                let enrols = enrols && !self.ctx.settings().timer_stop_enqueue;
                let (this, wheel) = (Arc::clone(self), Arc::clone(wheel));
                // The messages may have to come from the disk.
                let prepared = tokio::task::spawn_blocking(move || this.prepare(&wheel, enrols)).await;
                match prepared.unwrap_or_else(|err| Err(err.into())) {
                    Ok(prepared) => prepared,
                    Err(err) => {
                        tracing::error!(%err, "the files of the timer cannot be worked on; tried again");
                        return Next::After(RETRY_PAUSE);
                    }
                }
            }
        };
        let Some(mut delivery) = delivery else { return next };
        match self.outlet.put(&self.ctx, &self.store, &mut delivery.batch).await {
            Ok(sizes) => {
                self.note(wheel, delivery, &sizes);
                let is_many = sizes.len() >= MANY || (self.outlet.is_elsewhere() && !sizes.is_empty());
                if is_many { Next::Now } else { next }
            }
            Err(err) => {
                if err.is_news() {
                    tracing::warn!(%err, "timed messages are not delivered yet");
                }
                *kept = Some(delivery);
                Next::After(RETRY_PAUSE)
            }
        }
    }

    /// Enrols, and takes what is due. Says when to go on, once that is stored.
    fn prepare(&self, wheel: &Wheel, enrols: bool) -> io::Result<(Option<Delivery>, Next)> {
        let mut state = wheel.state.lock();
        self.follow_clock(wheel, &mut state)?;
        let more_to_enrol = enrols && self.enrol(wheel, &mut state)?;
        let delivery = self.due(wheel, &mut state)?;
        if more_to_enrol {
            return Ok((delivery, Next::Now));
        }
        if delivery.is_some() {
            return Ok((delivery, Next::After(PAUSE)));
        }
        let now = self.ctx.clock.now();
        let pause = match state.reading.next_due() {
            Some(due) => due.since(now),
            None => wheel.until_next_slot(&state.files, now)?,
        };
        let pause = pause.min(LOOK_PERIOD);
        Ok((None, if enrols { Next::Arrival(pause, state.files.queue_offset()) } else { Next::After(pause) }))
    }

    /// The messages were stored.
    fn note(&self, wheel: &Wheel, delivery: Delivery, sizes: &[usize]) {
        if let Err(err) = wheel.state.lock().files.delivered(delivery.cursor) {
            tracing::warn!(%err, "the progress of the timer could not be noted; a crash would deliver again");
        }
        Tally::add(&self.tally.delivered, sizes.len());
        for ((topic, queue_id), size) in delivery.to.iter().zip(sizes) {
            self.stats.put(topic, *queue_id, 1, 1, *size as u64);
        }
        self.metrics.add(delivery.changes, self.ctx.clock.now());
    }
}

impl Wheel {
    fn until_next_slot(&self, files: &TimerFiles, now: Timestamp) -> io::Result<Duration> {
        let slot = now.0.div_euclid(self.precision_ms) + 1;
        let looks = LOOK_PERIOD.as_millis() as i64 / self.precision_ms + 1;
        let next = files.next_filled(slot, slot + looks)?;
        Ok(next.map_or(LOOK_PERIOD, |next| Timestamp(next * self.precision_ms).since(now)))
    }
}
