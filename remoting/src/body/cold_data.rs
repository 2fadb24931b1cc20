//! What consumer groups read from disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{GroupName, Timestamp};

/// Figures and limits are of bytes within a period of five seconds. Java: `ColdDataCgCtrService.getColdDataFlowCtrInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ColdDataFlow {
    /// Groups that have read from disk of late.
    pub runtime_table: BTreeMap<GroupName, ColdDataReads>,
    /// Limits of single groups; those that were found and not set are under the name of the group with `||adaptive` behind it.
    pub config_table: BTreeMap<String, i64>,
    /// The limit of a group that has none of its own.
    pub cg_cold_read_threshold: i64,
    pub global_cold_read_threshold: i64,
    /// Read by all groups.
    pub global_acc: i64,
}

/// Java: `AccAndTimeStamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ColdDataReads {
    pub cold_acc: i64,
    pub create_time_mills: Timestamp,
    pub last_cold_read_time_mills: Timestamp,
}
