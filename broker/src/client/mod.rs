//! Clients and their groups: who is connected, what groups subscribe to, which queues they hold.
//!
//! Clients send a heartbeat every 30 s that names their groups. A client is a member of a group until it leaves it, its
//! connection closes or its heartbeats stop. Members of a consumer group are told when it changes, and divide the
//! queues among themselves by rules of their own.

mod attached;
mod check;
mod connections;
mod consumer_group;
mod consumers;
mod heartbeat;
mod leave;
mod list;
mod lock;
mod member;
mod notify;
mod producers;

use std::sync::Arc;

pub(crate) use consumer_group::ConsumerGroup;
pub(crate) use consumers::Consumers;
pub(crate) use lock::{Locks, routes as lock_routes};
pub(crate) use member::Member;
pub(crate) use producers::Producers;
use remoting::body::ExpressionType;
use remoting::protocol::client::{CheckClientConfig, GetConsumerList, Heartbeat, UnregisterClient};
use remoting::router::Router;
use remoting::types::GroupName;
use thiserror::Error;
use tokio::time::{Duration, MissedTickBehavior, interval};

use self::notify::Notifier;
use crate::context::Context;
use crate::filter::{FilterError, Filters};
use crate::group::GroupTable;
use crate::persist::{Home, LoadError};
use crate::stats::Stats;
use crate::topic::TopicTable;

/// Everything the broker knows of its clients. Told of connections as their `ConnectionEvents`.
pub(crate) struct Clients {
    ctx: Context,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    locks: Arc<Locks>,
    pub(crate) consumers: Arc<Consumers>,
    pub(crate) producers: Arc<Producers>,
    /// The expressions that groups choose messages by.
    pub(crate) filters: Arc<Filters>,
    stats: Arc<Stats>,
    notifier: Notifier,
}

/// Who is connected and with which groups: facts about connections, which outlive any change of role.
#[derive(Clone, Default)]
pub(crate) struct Connected {
    consumers: Arc<Consumers>,
    producers: Arc<Producers>,
}

/// Time between two looks for clients whose heartbeats stopped. Java: `ClientHousekeepingService`.
const EXPIRY_PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("the body does not parse: {0}")]
    Body(#[from] serde_json::Error),
    /// Java's remark.
    #[error("no consumer for this group, {0}")]
    NoConsumer(GroupName),
    /// Java's remark.
    #[error("The broker does not support consumer to filter message by {}", .0.0)]
    FilterUnsupported(ExpressionType),
    #[error(transparent)]
    BadFilter(#[from] FilterError),
}

pub(crate) fn routes(clients: &Arc<Clients>, router: &mut Router) {
    router.on::<Heartbeat>(clients).on::<UnregisterClient>(clients);
    router.on::<GetConsumerList>(clients).on::<CheckClientConfig>(clients);
}

impl Clients {
    /// Loads the filters of groups; nobody is connected yet.
    ///
    /// # Errors
    /// [`LoadError`].
    #[cfg(test)]
    pub(crate) fn open(
        ctx: Context,
        home: impl Into<Home>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        locks: Arc<Locks>,
    ) -> Result<Arc<Self>, LoadError> {
        let stats = Stats::new(ctx.clone());
        Self::open_with(ctx, home, topics, groups, locks, stats, Connected::default())
    }

    /// Loads the filters of groups.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn open_with(
        ctx: Context,
        home: impl Into<Home>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        locks: Arc<Locks>,
        stats: Arc<Stats>,
        Connected { consumers, producers }: Connected,
    ) -> Result<Arc<Self>, LoadError> {
        Ok(Arc::new(Self {
            filters: Filters::open(ctx.clone(), &home.into())?,
            ctx,
            topics,
            groups,
            locks,
            consumers,
            producers,
            stats,
            notifier: Notifier::default(),
        }))
    }

    /// Starts what runs until the broker stops: notices of changed groups, the end of silent clients, saves of filters.
    pub(crate) fn start(self: &Arc<Self>) {
        self.filters.start();
        self.ctx.tasks.spawn(Arc::clone(self).run_notices());
        self.ctx.tasks.spawn(Arc::clone(self).run_expiry());
    }

    /// A group has lost a member.
    fn lost_member(&self, group: &GroupName) {
        if self.consumers.group(group).is_none() {
            self.filters.unregister(group);
        }
        self.notifier.changed(group);
    }

    async fn run_expiry(self: Arc<Self>) {
        let mut ticks = interval(EXPIRY_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.ctx.stopping.cancelled() => return,
                _ = ticks.tick() => self.expire(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
