//! Who consumes which queue, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::MessageModel;
use super::java_enum::java_enum;
use super::queue::MessageQueue;
use crate::types::{ClientId, GroupName, TopicName};

java_enum! {
    /// How a client gets messages. Java: `MessageRequestMode`.
    pub enum RequestMode {
        #[default]
        Pull = "PULL",
        Pop = "POP",
    }
}

/// Java: `SetMessageRequestModeRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageRequestMode {
    pub consumer_group: GroupName,
    pub mode: RequestMode,
    /// Members of the group that share the queues of one; 0 or less: all share all.
    pub pop_share_queue_num: i32,
    pub topic: TopicName,
}

/// By topic and group; on the wire and in `messageRequestMode.json`. Java: `MessageRequestModeManager`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageRequestModes {
    pub message_request_mode_map: BTreeMap<TopicName, BTreeMap<GroupName, MessageRequestMode>>,
}

/// Java: `QueryAssignmentRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueryAssignmentBody {
    pub client_id: ClientId,
    pub consumer_group: GroupName,
    pub message_model: MessageModel,
    pub strategy_name: String,
    pub topic: TopicName,
}

/// Java: `QueryAssignmentResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueryAssignmentReplyBody {
    /// `None`: the client keeps what it has. Empty: it gives up everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_queue_assignments: Option<Vec<MessageQueueAssignment>>,
}

/// Java: `MessageQueueAssignment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueueAssignment {
    pub message_queue: MessageQueue,
    pub mode: RequestMode,
}
