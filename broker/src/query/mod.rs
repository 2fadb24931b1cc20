//! Looking at what is stored: one message by its offset, those of a key, the entries of a queue.
//!
//! Java: `QueryMessageProcessor`, `AdminBrokerProcessor.queryConsumeQueue`.

mod by_key;
mod consume_queue;
mod view;

use std::sync::Arc;

use remoting::protocol::query::{QueryConsumeQueue, QueryMessage, ViewMessageById};
use remoting::router::Router;
use remoting::types::{PhysicalOffset, QueueId, TopicName};
use store::Store;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::client::Clients;
use crate::context::Context;

pub(crate) use self::view::record;

/// Answers questions about stored messages.
pub(crate) struct Queries {
    ctx: Context,
    store: Arc<Store>,
    clients: Arc<Clients>,
    /// Places for queries by key.
    readers: Semaphore,
}

/// Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum QueryError {
    #[error("can not find message by the offset, {0}")]
    NoMessage(PhysicalOffset),
    #[error("{queue_id}@{topic} is not exist!")]
    NoQueue { topic: TopicName, queue_id: QueueId },
    /// The thread that looked ended; Java has no such case.
    #[error("the query was given up")]
    ReaderGone,
}

pub(crate) fn routes(queries: &Arc<Queries>, router: &mut Router) {
    router.on::<ViewMessageById>(queries).on::<QueryMessage>(queries).on::<QueryConsumeQueue>(queries);
}

impl Queries {
    pub(crate) fn new(ctx: Context, store: Arc<Store>, clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self { ctx, store, clients, readers: Semaphore::new(by_key::READERS_MAX) })
    }
}

#[cfg(test)]
mod tests;
