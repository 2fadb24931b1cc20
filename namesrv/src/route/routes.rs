//! All that is known of brokers and topics at one moment. Immutable: a change makes a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use remoting::body::{BrokerData, DataVersion};
use remoting::connection::Peer;
use remoting::types::{BrokerId, BrokerName, ClusterName, Timestamp, TopicName};
use serde_json::Value;

use super::table::{Interner, SHARDS, TopicTable};

/// Cheap to clone: what hangs below the maps is shared.
#[derive(Clone)]
pub(crate) struct Routes {
    pub(crate) sets: BTreeMap<BrokerName, Arc<BrokerSet>>,
    /// A name may be in two clusters, though its set is only in the one it first came with, as in Java.
    pub(crate) clusters: BTreeMap<ClusterName, BTreeSet<BrokerName>>,
    pub(crate) live: HashMap<Address, Arc<Live>>,
    /// Of static topics, by the broker that holds the queues; passed through.
    pub(crate) mappings: Arc<HashMap<TopicName, BTreeMap<BrokerName, Value>>>,
    /// The change that last touched a route of each shard.
    stamps: Arc<[u64]>,
    changes: u64,
}

/// How a broker process is told from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) cluster: ClusterName,
    /// `host:port`
    pub(crate) addr: String,
}

/// A master and its slaves, who share topics.
#[derive(Clone)]
pub(crate) struct BrokerSet {
    pub(crate) cluster: ClusterName,
    pub(crate) name: BrokerName,
    pub(crate) members: BTreeMap<BrokerId, String>,
    /// Whether a slave may stand in for a lost master.
    pub(crate) acting_master: bool,
    pub(crate) zone: Option<String>,
    pub(crate) topics: TopicTable,
    /// The last registration of each member that left nothing to do should it come again.
    pub(crate) seen: BTreeMap<BrokerId, Fingerprint>,
}

/// A hash of all that a registration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) u64);

/// One broker process that registered.
pub(crate) struct Live {
    last_heard: AtomicI64,
    /// Silence after which it counts as gone.
    pub(crate) timeout: Duration,
    pub(crate) version: DataVersion,
    /// The connection it registered on; it is gone when that closes.
    pub(crate) peer: Peer,
    pub(crate) ha_addr: String,
}

impl Live {
    pub(crate) fn new(now: Timestamp, timeout: Duration, version: DataVersion, peer: Peer, ha_addr: String) -> Self {
        Self { last_heard: AtomicI64::new(now.0), timeout, version, peer, ha_addr }
    }

    pub(crate) fn heard(&self, now: Timestamp) {
        self.last_heard.store(now.0, Ordering::Relaxed);
    }

    pub(crate) fn is_silent(&self, now: Timestamp) -> bool {
        now.since(Timestamp(self.last_heard.load(Ordering::Relaxed))) > self.timeout
    }
}

impl BrokerSet {
    pub(crate) fn min_id(&self) -> Option<BrokerId> {
        self.members.keys().next().copied()
    }

    pub(crate) fn data(&self) -> BrokerData {
        BrokerData {
            broker_addrs: self.addrs(),
            broker_name: self.name.clone(),
            cluster: self.cluster.clone(),
            enable_acting_master: self.acting_master,
            zone_name: self.zone.clone(),
        }
    }

    pub(crate) fn addrs(&self) -> BTreeMap<i64, String> {
        self.members.iter().map(|(id, addr)| (id.0, addr.clone())).collect()
    }

    /// Whether two states of a set show the same brokers, whatever their topics.
    fn shows_the_same(&self, other: &Self) -> bool {
        let facts = |set: &'_ Self| (set.cluster.clone(), set.members.clone(), set.acting_master, set.zone.clone());
        facts(self) == facts(other)
    }
}

impl Routes {
    pub(crate) fn empty() -> Self {
        Self {
            sets: BTreeMap::new(),
            clusters: BTreeMap::new(),
            live: HashMap::new(),
            mappings: Arc::default(),
            stamps: vec![0; SHARDS].into(),
            changes: 0,
        }
    }

    /// Differs whenever a route of that shard may differ.
    pub(crate) fn stamp(&self, shard: usize) -> u64 {
        self.stamps[shard]
    }

    /// The live entry of a member of a set.
    pub(crate) fn live_at(&self, cluster: &ClusterName, addr: &str) -> Option<&Arc<Live>> {
        self.live.get(&Address { cluster: cluster.clone(), addr: addr.to_owned() })
    }
}

/// One change under way.
pub(crate) struct Change<'a> {
    before: &'a Routes,
    pub(crate) after: Routes,
    pub(crate) interner: &'a mut Interner,
}

impl<'a> Change<'a> {
    pub(crate) fn of(before: &'a Routes, interner: &'a mut Interner) -> Self {
        Self { before, after: before.clone(), interner }
    }

    /// Stores a set's new state.
    pub(crate) fn put(&mut self, set: BrokerSet) {
        self.after.sets.insert(set.name.clone(), Arc::new(set));
    }

    /// The state after the change, with the shards stamped whose routes may differ now.
    pub(crate) fn finish(self) -> Routes {
        let Self { before, mut after, .. } = self;
        after.changes += 1;
        let mut stamps: Arc<[u64]> = Arc::clone(&after.stamps);
        let stamps_of = Arc::make_mut(&mut stamps);
        if !Arc::ptr_eq(&before.mappings, &after.mappings) {
            stamps_of.fill(after.changes);
        }
        for (old, new) in pairs(before, &after) {
            match (old, new) {
                (Some(old), Some(new)) if old.shows_the_same(new) => {
                    old.topics.differing(&new.topics).for_each(|shard| stamps_of[shard] = after.changes);
                }
                _ => stamps_of.fill(after.changes),
            }
        }
        after.stamps = stamps;
        after
    }
}

/// Sets that are not the same in both states.
fn pairs<'a>(
    before: &'a Routes,
    after: &'a Routes,
) -> impl Iterator<Item = (Option<&'a Arc<BrokerSet>>, Option<&'a Arc<BrokerSet>>)> {
    let kept = before.sets.iter().map(|(name, old)| (Some(old), after.sets.get(name)));
    let new = after.sets.iter().filter(|(name, _)| !before.sets.contains_key(*name)).map(|(_, new)| (None, Some(new)));
    kept.chain(new).filter(|(old, new)| !matches!((old, new), (Some(old), Some(new)) if Arc::ptr_eq(old, new)))
}
