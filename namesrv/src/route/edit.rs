//! What tools change: permissions of a broker's topics, and topics themselves.

use std::sync::Arc;

use remoting::body::{QueueData, TopicConfig};
use remoting::types::{BrokerName, ClusterName, TopicName};

use super::routes::{BrokerSet, Change};
use super::table::Queues;

/// What happens to the write permission of a broker's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WritePermission {
    Wipe,
    /// Java sets read and write, whatever the topic had.
    Add,
}

impl Change<'_> {
    /// Changes all topics of a broker set, until it registers with another data version; answers their number.
    ///
    /// Java: `RouteInfoManager.operateWritePermOfBroker`.
    pub(crate) fn set_write_permission(&mut self, name: &BrokerName, permission: WritePermission) -> usize {
        let Some(set) = self.after.sets.get(name) else { return 0 };
        let mut set = BrokerSet::clone(set);
        let change = |queues: Queues| match permission {
            WritePermission::Wipe => queues.without_write(),
            WritePermission::Add => Queues { perm: TopicConfig::READ | TopicConfig::WRITE, ..queues },
        };
        set.topics = set.topics.map(change, self.interner);
        let count = set.topics.len();
        self.put(set);
        count
    }

    /// Forgets a topic, of all brokers or of those of one cluster. A broker that still has it brings it back with its
    /// next registration.
    ///
    /// Java: `RouteInfoManager.deleteTopic`.
    pub(crate) fn delete_topic(&mut self, topic: &TopicName, cluster: Option<&ClusterName>) {
        let in_cluster = |name: &BrokerName| {
            cluster.is_none_or(|cluster| self.after.clusters.get(cluster).is_some_and(|names| names.contains(name)))
        };
        let holders = self.after.sets.values().filter(|set| in_cluster(&set.name) && set.topics.get(topic).is_some());
        let holders: Vec<Arc<BrokerSet>> = holders.cloned().collect();
        for holder in holders {
            let mut set = BrokerSet::clone(&holder);
            set.topics = set.topics.with([(topic, None)].into_iter(), self.interner);
            set.seen.clear();
            self.put(set);
        }
        if cluster.is_none() && self.after.mappings.contains_key(topic) {
            Arc::make_mut(&mut self.after.mappings).remove(topic);
        }
    }

    /// Adds a topic to brokers that did not register it; nothing happens if one of them is unknown.
    ///
    /// Java: `RouteInfoManager.registerTopic`.
    pub(crate) fn add_topic(&mut self, topic: &TopicName, queues: &[QueueData]) -> bool {
        let sets: Option<Vec<_>> = queues.iter().map(|data| self.after.sets.get(&data.broker_name).cloned()).collect();
        let Some(sets) = sets else { return false };
        for (set, data) in sets.iter().zip(queues) {
            let mut set = BrokerSet::clone(set);
            set.topics = set.topics.with([(topic, Some(Queues::from(data)))].into_iter(), self.interner);
            set.seen.clear();
            self.put(set);
        }
        true
    }
}
