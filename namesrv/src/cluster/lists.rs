//! Lists of topics. With a hundred thousand of them a list takes milliseconds, so it is made away from the workers.

use std::collections::BTreeSet;
use std::convert::Infallible;

use remoting::body::{TopicList, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::route::{
    GetAllTopics, GetNamesrvSystemTopics, GetTopicsByCluster, GetUnitSubTopics, GetUnitSubUnunitTopics, GetUnitTopics,
};
use remoting::router::{Call, Handle, Reply};
use remoting::types::{BrokerName, TopicName};

use super::{Cluster, ClusterError};
use crate::route::{Queues, Routes};

/// Bits of a topic's sys flag. Java: `TopicSysFlag`.
const UNIT: i32 = 1;
const UNIT_SUB: i32 = 1 << 1;

impl Cluster {
    async fn list(&self, select: impl FnOnce(&Routes) -> Vec<TopicName> + Send + 'static) -> Reply<NoHeader> {
        let routes = self.table.now();
        let body = tokio::task::spawn_blocking(move || {
            fastjson::write(&TopicList { broker_addr: None, topic_list: select(&routes) })
        });
        let body = body.await.expect("listing does not panic, and blocking tasks are not cancelled once they run");
        Reply::done().body(body)
    }

    fn require_lists(&self) -> Result<(), ClusterError> {
        if self.config.now().enable_topic_list { Ok(()) } else { Err(ClusterError::Disabled) }
    }

    async fn list_by_flag(&self, wanted: fn(i32) -> bool) -> Result<Reply<NoHeader>, ClusterError> {
        self.require_lists()?;
        Ok(self.list(move |routes| topics_by_flag(routes, wanted)).await)
    }
}

impl Handle<GetAllTopics> for Cluster {
    type Error = ClusterError;

    async fn handle(&self, _: Call<GetAllTopics>) -> Result<Reply<NoHeader>, ClusterError> {
        if !self.config.now().enable_all_topic_list {
            return Err(ClusterError::Disabled);
        }
        Ok(self.list(|routes| topics_of(routes, routes.sets.keys())).await)
    }
}

impl Handle<GetTopicsByCluster> for Cluster {
    type Error = ClusterError;

    async fn handle(&self, call: Call<GetTopicsByCluster>) -> Result<Reply<NoHeader>, ClusterError> {
        self.require_lists()?;
        let cluster = call.header.cluster;
        Ok(self.list(move |routes| topics_of(routes, routes.clusters.get(&cluster).into_iter().flatten())).await)
    }
}

impl Handle<GetNamesrvSystemTopics> for Cluster {
    type Error = Infallible;

    /// Names of clusters and brokers, which are topics too, and where a broker is that knows its own.
    async fn handle(&self, _: Call<GetNamesrvSystemTopics>) -> Result<Reply<NoHeader>, Infallible> {
        let routes = self.table.now();
        let clusters = routes.clusters.keys().map(TopicName::new);
        let names = routes.clusters.values().flatten().map(TopicName::new);
        let topics: BTreeSet<TopicName> = clusters.chain(names).collect();
        let broker_addr = routes.sets.values().find_map(|set| set.members.values().next().cloned());
        let list = TopicList { broker_addr, topic_list: topics.into_iter().collect() };
        Ok(Reply::done().body(fastjson::write(&list)))
    }
}

impl Handle<GetUnitTopics> for Cluster {
    type Error = ClusterError;

    async fn handle(&self, _: Call<GetUnitTopics>) -> Result<Reply<NoHeader>, ClusterError> {
        self.list_by_flag(|flag| flag & UNIT != 0).await
    }
}

impl Handle<GetUnitSubTopics> for Cluster {
    type Error = ClusterError;

    async fn handle(&self, _: Call<GetUnitSubTopics>) -> Result<Reply<NoHeader>, ClusterError> {
        self.list_by_flag(|flag| flag & UNIT_SUB != 0).await
    }
}

impl Handle<GetUnitSubUnunitTopics> for Cluster {
    type Error = ClusterError;

    async fn handle(&self, _: Call<GetUnitSubUnunitTopics>) -> Result<Reply<NoHeader>, ClusterError> {
        self.list_by_flag(|flag| flag & (UNIT | UNIT_SUB) == UNIT_SUB).await
    }
}

fn topics_of<'a>(routes: &Routes, names: impl Iterator<Item = &'a BrokerName>) -> Vec<TopicName> {
    let sets = names.filter_map(|name| routes.sets.get(name));
    // Equal shards are looked at once, so that a thousand equal brokers cost what one does.
    let mut seen = BTreeSet::new();
    let mut topics: Vec<TopicName> = Vec::new();
    for set in sets {
        for shard in set.topics.shards() {
            if !shard.is_empty() && seen.insert(std::sync::Arc::as_ptr(shard).cast::<()>()) {
                topics.extend(shard.iter().map(|(topic, _)| topic.clone()));
            }
        }
    }
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// Topics by the flag that the first of their brokers gives them.
fn topics_by_flag(routes: &Routes, wanted: fn(i32) -> bool) -> Vec<TopicName> {
    let flag_of = |topic: &TopicName| routes.holders(topic).next().map_or(0, |(_, Queues { sys_flag, .. })| sys_flag);
    let mut topics = topics_of(routes, routes.sets.keys());
    topics.retain(|topic| wanted(flag_of(topic)));
    topics
}
