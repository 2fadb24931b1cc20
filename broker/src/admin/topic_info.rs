//! `topicStatus`, `topicList`, `exportMetadata` and all that looks at topics.

use std::sync::Arc;

use remoting::body::fastjson::{self, ObjectKey};
use remoting::body::{MessageQueue, TopicList, TopicOffset, TopicStatsTable};
use remoting::header::NoHeader;
use remoting::protocol::topic::{
    GetAllTopicConfig, GetAllTopicConfigReply, GetBrokerSystemTopics, GetTopicConfig, GetTopicStats,
};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{QueueId, QueueOffset, TopicName};
use store::Store;

use super::AdminError;
use super::page::Page;
use crate::context::Context;
use crate::stats::Stats;
use crate::topic::TopicTable;

#[derive(Clone)]
pub(super) struct TopicInfo {
    pub(super) ctx: Context,
    pub(super) topics: Arc<TopicTable>,
    pub(super) store: Arc<Store>,
    pub(super) stats: Arc<Stats>,
}

pub(super) fn routes(info: &Arc<TopicInfo>, router: &mut Router) {
    router.on::<GetAllTopicConfig>(info).on::<GetTopicConfig>(info).on::<GetTopicStats>(info);
    router.on::<GetBrokerSystemTopics>(info);
}

impl Handle<GetAllTopicConfig> for TopicInfo {
    type Error = AdminError;

    /// Java: `getAllTopicConfig`.
    async fn handle(&self, call: Call<GetAllTopicConfig>) -> Result<Reply<GetAllTopicConfigReply>, AdminError> {
        let GetAllTopicConfig { topic_seq, data_version, max_topic_num } = call.header;
        let mut body = self.topics.snapshot();
        let total_topic_num = i32::try_from(body.topic_config_table.len()).unwrap_or(i32::MAX);
        let page = Page { from: topic_seq, max: max_topic_num, version: data_version };
        body.topic_config_table = page.cut(body.topic_config_table, body.data_version);
        Ok(Reply::new(GetAllTopicConfigReply { total_topic_num }).body(fastjson::write(&body)))
    }
}

impl Handle<GetTopicConfig> for TopicInfo {
    type Error = AdminError;

    /// Java: `getTopicConfig`.
    async fn handle(&self, call: Call<GetTopicConfig>) -> Result<Reply<NoHeader>, AdminError> {
        let topic = call.header.topic;
        let config = self.topics.get(&topic).ok_or(AdminError::NoTopicHere(topic))?;
        Ok(Reply::done().body(fastjson::write(&*config)))
    }
}

impl Handle<GetTopicStats> for TopicInfo {
    type Error = AdminError;

    /// Java: `getTopicStatsInfo`.
    async fn handle(&self, call: Call<GetTopicStats>) -> Result<Reply<NoHeader>, AdminError> {
        let topic = call.header.topic;
        let Some(config) = self.topics.get(&topic) else { return Err(AdminError::TopicUnknown(topic)) };
        let queues = config.read_queue_nums.max(config.write_queue_nums);
        let this = self.clone();
        // The time of the last message may have to come from the disk.
        let table = tokio::task::spawn_blocking(move || this.stats_of(&topic, queues)).await?;
        Ok(Reply::done().body(fastjson::write(&table)))
    }
}

impl TopicInfo {
    fn stats_of(&self, topic: &TopicName, queues: i32) -> TopicStatsTable {
        let queue = |number: i32| {
            let queue_id = QueueId(number);
            let min = self.store.min_offset(topic, queue_id).unwrap_or_default();
            let max = self.store.max_offset(topic, queue_id).unwrap_or_default();
            let last = (max.0 > 0).then(|| self.store.store_time(topic, queue_id, QueueOffset(max.0 - 1)));
            let key = MessageQueue { broker_name: self.ctx.identity.name.clone(), queue_id, topic: topic.clone() };
            let offset = TopicOffset {
                last_update_timestamp: last.flatten().unwrap_or_default(),
                max_offset: max.0,
                min_offset: min.0,
            };
            (ObjectKey(key), offset)
        };
        TopicStatsTable {
            offset_table: (0..queues).map(queue).collect(),
            topic_put_tps: self.stats.topic_put_tps(topic),
        }
    }
}

impl Handle<GetBrokerSystemTopics> for TopicInfo {
    type Error = AdminError;

    /// Java: `getSystemTopicListFromBroker`.
    async fn handle(&self, _: Call<GetBrokerSystemTopics>) -> Result<Reply<NoHeader>, AdminError> {
        let topic_list = self.topics.system_topics().iter().cloned().collect();
        Ok(Reply::done().body(fastjson::write(&TopicList { broker_addr: None, topic_list })))
    }
}
