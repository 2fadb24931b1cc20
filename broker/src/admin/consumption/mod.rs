//! `consumerProgress`, `brokerConsumeStats`, `statsAll`: who consumes what, and how far behind.

mod lists;
mod progress;
mod time_span;

use std::sync::Arc;

use remoting::body::MessageQueue;
use remoting::body::fastjson::ObjectKey;
use remoting::protocol::group::{GetBrokerConsumeStats, GetConsumeStats, QueryConsumeTimeSpan, QuerySubscription};
use remoting::protocol::topic::{QueryTopicConsumers, QueryTopicsByConsumer};
use remoting::router::Router;
use remoting::types::{QueueId, TopicName};
use store::Store;

use crate::client::Clients;
use crate::context::Context;
use crate::group::GroupTable;
use crate::offset::Offsets;
use crate::stats::Stats;
use crate::topic::TopicTable;

#[derive(Clone)]
pub(super) struct Consumption {
    pub(super) ctx: Context,
    pub(super) store: Arc<Store>,
    pub(super) topics: Arc<TopicTable>,
    pub(super) groups: Arc<GroupTable>,
    pub(super) clients: Arc<Clients>,
    pub(super) offsets: Arc<Offsets>,
    pub(super) stats: Arc<Stats>,
}

pub(super) fn routes(consumption: &Arc<Consumption>, router: &mut Router) {
    router.on::<GetConsumeStats>(consumption).on::<GetBrokerConsumeStats>(consumption);
    router.on::<QueryConsumeTimeSpan>(consumption).on::<QuerySubscription>(consumption);
    router.on::<QueryTopicConsumers>(consumption).on::<QueryTopicsByConsumer>(consumption);
}

impl Consumption {
    fn queue(&self, topic: &TopicName, queue_id: QueueId) -> MessageQueue {
        MessageQueue { broker_name: self.ctx.identity.name.clone(), queue_id, topic: topic.clone() }
    }

    fn queue_key(&self, topic: &TopicName, queue_id: QueueId) -> ObjectKey<MessageQueue> {
        ObjectKey(self.queue(topic, queue_id))
    }
}
