//! Answers to pops.

use bytes::Bytes;
use remoting::connection::{Peer, ReplyTo};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::pop::PopMessageReply;
use remoting::router::IntoResponse;
use remoting::types::{Timestamp, TopicName};
use store::ReadStatus;
use store::message::properties::{Builder, name};
use store::message::{MAX_PROPERTIES_BYTES, Message, StoredMessage, encode_at};

use super::PopError;
use super::request::Pop;

/// The handle of a message that comes again. Java: `MessageConst.PROPERTY_POP_CK`.
pub(super) const POP_CK: &str = "POP_CK";

/// What a pop is told that finds nothing.
pub(super) fn empty(pop: &Pop, now: Timestamp, revive_queue: i32) -> PopMessageReply {
    PopMessageReply {
        pop_time: now,
        invisible_time: pop.header.invisible_time,
        revive_queue,
        rest_num: 0,
        start_offset_info: Some(String::new()),
        msg_offset_info: Some(String::new()),
        order_count_info: pop.ordered.then(String::new),
    }
}

pub(super) fn found(peer: &Peer, to: ReplyTo, reply: &PopMessageReply, messages: Vec<Bytes>) {
    let remark = ReadStatus::Found.java_name();
    peer.replies(|out| out.reply(to, ResponseCode::SUCCESS, Some(remark), reply, messages));
}

/// Nothing was found in time, or too many wait already.
pub(super) fn nothing(peer: &Peer, to: ReplyTo, code: ResponseCode, reply: &PopMessageReply) {
    let remark = ReadStatus::NoMessageInQueue.java_name();
    peer.replies(|out| out.reply(to, code, Some(remark), reply, ()));
}

pub(super) fn refuse(peer: &Peer, to: ReplyTo, err: &PopError) {
    let (code, remark) = (err.code(), err.to_string());
    tracing::debug!(remote = %peer.remote(), %code, remark, "a request of POP is refused");
    peer.replies(|out| out.reply(to, code, Some(&remark), &NoHeader, ()));
}

/// Appends a message of a retry topic under the topic that the consumer knows, with its handle.
///
/// Java: `PopMessageProcessor.popMsgFromQueue`, where a handle that is there already is left.
pub(super) fn as_normal(out: &mut Vec<u8>, stored: &StoredMessage<'_>, topic: &TopicName, handle: &str) {
    let mut properties = Builder::with_capacity(stored.properties.len() + POP_CK.len() + handle.len() + 3);
    // A checksum over the whole record would be wrong.
    properties.extend_without(stored.properties, &[name::CRC32, POP_CK]);
    let without_handle = properties.as_str().len();
    properties.push(POP_CK, stored.property(POP_CK).unwrap_or(handle));
    let mut properties = properties.finish();
    if properties.len() > MAX_PROPERTIES_BYTES {
        // The client then makes the handle of what the answer says.
        properties.truncate(without_handle);
    }
    let prepared_transaction_offset = stored.prepared_transaction_offset;
    let message = Message { prepared_transaction_offset, ..stored.copy_to(topic, stored.queue_id, &properties) };
    encode_at(out, &message, stored.queue_offset, stored.physical_offset, stored.store_timestamp);
}

#[cfg(test)]
mod tests {
    use remoting::types::{Host, QueueId};
    use store::message::Message;

    use super::*;

    #[test]
    fn a_message_that_comes_again_is_of_the_topic_that_the_consumer_knows() {
        let retry = TopicName::new("%RETRY%g_T");
        let host = Host { ip: [10, 0, 0, 1].into(), port: 10911 };
        let message = Message {
            properties: "a\u{1}1\u{2}__CRC32#\u{1}123\u{2}",
            reconsume_times: 3,
            ..Message::new(&retry, QueueId(0), b"body", host)
        };
        let mut batch = store::AppendBatch::new(1000);
        batch.push(&message).unwrap();
        let stored = StoredMessage { properties: message.properties, topic: &retry, ..sample(&message) };
        let mut out = Vec::new();
        as_normal(&mut out, &stored, &"T".into(), "1 2 3");
        let read = StoredMessage::parse(&out).unwrap();
        assert_eq!((read.topic, read.body, read.reconsume_times), ("T", b"body".as_slice(), 3));
        assert_eq!(read.properties, "a\u{1}1\u{2}POP_CK\u{1}1 2 3\u{2}");
        assert_eq!((read.queue_offset, read.physical_offset), (stored.queue_offset, stored.physical_offset));
        assert_eq!((read.store_timestamp, read.size), (stored.store_timestamp, out.len()));
        read.check_crc().unwrap();
    }

    fn sample<'a>(message: &Message<'a>) -> StoredMessage<'a> {
        StoredMessage {
            size: 0,
            magic: 0,
            body_crc: 0,
            queue_id: message.queue_id,
            flag: message.flag,
            queue_offset: remoting::types::QueueOffset(17),
            physical_offset: remoting::types::PhysicalOffset(4711),
            sys_flag: message.sys_flag,
            born_timestamp: message.born_timestamp,
            born_host: message.born_host,
            store_timestamp: remoting::types::Timestamp(99),
            store_host: message.store_host,
            reconsume_times: message.reconsume_times,
            prepared_transaction_offset: 0,
            body: message.body,
            topic: message.topic,
            properties: message.properties,
        }
    }
}
