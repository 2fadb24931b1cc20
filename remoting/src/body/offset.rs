//! Tables of offsets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;
use super::queue::QueueMap;
use crate::types::{BrokerName, ClientId, QueueOffset, TopicName};

/// Offsets of all groups by `topic@group` and queue id; on the wire and in `consumerOffset.json`.
///
/// Java: `ConsumerOffsetSerializeWrapper`, `ConsumerOffsetManager`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsets {
    pub data_version: DataVersion,
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// As [`ConsumerOffsets`], with the offsets of groups named `%LMQ%…` by `topic@group` alone; in `lmqConsumerOffset.json` and,
/// where there are light queues, on the wire.
///
/// Java: `LmqConsumerOffsetManager`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LightConsumerOffsets {
    pub data_version: DataVersion,
    pub lmq_offset_table: BTreeMap<String, i64>,
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// Offset of each delay level; on the wire and in `delayOffset.json`. Java: `DelayOffsetSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DelayOffsets {
    pub data_version: DataVersion,
    pub offset_table: BTreeMap<i32, i64>,
}

/// Java: `ResetOffsetBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBody {
    pub offset_table: QueueMap<QueueOffset>,
}

/// The form that C++ clients read. Java: `ResetOffsetBodyForC`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBodyForCpp {
    pub offset_table: Vec<QueueWithOffset>,
}

/// Java: `MessageQueueForC`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueWithOffset {
    pub broker_name: BrokerName,
    pub offset: QueueOffset,
    pub queue_id: i32,
    pub topic: TopicName,
}

/// Offsets in the memory of clients. Java: `GetConsumerStatusBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatusBody {
    pub consumer_table: BTreeMap<ClientId, QueueMap<i64>>,
    pub message_queue_table: QueueMap<i64>,
}

/// Java: `QueryCorrectionOffsetBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    pub correction_offsets: BTreeMap<i32, i64>,
}
