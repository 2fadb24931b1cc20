//! Locks of queues for ordered consumption.

use serde::{Deserialize, Serialize};

use super::queue::MessageQueue;
use crate::types::{ClientId, GroupName};

/// Java: `LockBatchRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatchRequestBody {
    pub client_id: ClientId,
    pub consumer_group: GroupName,
    pub mq_set: Vec<MessageQueue>,
    /// A member of the broker set asks: do not ask others in turn.
    pub only_this_broker: bool,
}

/// Java: `LockBatchResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockBatchResponseBody {
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}

/// Java: `UnlockBatchRequestBody`.
pub type UnlockBatchRequestBody = LockBatchRequestBody;
