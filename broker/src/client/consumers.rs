//! Consumers by group.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use remoting::body::SubscriptionData;
use remoting::connection::ConnectionId;
use remoting::types::{GroupName, Timestamp, TopicName};
use tokio::time::Duration;

use super::attached::Attached;
use super::connections::Connections;
use super::consumer_group::{ConsumerGroup, Joining};
use super::member::Member;

/// Java: `ConsumerManager`.
#[derive(Default)]
pub(crate) struct Consumers {
    groups: DashMap<GroupName, Arc<ConsumerGroup>>,
    connections: Connections,
    /// Subscriptions of groups whose members send no heartbeats.
    pub(crate) attached: Attached,
}

impl Consumers {
    /// The group as it is now, if it has members.
    pub(crate) fn group(&self, name: &str) -> Option<Arc<ConsumerGroup>> {
        self.groups.get(name).map(|group| Arc::clone(&group))
    }

    /// All groups that have members.
    pub(crate) fn groups(&self) -> Vec<Arc<ConsumerGroup>> {
        self.groups.iter().map(|group| Arc::clone(&group)).collect()
    }

    /// What a group wants of a topic, also if it said so with a pull and never with a heartbeat.
    ///
    /// Java: `ConsumerManager.findSubscriptionData`.
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        let by_heartbeat = self.group(group).and_then(|group| group.subscription(topic).cloned());
        by_heartbeat.or_else(|| self.attached.get(group, topic))
    }

    /// Groups with members that subscribe to a topic. Java: `ConsumerManager.queryTopicConsumeByWho`.
    pub(crate) fn groups_of(&self, topic: &TopicName) -> Vec<GroupName> {
        let subscribed = self.groups.iter().filter(|group| group.subscription(topic).is_some());
        subscribed.map(|group| group.key().clone()).collect()
    }

    /// True if the group has to rebalance.
    pub(super) fn join(&self, group: &GroupName, member: Member, joining: Joining, now: Timestamp) -> bool {
        if let Some(known) = self.group(group)
            && known.agrees_with(&member, &joining)
        {
            if let Some(known) = known.member_on(member.connection()) {
                known.touch(now);
            }
            return false;
        }
        if !self.connections.note(member.connection(), group) {
            return false;
        }
        let mut entry =
            self.groups.entry(group.clone()).or_insert_with(|| Arc::new(ConsumerGroup::empty(group.clone(), &joining)));
        // Clones the value if someone holds it: they keep what they saw.
        let changed = Arc::make_mut(&mut entry).join(&Arc::new(member), joining);
        drop(entry);
        changed
    }

    /// True if it was a member.
    pub(super) fn leave(&self, group: &GroupName, connection: ConnectionId) -> bool {
        self.connections.forget(connection, group);
        self.remove(group, connection)
    }

    /// A connection is gone; returns the groups that lost a member.
    pub(super) fn leave_all(&self, connection: ConnectionId) -> Vec<GroupName> {
        let mut groups = self.connections.take(connection);
        groups.retain(|group| self.remove(group, connection));
        groups
    }

    /// Takes out members that have been silent for too long, and returns them.
    pub(super) fn expire(&self, timeout: Duration) -> Vec<(GroupName, Arc<Member>)> {
        let mut expired = Vec::new();
        for group in self.groups() {
            for member in group.members().iter().filter(|member| member.is_silent(timeout)) {
                self.leave(&group.name, member.connection());
                expired.push((group.name.clone(), Arc::clone(member)));
            }
        }
        expired
    }

    pub(super) fn has(&self, connection: ConnectionId) -> bool {
        self.connections.has(connection)
    }

    fn remove(&self, group: &GroupName, connection: ConnectionId) -> bool {
        let Entry::Occupied(mut entry) = self.groups.entry(group.clone()) else { return false };
        let removed = Arc::make_mut(entry.get_mut()).leave(connection);
        if entry.get().members().is_empty() {
            entry.remove();
        }
        removed
    }
}
