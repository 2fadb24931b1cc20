//! Producers that a broker knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::Connection;
use crate::types::{ClientId, GroupName, Timestamp};

/// Java: `ProducerConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    pub connection_set: Vec<Connection>,
}

/// Java: `ProducerTableInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerTableInfo {
    pub data: BTreeMap<GroupName, Vec<ProducerInfo>>,
}

/// Java: `ProducerInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    pub client_id: ClientId,
    pub language: String,
    pub last_update_timestamp: Timestamp,
    /// `/ip:port`, as Java prints an address.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    pub version: i32,
}
