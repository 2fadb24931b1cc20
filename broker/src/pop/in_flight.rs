//! How many messages of a queue a group has under lease, as long as `enablePopMessageThreshold` bounds that.
//!
//! Counted is what is leased while the setting is on, in memory only: leases of another life of the broker end without having
//! been counted. An ordered lease is not counted, as it is the only one of its queue. Java: `PopInflightMessageCounter`.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use remoting::types::{GroupName, QueueId, Timestamp, TopicName};

use super::Pops;
use super::names::normal_topic;
use super::request::Key;
use crate::config::BrokerConfig;

/// One queue of one group.
pub(super) type Place = (TopicName, GroupName, QueueId);

/// Queues of which nothing is leased are not in it.
#[derive(Default)]
pub(super) struct InFlight(DashMap<Place, i64>);

impl InFlight {
    fn add(&self, place: &Place, messages: usize) {
        *self.0.entry(place.clone()).or_default() += messages as i64;
    }

    /// What is left of those that were counted; `None` if none was.
    fn take(&self, place: &Place, messages: usize) -> Option<i64> {
        let Entry::Occupied(mut count) = self.0.entry(place.clone()) else { return None };
        *count.get_mut() -= messages as i64;
        let left = *count.get();
        if left <= 0 {
            count.remove();
        }
        Some(left.max(0))
    }

    fn count(&self, place: &Place) -> i64 {
        self.0.get(place).map_or(0, |count| *count)
    }

    pub(super) fn clear(&self, place: (&TopicName, &GroupName, QueueId)) {
        self.0.remove(&owned(place));
    }

    /// Forgets the queues that there are no more.
    pub(super) fn forget(&self, exists: impl Fn(&TopicName, &GroupName, QueueId) -> bool) {
        self.0.retain(|(topic, group, queue), _| exists(topic, group, *queue));
    }
}

fn owned((topic, group, queue): (&TopicName, &GroupName, QueueId)) -> Place {
    (topic.clone(), group.clone(), queue)
}

impl Pops {
    /// So much is under lease that no more of the queue is given.
    pub(super) fn is_full(&self, place: (&TopicName, &GroupName, QueueId), settings: &BrokerConfig) -> bool {
        settings.enable_pop_message_threshold
            && self.in_flight.count(&owned(place)) > settings.pop_inflight_message_threshold
    }

    pub(super) fn leased(&self, place: (&TopicName, &GroupName, QueueId), messages: usize) {
        if self.ctx.settings().enable_pop_message_threshold {
            self.in_flight.add(&owned(place), messages);
        }
    }

    /// Messages were acknowledged or came back. Whoever waits for that is served.
    pub(super) fn lease_over(&self, place: (&TopicName, &GroupName, QueueId), pop_time: Timestamp, messages: usize) {
        let settings: Arc<BrokerConfig> = self.ctx.settings();
        if !settings.enable_pop_message_threshold || pop_time < self.began {
            return;
        }
        let Some(left) = self.in_flight.take(&owned(place), messages) else { return };
        let threshold = settings.pop_inflight_message_threshold;
        if left <= threshold && left + messages as i64 > threshold {
            let (topic, group, _) = place;
            self.waiting.wake(Key { topic: normal_topic(topic, group).into(), group: group.clone() });
        }
    }
}
