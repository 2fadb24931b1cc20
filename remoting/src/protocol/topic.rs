//! Topics of a broker.

use crate::header::NoHeader;
use crate::types::{GroupName, TopicName};
use crate::{header, request};

request! {
    /// Java: `CreateTopicRequestHeader`.
    UPDATE_AND_CREATE_TOPIC => NoHeader,
    pub struct UpdateTopic {
        topic: TopicName = "topic",
        default_topic: TopicName = "defaultTopic",
        read_queue_nums: i32 = "readQueueNums",
        write_queue_nums: i32 = "writeQueueNums",
        perm: i32 = "perm",
        topic_filter_type: String = "topicFilterType",
        topic_sys_flag: Option<i32> = "topicSysFlag",
        order: Option<bool> = "order",
        /// `+key=value,-key`
        attributes: Option<String> = "attributes",
        force: Option<bool> = "force",
    }
}

request! {
    /// The body lists `TopicConfig`s. Java: `CreateTopicListRequestBody`.
    UPDATE_AND_CREATE_TOPIC_LIST => NoHeader,
    pub struct UpdateTopicList {}
}

request! {
    /// Java: `GetAllTopicConfigRequestHeader`.
    GET_ALL_TOPIC_CONFIG => GetAllTopicConfigReply,
    pub struct GetAllTopicConfig {
        topic_seq: Option<i32> = "topicSeq",
        data_version: Option<String> = "dataVersion",
        max_topic_num: Option<i32> = "maxTopicNum",
    }
}

header! {
    pub struct GetAllTopicConfigReply {
        total_topic_num: i32 = "totalTopicNum",
    }
}

request! {
    /// Java: `DeleteTopicRequestHeader`.
    DELETE_TOPIC_IN_BROKER => NoHeader,
    pub struct DeleteTopic {
        topic: TopicName = "topic",
    }
}

request! {
    /// Java: `GetTopicConfigRequestHeader`.
    GET_TOPIC_CONFIG => NoHeader,
    pub struct GetTopicConfig {
        topic: TopicName = "topic",
    }
}

request! {
    /// Java: `GetTopicStatsInfoRequestHeader`.
    GET_TOPIC_STATS_INFO => NoHeader,
    pub struct GetTopicStats {
        topic: TopicName = "topic",
    }
}

request! {
    /// Groups that consume a topic. Java: `QueryTopicConsumeByWhoRequestHeader`.
    QUERY_TOPIC_CONSUME_BY_WHO => NoHeader,
    pub struct QueryTopicConsumers {
        topic: TopicName = "topic",
    }
}

request! {
    /// Topics a group consumes. Java: `QueryTopicsByConsumerRequestHeader`.
    QUERY_TOPICS_BY_CONSUMER => NoHeader,
    pub struct QueryTopicsByConsumer {
        group: GroupName = "group",
    }
}

request! {
    GET_SYSTEM_TOPIC_LIST_FROM_BROKER => NoHeader,
    pub struct GetBrokerSystemTopics {}
}

request! {
    CLEAN_UNUSED_TOPIC => NoHeader,
    pub struct CleanUnusedTopic {}
}
