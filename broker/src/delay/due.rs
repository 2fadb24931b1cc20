//! What of a level is due, and the messages to store for it.

use std::time::Duration;

use remoting::types::{QueueId, QueueOffset, Timestamp, TopicName};
use store::message::StoredMessage;
use store::message::properties::{Builder, name};
use store::{AppendBatch, Entry, Store};

use super::home::{Undeliverable, home};

/// Most bytes delivered in one append: half a millisecond's work.
const BYTES_MAX: usize = 256 << 10;

/// Properties of a message that waits.
const WAITING: [&str; 3] = [name::DELAY_TIME_LEVEL, name::REAL_TOPIC, name::REAL_QUEUE_ID];

/// When an entry is to be delivered.
///
/// A time that lies further ahead than the level's delay was made with another delay or another clock; it is taken as
/// due. Java: `correctDeliverTimestamp`.
pub(super) fn deliver_time(entry: &Entry, delay: Duration, now: Timestamp) -> Timestamp {
    let time = Timestamp(entry.tags_code);
    if time > now.after(delay) { now } else { time }
}

/// Messages of neighbouring entries, ready to be stored where they belong.
pub(super) struct Delivery {
    pub(super) batch: AppendBatch,
    /// Where each message of the batch goes.
    pub(super) to: Vec<(TopicName, QueueId)>,
    /// The entry behind the last one that was looked at.
    pub(super) next: QueueOffset,
}

impl Delivery {
    /// Reads the messages of `entries`, which are due, up to a moderate number of bytes. Those that go elsewhere must not wait
    /// there once more.
    ///
    /// What cannot be delivered is passed over, as nothing would change that. Blocks if the messages are on disk only.
    pub(super) fn of(store: &Store, entries: &[Entry], elsewhere: bool) -> Self {
        let next = entries.first().map_or(QueueOffset(0), |entry| entry.queue_offset);
        let mut delivery = Self { batch: store.batch(), to: Vec::new(), next };
        for entry in entries {
            if delivery.batch.bytes() >= BYTES_MAX {
                break;
            }
            if let Err(reason) = delivery.take(store, entry, elsewhere) {
                tracing::error!(queue_offset = %entry.queue_offset, physical_offset = %entry.physical_offset, %reason,
                    "a delayed message cannot be delivered and is passed over");
            }
            delivery.next = entry.queue_offset.after(1);
        }
        delivery
    }

    /// Java: `ScheduleMessageService.messageTimeUp`.
    fn take(&mut self, store: &Store, entry: &Entry, elsewhere: bool) -> Result<(), Undeliverable> {
        let record = store.record_at(entry.physical_offset).ok_or(Undeliverable::Missing)?;
        let stored = StoredMessage::parse(&record).map_err(|_| Undeliverable::Missing)?;
        let (topic, queue_id) = home(&stored)?;
        if elsewhere {
            let mut properties = Builder::with_capacity(stored.properties.len());
            properties.extend_without(stored.properties, &WAITING);
            self.batch.push(&stored.copy_to(&topic, queue_id, properties.as_str()))?;
        } else {
            // Level, real topic and real queue stay in it, as with Java.
            self.batch.push(&stored.copy_to(&topic, queue_id, stored.properties))?;
        }
        self.to.push((topic, queue_id));
        Ok(())
    }
}
