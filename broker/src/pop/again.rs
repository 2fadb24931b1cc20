//! After a crash, leases are worked off again that were before. What became of them then is in the log, and found by key.

use remoting::types::{QueueOffset, Timestamp, TopicName};
use store::message::StoredMessage;
use store::message::properties::name;
use store::{KeyKind, Query, Store};

use super::record::{Ack, CheckPoint};
use crate::topic::TIMER_TOPIC;

/// Messages of one key that are looked at.
const MESSAGES_MAX: usize = 64;
const BYTES_MAX: usize = 16 << 20;

/// A message whose lease was perhaps settled before.
pub(super) struct Again<'a> {
    pub(super) store: &'a Store,
    pub(super) revive: &'a TopicName,
    pub(super) check_point: &'a CheckPoint,
    pub(super) offset: QueueOffset,
}

impl Again<'_> {
    /// It was acknowledged, or came to its retry topic. Blocks.
    pub(super) fn is_done(&self, message: &StoredMessage<'_>, retry: &TopicName, attempts: i32) -> bool {
        self.is_acked() || self.was_copied(message, retry, attempts)
    }

    fn is_acked(&self) -> bool {
        let one = self.check_point.ack_key(self.offset);
        let batch = self.check_point.ack_key(QueueOffset(-1));
        [self.revive.as_str(), TIMER_TOPIC].into_iter().any(|topic| {
            let acks = |key: &str| self.find(topic, key, |record| self.acknowledges(record));
            acks(&one) || acks(&batch)
        })
    }

    fn acknowledges(&self, record: &StoredMessage<'_>) -> bool {
        let ack = serde_json::from_slice::<Ack>(record.body);
        ack.is_ok_and(|ack| ack.start == self.check_point.start && ack.offsets().contains(&self.offset))
    }

    fn was_copied(&self, message: &StoredMessage<'_>, retry: &TopicName, attempts: i32) -> bool {
        let Some(key) = message.property(name::UNIQ_KEY) else { return false };
        self.find(retry, key, |copy| copy.reconsume_times == attempts && copy.physical_offset > message.physical_offset)
    }

    /// Whether a message of the key was stored since the lease began.
    fn find(&self, topic: &str, key: &str, is_it: impl Fn(&StoredMessage<'_>) -> bool) -> bool {
        let query = Query {
            topic,
            key,
            kind: KeyKind::Key,
            begin: self.check_point.pop_time,
            end: Timestamp(i64::MAX),
            max_messages: MESSAGES_MAX,
            max_bytes: BYTES_MAX,
        };
        let found = self.store.query(&query).messages;
        found.iter().any(|record| StoredMessage::parse(record).is_ok_and(|record| is_it(&record)))
    }
}
