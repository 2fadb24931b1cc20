//! `updateTopic`, `updateTopicList`, `deleteTopic`.

use std::sync::Arc;

use remoting::body::{CreateTopicListBody, TopicConfig, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::topic::{DeleteTopic, UpdateTopic, UpdateTopicList};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::TopicName;
use store::Store;

use super::AdminError;
use crate::context::Context;
use crate::delay::Timers;
use crate::offset::Offsets;
use crate::register::Registrar;
use crate::stats::Stats;
use crate::topic::{AttributeChanges, NameError, TopicError, TopicTable, validate};

pub(super) struct Topics {
    pub(super) ctx: Context,
    pub(super) topics: Arc<TopicTable>,
    pub(super) offsets: Arc<Offsets>,
    pub(super) store: Arc<Store>,
    pub(super) stats: Arc<Stats>,
    pub(super) timers: Arc<Timers>,
    pub(super) registrar: Arc<Registrar>,
}

pub(super) fn routes(topics: &Arc<Topics>, router: &mut Router) {
    router.on::<UpdateTopic>(topics).on::<UpdateTopicList>(topics).on::<DeleteTopic>(topics);
}

/// Java: `TopicFilterType`.
const FILTER_TYPES: [&str; 2] = ["SINGLE_TAG", "MULTI_TAG"];

impl Handle<UpdateTopic> for Topics {
    type Error = AdminError;

    /// The topic is known to the name servers when the answer leaves. Java: `updateAndCreateTopic`.
    async fn handle(&self, call: Call<UpdateTopic>) -> Result<Reply<NoHeader>, AdminError> {
        let UpdateTopic { topic, read_queue_nums, write_queue_nums, perm, topic_filter_type, .. } = call.header;
        if !FILTER_TYPES.contains(&topic_filter_type.as_str()) {
            return Err(AdminError::FilterType(topic_filter_type));
        }
        let attributes = AttributeChanges::parse(call.header.attributes.as_deref().unwrap_or_default());
        let attributes = attributes.map_err(TopicError::from)?;
        let config = TopicConfig {
            topic_name: topic,
            read_queue_nums,
            write_queue_nums,
            perm,
            topic_filter_type,
            topic_sys_flag: call.header.topic_sys_flag.unwrap_or(0),
            order: call.header.order.unwrap_or(false),
            ..TopicConfig::default()
        };
        tracing::info!(topic = %config.topic_name, caller = %call.peer.remote(), "a topic is created or changed by request");
        self.topics.put(config, &attributes)?;
        self.registrar.register_now().await;
        Ok(Reply::done())
    }
}

impl Handle<UpdateTopicList> for Topics {
    type Error = AdminError;

    /// All or none. Java: `updateAndCreateTopicList`, which stops at the first topic that is as it was.
    async fn handle(&self, call: Call<UpdateTopicList>) -> Result<Reply<NoHeader>, AdminError> {
        let list: CreateTopicListBody = fastjson::read(&call.body)?;
        let signed = |mut config: TopicConfig| {
            let attributes = AttributeChanges::signed(std::mem::take(&mut config.attributes));
            (config, attributes)
        };
        let wanted: Vec<_> = list.topic_config_list.into_iter().map(signed).collect();
        tracing::info!(topics = wanted.len(), caller = %call.peer.remote(), "topics are created or changed by request");
        self.topics.put_all(wanted)?;
        self.registrar.register_now().await;
        Ok(Reply::done())
    }
}

impl Handle<DeleteTopic> for Topics {
    type Error = AdminError;

    /// With its queues, offsets and figures, and the topics that POP retries its messages in. Java: `deleteTopic`.
    async fn handle(&self, call: Call<DeleteTopic>) -> Result<Reply<NoHeader>, AdminError> {
        let topic = call.header.topic;
        if topic.trim().is_empty() {
            return Err(TopicError::from(NameError::Blank { what: "topic" }).into());
        }
        self.topics.check_not_system(&topic)?;
        tracing::info!(%topic, caller = %call.peer.remote(), "a topic is deleted by request");
        let mut gone = self.pop_retry_topics(&topic);
        gone.push(topic);
        for topic in gone {
            self.delete(topic).await?;
        }
        // Offsets that outlived the topic would make groups skip messages of a new one of that name.
        self.offsets.persist().await;
        Ok(Reply::done())
    }
}

impl Topics {
    fn pop_retry_topics(&self, topic: &TopicName) -> Vec<TopicName> {
        if !self.ctx.settings().clear_retry_topic_when_delete_topic {
            return Vec::new();
        }
        let groups = self.offsets.groups_of(topic);
        let names = groups.iter().flat_map(|group| validate::pop_retry_topics(group, topic));
        names.filter(|name| self.topics.get(name).is_some()).collect()
    }

    async fn delete(&self, topic: TopicName) -> Result<(), AdminError> {
        self.topics.delete(&topic)?;
        self.offsets.remove_topic(&topic);
        if self.ctx.settings().auto_delete_unused_stats {
            self.stats.topic_deleted(&topic);
        }
        self.timers.topic_deleted(&topic);
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.delete_topic(&topic)).await??;
        Ok(())
    }
}
