//! A consumer group as it is at one moment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use remoting::body::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use remoting::connection::ConnectionId;
use remoting::types::{ClientId, GroupName, TopicName};

use super::member::Member;

pub(super) type Subscriptions = HashMap<TopicName, Arc<SubscriptionData>>;

/// Who is in a group and what it subscribes to: a value that never changes, replaced as a whole when they do.
///
/// Whoever holds one sees a consistent group and blocks nobody. Java: `ConsumerGroupInfo`.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) name: GroupName,
    /// Of the newest heartbeat, as the next two.
    pub(crate) consume_type: ConsumeType,
    pub(crate) model: MessageModel,
    pub(crate) from_where: ConsumeFromWhere,
    /// Ascending by connection.
    members: Vec<Arc<Member>>,
    /// Shared by the group's successive values while only its members change.
    subscriptions: Arc<Subscriptions>,
    /// Of the heartbeat that brought the subscriptions, 0 if it was of the first version; `None`: none did so far.
    pub(super) fingerprint: Option<i32>,
}

/// What a heartbeat says of one group.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) consume_type: ConsumeType,
    pub(super) model: MessageModel,
    pub(super) from_where: ConsumeFromWhere,
    /// All subscriptions and their fingerprint. `None`: a short heartbeat, which leaves them as they are.
    pub(super) subscriptions: Option<(Vec<SubscriptionData>, i32)>,
}

impl ConsumerGroup {
    pub(super) fn empty(name: GroupName, joining: &Joining) -> Self {
        Self {
            name,
            consume_type: joining.consume_type,
            model: joining.model,
            from_where: joining.from_where,
            members: Vec::new(),
            subscriptions: Arc::default(),
            fingerprint: None,
        }
    }

    pub(crate) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The member that calls itself `client_id`, for requests that are relayed to it.
    pub(crate) fn member(&self, client_id: &str) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| member.client_id == *client_id)
    }

    pub(crate) fn member_on(&self, connection: ConnectionId) -> Option<&Arc<Member>> {
        self.place_of(connection).ok().map(|at| &self.members[at])
    }

    /// Each client once, however many connections it came on: a client that reconnects before its old connection is
    /// noticed to be dead must not count twice in the division of queues.
    pub(crate) fn client_ids(&self) -> Vec<ClientId> {
        let mut seen = HashSet::new();
        let ids = self.members.iter().map(|member| &member.client_id);
        ids.filter(|id| seen.insert(id.as_str())).cloned().collect()
    }

    pub(crate) fn subscription(&self, topic: &str) -> Option<&Arc<SubscriptionData>> {
        self.subscriptions.get(topic)
    }

    pub(crate) fn subscriptions(&self) -> impl ExactSizeIterator<Item = &Arc<SubscriptionData>> {
        self.subscriptions.values()
    }

    pub(crate) fn is_broadcasting(&self) -> bool {
        self.model == MessageModel::Broadcasting
    }

    /// Nothing of `joining` would change this group.
    pub(super) fn agrees_with(&self, member: &Member, joining: &Joining) -> bool {
        self.consume_type == joining.consume_type
            && self.model == joining.model
            && self.from_where == joining.from_where
            && self.member_on(member.connection()).is_some_and(|known| known.client_id == member.client_id)
            && joining.subscriptions.as_ref().is_none_or(|(subscriptions, fingerprint)| {
                self.fingerprint == Some(*fingerprint) && self.covers(subscriptions)
            })
    }

    /// Takes a member and what it says; true if the members or the subscribed topics changed, so that the group has to
    /// rebalance. A newer version of a subscription is taken without that.
    pub(super) fn join(&mut self, member: &Arc<Member>, joining: Joining) -> bool {
        self.consume_type = joining.consume_type;
        self.model = joining.model;
        self.from_where = joining.from_where;
        let mut changed = false;
        match self.place_of(member.connection()) {
            // The client on this connection goes by another name now. Java: only logged.
            Ok(at) if self.members[at].client_id != member.client_id => self.members[at] = Arc::clone(member),
            Ok(at) => self.members[at].touch(member.last_heartbeat()),
            Err(at) => {
                self.members.insert(at, Arc::clone(member));
                changed = true;
            }
        }
        if let Some((subscriptions, fingerprint)) = joining.subscriptions {
            self.fingerprint = Some(fingerprint);
            if !self.covers(&subscriptions) {
                changed |= self.subscribe(subscriptions);
            }
        }
        changed
    }

    /// True if there was such a member.
    pub(super) fn leave(&mut self, connection: ConnectionId) -> bool {
        let place = self.place_of(connection);
        place.is_ok_and(|at| {
            self.members.remove(at);
            true
        })
    }

    /// The last heartbeat wins: topics it does not name are dropped. Java: `ConsumerGroupInfo.updateSubscription`.
    fn subscribe(&mut self, subscriptions: Vec<SubscriptionData>) -> bool {
        let mut next = Subscriptions::with_capacity(subscriptions.len());
        let mut added = false;
        for new in subscriptions {
            let kept = match self.subscriptions.get(&new.topic) {
                Some(old) if old.sub_version >= new.sub_version => Arc::clone(old),
                old => {
                    added |= old.is_none();
                    Arc::new(new)
                }
            };
            next.insert(kept.topic.clone(), kept);
        }
        let dropped: Vec<_> = self.subscriptions.keys().filter(|topic| !next.contains_key(*topic)).collect();
        if !dropped.is_empty() {
            tracing::warn!(group = %self.name, ?dropped, "a heartbeat without these topics ends their subscription");
        }
        let changed = added || !dropped.is_empty();
        self.subscriptions = Arc::new(next);
        changed
    }

    /// The same topics, none of them newer than what is known.
    fn covers(&self, subscriptions: &[SubscriptionData]) -> bool {
        let known = |new: &SubscriptionData| {
            self.subscriptions.get(&new.topic).is_some_and(|old| old.sub_version >= new.sub_version)
        };
        // Java's heartbeat holds a set, so equal counts and all known means equal topics.
        subscriptions.len() == self.subscriptions.len() && subscriptions.iter().all(known)
    }

    fn place_of(&self, connection: ConnectionId) -> Result<usize, usize> {
        self.members.binary_search_by_key(&connection, |member| member.connection())
    }
}
