//! Producers by group, for transaction checks and replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use remoting::connection::{ConnectionId, Peer};
use remoting::types::{ClientId, GroupName, Timestamp};
use tokio::time::Duration;

use super::connections::Connections;
use super::member::Member;

/// Java: `ProducerManager`.
#[derive(Default)]
pub(crate) struct Producers {
    groups: DashMap<GroupName, Vec<Arc<Member>>>,
    clients: DashMap<ClientId, Peer>,
    connections: Connections,
    /// Spreads checks over the members of a group.
    turn: AtomicUsize,
}

impl Producers {
    /// A live connection of the group, another one each time.
    pub(crate) fn any(&self, group: &str) -> Option<Peer> {
        let members = self.groups.get(group)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let from_turn = members.iter().cycle().skip(turn % members.len()).take(members.len());
        from_turn.map(|member| &member.peer).find(|peer| !peer.is_closed()).cloned()
    }

    /// The connection on which a client last joined a group.
    pub(crate) fn client(&self, client_id: &str) -> Option<Peer> {
        self.clients.get(client_id).map(|peer| peer.clone())
    }

    pub(crate) fn members(&self, group: &str) -> Vec<Arc<Member>> {
        self.groups.get(group).map(|members| members.clone()).unwrap_or_default()
    }

    /// All groups and their members.
    pub(crate) fn snapshot(&self) -> Vec<(GroupName, Vec<Arc<Member>>)> {
        self.groups.iter().map(|group| (group.key().clone(), group.value().clone())).collect()
    }

    /// A heartbeat of `member` names the group.
    pub(super) fn join(&self, group: &GroupName, member: Member, now: Timestamp) {
        let connection = member.connection();
        if let Some(members) = self.groups.get(group)
            && let Some(known) = members.iter().find(|known| known.connection() == connection)
        {
            known.touch(now);
            return;
        }
        if !self.connections.note(connection, group) {
            return;
        }
        tracing::info!(%group, client_id = %member.client_id, remote = %member.peer.remote(), "a producer joins");
        self.clients.insert(member.client_id.clone(), member.peer.clone());
        self.groups.entry(group.clone()).or_default().push(Arc::new(member));
    }

    /// True if it was a member.
    pub(super) fn leave(&self, group: &GroupName, connection: ConnectionId) -> bool {
        self.connections.forget(connection, group);
        self.remove(group, |member| member.connection() == connection)
    }

    /// A connection is gone.
    pub(super) fn leave_all(&self, connection: ConnectionId) {
        for group in self.connections.take(connection) {
            self.remove(&group, |member| member.connection() == connection);
        }
    }

    /// Takes out members that have been silent for too long, and returns them.
    pub(super) fn expire(&self, timeout: Duration) -> Vec<Arc<Member>> {
        let mut expired = Vec::new();
        for (group, members) in self.snapshot() {
            for member in members.into_iter().filter(|member| member.is_silent(timeout)) {
                tracing::warn!(%group, client_id = %member.client_id, "a producer's heartbeats stopped");
                self.leave(&group, member.connection());
                expired.push(member);
            }
        }
        expired
    }

    pub(super) fn has(&self, connection: ConnectionId) -> bool {
        self.connections.has(connection)
    }

    fn remove(&self, group: &GroupName, gone: impl Fn(&Member) -> bool) -> bool {
        let Entry::Occupied(mut entry) = self.groups.entry(group.clone()) else { return false };
        let members = entry.get_mut();
        let Some(at) = members.iter().position(|member| gone(member)) else { return false };
        let member = members.swap_remove(at);
        if members.is_empty() {
            entry.remove();
        } else {
            drop(entry);
        }
        if !self.connections.has(member.connection()) {
            // Unless the client has joined on another connection since.
            self.clients.remove_if(&member.client_id, |_, peer| *peer == member.peer);
        }
        true
    }
}
