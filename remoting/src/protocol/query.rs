//! Looking at stored messages.

use crate::header::NoHeader;
use crate::types::{GroupName, PhysicalOffset, QueueId, Timestamp, TopicName};
use crate::{header, request};

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

request! {
    /// The body of the answer is the stored messages. Java: `QueryMessageRequestHeader`.
    QUERY_MESSAGE => QueryMessageReply,
    pub struct QueryMessage {
        topic: TopicName = "topic",
        key: String = "key",
        max_num: i32 = "maxNum",
        /// Store times from here on.
        begin_timestamp: Timestamp = "beginTimestamp",
        /// Store times up to here, this one included.
        end_timestamp: Timestamp = "endTimestamp",
        /// `T`: the key is the tags of messages. Java 5.5 and later.
        index_type: Option<String> = "indexType",
        /// Where the page before ended. Read by Java's index in RocksDB only.
        last_key: Option<String> = "lastKey",
    }
}

/// An ext field beside the header of [`QueryMessage`]: `true` for a unique key. Java: `MixAll.UNIQUE_MSG_QUERY_FLAG`.
pub const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";

header! {
    /// Store time and physical offset of the newest message in the index. Java: `QueryMessageResponseHeader`.
    pub struct QueryMessageReply {
        index_last_update_timestamp: Timestamp = "indexLastUpdateTimestamp",
        index_last_update_phyoffset: PhysicalOffset = "indexLastUpdatePhyoffset",
    }
}
