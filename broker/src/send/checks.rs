//! What is checked before a message is looked at, in Java's order.
//!
//! Java: `SendMessageProcessor.preSend`, `AbstractSendMessageProcessor.msgCheck`.

use std::sync::Arc;

use remoting::body::TopicConfig;
use remoting::connection::Peer;
use remoting::protocol::send::SendMessage;
use remoting::types::{QueueId, TopicName};

use super::Sends;
use super::desk::Desk;
use super::error::{SendError, TopicText};
use crate::config::BrokerConfig;
use crate::topic::validate;

/// Java: `TopicAttributes.QUEUE_TYPE_ATTRIBUTE`.
const QUEUE_TYPE: &str = "queue.type";

impl Sends {
    /// The queue of what is sent in another way than a send, but goes through the same checks.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) fn admit(&self, send: &SendMessage, peer: &Peer) -> Result<QueueId, SendError> {
        let topic = self.find_topic(&self.ctx.settings(), send)?;
        self.check_queue(send, &topic, peer)
    }

    /// The topic a send goes to, created if need be and allowed.
    pub(super) fn check_topic(&self, desk: &mut Desk, send: &SendMessage) -> Result<Arc<TopicConfig>, SendError> {
        if let Some(topic) = &desk.topic
            && topic.topic_name == send.topic
        {
            return Ok(Arc::clone(topic));
        }
        let topic = self.find_topic(&desk.stamp.settings, send)?;
        desk.topic = Some(Arc::clone(&topic));
        Ok(topic)
    }

    fn find_topic(&self, settings: &BrokerConfig, send: &SendMessage) -> Result<Arc<TopicConfig>, SendError> {
        let until = settings.start_accept_send_request_time_stamp;
        if self.ctx.clock.now() < until {
            return Err(SendError::NotYet { until });
        }
        let found = self.topics.get(&send.topic);
        let ordered = found.as_ref().is_some_and(|topic| topic.order);
        if ordered && settings.broker_permission & TopicConfig::WRITE == 0 {
            return Err(SendError::BrokerForbidden { ip: self.ctx.identity.host.ip });
        }
        validate::check_topic(&send.topic)?;
        if !validate::is_sendable(&send.topic) {
            return Err(SendError::TopicForbidden { topic: send.topic.clone() });
        }
        match found {
            Some(topic) => Ok(topic),
            None => self.create_topic(send),
        }
    }

    fn create_topic(&self, send: &SendMessage) -> Result<Arc<TopicConfig>, SendError> {
        let unit = send.unit_mode.unwrap_or(false);
        Ok(self.topics.create_on_send(&send.topic, &send.default_topic, send.default_topic_queue_nums, unit)?)
    }

    /// The queue a send goes to: the one it names, or any if it names none.
    pub(super) fn check_queue(
        &self,
        send: &SendMessage,
        topic: &TopicConfig,
        peer: &Peer,
    ) -> Result<QueueId, SendError> {
        let queue_id = send.queue_id;
        if queue_id.0 >= topic.write_queue_nums.max(topic.read_queue_nums) {
            let topic = TopicText(Box::new(topic.clone()));
            return Err(SendError::QueueId { queue_id, topic, producer: peer.remote() });
        }
        if queue_id.0 >= 0 {
            return Ok(queue_id);
        }
        any_queue(&topic.topic_name, topic.write_queue_nums)
    }
}

/// Whether the queues of a topic hold inner batches. Java: `QueueTypeUtils.isBatchCq`.
pub(super) fn takes_inner_batches(topic: &TopicConfig) -> bool {
    topic.attributes.get(QUEUE_TYPE).is_some_and(|kind| kind == "BatchCQ")
}

fn any_queue(topic: &TopicName, queues: i32) -> Result<QueueId, SendError> {
    if queues <= 0 {
        return Err(SendError::NoQueue { topic: topic.clone() });
    }
    Ok(QueueId(rand::random_range(0..queues)))
}
