//! From the timer topic into the slots. Java: `TimerMessageStore.enqueue`, `doEnqueue`.

use std::collections::HashMap;
use std::io;

use remoting::types::Timestamp;
use store::Entry;
use store::message::StoredMessage;
use store::message::java_hash;
use store::message::properties::name;
use store::timer::{Cursor, Enrolment, WINDOW_SLOTS, change_of};

use super::metrics::Changes;
use super::timing::Timing;
use super::{QUEUE, State, Tally, Timers, Wheel, timer_topic};
use crate::config::TIMER_BLANK_SLOTS;

/// Entries of the timer topic taken at once.
const ENTRIES_MAX: usize = 1024;

/// What becomes of a message of the timer topic.
enum Fate {
    Waits(Enrolment),
    /// Another leader has delivered it.
    IsDone,
}

impl Timers {
    /// Enrols what the timer topic has; returns whether there may be more.
    ///
    /// # Errors
    /// Failing I/O; what was not enrolled is tried again.
    pub(super) fn enrol(&self, wheel: &Wheel, state: &mut State) -> io::Result<bool> {
        let now = self.ctx.clock.now();
        let cursor = state.files.cursor();
        // After a week without a broker the slots that were not read must not be used for later times yet.
        if now.0 / wheel.precision_ms - cursor.slot >= WINDOW_SLOTS - TIMER_BLANK_SLOTS {
            return Ok(false);
        }
        let offset = state.files.queue_offset();
        let entries = self.store.entries(timer_topic(), QUEUE, offset, ENTRIES_MAX);
        let Some(last) = entries.last() else {
            return Ok(false);
        };
        let mut enrolments = Vec::with_capacity(entries.len());
        let mut changes = HashMap::new();
        for entry in &entries {
            match self.enrolment(wheel, entry, cursor, now, &mut changes) {
                Some(Fate::Waits(enrolment)) => enrolments.push(enrolment),
                Some(Fate::IsDone) => {}
                None => tracing::error!(queue_offset = %entry.queue_offset, physical_offset = %entry.physical_offset,
                    "a timed message does not say when or where to deliver it and is passed over"),
            }
        }
        let units = state.files.enrol(&enrolments, last.queue_offset.after(1), now)?;
        state.reading.enrolled(&units, cursor, &self.store, wheel.precision_ms);
        Tally::add(&self.tally.enrolled, units.len());
        self.metrics.add(changes, now);
        Ok(entries.len() == ENTRIES_MAX)
    }

    fn enrolment(
        &self,
        wheel: &Wheel,
        entry: &Entry,
        cursor: Cursor,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Option<Fate> {
        let record = self.store.record_at(entry.physical_offset)?;
        let stored = StoredMessage::parse(&record).ok()?;
        let timing = Timing::in_text(stored.properties);
        let begin = timing.out_time()?;
        let topic = stored.property(name::REAL_TOPIC)?;
        let due = timing.due_at(stored.store_timestamp, begin, wheel.precision_ms);
        let wanted = begin.0.div_euclid(wheel.precision_ms);
        // Where the leader before put it, if it was one's.
        let (at_first, rolled) = wheel.slot_for(wanted, stored.store_timestamp);
        if wheel.handover.was_done(entry.queue_offset, at_first, rolled, wheel.precision_ms) {
            return Some(Fate::IsDone);
        }
        let (slot, roll) = wheel.slot_for(wanted, now);
        let (slot, deliver_at) = if roll {
            (slot, Timestamp(slot * wheel.precision_ms))
        } else if slot <= cursor.slot {
            // What comes late, or behind the cursor, must still be before it.
            (cursor.slot, due.max(cursor.deliver_at))
        } else {
            (slot, due)
        };
        let cancel = timing.cancels.is_some();
        let change = i64::from(change_of(cancel));
        match changes.get_mut(topic) {
            Some(sum) => *sum += change,
            None => {
                changes.insert(topic.into(), change);
            }
        }
        Some(Fate::Waits(Enrolment {
            slot,
            deliver_at,
            roll,
            cancel,
            message: entry.physical_offset,
            message_bytes: entry.size,
            topic_hash: java_hash(topic),
        }))
    }
}

impl Wheel {
    /// The slot itself, or if that lies behind the window one within it, and true. Java: `TimerMessageStore.doEnqueue`.
    fn slot_for(&self, wanted: i64, now: Timestamp) -> (i64, bool) {
        let now_slot = now.0.div_euclid(self.precision_ms);
        let behind = wanted - now_slot - self.window_slots;
        if behind < 0 {
            return (wanted, false);
        }
        // What would be due soon after the next roll gets there with time to spare.
        let ahead = if behind < self.window_slots / 3 { self.window_slots / 2 } else { self.window_slots };
        (now_slot + ahead, true)
    }
}
