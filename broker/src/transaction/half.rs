//! Half messages: their properties, and what is made of them.

use std::sync::LazyLock;

use remoting::types::{QueueId, TopicName};
use store::message::properties::{self, name};
use store::message::{Message, StoredMessage};

use crate::delay::timing::Timing;
use crate::send::properties::extend_without;
use crate::topic::validate;

/// Java: `TopicValidator.RMQ_SYS_TRANS_HALF_TOPIC`.
pub(crate) fn half_topic() -> &'static TopicName {
    static TOPIC: LazyLock<TopicName> = LazyLock::new(|| TopicName::new(validate::HALF_TOPIC));
    &TOPIC
}

/// A stored half message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half<'a> {
    pub(super) stored: StoredMessage<'a>,
    pub(super) real_topic: Option<&'a str>,
    pub(super) real_queue: Option<QueueId>,
    /// Of the producer.
    pub(super) group: Option<&'a str>,
    pub(super) unique_key: Option<&'a str>,
    /// How often a producer was asked before this copy was stored.
    pub(super) check_times: Option<&'a str>,
    /// The age in seconds from which on a producer is asked.
    pub(super) immunity: Option<&'a str>,
    /// Of the message, once it is committed.
    pub(super) delay_level: i32,
    pub(super) timing: Timing<'a>,
}

impl<'a> Half<'a> {
    /// `None` if the record is no half message.
    pub(super) fn parse(record: &'a [u8]) -> Option<Self> {
        Self::of(StoredMessage::parse(record).ok()?)
    }

    /// `None` if it is no half message.
    pub(super) fn of(stored: StoredMessage<'a>) -> Option<Self> {
        if stored.topic != validate::HALF_TOPIC {
            return None;
        }
        let mut half = Self {
            stored,
            real_topic: None,
            real_queue: None,
            group: None,
            unique_key: None,
            check_times: None,
            immunity: None,
            delay_level: 0,
            timing: Timing::default(),
        };
        for (key, value) in properties::iter(stored.properties) {
            match key {
                name::REAL_TOPIC => half.real_topic = Some(value),
                name::REAL_QUEUE_ID => half.real_queue = value.parse().ok().map(QueueId),
                name::PRODUCER_GROUP => half.group = Some(value),
                name::UNIQ_KEY => half.unique_key = Some(value),
                name::TRANSACTION_CHECK_TIMES => half.check_times = Some(value),
                name::CHECK_IMMUNITY_TIME => half.immunity = Some(value),
                name::DELAY_TIME_LEVEL => half.delay_level = value.parse().unwrap_or(0),
                _ => half.timing.note(key, value),
            }
        }
        Some(half)
    }

    /// Its properties without where it belongs, which the committed message does not need.
    ///
    /// Java: `EndTransactionProcessor.endMessageTransaction`.
    pub(super) fn committed_properties(&self, out: &mut String) {
        out.clear();
        extend_without(out, self.stored.properties, &[name::REAL_TOPIC, name::REAL_QUEUE_ID]);
    }

    /// Its properties with another number of checks.
    pub(super) fn checked_properties(&self, times: i32) -> String {
        properties::set(self.stored.properties, name::TRANSACTION_CHECK_TIMES, &times.to_string())
    }

    /// Everything else as it is, in another topic or once more in its own.
    pub(super) fn message(&self, topic: &'a TopicName, queue_id: QueueId, properties: &'a str) -> Message<'a> {
        self.stored.copy_to(topic, queue_id, properties)
    }
}
