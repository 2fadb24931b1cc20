//! The table of topics and its file, `config/topics.json`.

use std::collections::BTreeSet;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use remoting::body::{DataVersion, TopicConfig, TopicConfigWrapper, TopicNews, fastjson};
use remoting::types::TopicName;
use tokio::sync::watch;

use super::attributes::{AttributeChanges, MESSAGE_TYPE, MIXED, TOPIC_ATTRIBUTES};
use super::changes::Changes;
use super::validate::{self, SystemTopics};
use super::{QUEUES_MAX, READ_WRITE, TopicError, boot, mapped};
use crate::context::Context;
use crate::persist::{Home, TableFile};
use crate::replica::Patch;

pub(crate) const FILE: &str = "topics.json";

/// The topics of this broker. Reading takes no lock that is held for long; changes are on disk when a method returns.
pub(crate) struct TopicTable {
    pub(super) ctx: Context,
    topics: DashMap<TopicName, Arc<TopicConfig>>,
    /// Held by whoever changes the table, so that versions and topics go together.
    changes: Mutex<Changes>,
    /// The step of `changes`.
    changed: watch::Sender<u64>,
    file: TableFile,
    system: SystemTopics,
    /// Topics of light queues exist, all of them. Java: `enableLmq`.
    light: bool,
}

impl TopicTable {
    /// Loads `topics.json` and adds the topics every broker has.
    ///
    /// # Errors
    /// [`TopicError::Load`], [`TopicError::Save`], [`TopicError::Static`].
    pub(crate) fn open(ctx: Context, home: impl Into<Home>) -> Result<Arc<Self>, TopicError> {
        let home = home.into();
        mapped::check(&home)?;
        let saved: TopicConfigWrapper = home.load(FILE)?.unwrap_or_else(|| TopicConfigWrapper {
            data_version: DataVersion::new(ctx.clock.now()),
            ..Default::default()
        });
        let topics: DashMap<_, _> = saved.topic_config_table.into_iter().collect();
        let mut new = false;
        for config in boot::topics(&ctx.identity, &ctx.settings()) {
            topics.entry(config.topic_name.clone()).or_insert_with(|| {
                new = true;
                Arc::new(config)
            });
        }
        let (system, light) = (SystemTopics::of(&ctx), ctx.settings().enable_lmq);
        let (changes, changed) = (Mutex::new(Changes::new(saved.data_version)), watch::channel(0).0);
        let table = Arc::new(Self { ctx, topics, changes, changed, file: home.file(FILE), system, light });
        if new {
            table.file.changed();
            table.save()?;
        }
        Ok(table)
    }

    /// A topic as it is now. Java: `selectTopicConfig`.
    pub(crate) fn get(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        let light = || self.is_light(topic).then(|| Arc::new(light_topic(topic)));
        self.topics.get(topic).map(|found| Arc::clone(found.value())).or_else(light)
    }

    /// Puts a topic in as a Java broker may have left it.
    #[cfg(test)]
    pub(crate) fn inherit(&self, config: TopicConfig) {
        self.topics.insert(config.topic_name.clone(), Arc::new(config));
    }

    /// Whether it is a topic that exists without being in the table: one light queue. Java: `MixAll.isLmq`.
    pub(crate) fn is_light(&self, topic: &str) -> bool {
        self.light && topic.starts_with(validate::LIGHT_PREFIX)
    }

    /// Whether the topic is one of the broker's own. Java: `TopicValidator.isSystemTopic`.
    pub(crate) fn is_system(&self, topic: &str) -> bool {
        self.system.contains(topic)
    }

    pub(crate) fn system_topics(&self) -> &BTreeSet<TopicName> {
        self.system.names()
    }

    /// How many topics there are.
    pub(crate) fn count(&self) -> usize {
        self.topics.len()
    }

    /// All topics with the data version they make up.
    pub(crate) fn snapshot(&self) -> TopicConfigWrapper {
        self.snapshot_with_step().1
    }

    pub(crate) fn version(&self) -> DataVersion {
        self.changes.lock().version
    }

    /// Counts changes; name servers are told when it moves.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How often the table has changed since the start.
    pub(crate) fn step(&self) -> u64 {
        *self.changed.borrow()
    }

    /// As [`TopicTable::snapshot`], with the step it is of.
    pub(crate) fn snapshot_with_step(&self) -> (u64, TopicConfigWrapper) {
        let changes = self.changes.lock();
        (changes.step(), self.wrap(&changes, self.topics.iter().map(|topic| Arc::clone(topic.value()))))
    }

    /// The topics that changed after `step`, with the step reached; `None` if that is too long ago to tell them apart.
    pub(crate) fn changed_since(&self, step: u64) -> Option<(u64, TopicConfigWrapper)> {
        let changes = self.changes.lock();
        let names = changes.since(step)?;
        Some((changes.step(), self.wrap(&changes, names.iter().filter_map(|topic| self.get(topic)))))
    }

    fn wrap(&self, changes: &Changes, topics: impl Iterator<Item = Arc<TopicConfig>>) -> TopicConfigWrapper {
        TopicConfigWrapper {
            data_version: changes.version,
            topic_config_table: topics.map(|topic| (topic.topic_name.clone(), topic)).collect(),
            ..TopicConfigWrapper::default()
        }
    }

    /// Creates or replaces a topic as an administrator wants it; the topic's attributes come from `attributes` alone.
    /// The same settings once more are no change.
    ///
    /// # Errors
    /// [`TopicError`]. Java: `AdminBrokerProcessor.updateAndCreateTopic`.
    pub(crate) fn put(
        &self,
        config: TopicConfig,
        attributes: &AttributeChanges,
    ) -> Result<Arc<TopicConfig>, TopicError> {
        let topic = config.topic_name.clone();
        let put = self.put_all(vec![(config, attributes.clone())])?;
        Ok(put.into_iter().next().unwrap_or_else(|| Arc::new(light_topic(&topic))))
    }

    /// As [`TopicTable::put`], all or none; light queues are left as they are.
    ///
    /// # Errors
    /// [`TopicError`].
    pub(crate) fn put_all(
        &self,
        wanted: Vec<(TopicConfig, AttributeChanges)>,
    ) -> Result<Vec<Arc<TopicConfig>>, TopicError> {
        let mut changes = self.changes.lock();
        let mut configs = Vec::with_capacity(wanted.len());
        for (mut config, attributes) in wanted {
            self.check(&config, &attributes)?;
            if self.is_light(&config.topic_name) {
                continue;
            }
            let current = self.get(&config.topic_name);
            config.attributes = attributes.apply(TOPIC_ATTRIBUTES, current.as_ref().map(|topic| &topic.attributes))?;
            configs.push((current, Arc::new(config)));
        }
        let new = configs.iter().filter(|(current, config)| current.as_ref() != Some(config)).map(|(_, config)| config);
        let new: Vec<_> = new.cloned().collect();
        if !new.is_empty() {
            self.store(&mut changes, &new);
        }
        drop(changes);
        self.save()?;
        Ok(configs.into_iter().map(|(_, config)| config).collect())
    }

    /// Java checks this before it looks at the topic.
    fn check(&self, config: &TopicConfig, attributes: &AttributeChanges) -> Result<(), TopicError> {
        let settings = self.ctx.settings();
        let topic = &config.topic_name;
        validate::check_topic(topic)?;
        self.check_not_system(topic)?;
        if !settings.enable_mixed_message_type && attributes.adds(MESSAGE_TYPE, MIXED) {
            return Err(TopicError::MixedType);
        }
        let wrong =
            [config.read_queue_nums, config.write_queue_nums].into_iter().find(|nums| !(0..=QUEUES_MAX).contains(nums));
        if let Some(queues) = wrong {
            return Err(TopicError::QueueNums { topic: topic.clone(), queues });
        }
        Ok(())
    }

    /// # Errors
    /// [`TopicError::System`], unless `validateSystemTopicWhenUpdateTopic` is off.
    pub(crate) fn check_not_system(&self, topic: &TopicName) -> Result<(), TopicError> {
        if self.ctx.settings().validate_system_topic_when_update_topic && self.is_system(topic) {
            return Err(TopicError::System { topic: topic.clone() });
        }
        Ok(())
    }

    /// Removes a topic; false if there was none. Its queues and offsets are others' business.
    ///
    /// # Errors
    /// [`TopicError::Save`]. Java: `deleteTopicConfig`.
    pub(crate) fn delete(&self, topic: &str) -> Result<bool, TopicError> {
        let mut changes = self.changes.lock();
        let Some((_, config)) = self.topics.remove(topic) else { return Ok(false) };
        tracing::info!(topic, ?config, "topic deleted");
        self.advance(&mut changes, [config.topic_name.clone()]);
        drop(changes);
        self.save()?;
        Ok(true)
    }

    /// Takes over what the leader of the group has changed.
    ///
    /// # Errors
    /// It is none of topics; nothing has changed.
    pub(crate) fn absorb(&self, patch: &Patch) -> serde_json::Result<()> {
        let (set, gone) = patch.entries::<Arc<TopicConfig>>("topicConfigTable")?;
        let mut changes = self.changes.lock();
        for topic in gone {
            self.topics.remove(topic.as_str());
        }
        for config in set.values() {
            self.topics.insert(config.topic_name.clone(), Arc::clone(config));
        }
        let gone = gone.iter().map(TopicName::new);
        self.advance(&mut changes, set.values().map(|config| config.topic_name.clone()).chain(gone));
        Ok(())
    }

    /// What changed after `step`, and the step reached: for slaves. All topics, if that is too long ago.
    pub(crate) fn news(&self, step: Option<u64>) -> (u64, TopicNews) {
        let changes = self.changes.lock();
        let data_version = changes.version;
        let news = match step.and_then(|step| changes.since(step)) {
            Some(names) => {
                let (set, gone): (Vec<_>, Vec<_>) =
                    names.into_iter().partition(|topic| self.topics.contains_key(topic));
                let set = set.iter().filter_map(|topic: &TopicName| self.get(topic)).collect();
                TopicNews { data_version, gone, set, whole: false }
            }
            None => {
                let set = self.topics.iter().map(|topic| Arc::clone(topic.value())).collect();
                TopicNews { data_version, gone: Vec::new(), set, whole: true }
            }
        };
        (changes.step(), news)
    }

    /// Takes over what the master of this slave has, and its version. The topics that went away; those that every broker has
    /// stay, as this one may be the master one day.
    ///
    /// Java: `SlaveSynchronize.syncTopicConfig`.
    pub(crate) fn copy(&self, news: TopicNews) -> Vec<TopicName> {
        let TopicNews { data_version, mut gone, set, whole } = news;
        let mut changes = self.changes.lock();
        if whole {
            let known: BTreeSet<&str> = set.iter().map(|config| config.topic_name.as_str()).collect();
            let here = self.topics.iter().map(|topic| topic.key().clone());
            gone.extend(here.filter(|topic| !known.contains(topic.as_str()) && !self.is_system(topic)));
        }
        gone.retain(|topic| self.topics.remove(topic).is_some());
        let is_news = |config: &Arc<TopicConfig>| {
            let old = self.topics.insert(config.topic_name.clone(), Arc::clone(config));
            old.is_none_or(|old| old != *config)
        };
        let changed: Vec<_> = set.iter().filter(|config| is_news(config)).collect();
        if !changed.is_empty() || !gone.is_empty() || changes.version != data_version {
            tracing::info!(changed = changed.len(), gone = gone.len(), whole, "topics are those of the master");
            let names = changed.iter().map(|config| config.topic_name.clone()).chain(gone.iter().cloned());
            self.advance(&mut changes, names);
            changes.version = data_version;
        }
        drop(changes);
        self.save_or_log();
        gone
    }

    /// Marks topics as ordered, as name servers know them. Java: `updateOrderTopicConfig`.
    pub(crate) fn mark_ordered<'a>(&self, topics: impl IntoIterator<Item = &'a str>) {
        let mut changes = self.changes.lock();
        let unordered = topics.into_iter().filter_map(|topic| self.get(topic)).filter(|config| !config.order);
        let ordered: Vec<_> =
            unordered.map(|config| Arc::new(TopicConfig { order: true, ..TopicConfig::clone(&config) })).collect();
        if !ordered.is_empty() {
            self.store(&mut changes, &ordered);
            drop(changes);
            self.save_or_log();
        }
    }

    /// Every topic looks different to name servers, because the broker's permission changed.
    pub(crate) fn touch(&self) {
        let mut changes = self.changes.lock();
        changes.next_of_all(self.ctx.clock.now());
        self.file.changed();
        self.changed.send_replace(changes.step());
        drop(changes);
        self.save_or_log();
    }

    /// Adds a topic unless it exists; the topic that exists then. It is on disk unless the disk fails.
    pub(super) fn add(&self, config: TopicConfig) -> Arc<TopicConfig> {
        let mut changes = self.changes.lock();
        if let Some(existing) = self.get(&config.topic_name) {
            return existing;
        }
        let config = Arc::new(config);
        self.store(&mut changes, std::slice::from_ref(&config));
        drop(changes);
        self.save_or_log();
        config
    }

    /// Replaces a topic by what `change` makes of it; `None` from it or no such topic: nothing happens.
    pub(super) fn change(&self, topic: &str, change: impl FnOnce(&TopicConfig) -> Option<TopicConfig>) {
        let mut changes = self.changes.lock();
        if let Some(config) = self.get(topic).and_then(|config| change(&config)) {
            self.store(&mut changes, &[Arc::new(config)]);
            drop(changes);
            self.save_or_log();
        }
    }

    fn store(&self, changes: &mut Changes, configs: &[Arc<TopicConfig>]) {
        for config in configs {
            let old = self.topics.insert(config.topic_name.clone(), Arc::clone(config));
            tracing::info!(topic = %config.topic_name, ?config, ?old, "topic created or changed");
        }
        self.advance(changes, configs.iter().map(|config| config.topic_name.clone()));
    }

    fn advance(&self, changes: &mut Changes, topics: impl IntoIterator<Item = TopicName>) {
        changes.next(self.ctx.clock.now(), topics);
        self.file.changed();
        self.changed.send_replace(changes.step());
    }

    fn save(&self) -> Result<(), TopicError> {
        Ok(self.file.save(|| fastjson::write(&self.snapshot()))?)
    }

    /// For changes that a client caused by sending or consuming: they go on, the next save tries again.
    fn save_or_log(&self) {
        let means = "the topic table could not be saved; a restart would forget its last changes";
        self.file.save_or_log(means, || fastjson::write(&self.snapshot()));
    }
}

/// Java: `LmqTopicConfigManager.simpleLmqTopicConfig`.
fn light_topic(topic: &str) -> TopicConfig {
    TopicConfig::new(topic, 1, READ_WRITE)
}
