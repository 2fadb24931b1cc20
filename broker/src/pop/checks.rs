//! What must be in order before messages are leased, in Java's sequence.

use std::sync::Arc;

use remoting::body::{SubscriptionData, TopicConfig};
use remoting::connection::Peer;
use remoting::types::{GroupName, QueueId, TopicName};

use super::error::WrongQueue;
use super::request::Pop;
use super::{PopError, Pops};
use crate::config::BrokerConfig;
use crate::context::Role;
use crate::filter::{self, Filter};

/// Messages of one pop. Java's number.
pub(super) const MESSAGES_MAX: i32 = 32;
/// How far beyond its patience a pop may be when it gets here.
const DELAY_MAX_MS: i64 = 500;

/// A pop that may be served.
pub(super) struct Admitted {
    pub(super) topic: Arc<TopicConfig>,
    pub(super) filter: Filter,
}

impl Pops {
    /// Java: `PopMessageProcessor.processRequest`.
    pub(super) fn check(&self, pop: &Pop, settings: &BrokerConfig) -> Result<Admitted, PopError> {
        let (header, ip) = (&pop.header, self.ctx.identity.host.ip);
        if *self.ctx.role.borrow() != Role::Master {
            return Err(PopError::Slave);
        }
        if self.ctx.clock.now().0.saturating_sub(pop.expires.0) > DELAY_MAX_MS {
            return Err(PopError::TooLate(ip));
        }
        self.check_permission(settings, "pop message")?;
        if header.max_msg_nums > MESSAGES_MAX {
            return Err(PopError::TooManyMessages(ip));
        }
        if !settings.timer_wheel_enable {
            return Err(PopError::NoTimer(ip));
        }
        let topic = self.check_topic(&header.topic, header.queue_id, &pop.peer)?;
        self.check_group(&header.consumer_group)?;
        Ok(Admitted { topic, filter: self.subscribe(pop)? })
    }

    /// For requests that lease nothing. Java: `NotificationProcessor`, `PollingInfoProcessor`, `PeekMessageProcessor`.
    pub(super) fn check_look(
        &self,
        (group, topic, queue): (&GroupName, &TopicName, QueueId),
        peer: &Peer,
    ) -> Result<(), PopError> {
        if *self.ctx.role.borrow() != Role::Master {
            return Err(PopError::Slave);
        }
        self.check_permission(&self.ctx.settings(), "peeking message")?;
        self.check_topic(topic, queue, peer)?;
        self.check_group(group)
    }

    fn check_permission(&self, settings: &BrokerConfig, what: &'static str) -> Result<(), PopError> {
        let allowed = settings.broker_permission & TopicConfig::READ != 0;
        if allowed { Ok(()) } else { Err(PopError::BrokerForbidden { ip: self.ctx.identity.host.ip, what }) }
    }

    fn check_topic(&self, topic: &TopicName, queue: QueueId, peer: &Peer) -> Result<Arc<TopicConfig>, PopError> {
        let config = self.topics.get(topic).ok_or_else(|| PopError::UnknownTopic(topic.clone()))?;
        if !config.is_readable() {
            return Err(PopError::TopicForbidden(topic.clone()));
        }
        let queues = config.read_queue_nums;
        if queue.0 >= queues {
            let consumer = peer.remote();
            return Err(PopError::IllegalQueue(WrongQueue { queue, topic: topic.clone(), queues, consumer }));
        }
        Ok(config)
    }

    fn check_group(&self, group: &GroupName) -> Result<(), PopError> {
        let config = self.groups.find(group).ok_or_else(|| PopError::UnknownGroup(group.clone()))?;
        if config.consume_enable { Ok(()) } else { Err(PopError::GroupForbidden(group.clone())) }
    }

    /// A queue that is there, for acknowledgements.
    pub(super) fn check_ack_queue(&self, topic: &TopicName, queue: QueueId, peer: &Peer) -> Result<(), PopError> {
        let config = self.topics.get(topic).ok_or_else(|| PopError::UnknownTopic(topic.clone()))?;
        let queues = config.read_queue_nums;
        if (0..queues).contains(&queue.0) {
            return Ok(());
        }
        Err(PopError::IllegalAckQueue(WrongQueue { queue, topic: topic.clone(), queues, consumer: peer.remote() }))
    }

    /// What the pop says it wants, kept so that tools see it: the group may never send a heartbeat.
    fn subscribe(&self, pop: &Pop) -> Result<Filter, PopError> {
        let header = &pop.header;
        let text = header.expression.as_deref().unwrap_or_default();
        let kind = header.expression_type.as_deref().filter(|_| !text.is_empty());
        let same = |known: &SubscriptionData| filter::is_same(known, text, kind);
        let build = || {
            let built = filter::subscription(&header.topic, text, kind, self.ctx.clock.now().0)?;
            let expression = filter::expression(&built)?;
            Ok::<_, PopError>((built, expression))
        };
        let attached = &self.clients.consumers.attached;
        let (subscription, expression) = attached.keep(&header.consumer_group, &header.topic, same, build)?;
        // What comes again is of the topic and has its properties, so the same choice is right for it.
        Ok(expression.map_or(Filter::Tags(subscription), Filter::Sql))
    }
}
