//! What clients and tools ask a name server.

use crate::header::NoHeader;
use crate::types::{BrokerName, ClusterName, TopicName};
use crate::{header, request};

request! {
    /// The body of the answer is `TopicRouteData`. Java: `GetRouteInfoRequestHeader`.
    GET_ROUTEINFO_BY_TOPIC => NoHeader,
    pub struct GetRoute {
        topic: TopicName = "topic",
        accept_standard_json_only: Option<bool> = "acceptStandardJsonOnly",
    }
}

request! {
    GET_BROKER_CLUSTER_INFO => NoHeader,
    pub struct GetClusterInfo {}
}

request! {
    GET_ALL_TOPIC_LIST_FROM_NAMESERVER => NoHeader,
    pub struct GetAllTopics {}
}

request! {
    /// Java: `GetTopicsByClusterRequestHeader`.
    GET_TOPICS_BY_CLUSTER => NoHeader,
    pub struct GetTopicsByCluster {
        cluster: ClusterName = "cluster",
    }
}

request! {
    GET_SYSTEM_TOPIC_LIST_FROM_NS => NoHeader,
    pub struct GetNamesrvSystemTopics {}
}

request! {
    GET_UNIT_TOPIC_LIST => NoHeader,
    pub struct GetUnitTopics {}
}

request! {
    GET_HAS_UNIT_SUB_TOPIC_LIST => NoHeader,
    pub struct GetUnitSubTopics {}
}

request! {
    GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => NoHeader,
    pub struct GetUnitSubUnunitTopics {}
}

request! {
    /// Java: `WipeWritePermOfBrokerRequestHeader`.
    WIPE_WRITE_PERM_OF_BROKER => WipeWritePermReply,
    pub struct WipeWritePerm {
        broker_name: BrokerName = "brokerName",
    }
}

header! {
    pub struct WipeWritePermReply {
        wipe_topic_count: i32 = "wipeTopicCount",
    }
}

request! {
    /// Java: `AddWritePermOfBrokerRequestHeader`.
    ADD_WRITE_PERM_OF_BROKER => AddWritePermReply,
    pub struct AddWritePerm {
        broker_name: BrokerName = "brokerName",
    }
}

header! {
    pub struct AddWritePermReply {
        add_topic_count: i32 = "addTopicCount",
    }
}

request! {
    /// Java: `DeleteTopicFromNamesrvRequestHeader`.
    DELETE_TOPIC_IN_NAMESRV => NoHeader,
    pub struct DeleteTopicInNamesrv {
        topic: TopicName = "topic",
        cluster_name: Option<ClusterName> = "clusterName",
    }
}
