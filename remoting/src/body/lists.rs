//! Lists of names.

use serde::{Deserialize, Serialize};

use super::client::SubscriptionData;
use super::queue::MessageQueue;
use crate::types::{ClientId, GroupName, Timestamp, TopicName};

/// Java: `TopicList`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    pub topic_list: Vec<TopicName>,
}

/// Java: `GroupList`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    pub group_list: Vec<GroupName>,
}

/// Members of a consumer group. Java: `GetConsumerListByGroupResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerIdList {
    pub consumer_id_list: Vec<ClientId>,
}

/// Topics a group consumes. Java: `TopicList` with the broker's address.
pub type TopicsByConsumer = TopicList;

/// Java: `QuerySubscriptionResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuerySubscriptionBody {
    pub group: GroupName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicName>,
}

/// Java: `QueryConsumeTimeSpanBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpanList {
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// From when to when a queue has messages, and where its group stands. Java: `QueueTimeSpan`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    pub consume_time_stamp: Timestamp,
    pub delay_time: i64,
    pub max_time_stamp: Timestamp,
    pub message_queue: MessageQueue,
    pub min_time_stamp: Timestamp,
}
