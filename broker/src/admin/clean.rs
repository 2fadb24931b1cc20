//! `cleanUnusedTopic`, `cleanExpiredCQ`, `deleteExpiredCommitLog`: what nobody needs any more goes now.

use std::sync::Arc;

use remoting::header::NoHeader;
use remoting::protocol::admin::{CleanExpiredConsumeQueue, DeleteExpiredCommitLog};
use remoting::protocol::topic::CleanUnusedTopic;
use remoting::router::{Call, Handle, Reply, Router};
use store::Store;

use super::AdminError;
use crate::topic::TopicTable;
use crate::topic::validate::LIGHT_PREFIX;

#[derive(Clone)]
pub(super) struct Cleaning {
    pub(super) topics: Arc<TopicTable>,
    pub(super) store: Arc<Store>,
}

pub(super) fn routes(cleaning: &Arc<Cleaning>, router: &mut Router) {
    router
        .on::<CleanUnusedTopic>(cleaning)
        .on::<CleanExpiredConsumeQueue>(cleaning)
        .on::<DeleteExpiredCommitLog>(cleaning);
}

impl Handle<CleanUnusedTopic> for Cleaning {
    type Error = AdminError;

    /// Java: `cleanUnusedTopic`, `DefaultMessageStore.cleanUnusedTopic`.
    async fn handle(&self, call: Call<CleanUnusedTopic>) -> Result<Reply<NoHeader>, AdminError> {
        tracing::info!(caller = %call.peer.remote(), "queues without a topic are deleted by request");
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.unused_topics()).await??;
        Ok(Reply::done())
    }
}

impl Handle<CleanExpiredConsumeQueue> for Cleaning {
    type Error = AdminError;

    /// Java: `cleanExpiredConsumeQueue`, `ConsumeQueueStore.cleanExpired`.
    async fn handle(&self, call: Call<CleanExpiredConsumeQueue>) -> Result<Reply<NoHeader>, AdminError> {
        tracing::info!(caller = %call.peer.remote(), "queues without messages are deleted by request");
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.expired_queues()).await??;
        Ok(Reply::done())
    }
}

impl Handle<DeleteExpiredCommitLog> for Cleaning {
    type Error = AdminError;

    /// The answer does not wait for the deletion. Java: `deleteExpiredCommitLog`.
    async fn handle(&self, call: Call<DeleteExpiredCommitLog>) -> Result<Reply<NoHeader>, AdminError> {
        tracing::info!(caller = %call.peer.remote(), "expired files of the commit log are deleted by request");
        self.store.delete_expired_files();
        Ok(Reply::done())
    }
}

impl Cleaning {
    fn unused_topics(&self) -> Result<(), AdminError> {
        let unused = self.store.topics().into_iter().filter(|topic| {
            self.topics.get(topic).is_none() && !self.topics.is_system(topic) && !topic.starts_with(LIGHT_PREFIX)
        });
        for topic in unused {
            self.store.delete_topic(&topic)?;
            tracing::info!(%topic, "the queues of a topic that does not exist are deleted");
        }
        Ok(())
    }

    fn expired_queues(&self) -> Result<(), AdminError> {
        for topic in self.store.topics().into_iter().filter(|topic| !self.topics.is_system(topic)) {
            for queue in self.store.delete_expired_queues(&topic)? {
                tracing::info!(%topic, %queue, "a queue without messages is deleted");
            }
        }
        Ok(())
    }
}
