//! How far groups are.

use std::collections::{BTreeMap, BTreeSet};

use remoting::body::fastjson;
use remoting::body::{ConsumeStats, ConsumeStatsList, OffsetWrapper};
use remoting::header::NoHeader;
use remoting::protocol::group::{GetBrokerConsumeStats, GetConsumeStats};
use remoting::router::{Call, Handle, Reply};
use remoting::types::{GroupName, QueueId, QueueOffset, TopicName};

use super::Consumption;
use crate::admin::AdminError;

impl Handle<GetConsumeStats> for Consumption {
    type Error = AdminError;

    /// Java: `getConsumeStats`.
    async fn handle(&self, call: Call<GetConsumeStats>) -> Result<Reply<NoHeader>, AdminError> {
        let this = self.clone();
        // Times of messages may have to come from the disk.
        let stats = tokio::task::spawn_blocking(move || {
            let group = &call.header.consumer_group;
            let mut stats = ConsumeStats::default();
            for topic in this.topics_to_collect(&call.header) {
                let Some(config) = this.topics.get(&topic) else { continue };
                this.add_progress(group, &topic, config.read_queue_nums, &mut stats);
            }
            stats
        });
        Ok(Reply::done().body(fastjson::write(&stats.await?)))
    }
}

impl Handle<GetBrokerConsumeStats> for Consumption {
    type Error = AdminError;

    /// Java: `fetchAllConsumeStatsInBroker`, where pull offsets are left 0 and so the inflight total means nothing.
    async fn handle(&self, call: Call<GetBrokerConsumeStats>) -> Result<Reply<NoHeader>, AdminError> {
        let this = self.clone();
        let list = tokio::task::spawn_blocking(move || this.progress_of_all(call.header.is_order));
        Ok(Reply::done().body(fastjson::write(&list.await?)))
    }
}

impl Consumption {
    /// A list in the request counts as it is; otherwise topics that the group no longer subscribes to are left out.
    fn topics_to_collect(&self, request: &GetConsumeStats) -> BTreeSet<TopicName> {
        let group = &request.consumer_group;
        let listed = request.topic_list.as_deref().unwrap_or_default();
        let listed: BTreeSet<_> =
            listed.split(';').map(str::trim).filter(|topic| !topic.is_empty()).map(TopicName::new).collect();
        if !listed.is_empty() {
            return listed;
        }
        let topics = match request.topic.as_ref().filter(|topic| !topic.trim().is_empty()) {
            Some(topic) => vec![topic.clone()],
            None => self.offsets.topics_of(group),
        };
        topics.into_iter().filter(|topic| self.may_consume(group, topic)).collect()
    }

    /// A group that is offline may consume anything; one that is online, what it subscribes to.
    fn may_consume(&self, group: &GroupName, topic: &TopicName) -> bool {
        let subscriptions = self.clients.consumers.group(group).map_or(0, |group| group.subscriptions().len());
        subscriptions == 0 || self.clients.consumers.subscription(group, topic).is_some()
    }

    fn progress_of_all(&self, only_ordered: bool) -> ConsumeStatsList {
        let mut list = ConsumeStatsList { broker_addr: self.ctx.identity.addr(), ..ConsumeStatsList::default() };
        for group in self.groups.snapshot().subscription_group_table.into_keys() {
            let mut of_group = Vec::new();
            for topic in self.offsets.topics_of(&group) {
                let Some(config) = self.topics.get(&topic) else { continue };
                if (only_ordered && !config.order) || !self.may_consume(&group, &topic) {
                    continue;
                }
                let mut stats = ConsumeStats::default();
                self.add_progress(&group, &topic, config.write_queue_nums, &mut stats);
                for offsets in stats.offset_table.values() {
                    list.total_diff += offsets.broker_offset - offsets.consumer_offset;
                    list.total_inflight_diff += offsets.pull_offset - offsets.consumer_offset;
                }
                of_group.push(stats);
            }
            list.consume_stats_list.push(BTreeMap::from([(group, of_group)]));
        }
        list
    }

    fn add_progress(&self, group: &GroupName, topic: &TopicName, queues: i32, stats: &mut ConsumeStats) {
        for queue_id in (0..queues).map(QueueId) {
            let offsets = self.progress_of(group, topic, queue_id);
            stats.offset_table.insert(self.queue_key(topic, queue_id), offsets);
        }
        stats.consume_tps += self.stats.group_get_tps(group, topic);
    }

    fn progress_of(&self, group: &GroupName, topic: &TopicName, queue_id: QueueId) -> OffsetWrapper {
        let positive = |offset: Option<QueueOffset>| offset.unwrap_or_default().max(QueueOffset(0));
        let consumer_offset = positive(self.offsets.get(group, topic, queue_id));
        let pull_offset = positive(self.offsets.pull_offset(group, topic, queue_id)).max(consumer_offset);
        let last_consumed = QueueOffset(consumer_offset.0 - 1);
        let last_time = (last_consumed.0 >= 0).then(|| self.store.store_time(topic, queue_id, last_consumed));
        OffsetWrapper {
            broker_offset: positive(self.store.max_offset(topic, queue_id)).0,
            consumer_offset: consumer_offset.0,
            last_timestamp: last_time.flatten().unwrap_or_default(),
            pull_offset: pull_offset.0,
        }
    }
}
