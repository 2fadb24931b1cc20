//! All offsets of all groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::RwLock;
use remoting::types::{GroupName, QueueId, QueueOffset, TopicName};
use store::LIGHT_QUEUE;

use super::progress::{Era, Progress};
use crate::topic::validate::LIGHT_PREFIX;

/// Group, then topic, then queue. Java keeps one table by `topic@group`; by group first, nothing is joined to look
/// something up, and a group goes in one step.
#[derive(Default)]
pub(crate) struct Table {
    groups: DashMap<GroupName, Arc<Topics>>,
    era: Arc<Era>,
}

type Topics = RwLock<HashMap<TopicName, Arc<Progress>>>;

/// Between topic and group in the key of Java's table.
pub(super) const SEPARATOR: char = '@';

impl Table {
    pub(crate) fn find(&self, group: &str, topic: &str) -> Option<Arc<Progress>> {
        let topics = self.topics(group)?;
        topics.read().get(topic).cloned()
    }

    /// As [`Table::find`]; a group new to the topic gets an entry.
    pub(crate) fn progress(&self, group: &GroupName, topic: &TopicName) -> Arc<Progress> {
        if let Some(known) = self.find(group, topic) {
            return known;
        }
        let topics = Arc::clone(&self.groups.entry(group.clone()).or_default());
        let new = || Arc::new(Progress::new(&self.era));
        Arc::clone(topics.write().entry(topic.clone()).or_insert_with(new))
    }

    /// Topics the group has committed offsets of. Java: `ConsumerOffsetManager.whichTopicByConsumer`.
    pub(crate) fn topics_of(&self, group: &str) -> Vec<TopicName> {
        let committed = self.by_topic(group).into_iter().filter(|(_, progress)| !progress.committed().is_empty());
        committed.map(|(topic, _)| topic).collect()
    }

    /// Groups with committed offsets of the topic. Java: `ConsumerOffsetManager.whichGroupByTopic`.
    pub(crate) fn groups_of(&self, topic: &str) -> Vec<GroupName> {
        // Names with a separator belong to the offsets that a broker keeps for broadcasting groups.
        let mut groups = self.groups();
        groups.retain(|group| {
            let known = self.find(group, topic).is_some_and(|progress| !progress.committed().is_empty());
            known && !group.contains(SEPARATOR)
        });
        groups
    }

    pub(crate) fn remove_group(&self, group: &str) {
        self.groups.remove(group);
    }

    pub(crate) fn remove_topic(&self, topic: &str) {
        for group in self.groups() {
            if let Some(topics) = self.topics(&group) {
                topics.write().remove(topic);
            }
        }
    }

    pub(crate) fn groups(&self) -> Vec<GroupName> {
        self.groups.iter().map(|entry| entry.key().clone()).collect()
    }

    /// What Java's files and wire hold: offsets by queue, by `topic@group`.
    pub(super) fn to_java(&self) -> BTreeMap<String, BTreeMap<i32, i64>> {
        let mut table = BTreeMap::new();
        for group in self.groups() {
            for (topic, progress) in self.by_topic(&group) {
                let offsets: BTreeMap<_, _> =
                    progress.committed().into_iter().map(|(queue, offset)| (queue.0, offset.0)).collect();
                if !offsets.is_empty() {
                    table.insert(format!("{topic}{SEPARATOR}{group}"), offsets);
                }
            }
        }
        table
    }

    /// As [`Table::to_java`], what changed in `era` or later, all if there is none; with the era of what changes from now on.
    pub(super) fn changed_since(&self, era: Option<u64>) -> (u64, BTreeMap<String, BTreeMap<i32, i64>>) {
        let next = self.era.next();
        let mut table = BTreeMap::new();
        for group in self.groups() {
            for (topic, progress) in self.by_topic(&group) {
                let Some(changed) = progress.changed_since(era.unwrap_or(0)) else { continue };
                if !changed.is_empty() {
                    let offsets = changed.into_iter().map(|(queue, offset)| (queue.0, offset.0)).collect();
                    table.insert(format!("{topic}{SEPARATOR}{group}"), offsets);
                }
            }
        }
        (next, table)
    }

    /// Entries whose key has no separator are left out; Java could not use them either.
    pub(super) fn from_java(table: BTreeMap<String, BTreeMap<i32, i64>>) -> Self {
        let this = Self::default();
        this.add(table);
        this
    }

    pub(super) fn add(&self, table: BTreeMap<String, BTreeMap<i32, i64>>) {
        for (key, offsets) in table {
            let Some((topic, group)) = key.split_once(SEPARATOR) else {
                tracing::warn!(key, "an offset entry that is not topic@group is left out");
                continue;
            };
            let progress = self.progress(&group.into(), &topic.into());
            for (queue, offset) in offsets {
                progress.commit(QueueId(queue), QueueOffset(offset));
            }
        }
    }

    /// Takes over offsets by queue as they are. `key`: `topic@group`.
    pub(super) fn copy(&self, key: &str, offsets: BTreeMap<i32, i64>) {
        let Some((topic, group)) = key.split_once(SEPARATOR) else { return };
        if offsets.is_empty() {
            return;
        }
        let progress = self.progress(&group.into(), &topic.into());
        offsets.into_iter().for_each(|(queue, offset)| progress.copy(QueueId(queue), QueueOffset(offset)));
    }

    /// `key`: `topic@group`.
    pub(super) fn drop(&self, key: &str) {
        if let Some((topic, group)) = key.split_once(SEPARATOR)
            && let Some(topics) = self.topics(group)
        {
            topics.write().remove(topic);
        }
    }

    /// Offsets of the groups of light queues, by `topic@group`.
    pub(super) fn add_light(&self, table: BTreeMap<String, i64>) {
        for (key, offset) in table {
            if let Some((topic, group)) = key.split_once(SEPARATOR) {
                self.progress(&group.into(), &topic.into()).commit(LIGHT_QUEUE, QueueOffset(offset));
            }
        }
    }

    fn topics(&self, group: &str) -> Option<Arc<Topics>> {
        self.groups.get(group).map(|topics| Arc::clone(&topics))
    }

    fn by_topic(&self, group: &str) -> Vec<(TopicName, Arc<Progress>)> {
        let Some(topics) = self.topics(group) else { return Vec::new() };
        let topics = topics.read();
        topics.iter().map(|(topic, progress)| (topic.clone(), Arc::clone(progress))).collect()
    }
}

/// Takes the groups of light queues out of what [`Table::to_java`] made; Java keeps one offset of each topic for them.
pub(super) fn take_light(table: &mut BTreeMap<String, BTreeMap<i32, i64>>) -> BTreeMap<String, i64> {
    let is_light = |key: &str| key.split_once(SEPARATOR).is_some_and(|(_, group)| group.starts_with(LIGHT_PREFIX));
    let taken = table.extract_if(.., |key, _| is_light(key));
    taken.filter_map(|(key, offsets)| Some((key, *offsets.get(&LIGHT_QUEUE.0)?))).collect()
}
