//! A table of texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Java: `KVTable`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    pub table: BTreeMap<String, String>,
}
