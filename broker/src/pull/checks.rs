//! Whether a pull may be served, in Java's order.

use std::sync::Arc;

use remoting::body::{ConsumeType, SubscriptionData, SubscriptionGroupConfig, TopicConfig};
use remoting::protocol::RequestCode;

use super::PullError;
use super::reader::Reader;
use super::request::Pull;
use crate::client::ConsumerGroup;
use crate::config::BrokerConfig;
use crate::context::Role;
use crate::filter::{self, Expression, Filter, Retried};
use crate::topic::validate;

/// What the checks looked up and the read needs.
pub(super) struct Admitted {
    pub(super) group: Arc<SubscriptionGroupConfig>,
    pub(super) topic: Arc<TopicConfig>,
    pub(super) filter: Filter,
}

/// Groups that may pull however consumers are treated, beside the system groups.
const TOOL_GROUPS: [&str; 10] = [
    "DEFAULT_CONSUMER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
];

impl Reader {
    /// Java: `PullMessageProcessor.processRequest`.
    pub(super) fn check(&self, pull: &Pull, settings: &BrokerConfig) -> Result<Admitted, PullError> {
        let header = &pull.header;
        let host = self.ctx.identity.host;
        if *self.ctx.role.borrow() != Role::Master && !settings.slave_read_enable {
            return Err(PullError::Slave);
        }
        if settings.broker_permission & TopicConfig::READ == 0 {
            return Err(PullError::BrokerForbidden(host));
        }
        if pull.code == RequestCode::LITE_PULL_MESSAGE && !settings.lite_pull_message_enable {
            return Err(PullError::LitePullForbidden(host));
        }
        let Some(group) = self.groups.find(&header.consumer_group) else {
            return Err(PullError::UnknownGroup(header.consumer_group.clone()));
        };
        if !group.consume_enable {
            return Err(PullError::GroupForbidden(header.consumer_group.clone()));
        }
        let Some(topic) = self.topics.get(&header.topic) else {
            return Err(PullError::UnknownTopic(header.topic.clone()));
        };
        if !topic.is_readable() {
            return Err(PullError::TopicForbidden(header.topic.clone()));
        }
        let (queue, queues) = (header.queue_id, topic.read_queue_nums);
        if !(0..queues).contains(&queue.0) {
            let consumer = pull.peer.remote();
            return Err(PullError::IllegalQueue { queue, topic: header.topic.clone(), queues, consumer });
        }
        let filter = if pull.brings_subscription() {
            self.attached(pull, settings)?
        } else {
            self.subscribed(pull, &group, settings)?
        };
        if settings.reject_pull_consumer_enable {
            self.check_pull_consumer(pull)?;
        }
        Ok(Admitted { group, topic, filter })
    }

    /// The subscription that came with the pull, made anew only when it changes.
    fn attached(&self, pull: &Pull, settings: &BrokerConfig) -> Result<Filter, PullError> {
        let header = &pull.header;
        let text = header.subscription.as_deref().unwrap_or_default();
        let expression_type = header.expression_type.as_deref();
        let same = |known: &SubscriptionData| filter::is_same(known, text, expression_type);
        let build = || {
            let built = filter::subscription(&header.topic, text, expression_type, self.ctx.clock.now().0)?;
            check_enabled(&built, settings)?;
            let expression = filter::expression(&built)?;
            Ok::<_, PullError>((built, expression))
        };
        let attached = &self.clients.consumers.attached;
        let (subscription, expression) = attached.keep(&header.consumer_group, &header.topic, same, build)?;
        // The switch may have been turned since it was built.
        check_enabled(&subscription, settings)?;
        Ok(self.filter(pull, subscription, expression, settings))
    }

    /// The subscription that the group's heartbeats told.
    fn subscribed(
        &self,
        pull: &Pull,
        config: &SubscriptionGroupConfig,
        settings: &BrokerConfig,
    ) -> Result<Filter, PullError> {
        let header = &pull.header;
        let Some(group) = self.clients.consumers.group(&header.consumer_group) else {
            return Err(PullError::NoMembers);
        };
        if !config.consume_broadcast_enable && group.is_broadcasting() {
            return Err(PullError::BroadcastForbidden(header.consumer_group.clone()));
        }
        if self.groups.is_read_forbidden(&header.consumer_group, &header.topic) {
            let (group, topic) = (header.consumer_group.clone(), header.topic.clone());
            return Err(PullError::SubscriptionForbidden { group, topic });
        }
        let Some(subscription) = group.subscription(&header.topic) else { return Err(PullError::NotSubscribed) };
        if subscription.sub_version < header.sub_version {
            return Err(PullError::SubscriptionNotLatest);
        }
        let subscription = Arc::clone(subscription);
        if subscription.expression_type.is_tag() {
            return Ok(Filter::Tags(subscription));
        }
        let known = self.clients.filters.get(&header.topic, &header.consumer_group);
        let known = known.ok_or(PullError::NoFilter)?;
        if known.client_version < header.sub_version {
            return Err(PullError::FilterNotLatest);
        }
        check_enabled(&subscription, settings)?;
        Ok(self.filter(pull, subscription, Some(Arc::clone(&known.expression)), settings))
    }

    fn filter(
        &self,
        pull: &Pull,
        subscription: Arc<SubscriptionData>,
        expression: Option<Arc<Expression>>,
        settings: &BrokerConfig,
    ) -> Filter {
        match expression {
            // A class that filters is of the past. Java: everything passes.
            Some(_) if subscription.class_filter_mode => Filter::Tags(subscription),
            Some(_) if settings.filter_support_retry && pull.header.topic.starts_with(validate::RETRY_PREFIX) => {
                let group = pull.header.consumer_group.clone();
                Filter::Retried(Retried { filters: Arc::clone(&self.clients.filters), group })
            }
            Some(expression) => Filter::Sql(expression),
            None => Filter::Tags(subscription),
        }
    }

    /// With `rejectPullConsumerEnable`, only members of pushed groups and a few tools may pull.
    fn check_pull_consumer(&self, pull: &Pull) -> Result<(), PullError> {
        let name = &pull.header.consumer_group;
        let group = self.clients.consumers.group(name);
        let is_member = |group: &ConsumerGroup| group.member_on(pull.peer.id()).is_some();
        let is_fine = |group: &ConsumerGroup| group.consume_type != ConsumeType::ConsumeActively || is_member(group);
        if is_of_tools(name) || group.is_some_and(|group| is_fine(&group)) {
            Ok(())
        } else {
            Err(PullError::PullConsumerRejected)
        }
    }
}

/// Java: `MixAll.isSysConsumerGroupPullMessage`.
pub(super) fn is_of_tools(group: &str) -> bool {
    validate::is_system_group(group) || TOOL_GROUPS.contains(&group)
}

/// Java: `enablePropertyFilter`.
fn check_enabled(subscription: &SubscriptionData, settings: &BrokerConfig) -> Result<(), PullError> {
    if subscription.expression_type.is_tag() || settings.enable_property_filter {
        Ok(())
    } else {
        Err(PullError::FilterUnsupported(subscription.expression_type.clone()))
    }
}
