//! Figures by the names and keys that tools ask for. Java: `Stats`, `BrokerStatsManager.getStatsItem`.

use std::sync::Arc;

use remoting::body::BrokerStatsData;
use remoting::types::{GroupName, QueueId};

use super::Stats;
use super::counter::Counter;
use super::tree::{GroupStats, QueueGet, QueuePut, TopicStats};

impl Stats {
    /// A figure over the last minute, hour and day; `None` for a name or key under which nothing was counted.
    ///
    /// Topics and groups cannot hold an `@`, so keys are split at it.
    pub(crate) fn view(&self, name: &str, key: &str) -> Option<BrokerStatsData> {
        match name {
            "TOPIC_PUT_NUMS" => self.at(key)?.put.nums.data(),
            "TOPIC_PUT_SIZE" => self.at(key)?.put.size.data(),
            "TOPIC_PUT_LATENCY" => {
                let (queue, topic) = key.split_once('@')?;
                self.queue(topic, queue)?.latency.data()
            }
            "QUEUE_PUT_NUMS" => self.queue_of(key)?.put.nums.data(),
            "QUEUE_PUT_SIZE" => self.queue_of(key)?.put.size.data(),
            "GROUP_GET_NUMS" => self.group(key)?.get.nums.data(),
            "GROUP_GET_SIZE" => self.group(key)?.get.size.data(),
            "GROUP_GET_FROM_DISK_NUMS" => self.group(key)?.get_from_disk.nums.data(),
            "GROUP_GET_FROM_DISK_SIZE" => self.group(key)?.get_from_disk.size.data(),
            "GROUP_ACK_NUMS" => self.group(key)?.acknowledged.data(),
            "GROUP_CK_NUMS" => self.group(key)?.check_points.data(),
            "SNDBCK_PUT_NUMS" => self.group(key)?.send_back.data(),
            "SNDBCK2DLQ_TIMES" => self.group(commercial(key, "SEND_BACK_TO_DLQ")?)?.dead_letters.data(),
            "GROUP_GET_LATENCY" => match key.split('@').collect::<Vec<_>>()[..] {
                [queue, topic, group] => self.group_queue(topic, queue, group)?.latency.data(),
                _ => self.group(key)?.latency.data(),
            },
            "QUEUE_GET_NUMS" => self.group_queue_of(key)?.get.nums.data(),
            "QUEUE_GET_SIZE" => self.group_queue_of(key)?.get.size.data(),
            _ => self.broker_counter(name, key)?.data(),
        }
    }

    fn broker_counter(&self, name: &str, key: &str) -> Option<&Counter> {
        let counters = &self.broker;
        if name == "CHANNEL_ACTIVITY" {
            return match key {
                "CONNECT" => Some(&counters.connections_opened),
                "IDLE" => Some(&counters.connections_idle),
                "EXCEPTION" => Some(&counters.connections_failed),
                "CLOSE" => Some(&counters.connections_closed),
                _ => None,
            };
        }
        if key != &*self.ctx.identity.cluster {
            return None;
        }
        match name {
            "BROKER_PUT_NUMS" => Some(&counters.put),
            "BROKER_GET_NUMS" => Some(&counters.get),
            "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC" => Some(&counters.put_user),
            "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC" => Some(&counters.get_user),
            "BROKER_ACK_NUMS" => Some(&counters.acknowledged),
            "BROKER_CK_NUMS" => Some(&counters.check_points),
            "BROKER_GET_FROM_DISK_NUMS" => Some(&counters.get_from_disk.nums),
            "CONSUMER_REGISTER_TIME" => Some(&counters.consumers_joined),
            "PRODUCER_REGISTER_TIME" => Some(&counters.producers_joined),
            "BROKER_GET_FROM_DISK_SIZE" => Some(&counters.get_from_disk.size),
            _ => None,
        }
    }

    fn at(&self, topic: &str) -> Option<Arc<TopicStats>> {
        self.topics.get(topic).map(|stats| Arc::clone(stats.value()))
    }

    fn queue(&self, topic: &str, queue: &str) -> Option<Arc<QueuePut>> {
        self.at(topic)?.queues.get(&number(queue)?)
    }

    /// `topic@queue`
    fn queue_of(&self, key: &str) -> Option<Arc<QueuePut>> {
        let (topic, queue) = key.split_once('@')?;
        self.queue(topic, queue)
    }

    /// `topic@group`
    fn group(&self, key: &str) -> Option<Arc<GroupStats>> {
        let (topic, group) = key.split_once('@')?;
        self.at(topic)?.groups.get(&GroupName::new(group))
    }

    fn group_queue(&self, topic: &str, queue: &str, group: &str) -> Option<Arc<QueueGet>> {
        self.at(topic)?.groups.get(&GroupName::new(group))?.queues.get(&number(queue)?)
    }

    /// `topic@queue@group`
    fn group_queue_of(&self, key: &str) -> Option<Arc<QueueGet>> {
        let (topic, rest) = key.split_once('@')?;
        let (queue, group) = rest.split_once('@')?;
        self.group_queue(topic, queue, group)
    }
}

fn number(queue: &str) -> Option<QueueId> {
    queue.parse().ok()
}

/// The `topic@group` of `owner@topic@group@kind`.
fn commercial<'a>(key: &'a str, kind: &str) -> Option<&'a str> {
    let (_owner, rest) = key.split_once('@')?;
    rest.strip_suffix(kind)?.strip_suffix('@')
}
