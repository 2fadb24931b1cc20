//! What a broker asks of its clients, some of it relayed for an administrator.

use crate::frame::ExtFields;
use crate::header::NoHeader;
use crate::request;
use crate::types::{ClientId, GroupName, QueueId, QueueOffset, Timestamp, TopicName};

request! {
    /// One-way: the group's members changed, so rebalance. Java: `NotifyConsumerIdsChangedRequestHeader`.
    NOTIFY_CONSUMER_IDS_CHANGED => NoHeader,
    pub struct NotifyConsumerIdsChanged {
        consumer_group: GroupName = "consumerGroup",
    }
}

request! {
    /// One-way: set the client's offsets; the body is a `ResetOffsetBody`. Java: `ResetOffsetRequestHeader`.
    RESET_CONSUMER_CLIENT_OFFSET => NoHeader,
    pub struct ResetClientOffset {
        topic: TopicName = "topic",
        group: GroupName = "group",
        queue_id: QueueId = "queueId",
        offset: Option<QueueOffset> = "offset",
        timestamp: Timestamp = "timestamp",
        is_force: bool = "isForce",
    }
}

request! {
    /// The offsets a client holds in memory. Java: `GetConsumerStatusRequestHeader`.
    GET_CONSUMER_STATUS_FROM_CLIENT => ExtFields,
    pub struct GetConsumerStatusFromClient {
        topic: TopicName = "topic",
        group: GroupName = "group",
        client_addr: Option<String> = "clientAddr",
    }
}

request! {
    /// Asks the broker for the above of one client or of all. Java: `GetConsumerStatusRequestHeader`.
    INVOKE_BROKER_TO_GET_CONSUMER_STATUS => NoHeader,
    pub struct GetConsumerStatus {
        topic: TopicName = "topic",
        group: GroupName = "group",
        client_addr: Option<String> = "clientAddr",
    }
}

request! {
    /// Relayed to the client as it is. Java: `GetConsumerRunningInfoRequestHeader`.
    GET_CONSUMER_RUNNING_INFO => ExtFields,
    pub struct GetConsumerRunningInfo {
        consumer_group: GroupName = "consumerGroup",
        client_id: ClientId = "clientId",
        jstack_enable: Option<bool> = "jstackEnable",
    }
}

request! {
    /// Relayed to the client with the message as its body. Java: `ConsumeMessageDirectlyResultRequestHeader`.
    CONSUME_MESSAGE_DIRECTLY => ExtFields,
    pub struct ConsumeMessageDirectly {
        consumer_group: GroupName = "consumerGroup",
        client_id: Option<ClientId> = "clientId",
        msg_id: Option<String> = "msgId",
        broker_name: Option<String> = "brokerName",
        topic: Option<TopicName> = "topic",
        topic_sys_flag: Option<i32> = "topicSysFlag",
        group_sys_flag: Option<i32> = "groupSysFlag",
    }
}

request! {
    /// A reply on its way to who asked; its body is the reply's. Java: `ReplyMessageRequestHeader`.
    PUSH_REPLY_MESSAGE_TO_CLIENT => NoHeader,
    pub struct PushReply {
        producer_group: GroupName = "producerGroup",
        topic: TopicName = "topic",
        default_topic: TopicName = "defaultTopic",
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        queue_id: QueueId = "queueId",
        sys_flag: i32 = "sysFlag",
        born_timestamp: Timestamp = "bornTimestamp",
        flag: i32 = "flag",
        properties: Option<String> = "properties",
        reconsume_times: Option<i32> = "reconsumeTimes",
        unit_mode: Option<bool> = "unitMode",
        /// `ip:port` of who replied.
        born_host: String = "bornHost",
        /// `ip:port` of the broker.
        store_host: String = "storeHost",
        store_timestamp: Timestamp = "storeTimestamp",
    }
}
