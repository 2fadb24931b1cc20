//! A DLedger group gives its work to a new broker set.

use std::collections::{BTreeMap, BTreeSet};

use remoting::body::MessageModel;
use remoting::types::GroupName;
use tokio::time::Instant;

use super::Runner;
use super::wait::Look;
use super::writes::AGAIN;
use crate::migrate::checks::some;
use crate::migrate::desk::AskError;
use crate::migrate::hooks::Act;
use crate::migrate::notes::queues;
use crate::migrate::survey::is_internal;
use crate::migrate::{MigrateError, say};

/// By `topic@group` and queue.
type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

const RECHECK: &str = "recheckReputOffsetFromCq";

/// Before each pair of a delay level's numbers: how far it is, and how far it has to go.
const DELAY: &str = "scheduleMessageOffset_";

impl Runner<'_> {
    /// Has all members of a broker set start, and waits for its master.
    pub(super) async fn start_set(&mut self, set: &str) -> Result<(), MigrateError> {
        if self.master_of(set).await.is_none() {
            self.act_on_set(set, Act::StartFerromq).await?;
        }
        self.until(&format!("{set} is to serve"), async || {
            let Some(master) = self.master_of(set).await else {
                return Ok(Look::not_yet("no name server knows a master of it yet"));
            };
            Ok(self.desk.config(&master).await.map_or_else(Look::not_yet, |_| Look::Reached(())))
        })
        .await
    }

    pub(super) async fn stop_set(&mut self, set: &str) -> Result<(), MigrateError> {
        let members = self.members_of(set).await;
        self.act_on_set(set, Act::StopFerromq).await?;
        self.until(&format!("{set} is to end"), async || {
            for at in &members {
                if !self.desk.config(at).await.is_err_and(|err| err.is_gone()) {
                    return Ok(Look::not_yet(format!("{at} still answers")));
                }
            }
            Ok(Look::Reached(()))
        })
        .await
    }

    /// Java writes it to its file, and starts with it from then on; releases that do not know it do what it says anyway.
    pub(super) async fn recheck(&self, members: &[String]) -> Result<(), MigrateError> {
        for at in members {
            self.settled(at).await?;
            self.desk.set_config(at, RECHECK, "true").await?;
        }
        Ok(())
    }

    /// The configuration of a broker, once it may be changed. A DLedger member of Java's has id -1 from its start until it knows its role. It writes its
    /// role and its id to its file with whatever is changed, and as a slave with that id it does not start again.
    pub(super) async fn settled(&self, at: &str) -> Result<BTreeMap<String, String>, MigrateError> {
        self.until(&format!("{at} is to know its role"), async || match self.desk.config(at).await {
            Ok((_, config)) if config.get("brokerId").is_some_and(|id| id == "-1") => {
                Ok(Look::not_yet("its brokerId is -1"))
            }
            Ok((_, config)) => Ok(Look::Reached(config)),
            Err(err) => Ok(Look::not_yet(err)),
        })
        .await
    }

    async fn act_on_set(&mut self, set: &str, act: Act) -> Result<(), MigrateError> {
        match self.hooks.command(&format!("set {set}"), "", act).map(str::to_owned) {
            Some(command) => self.run_command(&command, act, &self.wanted_of_set(set)).await?,
            None => say(&format!("  please do this now: {act}: all members of {set}; this waits until it is so")),
        }
        Ok(())
    }

    async fn members_of(&self, set: &str) -> BTreeSet<String> {
        let mut members = BTreeSet::new();
        for at in &self.state.name_servers {
            let Ok((_, info)) = self.desk.cluster_info(at).await else { continue };
            let found = info.broker_addr_table.into_iter().find(|(name, _)| **name == *set);
            members.extend(found.into_iter().flat_map(|(_, set)| set.broker_addrs.into_values()));
        }
        members
    }

    async fn need_master(&self, set: &str) -> Result<String, MigrateError> {
        self.master_of(set).await.ok_or_else(|| MigrateError::NoMaster { set: set.to_owned() })
    }

    /// Topics and groups of users; those that are there already stay as they are.
    pub(super) async fn copy_settings(&self, from: &str, into: &str) -> Result<(), MigrateError> {
        let (old, new) = (self.need_master(from).await?, self.need_master(into).await?);
        let (topics, there) = (self.desk.topics(&old).await?, self.desk.topics(&new).await?);
        let mut made = 0;
        for (name, topic) in &topics.topic_config_table {
            if !is_internal(name, from, &self.state.cluster) && !there.topic_config_table.contains_key(name) {
                self.desk.make_topic(&new, topic).await?;
                made += 1;
            }
        }
        let (groups, there) = (self.desk.groups(&old).await?, self.desk.groups(&new).await?);
        let mut made_groups = 0;
        for (name, group) in &groups.subscription_group_table {
            if !there.subscription_group_table.contains_key(name) {
                self.desk.make_group(&new, group).await?;
                made_groups += 1;
            }
        }
        say(&format!("  {made} topics and {made_groups} groups made"));
        Ok(())
    }

    /// Consumers have read all, and nothing waits to be delivered, decided or given again.
    pub(super) async fn drain_out(&self, set: &str) -> Result<(), MigrateError> {
        let Some(master) = self.master_of(set).await else {
            say(&format!("  no name server knows a master of {set}: there is nothing to drain"));
            return Ok(());
        };
        let mut wiped = None::<Instant>;
        self.until(&format!("{set} is to be worked off"), async || {
            if self.state.wiped.contains(set) && wiped.is_none_or(|wiped| wiped.elapsed() >= AGAIN) {
                wiped = Some(Instant::now());
                for at in &self.state.name_servers {
                    // One that is not there tells nobody anything.
                    let _ = self.desk.wipe_writes(at, set).await;
                }
            }
            let left = match self.left(set, &master).await {
                Ok(left) => left,
                Err(err) => return Ok(Look::not_yet(err)),
            };
            Ok(if left.is_empty() { Look::Reached(()) } else { Look::not_yet(some(left.iter().map(String::as_str))) })
        })
        .await
    }

    fn is_left(&self, name: &str) -> bool {
        self.leave.iter().any(|left| left == name)
    }

    /// Topics with messages whose consumers have no offset yet: those that nobody has ever read, and those that a group which is there
    /// has only begun with.
    async fn untouched(&self, set: &str, at: &str, keys: &Offsets) -> Result<Vec<String>, AskError> {
        let mut untouched = Vec::new();
        let mut messages = BTreeMap::new();
        for topic in self.desk.topics(at).await?.topic_config_table.keys() {
            if is_internal(topic, set, &self.state.cluster) || self.is_left(topic) {
                continue;
            }
            let count: i64 = queues(self.desk, at, topic).await?.values().map(|(min, max)| max - min).sum();
            if count > 0 {
                messages.insert(topic.to_string(), count);
            }
        }
        let read = |topic: &str| keys.keys().any(|key| key.rsplit_once('@').is_some_and(|(of, _)| of == topic));
        let nobody = messages.iter().filter(|(topic, _)| !read(topic));
        untouched.extend(nobody.map(|(topic, count)| format!("nobody has read the {count} messages of {topic}")));
        for group in self.desk.groups(at).await?.subscription_group_table.keys() {
            if self.is_left(group) {
                continue;
            }
            let Some(members) = self.desk.consumers(at, group).await? else { continue };
            if members.message_model == MessageModel::Broadcasting {
                // Its members keep their own.
                continue;
            }
            let topics = members.subscription_table.keys().filter(|topic| messages.contains_key(topic.as_str()));
            let begun = topics.filter(|topic| !keys.contains_key(&format!("{topic}@{group}")));
            untouched.extend(begun.map(|topic| format!("{group} has only begun to read {topic}")));
        }
        Ok(untouched)
    }

    /// What is still to be worked off.
    async fn left(&self, set: &str, at: &str) -> Result<Vec<String>, AskError> {
        let keys = self.desk.consumer_offsets(at).await?.offset_table;
        let mut left = self.untouched(set, at, &keys).await?;
        let groups: BTreeSet<_> = keys.keys().filter_map(|key| key.rsplit_once('@')).map(|(_, group)| group).collect();
        for group in groups.into_iter().filter(|group| !self.is_left(group)) {
            let stats = match self.desk.progress(at, &GroupName::new(group)).await {
                Ok(stats) => stats,
                // A group without a topic that is left.
                Err(err) if err.is_refusal() => continue,
                Err(err) => return Err(err),
            };
            let behind: i64 =
                stats.offset_table.values().map(|at| (at.broker_offset - at.consumer_offset).max(0)).sum();
            if behind > 0 {
                left.push(format!("{group} lacks {behind} messages"));
            }
        }
        let info = self.desk.runtime_info(at).await?;
        for (key, value) in &info {
            if let Some(level) = key.strip_prefix(DELAY)
                && value.split_once(',').is_some_and(|(done, all)| done.trim() != all.trim())
            {
                left.push(format!("delay level {level} is at {value}"));
            }
        }
        for key in ["timerCongestNum", "timerOffsetBehind"] {
            if let Some(count) = info.get(key).filter(|count| count.parse::<i64>().is_ok_and(|count| count > 0)) {
                left.push(format!("{key} is {count}"));
            }
        }
        Ok(left)
    }
}
