//! The message that comes again, made of the one that failed.

use remoting::types::{Host, QueueId, TopicName};
use store::message::properties::name;
use store::message::{Message, StoredMessage, id};

use crate::send::properties::{extend_without, push};

/// The properties of the next attempt.
///
/// The first failure notes the topic and the id that the message had in it; later ones keep these.
pub(super) fn properties(failed: &StoredMessage<'_>, level: i32) -> String {
    let mut out = String::with_capacity(failed.properties.len() + 128);
    let replaced = [name::WAIT_STORE_MSG_OK, name::DELAY_TIME_LEVEL, name::RETRY_TOPIC, name::ORIGIN_MESSAGE_ID];
    extend_without(&mut out, failed.properties, &replaced);
    push(&mut out, name::RETRY_TOPIC, origin_topic(failed));
    let known = failed.property(name::ORIGIN_MESSAGE_ID).filter(|id| !id.trim().is_empty());
    match known {
        Some(id) => push(&mut out, name::ORIGIN_MESSAGE_ID, id),
        None => push(&mut out, name::ORIGIN_MESSAGE_ID, &id::encode(failed.store_host, failed.physical_offset)),
    }
    push(&mut out, name::WAIT_STORE_MSG_OK, "false");
    push(&mut out, name::DELAY_TIME_LEVEL, &level.to_string());
    out
}

/// The topic that listeners are told.
pub(super) fn origin_topic<'a>(failed: &StoredMessage<'a>) -> &'a str {
    failed.property(name::RETRY_TOPIC).unwrap_or(failed.topic)
}

/// Everything else stays as it was, but the attempt is counted.
pub(super) fn message<'a>(
    failed: &StoredMessage<'a>,
    (topic, queue_id): (&'a TopicName, QueueId),
    store_host: Host,
    properties: &'a str,
) -> Message<'a> {
    let reconsume_times = failed.reconsume_times + 1;
    Message { store_host, reconsume_times, ..failed.copy_to(topic, queue_id, properties) }
}
