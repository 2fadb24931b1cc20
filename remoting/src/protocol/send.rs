//! Sending messages, and sending them back.

use super::RequestCode;
use crate::frame::ExtFields;
use crate::header::{DecodeHeader, EncodeHeader, FieldSink, HeaderError, Request};
use crate::types::{GroupName, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use crate::{header, request};

request! {
    /// Stores one message, or with `batch` several of one topic. The body is the message's body, or the batch's elements.
    ///
    /// `SEND_MESSAGE_V2` and `SEND_BATCH_MESSAGE` are the same request under one-letter names.
    /// Java: `SendMessageRequestHeader`, `SendMessageRequestHeaderV2`.
    SEND_MESSAGE => SendMessageReply,
    pub struct SendMessage {
        producer_group: GroupName = "producerGroup" | "a",
        topic: TopicName = "topic" | "b",
        /// Template for a topic that does not exist yet, `TBW102` in stock clients.
        default_topic: TopicName = "defaultTopic" | "c",
        default_topic_queue_nums: i32 = "defaultTopicQueueNums" | "d",
        /// Negative: any writable queue.
        queue_id: QueueId = "queueId" | "e",
        sys_flag: i32 = "sysFlag" | "f",
        born_timestamp: Timestamp = "bornTimestamp" | "g",
        flag: i32 = "flag" | "h",
        /// `name \x01 value \x02 …`
        properties: Option<String> = "properties" | "i",
        reconsume_times: Option<i32> = "reconsumeTimes" | "j",
        unit_mode: Option<bool> = "unitMode" | "k",
        max_reconsume_times: Option<i32> = "maxReconsumeTimes" | "l",
        batch: Option<bool> = "batch" | "m",
    }
}

header! {
    /// Java: `SendMessageResponseHeader`.
    pub struct SendMessageReply {
        /// Offset message id; for a batch one per message, joined by commas.
        msg_id: String = "msgId",
        queue_id: QueueId = "queueId",
        queue_offset: QueueOffset = "queueOffset",
        transaction_id: Option<String> = "transactionId",
        batch_uniq_id: Option<String> = "batchUniqId",
        recall_handle: Option<String> = "recallHandle",
    }
}

request! {
    /// Gives a message back that could not be consumed: it is delivered again later, or goes to the dead-letter queue.
    ///
    /// Java: `ConsumerSendMsgBackRequestHeader`.
    CONSUMER_SEND_MSG_BACK => crate::header::NoHeader,
    pub struct ConsumerSendMsgBack {
        offset: PhysicalOffset = "offset",
        group: GroupName = "group",
        /// Negative: straight to the dead-letter queue; 0: by the number of attempts so far.
        delay_level: i32 = "delayLevel",
        origin_msg_id: Option<String> = "originMsgId",
        origin_topic: Option<TopicName> = "originTopic",
        unit_mode: Option<bool> = "unitMode",
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
    }
}

/// A consumer's reply, for the producer that a property of it names.
///
/// `SEND_REPLY_MESSAGE_V2` is the same request under one-letter names.
#[derive(Clone, Debug, PartialEq)]
pub struct SendReply(pub SendMessage);

impl DecodeHeader for SendReply {
    fn decode(ext: &ExtFields) -> Result<Self, HeaderError> {
        SendMessage::decode(ext).map(Self)
    }
}

impl EncodeHeader for SendReply {
    fn encode(&self, sink: &mut dyn FieldSink) {
        self.0.encode(sink);
    }
}

impl Request for SendReply {
    const CODE: RequestCode = RequestCode::SEND_REPLY_MESSAGE;
    type Reply = Option<SendMessageReply>;
}
