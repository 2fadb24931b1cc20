//! Clients and their groups: heartbeats, members, queue locks.

use crate::header::NoHeader;
use crate::types::{ClientId, GroupName};
use crate::{header, request};

request! {
    /// Says which groups a client belongs to; the body is `HeartbeatData`.
    HEART_BEAT => HeartbeatReply,
    pub struct Heartbeat {}
}

header! {
    /// Java: `ClientManageProcessor.heartBeat`.
    pub struct HeartbeatReply {
        supports_v2: bool = "IS_SUPPORT_HEART_BEAT_V2",
        subscriptions_changed: bool = "IS_SUB_CHANGE",
    }
}

request! {
    /// A client leaves a group. Java: `UnregisterClientRequestHeader`.
    UNREGISTER_CLIENT => NoHeader,
    pub struct UnregisterClient {
        client_id: ClientId = "clientID",
        producer_group: Option<GroupName> = "producerGroup",
        consumer_group: Option<GroupName> = "consumerGroup",
    }
}

request! {
    /// Checks a subscription's expression; the body is `CheckClientRequestBody`.
    CHECK_CLIENT_CONFIG => NoHeader,
    pub struct CheckClientConfig {}
}

request! {
    /// The body of the answer lists client ids. Java: `GetConsumerListByGroupRequestHeader`.
    GET_CONSUMER_LIST_BY_GROUP => NoHeader,
    pub struct GetConsumerList {
        consumer_group: GroupName = "consumerGroup",
    }
}

request! {
    /// Locks queues for ordered consumption; bodies are `LockBatchRequestBody` and `LockBatchResponseBody`.
    LOCK_BATCH_MQ => NoHeader,
    pub struct LockBatch {}
}

request! {
    /// Java: `UnlockBatchRequestBody`.
    UNLOCK_BATCH_MQ => NoHeader,
    pub struct UnlockBatch {}
}

request! {
    /// Java: `GetConsumerConnectionListRequestHeader`.
    GET_CONSUMER_CONNECTION_LIST => NoHeader,
    pub struct GetConsumerConnections {
        consumer_group: GroupName = "consumerGroup",
    }
}

request! {
    /// Java: `GetProducerConnectionListRequestHeader`.
    GET_PRODUCER_CONNECTION_LIST => NoHeader,
    pub struct GetProducerConnections {
        producer_group: GroupName = "producerGroup",
    }
}

request! {
    /// Java: `ProducerTableInfo`.
    GET_ALL_PRODUCER_INFO => NoHeader,
    pub struct GetAllProducers {}
}
