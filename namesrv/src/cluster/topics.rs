//! Permissions and topics that tools change. Each may touch every topic of a broker or every broker of a topic.

use std::convert::Infallible;

use remoting::body::{TopicRouteData, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::register::RegisterTopic;
use remoting::protocol::route::{
    AddWritePerm, AddWritePermReply, DeleteTopicInNamesrv, WipeWritePerm, WipeWritePermReply,
};
use remoting::router::{Call, Handle, Reply};
use remoting::types::BrokerName;

use super::{Cluster, ClusterError};
use crate::route::WritePermission;

impl Cluster {
    async fn set_write_permission(&self, name: BrokerName, permission: WritePermission) -> i32 {
        let changed = self.table.change_much(move |change| Ok(change.set_write_permission(&name, permission)));
        let Ok::<usize, Infallible>(count) = changed.await;
        i32::try_from(count).unwrap_or(i32::MAX)
    }
}

impl Handle<WipeWritePerm> for Cluster {
    type Error = Infallible;

    async fn handle(&self, call: Call<WipeWritePerm>) -> Result<Reply<WipeWritePermReply>, Infallible> {
        let name = call.header.broker_name;
        let wipe_topic_count = self.set_write_permission(name.clone(), WritePermission::Wipe).await;
        tracing::info!(%name, topics = wipe_topic_count, by = %call.peer.remote(), "a broker's topics take no writes");
        Ok(WipeWritePermReply { wipe_topic_count }.into())
    }
}

impl Handle<AddWritePerm> for Cluster {
    type Error = Infallible;

    async fn handle(&self, call: Call<AddWritePerm>) -> Result<Reply<AddWritePermReply>, Infallible> {
        let name = call.header.broker_name;
        let add_topic_count = self.set_write_permission(name.clone(), WritePermission::Add).await;
        tracing::info!(%name, topics = add_topic_count, by = %call.peer.remote(), "a broker's topics take writes again");
        Ok(AddWritePermReply { add_topic_count }.into())
    }
}

impl Handle<DeleteTopicInNamesrv> for Cluster {
    type Error = Infallible;

    async fn handle(&self, call: Call<DeleteTopicInNamesrv>) -> Result<Reply<NoHeader>, Infallible> {
        let DeleteTopicInNamesrv { topic, cluster_name } = call.header;
        let cluster = cluster_name.filter(|cluster| !cluster.is_empty());
        tracing::info!(%topic, ?cluster, by = %call.peer.remote(), "a topic's routes are deleted");
        let deleted = self.table.change_much(move |change| {
            change.delete_topic(&topic, cluster.as_ref());
            Ok::<_, Infallible>(())
        });
        let Ok(()) = deleted.await;
        Ok(Reply::done())
    }
}

impl Handle<RegisterTopic> for Cluster {
    type Error = ClusterError;

    async fn handle(&self, call: Call<RegisterTopic>) -> Result<Reply<NoHeader>, ClusterError> {
        let topic = call.header.topic;
        let route: TopicRouteData = fastjson::read(&call.body).map_err(ClusterError::Route)?;
        let added = self.table.change(|change| Ok(change.add_topic(&topic, &route.queue_datas)));
        let Ok::<bool, Infallible>(is_added) = added.await;
        if !is_added {
            tracing::warn!(%topic, by = %call.peer.remote(), "a topic was not added: one of its brokers is unknown");
        }
        Ok(Reply::done())
    }
}
