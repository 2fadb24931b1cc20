//! A queue by name, also as the key of a map.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fastjson::ObjectKey;
use crate::types::{BrokerName, QueueId, TopicName};

/// Java: `MessageQueue`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    pub broker_name: BrokerName,
    pub queue_id: QueueId,
    pub topic: TopicName,
}

/// Java's `Map<MessageQueue, V>`, whose keys are written as objects.
pub type QueueMap<V> = BTreeMap<ObjectKey<MessageQueue>, V>;
