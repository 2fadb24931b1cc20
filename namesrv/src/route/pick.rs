//! The route of a topic: which brokers hold it, with how many queues.

use remoting::body::{BrokerData, TopicRouteData};
use remoting::types::BrokerId;

use super::routes::{BrokerSet, Routes};
use super::table::{Queues, Shard, find, shard_of};

/// Topics by which the members of a set find each other, which must see who is really there.
const MEMBER_TOPIC_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

impl Routes {
    /// `None` if no broker has the topic.
    ///
    /// Java: `RouteInfoManager.pickupTopicRouteData`.
    pub(crate) fn route(&self, topic: &str, acting_master: bool) -> Option<TopicRouteData> {
        let acting_master = acting_master && !topic.starts_with(MEMBER_TOPIC_PREFIX);
        let mut route = TopicRouteData::default();
        for (set, queues) in self.holders(topic) {
            route.queue_datas.push(queues.of_broker(&set.name));
            route.broker_datas.push(if acting_master { with_acting_master(set, queues) } else { set.data() });
        }
        route.topic_queue_mapping_by_broker = self.mappings.get(topic).cloned();
        (!route.queue_datas.is_empty()).then_some(route)
    }

    /// The sets that have a topic, by name.
    pub(crate) fn holders(&self, topic: &str) -> impl Iterator<Item = (&BrokerSet, Queues)> {
        let at = shard_of(topic);
        // Sets with equal topics share their shards: mostly one is looked into, however many brokers there are.
        let mut last: Option<(&Shard, Option<Queues>)> = None;
        self.sets.values().filter_map(move |set| {
            let shard = set.topics.shard(at);
            let queues = match last {
                Some((same, queues)) if std::sync::Arc::ptr_eq(same, shard) => queues,
                _ => find(shard, topic),
            };
            last = Some((shard, queues));
            queues.map(|queues| (&**set, queues))
        })
    }
}

/// A set without a master shows its smallest slave as one, if it agreed to and the topic takes no writes.
fn with_acting_master(set: &BrokerSet, queues: Queues) -> BrokerData {
    let mut data = set.data();
    let has_master = set.members.contains_key(&BrokerId::MASTER);
    if !has_master
        && set.acting_master
        && !queues.is_writable()
        && let Some((_, addr)) = data.broker_addrs.pop_first()
    {
        data.broker_addrs.insert(BrokerId::MASTER.0, addr);
    }
    data
}

/// Leaves brokers of other zones out, except where the master is lost: then any slave is better than none.
///
/// Java: `ZoneRouteRPCHook.filterByZoneName`.
pub(crate) fn keep_zone(route: &mut TopicRouteData, zone: &str) {
    let is_near = |data: &BrokerData| {
        data.master().is_none() || data.zone_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(zone))
    };
    let (near, far): (Vec<_>, Vec<_>) = std::mem::take(&mut route.broker_datas).into_iter().partition(is_near);
    route.broker_datas = near;
    route.queue_datas.retain(|queues| far.iter().all(|data| data.broker_name != queues.broker_name));
}
