//! The slot that is read: what of it is due next, and which of its messages were cancelled.
//!
//! A slot of the wheel is a chain from the last message enrolled to the first. To deliver in the order of time, the units due
//! next are held in memory, a bounded number of them; when they are used up the chain is walked again for those behind.

use std::collections::{BTreeMap, HashMap};
use std::io;

use remoting::types::{PhysicalOffset, Timestamp, TopicName};
use store::Store;
use store::message::StoredMessage;
use store::message::properties::name;
use store::timer::{Cursor, TimerFiles, Unit};

use super::metrics::Changes;
use super::timing::Timing;

/// Units held, about 8 MiB; in tests, too few for one slot.
const UNITS_MAX: usize = if cfg!(test) { 500 } else { 65_536 };
/// Keys of cancelled messages held for one slot, some 20 MiB. Messages whose cancellation is one more are delivered.
const CANCELS_MAX: usize = 200_000;

/// Place of a unit in the order of delivery.
pub(super) type Turn = (Timestamp, i64);

#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The chain was walked.
    loaded: bool,
    next: BTreeMap<Turn, Unit>,
    /// There are more in the slot, with later turns.
    more: bool,
    /// By the key of the cancelled message.
    cancels: HashMap<Box<str>, Cancel>,
}

#[derive(Debug)]
struct Cancel {
    topic: TopicName,
    used: bool,
}

impl Reading {
    /// Walks the chain of the slot the cursor is in, if what is held is used up.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn load(&mut self, files: &TimerFiles, store: &Store, precision_ms: i64) -> io::Result<()> {
        if self.loaded && !(self.next.is_empty() && self.more) {
            return Ok(());
        }
        let (cursor, first_walk) = (files.cursor(), !self.loaded);
        let mut next = Self { loaded: true, cancels: std::mem::take(&mut self.cancels), ..Self::default() };
        for item in files.chain(cursor.slot)? {
            let (position, unit) = item?;
            if unit.cancel && !unit.roll {
                if first_walk {
                    next.cancel(store, unit.message);
                }
            } else {
                next.keep(position, unit, cursor, precision_ms);
            }
        }
        *self = next;
        Ok(())
    }

    /// Takes up units that were enrolled in the slot since it was loaded.
    pub(super) fn enrolled(&mut self, units: &[(i64, Unit)], cursor: Cursor, store: &Store, precision_ms: i64) {
        if !self.loaded {
            return;
        }
        for (position, unit) in units {
            if unit.slot_time.0 != cursor.slot * precision_ms {
                continue;
            }
            if unit.cancel && !unit.roll {
                self.cancel(store, unit.message);
            } else {
                self.keep(*position, *unit, cursor, precision_ms);
            }
        }
    }

    fn keep(&mut self, position: i64, unit: Unit, cursor: Cursor, precision_ms: i64) {
        let turn = (due_at(&unit, precision_ms), position);
        if turn <= (cursor.deliver_at, cursor.position) {
            return;
        }
        let behind_all = self.next.last_key_value().is_none_or(|(last, _)| turn > *last);
        if behind_all && (self.more || self.next.len() >= UNITS_MAX) {
            self.more = true;
            return;
        }
        self.next.insert(turn, unit);
        if self.next.len() > UNITS_MAX {
            self.next.pop_last();
            self.more = true;
        }
    }

    fn cancel(&mut self, store: &Store, message: PhysicalOffset) {
        if self.cancels.len() >= CANCELS_MAX {
            return tracing::warn!(
                limit = CANCELS_MAX,
                "too many messages of one second are cancelled; one is delivered"
            );
        }
        let Some(record) = store.record_at(message) else { return };
        let Ok(stored) = StoredMessage::parse(&record) else { return };
        let key = Timing::in_text(stored.properties).cancels;
        let topic = stored.property(name::REAL_TOPIC);
        if let (Some(key), Some(topic)) = (key, topic) {
            self.cancels.insert(key.into(), Cancel { topic: TopicName::new(topic), used: false });
        }
    }

    /// Whether a message was cancelled. Java 5.5 names it by its unique key, earlier versions with the topic in front.
    pub(super) fn is_cancelled(&mut self, topic: &str, unique_key: Option<&str>) -> bool {
        let Some(unique_key) = unique_key.filter(|_| !self.cancels.is_empty()) else { return false };
        let with_topic = format!("{topic}+{unique_key}");
        for key in [unique_key, &with_topic] {
            if let Some(cancel) = self.cancels.get_mut(key) {
                cancel.used = true;
                return true;
            }
        }
        false
    }

    /// When the next unit is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.next.first_key_value().map(|((due, _), _)| *due)
    }

    /// The next unit, if it is due.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Turn, Unit)> {
        self.next.first_entry().filter(|first| first.key().0 <= now).map(|first| first.remove_entry())
    }

    /// All of the slot was taken.
    pub(super) fn is_done(&self) -> bool {
        self.loaded && !self.more && self.next.is_empty()
    }

    /// Forgets the slot. Cancellations of messages that were not there made their topics too few by one; returns that.
    ///
    /// Java: `avoidDeleteLose`.
    pub(super) fn leave(&mut self) -> Changes {
        let mut changes = Changes::new();
        for cancel in std::mem::take(self).cancels.into_values().filter(|cancel| !cancel.used) {
            *changes.entry(cancel.topic).or_default() += 1;
        }
        changes
    }
}

/// When a unit is due. One that a Java broker enrolled does not say it; then at the end of its slot, as with Java.
fn due_at(unit: &Unit, precision_ms: i64) -> Timestamp {
    let end = Timestamp(unit.slot_time.0 + precision_ms);
    if unit.deliver_at.0 > 0 { unit.deliver_at.min(end) } else { end }
}
