//! Which groups came on which connection, so that a closed connection is taken out without a search of all groups.

use dashmap::DashMap;
use remoting::connection::ConnectionId;
use remoting::types::GroupName;

#[derive(Default)]
pub(super) struct Connections {
    groups: DashMap<ConnectionId, Vec<GroupName>>,
}

/// Groups that one connection may join; further ones are not taken.
const GROUPS_MAX: usize = 10_000;

impl Connections {
    /// False if the connection has joined too many groups.
    pub(super) fn note(&self, connection: ConnectionId, group: &GroupName) -> bool {
        let mut groups = self.groups.entry(connection).or_default();
        if groups.contains(group) {
            return true;
        }
        if groups.len() >= GROUPS_MAX {
            tracing::warn!(%group, "a connection that has joined {GROUPS_MAX} groups may not join another");
            return false;
        }
        groups.push(group.clone());
        true
    }

    pub(super) fn forget(&self, connection: ConnectionId, group: &GroupName) {
        if let Some(mut groups) = self.groups.get_mut(&connection) {
            groups.retain(|known| known != group);
        }
        self.groups.remove_if(&connection, |_, groups| groups.is_empty());
    }

    /// All groups of a connection, which has none afterwards.
    pub(super) fn take(&self, connection: ConnectionId) -> Vec<GroupName> {
        self.groups.remove(&connection).map(|(_, groups)| groups).unwrap_or_default()
    }

    pub(super) fn has(&self, connection: ConnectionId) -> bool {
        self.groups.contains_key(&connection)
    }
}
