//! Topics that come to exist because clients use them.

use std::sync::Arc;

use remoting::body::TopicConfig;
use remoting::types::TopicName;

use super::validate::{RETRY_PREFIX, TEMPLATE_TOPIC, dead_letter_topic, retry_topic};
use super::{READ_WRITE, TopicError, TopicTable};

/// Bits of a topic's sys flag. Java: `TopicSysFlag`.
const UNIT: i32 = 1;
const UNIT_SUBSCRIPTION: i32 = 1 << 1;

impl TopicTable {
    /// The topic a producer sends to, created from its template if that may be inherited.
    ///
    /// `queues` is what the producer wants, clipped to what the template has.
    ///
    /// # Errors
    /// [`TopicError::NotExist`] if there is no such template and the topic is no retry topic.
    ///
    /// Java: `AbstractSendMessageProcessor.msgCheck`, `TopicConfigManager.createTopicInSendMessageMethod`.
    pub(crate) fn create_on_send(
        &self,
        topic: &TopicName,
        template: &str,
        queues: i32,
        unit_mode: bool,
    ) -> Result<Arc<TopicConfig>, TopicError> {
        if let Some(existing) = self.get(topic) {
            return Ok(existing);
        }
        let is_retry = topic.starts_with(RETRY_PREFIX);
        let topic_sys_flag = match (unit_mode, is_retry) {
            (false, _) => 0,
            (true, true) => UNIT_SUBSCRIPTION,
            (true, false) => UNIT,
        };
        if let Some(template) = self.template(template) {
            let queues = queues.min(template.write_queue_nums).max(0);
            let perm = template.perm & !TopicConfig::INHERIT;
            let topic_filter_type = template.topic_filter_type.clone();
            return Ok(self.add(TopicConfig {
                topic_sys_flag,
                topic_filter_type,
                ..TopicConfig::new(topic.clone(), queues, perm)
            }));
        }
        if is_retry {
            return Ok(self.add(TopicConfig { topic_sys_flag, ..TopicConfig::new(topic.clone(), 1, READ_WRITE) }));
        }
        tracing::warn!(%topic, template, "no topic is created: its template does not exist or may not be inherited");
        Err(TopicError::NotExist { topic: topic.clone() })
    }

    fn template(&self, template: &str) -> Option<Arc<TopicConfig>> {
        if template == TEMPLATE_TOPIC && !self.ctx.settings().auto_create_topic_enable {
            return None;
        }
        self.get(template).filter(|template| template.is_inherited())
    }

    /// The retry topic of a group, created if need be. `order` is what a heartbeat says about the group; a send-back
    /// does not know, says `None` and so leaves it alone.
    ///
    /// Java: `createTopicInSendMessageBackMethod`, where a send-back turns the flag off until the next heartbeat.
    pub(crate) fn create_retry(
        &self,
        group: &str,
        queues: i32,
        unit: bool,
        order: impl Into<Option<bool>>,
    ) -> Arc<TopicConfig> {
        let topic_sys_flag = if unit { UNIT_SUBSCRIPTION } else { 0 };
        self.ensure(retry_topic(group), queues, READ_WRITE, order.into(), topic_sys_flag)
    }

    /// The dead-letter topic of a group, created if need be.
    pub(crate) fn create_dead_letter(&self, group: &str) -> Arc<TopicConfig> {
        self.create_internal(&dead_letter_topic(group), 1, READ_WRITE, 0)
    }

    /// A topic that the broker itself needs, created if need be.
    pub(crate) fn create_internal(
        &self,
        topic: &TopicName,
        queues: i32,
        perm: i32,
        topic_sys_flag: i32,
    ) -> Arc<TopicConfig> {
        self.ensure(topic.clone(), queues, perm, None, topic_sys_flag)
    }

    /// Java: `createTopicInSendMessageBackMethod`.
    fn ensure(
        &self,
        topic: TopicName,
        queues: i32,
        perm: i32,
        order: Option<bool>,
        topic_sys_flag: i32,
    ) -> Arc<TopicConfig> {
        let wanted_order = |config: &TopicConfig| order.filter(|order| *order != config.order);
        if let Some(existing) = self.get(&topic) {
            if wanted_order(&existing).is_none() {
                return existing;
            }
            self.change(&topic, |config| {
                wanted_order(config).map(|order| TopicConfig { order, ..TopicConfig::clone(config) })
            });
        }
        let order = order.unwrap_or(false);
        self.add(TopicConfig { order, topic_sys_flag, ..TopicConfig::new(topic, queues, perm) })
    }
}
