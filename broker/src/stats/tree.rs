//! Counters by topic, and there by queue and by group.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;
use remoting::types::{GroupName, QueueId, Timestamp};

use super::counter::{Counter, Span};

/// Messages and their bytes.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) nums: Counter,
    pub(super) size: Counter,
}

impl Flow {
    pub(super) fn add(&self, messages: u64, bytes: u64, calls: u64) {
        self.nums.add(messages, calls);
        self.size.add(bytes, calls);
    }

    fn sample(&self, span: Span, now: Timestamp) {
        self.nums.sample(span, now);
        self.size.sample(span, now);
    }
}

/// What came into a topic and went out of it.
#[derive(Debug, Default)]
pub(super) struct TopicStats {
    pub(super) put: Flow,
    pub(super) queues: Children<QueueId, QueuePut>,
    pub(super) groups: Children<GroupName, GroupStats>,
}

#[derive(Debug, Default)]
pub(super) struct QueuePut {
    pub(super) put: Flow,
    pub(super) latency: Counter,
}

/// What one group got of one topic.
#[derive(Debug, Default)]
pub(super) struct GroupStats {
    pub(super) get: Flow,
    pub(super) get_from_disk: Flow,
    /// Only without detail; else it is counted by queue.
    pub(super) latency: Counter,
    pub(super) send_back: Counter,
    pub(super) dead_letters: Counter,
    /// Popped messages.
    pub(super) acknowledged: Counter,
    /// Leases of popped messages.
    pub(super) check_points: Counter,
    pub(super) queues: Children<QueueId, QueueGet>,
}

#[derive(Debug, Default)]
pub(super) struct QueueGet {
    pub(super) get: Flow,
    pub(super) latency: Counter,
}

impl TopicStats {
    pub(super) fn sample(&self, span: Span, now: Timestamp) {
        self.put.sample(span, now);
        for (_, queue) in self.queues.all() {
            queue.put.sample(span, now);
            queue.latency.sample(span, now);
        }
        for (_, group) in self.groups.all() {
            group.sample(span, now);
        }
    }
}

impl GroupStats {
    fn sample(&self, span: Span, now: Timestamp) {
        self.get.sample(span, now);
        self.get_from_disk.sample(span, now);
        for counter in [&self.latency, &self.send_back, &self.dead_letters, &self.acknowledged, &self.check_points] {
            counter.sample(span, now);
        }
        for (_, queue) in self.queues.all() {
            queue.get.sample(span, now);
            queue.latency.sample(span, now);
        }
    }
}

/// Nodes below a node; made when first counted.
#[derive(Debug)]
pub(super) struct Children<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Children<K, V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Clone, V: Default> Children<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.0.read().get(key).map(Arc::clone)
    }

    pub(super) fn get_or_make(&self, key: &K) -> Arc<V> {
        self.get(key).unwrap_or_else(|| Arc::clone(self.0.write().entry(key.clone()).or_default()))
    }

    pub(super) fn remove(&self, key: &K) {
        self.0.write().remove(key);
    }

    pub(super) fn all(&self) -> Vec<(K, Arc<V>)> {
        self.0.read().iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect()
    }
}
