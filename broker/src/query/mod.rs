//! Looking at what is stored: one message by its offset, the entries of a queue.
//!
//! Java: `QueryMessageProcessor`, `AdminBrokerProcessor.queryConsumeQueue`.

mod consume_queue;
mod view;

use std::sync::Arc;

use remoting::protocol::query::{QueryConsumeQueue, ViewMessageById};
use remoting::router::Router;
use remoting::types::{PhysicalOffset, QueueId, TopicName};
use store::Store;
use thiserror::Error;

use crate::client::Clients;

pub(crate) use self::view::record;

/// Answers questions about stored messages.
pub(crate) struct Queries {
    store: Arc<Store>,
    clients: Arc<Clients>,
}

/// Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum QueryError {
    #[error("can not find message by the offset, {0}")]
    NoMessage(PhysicalOffset),
    #[error("{queue_id}@{topic} is not exist!")]
    NoQueue { topic: TopicName, queue_id: QueueId },
}

pub(crate) fn routes(queries: &Arc<Queries>, router: &mut Router) {
    router.on::<ViewMessageById>(queries).on::<QueryConsumeQueue>(queries);
}

impl Queries {
    pub(crate) fn new(store: Arc<Store>, clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self { store, clients })
    }
}

#[cfg(test)]
mod tests;
