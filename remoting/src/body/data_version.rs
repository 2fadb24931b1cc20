//! The version of a table that peers copy.

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// Grows with every change of a table; equal only if all three match. 4.9 peers have no state version.
///
/// Java: `DataVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    pub counter: i64,
    pub state_version: i64,
    pub timestamp: Timestamp,
}

impl DataVersion {
    /// Of a table that nobody changed yet.
    pub fn new(now: Timestamp) -> Self {
        Self { counter: 0, state_version: 0, timestamp: now }
    }

    /// The version after one more change.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self { counter: self.counter + 1, timestamp: now, ..self }
    }
}
