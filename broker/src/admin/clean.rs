//! `cleanUnusedTopic`: queues whose topic is gone.

use std::sync::Arc;

use remoting::header::NoHeader;
use remoting::protocol::topic::CleanUnusedTopic;
use remoting::router::{Call, Handle, Reply, Router};
use store::Store;

use super::AdminError;
use crate::topic::TopicTable;

#[derive(Clone)]
pub(super) struct Cleaning {
    pub(super) topics: Arc<TopicTable>,
    pub(super) store: Arc<Store>,
}

/// Light queues have no topic of their own.
const LIGHT_QUEUE_PREFIX: &str = "%LMQ%";

pub(super) fn routes(cleaning: &Arc<Cleaning>, router: &mut Router) {
    router.on::<CleanUnusedTopic>(cleaning);
}

impl Handle<CleanUnusedTopic> for Cleaning {
    type Error = AdminError;

    /// Java: `cleanUnusedTopic`, `DefaultMessageStore.cleanUnusedTopic`.
    async fn handle(&self, call: Call<CleanUnusedTopic>) -> Result<Reply<NoHeader>, AdminError> {
        tracing::info!(caller = %call.peer.remote(), "queues without a topic are deleted by request");
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.clean()).await??;
        Ok(Reply::done())
    }
}

impl Cleaning {
    fn clean(&self) -> Result<(), AdminError> {
        let unused = self.store.topics().into_iter().filter(|topic| {
            self.topics.get(topic).is_none() && !self.topics.is_system(topic) && !topic.starts_with(LIGHT_QUEUE_PREFIX)
        });
        for topic in unused {
            self.store.delete_topic(&topic)?;
            tracing::info!(%topic, "the queues of a topic that does not exist are deleted");
        }
        Ok(())
    }
}
