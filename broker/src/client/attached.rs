//! Subscriptions that came attached to pulls, so that tools see what a group without heartbeats consumes.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use remoting::body::SubscriptionData;
use remoting::types::{GroupName, TopicName};
use tokio::time::{Duration, Instant};

use crate::filter::Expression;

/// Bounded by the groups and topics that exist, as a pull names only such.
///
/// Java: `ConsumerManager.consumerCompensationTable`.
#[derive(Default)]
pub(crate) struct Attached {
    groups: DashMap<GroupName, HashMap<TopicName, Kept>>,
}

struct Kept {
    subscription: Arc<SubscriptionData>,
    /// Of a subscription that is no tags.
    expression: Option<Arc<Expression>>,
    used: Instant,
}

impl Attached {
    pub(crate) fn get(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.groups.get(group)?.get(topic).map(|kept| Arc::clone(&kept.subscription))
    }

    /// The subscription of the group's last pull if it is `same`, else what `build` makes, which is kept.
    ///
    /// # Errors
    /// Whatever `build` says.
    pub(crate) fn keep<E>(
        &self,
        group: &GroupName,
        topic: &TopicName,
        same: impl FnOnce(&SubscriptionData) -> bool,
        build: impl FnOnce() -> Result<(SubscriptionData, Option<Arc<Expression>>), E>,
    ) -> Result<(Arc<SubscriptionData>, Option<Arc<Expression>>), E> {
        if let Some(mut topics) = self.groups.get_mut(group)
            && let Some(kept) = topics.get_mut(topic)
            && same(&kept.subscription)
        {
            kept.used = Instant::now();
            return Ok((Arc::clone(&kept.subscription), kept.expression.clone()));
        }
        let (subscription, expression) = build()?;
        let subscription = Arc::new(subscription);
        let kept =
            Kept { subscription: Arc::clone(&subscription), expression: expression.clone(), used: Instant::now() };
        self.groups.entry(group.clone()).or_default().insert(topic.clone(), kept);
        Ok((subscription, expression))
    }

    /// Forgets what was not used for `timeout`. Java: `subscriptionExpiredTimeout`.
    pub(super) fn expire(&self, timeout: Duration) {
        self.groups.retain(|_, topics| {
            topics.retain(|_, kept| kept.used.elapsed() <= timeout);
            !topics.is_empty()
        });
    }
}
