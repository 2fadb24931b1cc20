//! What a registration changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use remoting::body::{TopicConfig, TopicConfigWrapper};
use remoting::connection::Peer;
use remoting::protocol::register::{NotifyMinBrokerId, RegisterBroker, RegisterBrokerReply};
use remoting::types::{BrokerId, BrokerName, ClusterName, Timestamp, TopicName};
use serde_json::Value;

use super::routes::{Address, BrokerSet, Change, Fingerprint, Live, Routes};
use super::table::{Queues, TopicTable};

/// A registration, its body read.
pub(crate) struct Registration {
    pub(crate) header: RegisterBroker,
    pub(crate) topics: TopicConfigWrapper,
    pub(crate) peer: Peer,
    pub(crate) fingerprint: Fingerprint,
}

/// Settings that decide what a change does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// `deleteTopicWithBrokerRegistration`
    pub(crate) delete_missing_topics: bool,
    /// `notifyMinBrokerIdChanged`
    pub(crate) notify: bool,
}

/// A notice to members of a broker set: their smallest id changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    pub(crate) to: Vec<String>,
    pub(crate) header: NotifyMinBrokerId,
}

/// Java: `RouteInfoManager.registerBroker` answering nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnlyOneTopic;

/// What came of a registration.
#[derive(Debug, PartialEq)]
pub(crate) enum Registered {
    /// Known before.
    Again,
    New(Option<Notice>),
    /// Another process of that id knows later topics; this one is answered and ignored.
    Outdated,
}

/// Silence after which a broker counts as gone, unless it says otherwise. Java: `DEFAULT_BROKER_CHANNEL_EXPIRED_TIME`.
const TIMEOUT: Duration = Duration::from_secs(120);

impl Change<'_> {
    /// Takes a registration over, by Java's rules.
    ///
    /// # Errors
    /// [`OnlyOneTopic`] for the first registration of an id that has exactly one topic: such a broker is half started.
    ///
    /// Java: `RouteInfoManager.registerBroker`.
    pub(crate) fn register(
        &mut self,
        new: &Registration,
        rules: Rules,
        now: Timestamp,
    ) -> Result<Registered, OnlyOneTopic> {
        let RegisterBroker { broker_name, broker_addr, cluster_name, broker_id: id, .. } = &new.header;
        let address = Address { cluster: cluster_name.clone(), addr: broker_addr.clone() };
        let known = self.after.sets.get(broker_name).cloned();
        let mut set = match &known {
            Some(known) => BrokerSet::clone(known),
            None => self.new_set(cluster_name, broker_name),
        };
        set.acting_master = new.header.enable_acting_master == Some(true);
        set.zone.clone_from(&new.header.zone_name);
        let is_smaller = set.min_id().is_some_and(|min| *id < min);

        // A slave that became master: one process has one id.
        set.members.retain(|other, addr| other == id || addr != broker_addr);
        if self.is_outdated(&set, new) {
            self.after.live.remove(&address);
            self.put_or_drop(set);
            return Ok(Registered::Outdated);
        }
        if !set.members.contains_key(id) && new.topics.topic_config_table.len() == 1 {
            return Err(OnlyOneTopic);
        }
        let old_addr = set.members.insert(*id, broker_addr.clone());
        let is_first = known.is_none() || old_addr.is_none();
        if old_addr.as_ref() != Some(broker_addr) {
            set.seen.clear();
        }
        let is_changed = self.after.live.get(&address).is_none_or(|live| live.version != new.topics.data_version);

        if speaks_for_topics(&set, &new.header) {
            self.take_topics(&mut set, new, rules, is_first || is_changed);
        }
        set.seen.insert(*id, new.fingerprint);
        self.after.clusters.entry(cluster_name.clone()).or_default().insert(broker_name.clone());
        let notice = (is_smaller && rules.notify).then(|| notice(&set, None, Some(new.header.ha_server_addr.clone())));
        self.put(set);
        let timeout = new.header.heartbeat_timeout_millis.and_then(|millis| u64::try_from(millis).ok());
        let timeout = timeout.map_or(TIMEOUT, Duration::from_millis);
        let ha_addr = new.header.ha_server_addr.clone();
        let live = Live::new(now, timeout, new.topics.data_version, new.peer.clone(), ha_addr);
        let was_live = self.after.live.insert(address, Arc::new(live)).is_some();
        Ok(if was_live && !is_first { Registered::Again } else { Registered::New(notice) })
    }

    fn new_set(&mut self, cluster: &ClusterName, name: &BrokerName) -> BrokerSet {
        BrokerSet {
            cluster: cluster.clone(),
            name: name.clone(),
            members: BTreeMap::new(),
            acting_master: false,
            zone: None,
            topics: TopicTable::empty(self.interner),
            seen: BTreeMap::new(),
        }
    }

    /// Whether another process has this id and topics of a later state version.
    fn is_outdated(&self, set: &BrokerSet, new: &Registration) -> bool {
        let other = set.members.get(&new.header.broker_id).filter(|addr| **addr != new.header.broker_addr);
        let other = other.and_then(|addr| self.after.live_at(&new.header.cluster_name, addr));
        other.is_some_and(|live| live.version.state_version > new.topics.data_version.state_version)
    }

    fn put_or_drop(&mut self, set: BrokerSet) {
        if !set.members.is_empty() {
            self.put(set);
        } else if let Some(gone) = self.after.sets.remove(&set.name) {
            self.leave_cluster(&gone.cluster, &set.name);
        }
    }

    /// Topics of the registration that are new to the set, or all if `everything`.
    fn take_topics(&mut self, set: &mut BrokerSet, new: &Registration, rules: Rules, everything: bool) {
        let TopicConfigWrapper { topic_config_table, topic_queue_mapping_info_map: mappings, .. } = &new.topics;
        // A slave that stands in for its master takes no writes.
        let is_read_only = new.header.broker_id != BrokerId::MASTER && set.acting_master;
        let queues = |config: &TopicConfig| match Queues::from(config) {
            queues if is_read_only => queues.without_write(),
            queues => queues,
        };
        let named = topic_config_table.values().map(|config| &config.topic_name);
        let named: std::collections::HashSet<&TopicName> = named.collect();
        let before = set.topics.clone();
        let missing = before.iter().map(|(topic, _)| topic).filter(|topic| !named.contains(topic));
        let missing = missing.filter(|_| rules.delete_missing_topics && mappings.is_empty()).map(|topic| (topic, None));
        let fresh = topic_config_table.values().filter(|config| everything || before.get(&config.topic_name).is_none());
        let fresh = fresh.map(|config| (&config.topic_name, Some(queues(config))));
        set.topics = before.with(missing.chain(fresh), self.interner);
        if everything && !mappings.is_empty() {
            self.take_mappings(mappings);
        }
    }

    fn take_mappings(&mut self, mappings: &BTreeMap<TopicName, Value>) {
        let mut all = (*self.after.mappings).clone();
        for (topic, mapping) in mappings {
            let broker = mapping.get("bname").and_then(Value::as_str).unwrap_or_default();
            all.entry(topic.clone()).or_default().insert(broker.into(), mapping.clone());
        }
        if all != *self.after.mappings {
            self.after.mappings = Arc::new(all);
        }
    }
}

impl Routes {
    /// The live entry of a registration that says what the last one of that broker said, and left nothing to do then.
    pub(crate) fn repeated(
        &self,
        header: &RegisterBroker,
        fingerprint: Fingerprint,
        peer: &Peer,
    ) -> Option<&Arc<Live>> {
        let set = self.sets.get(&header.broker_name)?;
        let is_seen = set.seen.get(&header.broker_id) == Some(&fingerprint);
        self.live_at(&header.cluster_name, &header.broker_addr).filter(|live| is_seen && live.peer == *peer)
    }

    /// Tells a slave of its master; a master is told nothing.
    pub(crate) fn master_of(&self, header: &RegisterBroker) -> RegisterBrokerReply {
        let found = || {
            let set = self.sets.get(&header.broker_name)?;
            let master = set.members.get(&BrokerId::MASTER)?;
            let live = self.live_at(&header.cluster_name, master)?;
            Some((master.clone(), live.ha_addr.clone()))
        };
        let (master_addr, ha_server_addr) =
            Some(header.broker_id).filter(|id| *id != BrokerId::MASTER).and_then(|_| found()).unzip();
        RegisterBrokerReply { ha_server_addr, master_addr }
    }
}

/// Topics are the master's, or those of the smallest slave if it is of a generation (5.x) that says whether it may act as
/// one, be it that it may not.
fn speaks_for_topics(set: &BrokerSet, header: &RegisterBroker) -> bool {
    let id = header.broker_id;
    id == BrokerId::MASTER || (header.enable_acting_master.is_some() && set.min_id() == Some(id))
}

/// Java: `RouteInfoManager.notifyMinBrokerIdChanged`, `chooseBrokerAddrsToNotify`.
pub(super) fn notice(set: &BrokerSet, offline_broker_addr: Option<String>, ha_broker_addr: Option<String>) -> Notice {
    let min = set.min_id();
    let everybody = offline_broker_addr.is_some() || set.members.len() == 1;
    let to = set.members.iter().filter(|(id, _)| everybody || Some(**id) != min).map(|(_, addr)| addr.clone());
    Notice {
        to: to.collect(),
        header: NotifyMinBrokerId {
            min_broker_id: min,
            broker_name: None,
            min_broker_addr: min.and_then(|min| set.members.get(&min).cloned()),
            offline_broker_addr,
            ha_broker_addr,
        },
    }
}
