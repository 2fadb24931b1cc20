//! Figures of any broker. Java: `BrokerMetricsManager`, `DefaultStoreMetricsManager`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Unit;
use remoting::body::ConsumeType;
use remoting::types::{GroupName, TopicName};
use store::message::StoredMessage;
use store::{FLUSH_TIME_ENDS, Store};

use super::page::{Labels, Named};
use super::{Page, Registry};
use crate::client::{Clients, Member};
use crate::context::Context;
use crate::group::GroupTable;
use crate::stats::Stats;
use crate::topic::TopicTable;
use crate::topic::validate::is_system_group;

const PERMISSION: Named = ("rocketmq_broker_permission", None, "What clients may do: 4 read, 2 write, 6 both");
const TOPICS: Named = ("rocketmq_topic_number", None, "Topics, those of the system included");
const GROUPS: Named = ("rocketmq_consumer_group_number", None, "Consumer groups, those of the system included");
const PUT_MESSAGES: Named = ("rocketmq_topic_put_messages", None, "Messages that were stored");
const PUT_BYTES: Named = ("rocketmq_topic_put", Some(Unit::Bytes), "Bytes of the messages that were stored");
const OUT_MESSAGES: Named = ("rocketmq_messages_out", None, "Messages that consumer groups were given");
const OUT_BYTES: Named = ("rocketmq_throughput_out", None, "Bytes of the messages that consumer groups were given");
const DEAD_LETTERS: Named = ("rocketmq_send_to_dlq_messages", None, "Messages that became dead letters");
const PRODUCERS: Named = ("rocketmq_producer_connections", None, "Producers that are connected");
const CONSUMERS: Named = ("rocketmq_consumer_connections", None, "Consumers that are connected");
const SIZE: Named =
    ("rocketmq_storage_size", Some(Unit::Bytes), "Used bytes of the whole partition that the store is on");
const FLUSH_BEHIND: Named =
    ("rocketmq_storage_flush_behind", Some(Unit::Bytes), "Bytes of the log that are not on disk");
const DISPATCH_BEHIND: Named =
    ("rocketmq_storage_dispatch_behind", Some(Unit::Bytes), "Bytes of the log that are not in the queues");
const RESERVE_TIME: &str = "rocketmq_storage_message_reserve_time";
const FLUSH_TIME: (&str, &str) = ("rocketmq_storage_flush_time", "Time that flushes of the log took");
const FLUSH_TIME_MAX: Named =
    ("rocketmq_storage_flush_time_max", Some(Unit::Seconds), "Longest flush of the log since the start");
const FLUSH_UNDER_WAY: Named = (
    "rocketmq_storage_flush_under_way",
    Some(Unit::Seconds),
    "How long the flush that is under way has taken so far; 0 if none is",
);

/// What has figures.
#[derive(Clone)]
pub(crate) struct Rooms {
    pub(crate) ctx: Context,
    pub(crate) store: Arc<Store>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) stats: Arc<Stats>,
}

impl Rooms {
    pub(crate) fn registry(self) -> Registry {
        let settings = self.ctx.settings();
        let mut registry = Registry::new(&self.ctx.identity, &settings);
        let mut add = |wanted: bool, tell: fn(&Self, &mut Page<'_>) -> fmt::Result| {
            if wanted {
                let rooms = self.clone();
                registry.add(move |page| tell(&rooms, page));
            }
        };
        add(settings.enable_stats_metrics, Self::tables);
        add(settings.enable_request_metrics, Self::traffic);
        add(settings.enable_lag_and_dlq_metrics, Self::dead_letters);
        add(settings.enable_connection_metrics, Self::connections);
        add(settings.enable_message_store_metrics, Self::storage);
        registry
    }

    fn tables(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(PERMISSION, self.ctx.settings().broker_permission)?;
        page.gauge(TOPICS, self.topics.count() as f64)?;
        page.gauge(GROUPS, self.groups.count() as f64)
    }

    fn traffic(&self, page: &mut Page<'_>) -> fmt::Result {
        let stored = self.stats.stored();
        let labels = |topic: &TopicName| vec![("topic", topic.to_string()), self.is_system(topic, "")];
        page.counters(PUT_MESSAGES, stored.iter().map(|of| (labels(&of.topic), of.messages)))?;
        page.counters(PUT_BYTES, stored.iter().map(|of| (labels(&of.topic), of.bytes)))?;
        let given = self.stats.given();
        page.counters(OUT_MESSAGES, given.iter().map(|of| (self.of_group(&of.topic, &of.group), of.messages)))?;
        page.counters(OUT_BYTES, given.iter().map(|of| (self.of_group(&of.topic, &of.group), of.bytes)))
    }

    fn dead_letters(&self, page: &mut Page<'_>) -> fmt::Result {
        let given = self.stats.given();
        let dead = given.iter().filter(|of| of.dead_letters > 0);
        page.counters(DEAD_LETTERS, dead.map(|of| (self.of_group(&of.topic, &of.group), of.dead_letters)))
    }

    fn of_group(&self, topic: &TopicName, group: &GroupName) -> Labels {
        vec![("topic", topic.to_string()), ("consumer_group", group.to_string()), self.is_system(topic, group)]
    }

    /// Java: `BrokerMetricsManager.isSystem`.
    fn is_system(&self, topic: &str, group: &str) -> (&'static str, String) {
        ("is_system", (self.topics.is_system(topic) || is_system_group(group)).to_string())
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut producers = BTreeMap::new();
        for (_, members) in self.clients.producers.snapshot() {
            members.iter().for_each(|member| *producers.entry(of_member(member)).or_insert(0.0) += 1.0);
        }
        page.gauges(PRODUCERS, producers)?;
        let mut consumers = BTreeMap::new();
        for group in self.clients.consumers.groups() {
            let mode = match group.consume_type {
                ConsumeType::ConsumeActively => "pull",
                ConsumeType::ConsumePassively => "push",
                ConsumeType::ConsumePop => "pop",
            };
            let of_group = [
                ("consumer_group", group.name.to_string()),
                ("consume_mode", mode.to_owned()),
                ("is_system", is_system_group(&group.name).to_string()),
            ];
            for member in group.members() {
                let labels: Labels = of_member(member).into_iter().chain(of_group.clone()).collect();
                *consumers.entry(labels).or_insert(0.0) += 1.0;
            }
        }
        page.gauges(CONSUMERS, consumers)
    }

    fn storage(&self, page: &mut Page<'_>) -> fmt::Result {
        let figures = self.store.figures();
        let labels: Labels = vec![("storage_type", "local".into()), ("storage_medium", "disk".into())];
        let gauge = |page: &mut Page<'_>, named: Named, value: f64| page.gauges(named, [(labels.clone(), value)]);
        let root = self.ctx.settings().store_path_root_dir.clone();
        if let Ok(disk) = rustix::fs::statvfs(&root) {
            gauge(page, SIZE, (disk.f_blocks.saturating_sub(disk.f_bfree) * disk.f_frsize) as f64)?;
        }
        let behind = figures.max_physical_offset.0.saturating_sub(figures.flushed_offset.0).max(0);
        gauge(page, FLUSH_BEHIND, behind as f64)?;
        gauge(page, DISPATCH_BEHIND, figures.dispatch_behind_bytes as f64)?;
        if let Some(age) = self.age_ms() {
            let unit = Unit::Other("milliseconds".to_owned());
            gauge(page, (RESERVE_TIME, Some(unit), "Age of the oldest message that is kept"), age as f64)?;
        }
        let flushes = figures.flushes;
        gauge(page, FLUSH_TIME_MAX, flushes.longest.as_secs_f64())?;
        gauge(page, FLUSH_UNDER_WAY, flushes.under_way.unwrap_or_default().as_secs_f64())?;
        page.times(FLUSH_TIME, &labels, flushes.total, &FLUSH_TIME_ENDS, &flushes.counts)
    }

    /// Of the oldest message, if there is one.
    fn age_ms(&self) -> Option<i64> {
        let first = self.store.record_at(self.store.min_physical_offset())?;
        let stored = StoredMessage::parse(&first).ok()?.store_timestamp;
        Some((self.ctx.clock.now().0 - stored.0).max(0))
    }
}

fn of_member(member: &Member) -> Labels {
    vec![
        ("language", member.language.name().to_lowercase()),
        ("version", member.version.to_string().to_lowercase()),
        ("protocol_type", "remoting".to_owned()),
    ]
}
