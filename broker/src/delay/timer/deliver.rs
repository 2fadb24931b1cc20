//! What is due, ready to be stored where it belongs. Java: `TimerMessageStore.convert`, `doPut`.

use std::io;

use remoting::types::{QueueId, Timestamp, TopicName};
use store::AppendBatch;
use store::message::StoredMessage;
use store::message::properties::{Builder, name};
use store::timer::{Cursor, Unit, change_of};

use super::metrics::Changes;
use super::timing::{self, Timing};
use super::{QUEUE, State, Timers, Wheel, timer_topic};
use crate::delay::home::{Undeliverable, home};

/// Most bytes delivered in one append: half a millisecond's work.
const BYTES_MAX: usize = 256 << 10;
/// Most units looked at for it.
const UNITS_MAX: usize = 1024;

/// Messages that are due, in order.
pub(super) struct Delivery {
    pub(super) batch: AppendBatch,
    /// Where each message of the batch goes.
    pub(super) to: Vec<(TopicName, QueueId)>,
    /// Where delivery is once they are stored.
    pub(super) cursor: Cursor,
    pub(super) changes: Changes,
}

impl Timers {
    /// Goes on to the first slot in which something is due, and takes some of that; `None`: nothing is due.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn due(&self, wheel: &Wheel, state: &mut State) -> io::Result<Option<Delivery>> {
        let now = self.ctx.clock.now();
        let now_slot = now.0.div_euclid(wheel.precision_ms);
        loop {
            let slot = state.files.cursor().slot;
            state.reading.load(&state.files, &self.store, wheel.precision_ms)?;
            let delivery = self.take(wheel, state, now);
            if delivery.is_some() {
                return Ok(delivery);
            }
            if slot >= now_slot || !state.reading.is_done() {
                return Ok(None);
            }
            self.leave(state);
            state.files.clear(slot)?;
            let next = state.files.next_filled(slot + 1, now_slot)?;
            state.files.move_to(next.unwrap_or(now_slot));
        }
    }

    /// Goes back with a clock that was set back: what is enrolled from now on would wait behind what is read.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn follow_clock(&self, wheel: &Wheel, state: &mut State) -> io::Result<()> {
        let (slot, now_slot) = (state.files.cursor().slot, self.ctx.clock.now().0.div_euclid(wheel.precision_ms));
        // One slot may be the difference of two looks.
        if now_slot + 1 < slot {
            tracing::warn!(slot, now_slot, "the clock was set back; the timer goes back with it");
            self.leave(state);
            state.files.turn_back(now_slot)?;
        }
        Ok(())
    }

    pub(super) fn leave(&self, state: &mut State) {
        let changes = state.reading.leave();
        self.metrics.add(changes, self.ctx.clock.now());
    }

    fn take(&self, wheel: &Wheel, state: &mut State, now: Timestamp) -> Option<Delivery> {
        let slot = state.files.cursor().slot;
        let mut delivery: Option<Delivery> = None;
        for _ in 0..UNITS_MAX {
            let Some(((deliver_at, position), unit)) = state.reading.take(now) else { break };
            let delivery = delivery.get_or_insert_with(|| Delivery {
                batch: self.store.batch(),
                to: Vec::new(),
                cursor: state.files.cursor(),
                changes: Changes::new(),
            });
            if let Err(reason) = self.add(wheel, state, delivery, &unit, now) {
                tracing::error!(physical_offset = %unit.message, %reason,
                    "a timed message cannot be delivered and is passed over");
            }
            delivery.cursor = Cursor { slot, deliver_at, position };
            let is_full =
                delivery.batch.bytes() >= BYTES_MAX || (self.outlet.is_elsewhere() && !delivery.to.is_empty());
            if is_full {
                break;
            }
        }
        delivery
    }

    fn add(
        &self,
        wheel: &Wheel,
        state: &mut State,
        delivery: &mut Delivery,
        unit: &Unit,
        now: Timestamp,
    ) -> Result<(), Undeliverable> {
        let record = self.store.record_at(unit.message).ok_or(Undeliverable::Missing)?;
        let stored = StoredMessage::parse(&record).map_err(|_| Undeliverable::Missing)?;
        let (topic, queue_id) = home(&stored)?;
        if !unit.roll && state.reading.is_cancelled(&topic, stored.property(name::UNIQ_KEY)) {
            return Ok(());
        }
        let elsewhere = self.outlet.is_elsewhere();
        let properties =
            if elsewhere { properties_elsewhere(wheel, &stored, unit) } else { properties(wheel, &stored, unit, now) };
        let (to, queue) = if unit.roll && !elsewhere { (timer_topic(), QUEUE) } else { (&topic, queue_id) };
        delivery.batch.push(&stored.copy_to(to, queue, &properties))?;
        delivery.to.push((to.clone(), queue));
        // Enrolled again, a rolled one is counted again.
        *delivery.changes.entry(topic).or_default() -= i64::from(change_of(unit.cancel));
        Ok(())
    }
}

/// The properties with what the timer adds. Java: `TimerMessageStore.convert`.
fn properties(wheel: &Wheel, stored: &StoredMessage<'_>, unit: &Unit, now: Timestamp) -> String {
    let mut added = vec![(timing::ENQUEUE_MS, unit.enrolled_at.0), (timing::DEQUEUE_MS, now.0)];
    if unit.roll {
        let asked = Timing::in_text(stored.properties);
        added.push((timing::ROLL_TIMES, asked.rolls() + 1));
        // A delay counts from the first copy only.
        if asked.rolls() == 0
            && let Some(begin) = asked.out_time()
        {
            let due = asked.due_at(stored.store_timestamp, begin, wheel.precision_ms);
            added.push((timing::DELIVER_MS, due.0));
        }
    }
    let names: Vec<&str> = added.iter().map(|(name, _)| *name).collect();
    let mut text = Builder::with_capacity(stored.properties.len() + 96);
    text.extend_without(stored.properties, &names);
    for (name, value) in added {
        text.push(name, &value.to_string());
    }
    text.finish()
}

/// The properties for another broker: it must not let the message wait again, or if its time has not come, must let it wait from
/// the start.
fn properties_elsewhere(wheel: &Wheel, stored: &StoredMessage<'_>, unit: &Unit) -> String {
    let own = [
        name::REAL_TOPIC,
        name::REAL_QUEUE_ID,
        timing::DELAY_SEC,
        timing::DELAY_MS,
        timing::DELIVER_MS,
        timing::OUT_MS,
        timing::ROLL_TIMES,
    ];
    let mut text = Builder::with_capacity(stored.properties.len() + 32);
    text.extend_without(stored.properties, &own);
    if unit.roll {
        let asked = Timing::in_text(stored.properties);
        if let Some(begin) = asked.out_time() {
            let due = asked.due_at(stored.store_timestamp, begin, wheel.precision_ms);
            text.push(timing::DELIVER_MS, &due.0.to_string());
        }
    }
    text.finish()
}
