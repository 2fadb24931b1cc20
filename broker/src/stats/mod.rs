//! What goes in and out, counted for tools: Java's statistics under Java's names.
//!
//! Features count per batch, not per message. A task samples every counter each 10 s, 10 min and 1 h; tools are shown
//! the difference between the newest and the oldest sample. Java: `BrokerStatsManager`.

mod counter;
mod daily;
mod tree;
mod view;

use std::sync::Arc;

use dashmap::DashMap;
use remoting::connection::{ConnectionEvents, Peer};
use remoting::types::{GroupName, QueueId, Timestamp, TopicName};
use tokio::time::{MissedTickBehavior, interval};

use self::counter::{Counter, Span};
pub(crate) use self::daily::DailyTotals;
use self::tree::{Flow, GroupStats, TopicStats};
use crate::context::Context;
use crate::topic::SystemTopics;
use crate::topic::validate::LIGHT_PREFIX;

/// All figures of a broker. Counting blocks nobody for long and is cheap enough for every batch.
pub(crate) struct Stats {
    ctx: Context,
    system: SystemTopics,
    /// Light queues, of which there may be very many, are counted as one topic, and their groups as one. Java:
    /// `LmqBrokerStatsManager`.
    light_together: bool,
    topics: DashMap<TopicName, Arc<TopicStats>>,
    broker: BrokerCounters,
    daily: daily::Daily,
}

/// What came into a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) topic: TopicName,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// What a group got of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) topic: TopicName,
    pub(crate) group: GroupName,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) dead_letters: u64,
}

#[derive(Debug, Default)]
struct BrokerCounters {
    put: Counter,
    get: Counter,
    /// System topics left out, as in the next one.
    put_user: Counter,
    get_user: Counter,
    get_from_disk: Flow,
    acknowledged: Counter,
    check_points: Counter,
    connections_opened: Counter,
    connections_idle: Counter,
    connections_failed: Counter,
    connections_closed: Counter,
    consumers_joined: Counter,
    producers_joined: Counter,
}

impl Stats {
    pub(crate) fn new(ctx: Context) -> Arc<Self> {
        Arc::new(Self {
            system: SystemTopics::of(&ctx),
            light_together: ctx.settings().enable_lmq && !ctx.settings().enable_lmq_stats,
            topics: DashMap::new(),
            broker: BrokerCounters::default(),
            daily: daily::Daily::default(),
            ctx,
        })
    }

    /// Messages were stored in a queue, by so many requests.
    pub(crate) fn put(&self, topic: &TopicName, queue_id: QueueId, requests: u64, messages: u64, bytes: u64) {
        let stats = self.topic(topic);
        stats.put.add(messages, bytes, requests);
        if self.is_detailed() {
            stats.queues.get_or_make(&queue_id).put.add(messages, bytes, requests);
        }
        // Java counts no calls here, so their average stays 0.
        self.broker.put.add(messages, 0);
        if !self.system.contains(topic) {
            self.broker.put_user.add(messages, 0);
        }
    }

    /// Time from the arrival of requests to their confirmation, summed up over them.
    pub(crate) fn put_latency(&self, topic: &TopicName, queue_id: QueueId, requests: u64, millis: u64) {
        self.topic(topic).queues.get_or_make(&queue_id).latency.add(millis, requests);
    }

    /// A group was given messages of a queue.
    pub(crate) fn get(&self, group: &GroupName, topic: &TopicName, queue_id: QueueId, messages: u64, bytes: u64) {
        let stats = self.of_group(group, topic);
        stats.get.add(messages, bytes, 1);
        if self.is_detailed() {
            stats.queues.get_or_make(&queue_id).get.add(messages, bytes, 1);
        }
        self.broker.get.add(messages, 0);
        if !self.system.contains(topic) {
            self.broker.get_user.add(messages, 0);
        }
    }

    /// Time from the arrival of a pull to its answer.
    pub(crate) fn get_latency(&self, group: &GroupName, topic: &TopicName, queue_id: QueueId, millis: u64) {
        let stats = self.of_group(group, topic);
        if self.is_detailed() {
            stats.queues.get_or_make(&queue_id).latency.add(millis, 1);
        } else {
            stats.latency.add(millis, 1);
        }
    }

    /// Of what a group was given, this was no longer in memory.
    pub(crate) fn get_from_disk(&self, group: &GroupName, topic: &TopicName, messages: u64, bytes: u64) {
        self.of_group(group, topic).get_from_disk.add(messages, bytes, 1);
        self.broker.get_from_disk.add(messages, bytes, 1);
    }

    /// A group acknowledged popped messages in one request.
    pub(crate) fn acknowledged(&self, group: &GroupName, topic: &TopicName, messages: u64) {
        self.of_group(group, topic).acknowledged.add(messages, 1);
        self.broker.acknowledged.add(messages, 0);
    }

    /// A lease of popped messages was stored.
    pub(crate) fn check_point(&self, group: &GroupName, topic: &TopicName) {
        self.of_group(group, topic).check_points.add(1, 1);
        self.broker.check_points.add(1, 0);
    }

    /// A consumer sent a message of the topic back.
    pub(crate) fn send_back(&self, group: &GroupName, topic: &TopicName) {
        self.of_group(group, topic).send_back.add(1, 1);
    }

    /// A message of the topic went to the group's dead letters.
    pub(crate) fn dead_letter(&self, group: &GroupName, topic: &TopicName) {
        self.of_group(group, topic).dead_letters.add(1, 1);
    }

    /// A heartbeat made a client a member of a consumer group, or kept it one; that took so long.
    pub(crate) fn consumer_joined(&self, millis: u64) {
        self.broker.consumers_joined.add(millis, 1);
    }

    /// A heartbeat made a client a member of a producer group, or kept it one; that took so long.
    pub(crate) fn producer_joined(&self, millis: u64) {
        self.broker.producers_joined.add(millis, 1);
    }

    /// What came into each topic since the start.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        let stored = self.topics.iter().filter(|stats| !stats.put.nums.is_untouched());
        let of = |topic: &TopicName, put: &Flow| Stored {
            topic: topic.clone(),
            messages: put.nums.value(),
            bytes: put.size.value(),
        };
        stored.map(|stats| of(stats.key(), &stats.put)).collect()
    }

    /// What each group got of each topic since the start.
    pub(crate) fn given(&self) -> Vec<Given> {
        let all: Vec<_> = self.topics.iter().map(|stats| (stats.key().clone(), Arc::clone(stats.value()))).collect();
        let of_groups = all.iter().flat_map(|(topic, stats)| {
            stats.groups.all().into_iter().map(|(group, stats)| Given {
                topic: topic.clone(),
                group,
                messages: stats.get.nums.value(),
                bytes: stats.get.size.value(),
                dead_letters: stats.dead_letters.value(),
            })
        });
        of_groups.collect()
    }

    /// Messages per second into a topic over the last minute.
    pub(crate) fn topic_put_tps(&self, topic: &str) -> f64 {
        self.topics.get(topic).map_or(0.0, |stats| stats.put.nums.tps())
    }

    /// Messages per second to a group out of a topic over the last minute.
    pub(crate) fn group_get_tps(&self, group: &GroupName, topic: &str) -> f64 {
        let stats = self.topics.get(topic).map(|stats| Arc::clone(stats.value()));
        stats.and_then(|stats| stats.groups.get(group)).map_or(0.0, |group| group.get.nums.tps())
    }

    /// Messages in and out since the start and at the last midnights, system topics left out.
    pub(crate) fn daily_totals(&self) -> DailyTotals {
        self.daily.totals(self.user_totals())
    }

    /// Forgets a deleted topic. Java: `onTopicDeleted`.
    pub(crate) fn topic_deleted(&self, topic: &str) {
        self.topics.remove(topic);
    }

    /// Forgets a deleted group. Java: `onGroupDeleted`.
    pub(crate) fn group_deleted(&self, group: &GroupName) {
        for topic in self.all_topics() {
            topic.groups.remove(group);
        }
    }

    /// Samples until the broker stops.
    pub(crate) fn start(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.ctx.tasks.spawn(async move {
            let mut ticks = interval(Span::Minute.period());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut tick = 0;
            loop {
                tokio::select! {
                    () = this.ctx.stopping.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let (stats, number) = (Arc::clone(&this), tick);
                tick += 1;
                // Hundreds of thousands of queues take a while.
                let sampled = tokio::task::spawn_blocking(move || stats.tick(number)).await;
                if let Err(err) = sampled {
                    tracing::error!(%err, "statistics were not sampled");
                }
            }
        });
        self.start_daily();
    }

    /// What is due at the tick of that number, one tick every 10 s.
    fn tick(&self, number: u64) {
        let now = self.ctx.clock.now();
        let every = |span: Span| span.period().as_secs() / Span::Minute.period().as_secs();
        for span in Span::ALL.into_iter().filter(|span| number.is_multiple_of(every(*span))) {
            self.sample(span, now);
        }
    }

    fn sample(&self, span: Span, now: Timestamp) {
        for topic in self.all_topics() {
            topic.sample(span, now);
        }
        self.broker.sample(span, now);
    }

    fn topic(&self, topic: &TopicName) -> Arc<TopicStats> {
        let together = (self.light_together && topic.starts_with(LIGHT_PREFIX)).then(|| TopicName::new(LIGHT_PREFIX));
        let topic = together.as_ref().unwrap_or(topic);
        if let Some(stats) = self.topics.get(topic) {
            return Arc::clone(stats.value());
        }
        Arc::clone(self.topics.entry(topic.clone()).or_default().value())
    }

    fn of_group(&self, group: &GroupName, topic: &TopicName) -> Arc<GroupStats> {
        let together = (self.light_together && group.starts_with(LIGHT_PREFIX)).then(|| GroupName::new(LIGHT_PREFIX));
        self.topic(topic).groups.get_or_make(together.as_ref().unwrap_or(group))
    }

    /// Copied out, so that counting need not wait.
    fn all_topics(&self) -> Vec<Arc<TopicStats>> {
        self.topics.iter().map(|stats| Arc::clone(stats.value())).collect()
    }

    fn is_detailed(&self) -> bool {
        self.ctx.config.borrow().enable_detail_stat
    }

    fn user_totals(&self) -> daily::Totals {
        daily::Totals { put: self.broker.put_user.value(), get: self.broker.get_user.value() }
    }
}

impl BrokerCounters {
    fn sample(&self, span: Span, now: Timestamp) {
        for counter in [
            &self.put,
            &self.get,
            &self.put_user,
            &self.get_user,
            &self.get_from_disk.nums,
            &self.get_from_disk.size,
            &self.acknowledged,
            &self.check_points,
            &self.connections_opened,
            &self.connections_idle,
            &self.connections_failed,
            &self.connections_closed,
            &self.consumers_joined,
            &self.producers_joined,
        ] {
            counter.sample(span, now);
        }
    }
}

impl ConnectionEvents for Stats {
    fn opened(&self, _: &Peer) {
        self.broker.connections_opened.add(1, 1);
    }

    fn idle(&self, _: &Peer) {
        self.broker.connections_idle.add(1, 1);
    }

    fn failed(&self, _: &Peer) {
        self.broker.connections_failed.add(1, 1);
    }

    fn closed(&self, _: &Peer) {
        self.broker.connections_closed.add(1, 1);
    }
}

#[cfg(test)]
mod tests;
