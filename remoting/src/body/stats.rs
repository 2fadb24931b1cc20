//! Figures of topics, groups and brokers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::queue::QueueMap;
use crate::types::{GroupName, Timestamp};

/// Java: `TopicStatsTable`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStatsTable {
    pub offset_table: QueueMap<TopicOffset>,
    pub topic_put_tps: f64,
}

/// Java: `TopicOffset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    pub last_update_timestamp: Timestamp,
    pub max_offset: i64,
    pub min_offset: i64,
}

/// How far a group is behind, per queue. Java: `ConsumeStats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages per second.
    pub consume_tps: f64,
    pub offset_table: QueueMap<OffsetWrapper>,
}

/// Java: `OffsetWrapper`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    pub broker_offset: i64,
    pub consumer_offset: i64,
    /// Store time of the last message consumed.
    pub last_timestamp: Timestamp,
    /// How far the group has pulled, at least what it has consumed.
    pub pull_offset: i64,
}

/// All groups of a broker. Java: `ConsumeStatsList`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatsList {
    pub broker_addr: String,
    pub consume_stats_list: Vec<BTreeMap<GroupName, Vec<ConsumeStats>>>,
    pub total_diff: i64,
    pub total_inflight_diff: i64,
}

/// Java: `BrokerStatsData`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    pub stats_day: BrokerStatsItem,
    pub stats_hour: BrokerStatsItem,
    pub stats_minute: BrokerStatsItem,
}

/// Java: `BrokerStatsItem`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerStatsItem {
    /// Average value per call.
    pub avgpt: f64,
    pub sum: i64,
    /// Per second.
    pub tps: f64,
}
