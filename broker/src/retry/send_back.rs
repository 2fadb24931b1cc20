//! `CONSUMER_SEND_MSG_BACK`, in Java's order of checks.

use std::sync::Arc;

use remoting::body::{SubscriptionGroupConfig, TopicConfig};
use remoting::header::NoHeader;
use remoting::protocol::send::ConsumerSendMsgBack;
use remoting::router::{Call, Handle, Reply};
use remoting::types::{QueueId, TopicName};
use remoting::version::Version;
use store::message::StoredMessage;

use super::{Retries, RetryError, again};
use crate::context::Role;
use crate::query;
use crate::send::Written;

/// The first retry waits this level: 10 s with the default ones.
const FIRST_LEVEL: i32 = 3;
const DEAD_LETTER_QUEUE: QueueId = QueueId(0);
/// Java: `PermName.PERM_WRITE`.
const WRITE: i32 = TopicConfig::WRITE;

impl Handle<ConsumerSendMsgBack> for Retries {
    type Error = RetryError;

    async fn handle(&self, call: Call<ConsumerSendMsgBack>) -> Result<Reply<NoHeader>, RetryError> {
        let request = &call.header;
        let ip = self.ctx.identity.host.ip;
        if *self.ctx.role.borrow() != Role::Master {
            return Err(RetryError::NoMaster { ip });
        }
        let group = self.groups.find(&request.group);
        let group = group.ok_or_else(|| RetryError::GroupUnknown { group: request.group.clone() })?;
        if self.ctx.settings().broker_permission & WRITE == 0 {
            return Err(RetryError::BrokerForbidden { ip });
        }
        if group.retry_queue_nums <= 0 {
            return Ok(Reply::done());
        }
        let unit = request.unit_mode.unwrap_or(false);
        let topic = self.topics.create_retry(&request.group, group.retry_queue_nums, unit, None);
        if !topic.is_writable() {
            return Err(RetryError::TopicForbidden { topic: topic.topic_name.clone() });
        }
        let missing = RetryError::NoMessage { offset: request.offset };
        let Some(record) = query::record(&self.store, request.offset).await else { return Err(missing) };
        let Ok(failed) = StoredMessage::parse(&record) else { return Err(missing) };
        self.send_again(request, call.version, &failed, &group, topic).await?;
        Ok(Reply::done())
    }
}

impl Retries {
    async fn send_again(
        &self,
        request: &ConsumerSendMsgBack,
        version: Version,
        failed: &StoredMessage<'_>,
        group: &SubscriptionGroupConfig,
        retry_topic: Arc<TopicConfig>,
    ) -> Result<(), RetryError> {
        let own_limit = request.max_reconsume_times.filter(|_| version >= Version::V3_4_9);
        let limit = own_limit.unwrap_or(group.retry_max_times);
        let given_up = failed.reconsume_times >= limit || request.delay_level < 0;
        let (topic, queue_id, level) = if given_up {
            (self.topics.create_dead_letter(&request.group), DEAD_LETTER_QUEUE, 0)
        } else {
            let queue_id = QueueId(rand::random_range(0..group.retry_queue_nums));
            let by_attempts = FIRST_LEVEL.saturating_add(failed.reconsume_times);
            let level = if request.delay_level == 0 { by_attempts } else { request.delay_level };
            (retry_topic, queue_id, level)
        };
        let properties = again::properties(failed, level);
        let to = (&topic.topic_name, queue_id);
        let message = again::message(failed, to, self.ctx.identity.host, &properties);
        let written = self.writer.put(&message, level).await?;
        self.count(request, failed, written, given_up);
        Ok(())
    }

    fn count(&self, request: &ConsumerSendMsgBack, failed: &StoredMessage<'_>, written: Written, given_up: bool) {
        if let Some(until) = written.until {
            let (topic, queue_id) = until.place();
            self.stats.put(topic, queue_id, 1, 1, written.position.size as u64);
        }
        let origin = TopicName::new(again::origin_topic(failed));
        self.stats.send_back(&request.group, &origin);
        if given_up {
            self.stats.dead_letter(&request.group, request.origin_topic.as_ref().unwrap_or(&origin));
            tracing::info!(group = %request.group, topic = %origin, offset = %request.offset,
                attempts = failed.reconsume_times, "message goes to the dead-letter queue");
        }
    }
}
