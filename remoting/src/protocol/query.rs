//! Looking at stored messages.

use crate::header::NoHeader;
use crate::request;
use crate::types::{GroupName, PhysicalOffset, QueueId, TopicName};

request! {
    /// The body of the answer is the stored message. Java: `ViewMessageRequestHeader`.
    VIEW_MESSAGE_BY_ID => NoHeader,
    pub struct ViewMessageById {
        topic: Option<TopicName> = "topic",
        offset: PhysicalOffset = "offset",
    }
}

request! {
    /// Java: `QueryConsumeQueueRequestHeader`.
    QUERY_CONSUME_QUEUE => NoHeader,
    pub struct QueryConsumeQueue {
        topic: Option<TopicName> = "topic",
        queue_id: QueueId = "queueId",
        index: i64 = "index",
        count: i32 = "count",
        consumer_group: Option<GroupName> = "consumerGroup",
    }
}
