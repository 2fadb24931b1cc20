//! What brokers tell name servers, and the other way round.

use crate::header::NoHeader;
use crate::types::{BrokerId, BrokerName, ClusterName, TopicName};
use crate::{header, request};

request! {
    /// The body is a `RegisterBrokerBody`, the answer's body a `KvTable` of order topics.
    ///
    /// Java: `RegisterBrokerRequestHeader`.
    REGISTER_BROKER => RegisterBrokerReply,
    pub struct RegisterBroker {
        broker_name: BrokerName = "brokerName",
        broker_addr: String = "brokerAddr",
        cluster_name: ClusterName = "clusterName",
        ha_server_addr: String = "haServerAddr",
        broker_id: BrokerId = "brokerId",
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMillis",
        enable_acting_master: Option<bool> = "enableActingMaster",
        compressed: Option<bool> = "compressed",
        /// 0 or absent: unchecked.
        body_crc32: Option<i32> = "bodyCrc32",
        zone_name: Option<String> = "__ZONE_NAME",
    }
}

header! {
    /// Java: `RegisterBrokerResponseHeader`.
    pub struct RegisterBrokerReply {
        ha_server_addr: Option<String> = "haServerAddr",
        master_addr: Option<String> = "masterAddr",
    }
}

request! {
    /// Java: `UnRegisterBrokerRequestHeader`.
    UNREGISTER_BROKER => NoHeader,
    pub struct UnregisterBroker {
        broker_name: BrokerName = "brokerName",
        broker_addr: String = "brokerAddr",
        cluster_name: ClusterName = "clusterName",
        broker_id: BrokerId = "brokerId",
    }
}

request! {
    /// Whether the name server knows a broker's topics as of this `DataVersion` (the body). Java: `QueryDataVersionRequestHeader`.
    QUERY_DATA_VERSION => QueryDataVersionReply,
    pub struct QueryDataVersion {
        broker_name: BrokerName = "brokerName",
        broker_addr: String = "brokerAddr",
        cluster_name: ClusterName = "clusterName",
        broker_id: BrokerId = "brokerId",
    }
}

header! {
    pub struct QueryDataVersionReply {
        changed: bool = "changed",
    }
}

request! {
    /// Java: `BrokerHeartbeatRequestHeader`.
    BROKER_HEARTBEAT => NoHeader,
    pub struct BrokerHeartbeat {
        cluster_name: ClusterName = "clusterName",
        broker_addr: String = "brokerAddr",
        broker_name: BrokerName = "brokerName",
        broker_id: Option<BrokerId> = "brokerId",
        epoch: Option<i32> = "epoch",
        max_offset: Option<i64> = "maxOffset",
        confirm_offset: Option<i64> = "confirmOffset",
        /// Java's spelling is kept.
        heartbeat_timeout_mills: Option<i64> = "heartbeatTimeoutMills",
        election_priority: Option<i32> = "electionPriority",
    }
}

request! {
    /// Java: `GetBrokerMemberGroupRequestHeader`.
    GET_BROKER_MEMBER_GROUP => NoHeader,
    pub struct GetBrokerMemberGroup {
        cluster_name: ClusterName = "clusterName",
        broker_name: BrokerName = "brokerName",
    }
}

request! {
    /// A topic without a registration; the body is its `TopicRouteData`. Java: `RegisterTopicRequestHeader`.
    REGISTER_TOPIC_IN_NAMESRV => NoHeader,
    pub struct RegisterTopic {
        topic: TopicName = "topic",
    }
}

request! {
    /// One-way to the members of a broker set. Java: `NotifyMinBrokerIdChangeRequestHeader`.
    NOTIFY_MIN_BROKER_ID_CHANGE => NoHeader,
    pub struct NotifyMinBrokerId {
        min_broker_id: Option<BrokerId> = "minBrokerId",
        broker_name: Option<BrokerName> = "brokerName",
        min_broker_addr: Option<String> = "minBrokerAddr",
        offline_broker_addr: Option<String> = "offlineBrokerAddr",
        ha_broker_addr: Option<String> = "haBrokerAddr",
    }
}
