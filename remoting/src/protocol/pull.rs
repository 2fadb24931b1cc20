//! Pulling messages.

use crate::types::{GroupName, QueueId, QueueOffset, TopicName};
use crate::{header, request};

request! {
    /// Asks for messages of one queue, and may wait for them. `LITE_PULL_MESSAGE` has the same header.
    ///
    /// Java: `PullMessageRequestHeader`.
    PULL_MESSAGE => PullMessageReply,
    pub struct PullMessage {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        queue_offset: QueueOffset = "queueOffset",
        max_msg_nums: i32 = "maxMsgNums",
        /// Bits of [`PullSysFlag`].
        sys_flag: i32 = "sysFlag",
        commit_offset: QueueOffset = "commitOffset",
        suspend_timeout_millis: i64 = "suspendTimeoutMillis",
        subscription: Option<String> = "subscription",
        sub_version: i64 = "subVersion",
        expression_type: Option<String> = "expressionType",
        max_msg_bytes: Option<i32> = "maxMsgBytes",
        /// Negative or absent: a client of its own; 0 to 2: a proxy.
        request_source: Option<i32> = "requestSource",
        /// Java's spelling is kept.
        proxy_forward_client_id: Option<String> = "proxyFrowardClientId",
    }
}

header! {
    /// Java: `PullMessageResponseHeader`.
    pub struct PullMessageReply {
        suggest_which_broker_id: i64 = "suggestWhichBrokerId",
        next_begin_offset: QueueOffset = "nextBeginOffset",
        min_offset: QueueOffset = "minOffset",
        max_offset: QueueOffset = "maxOffset",
        offset_delta: Option<i64> = "offsetDelta",
        topic_sys_flag: Option<i32> = "topicSysFlag",
        group_sys_flag: Option<i32> = "groupSysFlag",
        /// Why `NO_PERMISSION`: 1 broker, 2 group, 3 topic, 4 broadcasting, 5 this subscription.
        forbidden_type: Option<i32> = "forbiddenType",
    }
}

/// Bits of a pull's `sysFlag`. Java: `PullSysFlag`.
#[derive(Clone, Copy, Debug)]
pub struct PullSysFlag;

impl PullSysFlag {
    pub const COMMIT_OFFSET: i32 = 1;
    pub const SUSPEND: i32 = 2;
    pub const SUBSCRIPTION: i32 = 4;
    pub const CLASS_FILTER: i32 = 8;
    pub const LITE_PULL: i32 = 16;
}
