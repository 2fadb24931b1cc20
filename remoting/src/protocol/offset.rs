//! Offsets of consumer groups and of queues.

use crate::header::NoHeader;
use crate::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use crate::{header, request};

request! {
    /// Asks where a consumer group stands in one queue.
    ///
    /// Java: `QueryConsumerOffsetRequestHeader`.
    QUERY_CONSUMER_OFFSET => OffsetReply,
    pub struct QueryConsumerOffset {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        /// `Some(false)`: a group new to this queue gets `QUERY_NOT_FOUND`, never a guessed 0.
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
    }
}

request! {
    /// Stores where a consumer group stands in one queue. Java: `UpdateConsumerOffsetRequestHeader`.
    UPDATE_CONSUMER_OFFSET => NoHeader,
    pub struct UpdateConsumerOffset {
        consumer_group: GroupName = "consumerGroup",
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        commit_offset: QueueOffset = "commitOffset",
        /// Ours: the offset counts unless more is committed already. A slave hands over with it what it was told while its
        /// master was away.
        forward: Option<bool> = "ferromqForward",
    }
}

request! {
    /// Java: `SearchOffsetRequestHeader`.
    SEARCH_OFFSET_BY_TIMESTAMP => OffsetReply,
    pub struct SearchOffset {
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        timestamp: Timestamp = "timestamp",
        /// `lower` (the default) or `upper`.
        boundary_type: Option<String> = "boundaryType",
    }
}

request! {
    /// Java: `GetMaxOffsetRequestHeader`.
    GET_MAX_OFFSET => OffsetReply,
    pub struct GetMaxOffset {
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
        /// `Some(false)`: also what is not confirmed yet.
        committed: Option<bool> = "committed",
    }
}

request! {
    /// Java: `GetMinOffsetRequestHeader`.
    GET_MIN_OFFSET => OffsetReply,
    pub struct GetMinOffset {
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
    }
}

header! {
    pub struct OffsetReply {
        offset: QueueOffset = "offset",
    }
}

request! {
    /// Java: `GetEarliestMsgStoretimeRequestHeader`.
    GET_EARLIEST_MSG_STORETIME => TimestampReply,
    pub struct GetEarliestStoreTime {
        topic: TopicName = "topic",
        queue_id: QueueId = "queueId",
    }
}

header! {
    pub struct TimestampReply {
        /// -1 if the queue has no message.
        timestamp: Timestamp = "timestamp",
    }
}

request! {
    /// Sets a group's position by time or to an offset; the answer's body is a `ResetOffsetBody`.
    ///
    /// Java: `ResetOffsetRequestHeader`.
    INVOKE_BROKER_TO_RESET_OFFSET => NoHeader,
    pub struct ResetOffset {
        topic: TopicName = "topic",
        group: GroupName = "group",
        /// Negative or absent: all queues.
        queue_id: Option<QueueId> = "queueId",
        offset: Option<QueueOffset> = "offset",
        timestamp: Timestamp = "timestamp",
        is_force: Option<bool> = "isForce",
    }
}

request! {
    /// Copies a group's offsets to another. Java: `CloneGroupOffsetRequestHeader`.
    CLONE_GROUP_OFFSET => NoHeader,
    pub struct CloneGroupOffset {
        src_group: GroupName = "srcGroup",
        dest_group: GroupName = "destGroup",
        topic: Option<TopicName> = "topic",
        offline: Option<bool> = "offline",
    }
}

request! {
    /// The smallest offset of all groups per queue. Java: `QueryCorrectionOffsetHeader`.
    QUERY_CORRECTION_OFFSET => NoHeader,
    pub struct QueryCorrectionOffset {
        /// Groups left out, joined by commas.
        filter_groups: Option<String> = "filterGroups",
        compare_group: GroupName = "compareGroup",
        topic: TopicName = "topic",
    }
}

request! {
    /// All offsets of all groups, for a slave. Java: `ConsumerOffsetSerializeWrapper`.
    GET_ALL_CONSUMER_OFFSET => NoHeader,
    pub struct GetAllConsumerOffset {}
}

request! {
    /// The position of each delay level, for a slave. Java: `DelayOffsetSerializeWrapper`.
    GET_ALL_DELAY_OFFSET => NoHeader,
    pub struct GetAllDelayOffset {}
}
