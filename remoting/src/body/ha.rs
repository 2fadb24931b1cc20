//! How far classic replication is, on either side.

use serde::{Deserialize, Serialize};

use crate::types::{PhysicalOffset, Timestamp};

/// What a master or a slave says. Java: `HARuntimeInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaRuntimeInfo {
    /// Of a slave.
    pub ha_client_runtime_info: HaClientRuntimeInfo,
    /// Of a master: its slaves.
    pub ha_connection_info: Vec<HaConnectionRuntimeInfo>,
    pub in_sync_slave_nums: i32,
    pub master: bool,
    pub master_commit_log_max_offset: PhysicalOffset,
}

/// Java: `HARuntimeInfo.HAClientRuntimeInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaClientRuntimeInfo {
    pub last_read_timestamp: Timestamp,
    pub last_write_timestamp: Timestamp,
    /// Where the master feeds slaves, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_addr: Option<String>,
    pub master_flush_offset: PhysicalOffset,
    pub max_offset: PhysicalOffset,
    pub transferred_byte_in_second: i64,
}

/// One slave. Java: `HARuntimeInfo.HAConnectionRuntimeInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaConnectionRuntimeInfo {
    /// `host:port`.
    pub addr: String,
    /// Bytes that it lacks.
    pub diff: i64,
    pub in_sync: bool,
    pub slave_ack_offset: PhysicalOffset,
    /// Where the next byte that it is sent lies.
    pub transfer_from_where: PhysicalOffset,
    pub transferred_byte_in_second: i64,
}
