//! The table of groups and its file, `config/subscriptionGroup.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use remoting::body::{DataVersion, SubscriptionGroupConfig, SubscriptionGroupWrapper, fastjson};
use remoting::types::{GroupName, TopicName};

use super::attributes::GROUP_ATTRIBUTES;
use super::{GroupError, boot};
use crate::context::Context;
use crate::persist::{Home, TableFile};
use crate::replica::Patch;
use crate::topic::{AttributeChanges, validate};

pub(crate) const FILE: &str = "subscriptionGroup.json";

/// Java: `PermName.INDEX_PERM_READ`, the number of the bit.
const FORBID_READ: i32 = 1 << 2;

/// The consumer groups of this broker. Changes are on disk when a method returns.
pub(crate) struct GroupTable {
    ctx: Context,
    groups: DashMap<GroupName, Arc<SubscriptionGroupConfig>>,
    /// What a group must not do with a topic, as permission bits; nearly always empty.
    forbidden: DashMap<GroupName, BTreeMap<TopicName, i32>>,
    /// Held by whoever changes the table.
    version: Mutex<DataVersion>,
    file: TableFile,
    /// Groups of light queues exist, all of them. Java: `enableLmq`.
    light: bool,
}

impl GroupTable {
    /// Loads `subscriptionGroup.json` and adds the groups every broker has.
    ///
    /// # Errors
    /// [`GroupError::Load`], [`GroupError::Save`].
    pub(crate) fn open(ctx: Context, home: impl Into<Home>) -> Result<Arc<Self>, GroupError> {
        let home = home.into();
        let saved: SubscriptionGroupWrapper = home.load(FILE)?.unwrap_or_else(|| SubscriptionGroupWrapper {
            data_version: DataVersion::new(ctx.clock.now()),
            ..Default::default()
        });
        let groups: DashMap<_, _> = saved.subscription_group_table.into_iter().collect();
        let mut new = false;
        for config in boot::groups() {
            groups.entry(config.group_name.clone()).or_insert_with(|| {
                new = true;
                Arc::new(config)
            });
        }
        let forbidden = saved.forbidden_table.into_iter().collect();
        let version = Mutex::new(saved.data_version);
        let light = ctx.settings().enable_lmq;
        let table = Arc::new(Self { ctx, groups, forbidden, version, file: home.file(FILE), light });
        if new {
            table.file.changed();
            table.save()?;
        }
        Ok(table)
    }

    /// A group as it is now; never creates one.
    pub(crate) fn get(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        // Java: `LmqSubscriptionGroupManager`.
        let light = || self.is_light(group).then(|| Arc::new(SubscriptionGroupConfig::new(group)));
        self.groups.get(group).map(|found| Arc::clone(found.value())).or_else(light)
    }

    /// Whether it is a group that exists without being in the table.
    fn is_light(&self, group: &str) -> bool {
        self.light && group.starts_with(validate::LIGHT_PREFIX)
    }

    /// A group, created if it is unknown and may be: its name is legal, and groups are created on first use or it is a
    /// system group. Java: `findSubscriptionGroupConfig`.
    pub(crate) fn find(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(existing) = self.get(group) {
            return Some(existing);
        }
        let settings = self.ctx.settings();
        let allowed = settings.auto_create_subscription_group
            || (settings.enable_create_sys_group && validate::is_system_group(group));
        if !allowed || validate::check_group(group).is_err() {
            return None;
        }
        let mut version = self.version.lock();
        if let Some(existing) = self.get(group) {
            return Some(existing);
        }
        let config = Arc::new(SubscriptionGroupConfig::new(group));
        self.store(&mut version, Arc::clone(&config));
        drop(version);
        let means = "the group table could not be saved; a restart would forget its last changes";
        self.file.save_or_log(means, || fastjson::write(&self.snapshot()));
        Some(config)
    }

    /// How many groups there are.
    pub(crate) fn count(&self) -> usize {
        self.groups.len()
    }

    /// All groups with the data version they make up.
    pub(crate) fn snapshot(&self) -> SubscriptionGroupWrapper {
        let version = self.version.lock();
        SubscriptionGroupWrapper {
            data_version: *version,
            forbidden_table: self.forbidden.iter().map(|group| (group.key().clone(), group.value().clone())).collect(),
            subscription_group_table: self
                .groups
                .iter()
                .map(|group| (group.key().clone(), Arc::clone(group.value())))
                .collect(),
        }
    }

    /// Creates or replaces groups, all or none. The attributes of each are changes, with signed keys.
    ///
    /// # Errors
    /// [`GroupError`]. Java: `updateSubscriptionGroupConfigList`.
    pub(crate) fn put_all(&self, wanted: Vec<SubscriptionGroupConfig>) -> Result<(), GroupError> {
        let mut version = self.version.lock();
        let mut configs = Vec::with_capacity(wanted.len());
        for mut config in wanted {
            validate::check_group(&config.group_name)?;
            if self.is_light(&config.group_name) {
                continue;
            }
            let current = self.get(&config.group_name);
            let changes = AttributeChanges::signed(std::mem::take(&mut config.attributes));
            config.attributes = changes.apply(GROUP_ATTRIBUTES, current.as_ref().map(|group| &group.attributes))?;
            configs.push(config);
        }
        for config in configs {
            self.store(&mut version, Arc::new(config));
        }
        drop(version);
        self.save()
    }

    /// Takes over what the leader of the broker's Raft group has changed.
    ///
    /// # Errors
    /// It is none of consumer groups; nothing has changed.
    pub(crate) fn absorb(&self, patch: &Patch) -> serde_json::Result<()> {
        let (set, gone) = patch.entries::<Arc<SubscriptionGroupConfig>>("subscriptionGroupTable")?;
        let mut version = self.version.lock();
        for group in gone {
            self.groups.remove(group.as_str());
        }
        for config in set.into_values() {
            self.groups.insert(config.group_name.clone(), config);
        }
        self.step(&mut version);
        Ok(())
    }

    /// Grows with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.file.step()
    }

    /// Takes over what the master of this slave has, and its version; the groups that went away.
    ///
    /// Java: `SlaveSynchronize.syncSubscriptionGroupConfig`.
    pub(crate) fn copy(&self, master: SubscriptionGroupWrapper) -> Vec<GroupName> {
        let SubscriptionGroupWrapper { data_version, forbidden_table, subscription_group_table: wanted } = master;
        let mut version = self.version.lock();
        let is_kept = |group: &GroupName| wanted.contains_key(group) || validate::is_system_group(group);
        let here = self.groups.iter().map(|group| group.key().clone());
        let mut gone: Vec<GroupName> = here.filter(|group| !is_kept(group)).collect();
        gone.retain(|group| self.groups.remove(group).is_some());
        for (group, config) in wanted {
            self.groups.insert(group, config);
        }
        self.forbidden.retain(|group, _| forbidden_table.contains_key(group));
        for (group, topics) in forbidden_table {
            self.forbidden.insert(group, topics);
        }
        if *version != data_version {
            tracing::info!(groups = self.groups.len(), gone = gone.len(), "consumer groups are those of the master");
        }
        *version = data_version;
        self.file.changed();
        drop(version);
        let means = "the group table could not be saved; a restart would forget its last changes";
        self.file.save_or_log(means, || fastjson::write(&self.snapshot()));
        gone
    }

    /// Removes a group and what it was forbidden; false if there was none. Its offsets are others' business.
    ///
    /// # Errors
    /// [`GroupError::Save`]. Java: `deleteSubscriptionGroupConfig`.
    pub(crate) fn delete(&self, group: &str) -> Result<bool, GroupError> {
        let mut version = self.version.lock();
        self.forbidden.remove(group);
        let Some((_, config)) = self.groups.remove(group) else { return Ok(false) };
        tracing::info!(group, ?config, "consumer group deleted");
        self.step(&mut version);
        drop(version);
        self.save()?;
        Ok(true)
    }

    /// Whether the group was forbidden to read the topic. Java: `getForbidden` with `INDEX_PERM_READ`.
    pub(crate) fn is_read_forbidden(&self, group: &str, topic: &str) -> bool {
        // Asked for every pull, while hardly any broker forbids anything.
        !self.forbidden.is_empty()
            && self
                .forbidden
                .get(group)
                .is_some_and(|topics| topics.get(topic).is_some_and(|bits| bits & FORBID_READ != 0))
    }

    /// # Errors
    /// [`GroupError::Save`]. Java: `updateForbidden`, which forgets a group's other topics when one becomes readable.
    pub(crate) fn forbid_read(&self, group: &GroupName, topic: &TopicName, forbid: bool) -> Result<(), GroupError> {
        let mut version = self.version.lock();
        if forbid {
            *self.forbidden.entry(group.clone()).or_default().entry(topic.clone()).or_default() |= FORBID_READ;
        } else if let Some(mut topics) = self.forbidden.get_mut(group) {
            let bits = topics.get(topic).map_or(0, |bits| bits & !FORBID_READ);
            if bits == 0 {
                topics.remove(topic);
            } else {
                topics.insert(topic.clone(), bits);
            }
        }
        self.forbidden.remove_if(group, |_, topics| topics.is_empty());
        self.step(&mut version);
        drop(version);
        self.save()
    }

    fn store(&self, version: &mut DataVersion, config: Arc<SubscriptionGroupConfig>) {
        let old = self.groups.insert(config.group_name.clone(), Arc::clone(&config));
        tracing::info!(group = %config.group_name, ?config, ?old, "consumer group created or changed");
        self.step(version);
    }

    /// Java: `DataVersion.nextVersion`.
    fn step(&self, version: &mut DataVersion) {
        *version = version.next(self.ctx.clock.now());
        self.file.changed();
    }

    fn save(&self) -> Result<(), GroupError> {
        Ok(self.file.save(|| fastjson::write(&self.snapshot()))?)
    }
}
