//! What tools ask: clusters, members, lists of topics; and what they change.

mod lists;
mod topics;

use std::convert::Infallible;
use std::sync::Arc;

use remoting::body::{BrokerMemberGroup, BrokerMemberGroupBody, ClusterInfo, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::register::{GetBrokerMemberGroup, RegisterTopic};
use remoting::protocol::route::{
    AddWritePerm, DeleteTopicInNamesrv, GetAllTopics, GetClusterInfo, GetNamesrvSystemTopics, GetTopicsByCluster,
    GetUnitSubTopics, GetUnitSubUnunitTopics, GetUnitTopics, WipeWritePerm,
};
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};

use crate::route::{RouteTable, Routes};
use crate::settings::LiveConfig;

/// The side of the name server that tools see.
pub(crate) struct Cluster {
    table: Arc<RouteTable>,
    config: Arc<LiveConfig>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// Java's word.
    #[error("disable")]
    Disabled,
    #[error("the route does not parse: {0}")]
    Route(serde_json::Error),
}

impl IntoResponse for ClusterError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Disabled | Self::Route(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl Cluster {
    pub(crate) fn new(table: Arc<RouteTable>, config: Arc<LiveConfig>) -> Arc<Self> {
        Arc::new(Self { table, config })
    }

    pub(crate) fn routes(self: &Arc<Self>, router: &mut Router) {
        router.on::<GetClusterInfo>(self).on::<GetBrokerMemberGroup>(self);
        router.on::<GetAllTopics>(self).on::<GetTopicsByCluster>(self).on::<GetNamesrvSystemTopics>(self);
        router.on::<GetUnitTopics>(self).on::<GetUnitSubTopics>(self).on::<GetUnitSubUnunitTopics>(self);
        router.on::<WipeWritePerm>(self).on::<AddWritePerm>(self);
        router.on::<DeleteTopicInNamesrv>(self).on::<RegisterTopic>(self);
    }
}

impl Handle<GetClusterInfo> for Cluster {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetClusterInfo>) -> Result<Reply<NoHeader>, Infallible> {
        Ok(Reply::done().body(fastjson::write(&cluster_info(&self.table.now()))))
    }
}

fn cluster_info(routes: &Routes) -> ClusterInfo {
    let clusters = routes.clusters.iter().map(|(cluster, names)| (cluster.clone(), names.iter().cloned().collect()));
    ClusterInfo {
        broker_addr_table: routes.sets.iter().map(|(name, set)| (name.clone(), set.data())).collect(),
        cluster_addr_table: clusters.collect(),
    }
}

impl Handle<GetBrokerMemberGroup> for Cluster {
    type Error = Infallible;

    /// A set that is not there has no members.
    async fn handle(&self, call: Call<GetBrokerMemberGroup>) -> Result<Reply<NoHeader>, Infallible> {
        let GetBrokerMemberGroup { cluster_name: cluster, broker_name } = call.header;
        let broker_addrs = self.table.now().sets.get(&broker_name).map(|set| set.addrs()).unwrap_or_default();
        let broker_member_group = BrokerMemberGroup { broker_addrs, broker_name, cluster };
        Ok(Reply::done().body(fastjson::write(&BrokerMemberGroupBody { broker_member_group })))
    }
}
