//! What waits in the timer, by topic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DataVersion;
use crate::types::{Timestamp, TopicName};

/// Java: `TimerMetrics.TimerMetricsSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimerMetrics {
    pub data_version: DataVersion,
    pub timing_count: BTreeMap<TopicName, TimerMetric>,
}

/// Messages of one topic that wait. Java: `TimerMetrics.Metric`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimerMetric {
    pub count: i64,
    /// When it changed last.
    pub time_stamp: Timestamp,
}
