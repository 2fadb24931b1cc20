//! POP: leasing messages instead of owning queues.
//!
//! A lease has a handle, `extraInfo`, that consumers give back as they got it. These codes only work with JSON headers, as
//! they are above 32767.

use crate::header::NoHeader;
use crate::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use crate::{header, request};

request! {
    /// Leases messages of a topic for `invisible_time`, and may wait for them.
    ///
    /// Java: `PopMessageRequestHeader`.
    POP_MESSAGE => PopMessageReply,
    pub struct PopMessage {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        /// Negative: any.
        queue_id: QueueId = "queueId",
        /// At most 32.
        max_msg_nums: i32 = "maxMsgNums",
        /// Milliseconds.
        invisible_time: i64 = "invisibleTime",
        /// Milliseconds from `born_time` on.
        poll_time: i64 = "pollTime",
        /// 0 or absent: now.
        born_time: Option<Timestamp> = "bornTime",
        /// Where a group begins in a queue that is new to it: 0 at the first message, 1 at the last.
        init_mode: i32 = "initMode",
        expression_type: Option<String> = "expType",
        expression: Option<String> = "exp",
        order: Option<bool> = "order",
        /// An ordered pop of the same attempt gets the same lease again.
        attempt_id: Option<String> = "attemptId",
    }
}

header! {
    /// Java: `PopMessageResponseHeader`.
    pub struct PopMessageReply {
        pop_time: Timestamp = "popTime",
        invisible_time: i64 = "invisibleTime",
        revive_queue: i32 = "reviveQid",
        /// Messages still to come, about.
        rest_num: i64 = "restNum",
        start_offset_info: Option<String> = "startOffsetInfo",
        msg_offset_info: Option<String> = "msgOffsetInfo",
        order_count_info: Option<String> = "orderCountInfo",
    }
}

request! {
    /// The message was consumed. Java: `AckMessageRequestHeader`.
    ACK_MESSAGE => NoHeader,
    pub struct AckMessage {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        extra_info: String = "extraInfo",
        offset: QueueOffset = "offset",
    }
}

request! {
    /// Many messages were consumed; the body, `BatchAckMessageRequestBody`, says which.
    BATCH_ACK_MESSAGE => NoHeader,
    pub struct BatchAckMessage {}
}

request! {
    /// Leases a message anew. Java: `ChangeInvisibleTimeRequestHeader`.
    CHANGE_MESSAGE_INVISIBLETIME => ChangeInvisibleTimeReply,
    pub struct ChangeInvisibleTime {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        extra_info: String = "extraInfo",
        offset: QueueOffset = "offset",
        invisible_time: i64 = "invisibleTime",
        /// The message is put off and not retried: its attempts are not counted. New in 5.5.
        suspend: Option<bool> = "suspend",
    }
}

header! {
    /// Java: `ChangeInvisibleTimeResponseHeader`.
    pub struct ChangeInvisibleTimeReply {
        pop_time: Timestamp = "popTime",
        invisible_time: i64 = "invisibleTime",
        revive_queue: i32 = "reviveQid",
    }
}

request! {
    /// Waits until there is something to pop. Java: `NotificationRequestHeader`.
    NOTIFICATION => NotificationReply,
    pub struct Notification {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        poll_time: i64 = "pollTime",
        born_time: Option<Timestamp> = "bornTime",
        order: Option<bool> = "order",
        attempt_id: Option<String> = "attemptId",
    }
}

header! {
    /// Java: `NotificationResponseHeader`.
    pub struct NotificationReply {
        has_msg: bool = "hasMsg",
        polling_full: bool = "pollingFull",
    }
}

request! {
    /// Asks how many pops wait. Java: `PollingInfoRequestHeader`.
    POLLING_INFO => PollingInfoReply,
    pub struct PollingInfo {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
    }
}

header! {
    /// Java: `PollingInfoResponseHeader`.
    pub struct PollingInfoReply { polling_num: i32 = "pollingNum" }
}

request! {
    /// Reads what a pop would bring without leasing it. Java: `PeekMessageRequestHeader`.
    PEEK_MESSAGE => PopMessageReply,
    pub struct PeekMessage {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        max_msg_nums: i32 = "maxMsgNums",
    }
}

request! {
    /// Moves POP state out of Java's key-value service, which is not used here.
    POP_ROLLBACK => NoHeader,
    pub struct PopRollback {}
}
