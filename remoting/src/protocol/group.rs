//! Consumer groups of a broker.

use crate::header::NoHeader;
use crate::types::{GroupName, TopicName};
use crate::{header, request};

request! {
    /// The body is a `SubscriptionGroupConfig`.
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => NoHeader,
    pub struct UpdateGroup {}
}

request! {
    /// The body lists `SubscriptionGroupConfig`s. Java: `SubscriptionGroupList`.
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => NoHeader,
    pub struct UpdateGroupList {}
}

request! {
    /// Java: `GetAllSubscriptionGroupRequestHeader`.
    GET_ALL_SUBSCRIPTIONGROUP_CONFIG => GetAllGroupConfigReply,
    pub struct GetAllGroupConfig {
        group_seq: Option<i32> = "groupSeq",
        data_version: Option<String> = "dataVersion",
        max_group_num: Option<i32> = "maxGroupNum",
    }
}

header! {
    pub struct GetAllGroupConfigReply {
        total_group_num: i32 = "totalGroupNum",
    }
}

request! {
    /// Java: `GetSubscriptionGroupConfigRequestHeader`.
    GET_SUBSCRIPTIONGROUP_CONFIG => NoHeader,
    pub struct GetGroupConfig {
        group: GroupName = "group",
    }
}

request! {
    /// Java: `DeleteSubscriptionGroupRequestHeader`.
    DELETE_SUBSCRIPTIONGROUP => NoHeader,
    pub struct DeleteGroup {
        group_name: GroupName = "groupName",
        clean_offset: Option<bool> = "cleanOffset",
    }
}

request! {
    /// How far a group is behind. Java: `GetConsumeStatsRequestHeader`.
    GET_CONSUME_STATS => NoHeader,
    pub struct GetConsumeStats {
        consumer_group: GroupName = "consumerGroup",
        topic: Option<TopicName> = "topic",
        /// Topics joined by `;`.
        topic_list: Option<String> = "topicList",
    }
}

request! {
    /// Java: `GetConsumeStatsInBrokerHeader`.
    GET_BROKER_CONSUME_STATS => NoHeader,
    pub struct GetBrokerConsumeStats {
        is_order: bool = "isOrder",
    }
}

request! {
    /// Java: `QueryConsumeTimeSpanRequestHeader`.
    QUERY_CONSUME_TIME_SPAN => NoHeader,
    pub struct QueryConsumeTimeSpan {
        topic: TopicName = "topic",
        group: GroupName = "group",
    }
}

request! {
    /// Java: `QuerySubscriptionByConsumerRequestHeader`.
    QUERY_SUBSCRIPTION_BY_CONSUMER => NoHeader,
    pub struct QuerySubscription {
        group: GroupName = "group",
        topic: Option<TopicName> = "topic",
    }
}

request! {
    /// Java: `UpdateGroupForbiddenRequestHeader`.
    UPDATE_AND_GET_GROUP_FORBIDDEN => NoHeader,
    pub struct UpdateGroupForbidden {
        group: GroupName = "group",
        topic: TopicName = "topic",
        /// Absent: only tell.
        readable: Option<bool> = "readable",
    }
}
