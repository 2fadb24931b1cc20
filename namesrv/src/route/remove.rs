//! What it changes that brokers leave, fall silent or lose their connection.

use std::collections::{BTreeMap, BTreeSet};

use remoting::types::{BrokerId, BrokerName, ClusterName, Timestamp};

use super::register::{Notice, Rules, notice};
use super::routes::{Address, BrokerSet, Change, Routes};

/// A broker process that is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) address: Address,
    /// `None` if it is live but no member of any set.
    pub(crate) member: Option<(BrokerName, BrokerId)>,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Unregistered,
    Silent,
    Disconnected,
}

impl Routes {
    /// Brokers whose connection is closed or that were not heard from for their timeout.
    pub(crate) fn lost(&self, now: Timestamp) -> Vec<Gone> {
        let lost = self.live.iter().filter_map(|(address, live)| {
            let why = match () {
                () if live.peer.is_closed() => Why::Disconnected,
                () if live.is_silent(now) => Why::Silent,
                () => return None,
            };
            Some(Gone { address: address.clone(), member: self.member_at(address), why })
        });
        lost.collect()
    }

    fn member_at(&self, address: &Address) -> Option<(BrokerName, BrokerId)> {
        self.sets.values().filter(|set| set.cluster == address.cluster).find_map(|set| {
            let member = set.members.iter().find(|(_, addr)| **addr == address.addr);
            member.map(|(id, _)| (set.name.clone(), *id))
        })
    }
}

impl Change<'_> {
    /// Forgets brokers, and sets that lose their last member with their topics.
    ///
    /// Java: `RouteInfoManager.unRegisterBroker`.
    pub(crate) fn remove(&mut self, gone: &[Gone], rules: Rules) -> Vec<Notice> {
        let mut notices: BTreeMap<BrokerName, Option<String>> = BTreeMap::new();
        let mut reduced = BTreeSet::new();
        for Gone { address, member, .. } in gone {
            self.after.live.remove(address);
            let Some((name, id)) = member else { continue };
            let Some(set) = self.after.sets.get(name) else { continue };
            let mut set = BrokerSet::clone(set);
            let was_min = set.min_id() == Some(*id);
            set.members.retain(|_, addr| *addr != address.addr);
            set.seen.clear();
            if set.members.is_empty() {
                self.after.sets.remove(name);
                self.leave_cluster(&address.cluster, name);
                reduced.remove(name);
                notices.remove(name);
                continue;
            }
            if was_min {
                notices.insert(name.clone(), Some(address.addr.clone()));
            }
            reduced.insert(name.clone());
            self.put(set);
        }
        reduced.iter().for_each(|name| self.stop_writes_without_master(name));
        let set_of = |(name, offline)| self.after.sets.get(&name).map(|set| (set, offline));
        let changed = notices.into_iter().filter_map(set_of);
        changed
            .filter(|(set, _)| rules.notify && set.acting_master)
            .map(|(set, offline)| notice(set, offline, None))
            .collect()
    }

    pub(super) fn leave_cluster(&mut self, cluster: &ClusterName, name: &BrokerName) {
        if let Some(names) = self.after.clusters.get_mut(cluster) {
            names.remove(name);
            if names.is_empty() {
                self.after.clusters.remove(cluster);
            }
        }
    }

    /// Slaves that may act as a master take no writes.
    fn stop_writes_without_master(&mut self, name: &BrokerName) {
        let Some(set) = self.after.sets.get(name) else { return };
        if set.acting_master && !set.members.contains_key(&BrokerId::MASTER) {
            let mut set = BrokerSet::clone(set);
            set.topics = set.topics.map(super::table::Queues::without_write, self.interner);
            self.put(set);
        }
    }
}
