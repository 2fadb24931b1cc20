//! Having producers leave a broker set and come back.

use std::collections::BTreeMap;
use std::time::Duration;

use remoting::body::{TopicConfig, TopicRouteData};
use remoting::types::TopicName;
use tokio::time::{Instant, sleep};

use super::Runner;
use super::wait::Look;
use crate::migrate::checks::some;
use crate::migrate::desk::AskError;
use crate::migrate::notes::queues;
use crate::migrate::survey::is_internal;
use crate::migrate::{MigrateError, say};

const PERMISSION: &str = "brokerPermission";
const READ_ONLY: &str = "4";
/// A set that need not be quiet is waited for this long.
const COURTESY: Duration = Duration::from_secs(60);
/// A change of a topic brings permissions back; so often they are taken again.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// How name servers show a topic of a broker set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    /// Topics that the broker lets be written to, and a name server does not.
    closed: Vec<String>,
    /// The other way round.
    open: Vec<String>,
}

impl Runner<'_> {
    /// Name servers show the set's topics without the permission to write, until it is [restored](Self::restore).
    pub(super) async fn wipe(&mut self, set: &str) -> Result<(), MigrateError> {
        self.state.wiped.insert(set.to_owned());
        self.save()?;
        let topics = self.wipe_again(set).await?;
        let wait = self.pace.route_poll + self.pace.margin;
        say(&format!("  {topics} topics; clients learn of it within {} s", wait.as_secs()));
        sleep(wait).await;
        Ok(())
    }

    async fn wipe_again(&self, set: &str) -> Result<i32, MigrateError> {
        let mut most = 0;
        for at in &self.state.name_servers {
            match self.desk.wipe_writes(at, set).await {
                Ok(topics) => most = most.max(topics),
                // Clients do not learn from it either.
                Err(err) if err.is_gone() => say(&format!("  {err}")),
                Err(err) => return Err(err.into()),
            }
        }
        Ok(most)
    }

    /// The broker refuses messages itself, also those of producers that know an old route.
    pub(super) async fn forbid(&mut self, at: &str) -> Result<(), MigrateError> {
        let config = self.settled(at).await?;
        let now = config.get(PERMISSION).map_or("6", String::as_str);
        if now != READ_ONLY {
            self.state.permissions.insert(at.to_owned(), now.to_owned());
            self.save()?;
            self.desk.set_config(at, PERMISSION, READ_ONLY).await?;
        }
        // Java writes it to its file, from which it would start again.
        say(&format!("  until it is {now} again, {at} starts with {PERMISSION}={READ_ONLY}"));
        Ok(())
    }

    pub(super) async fn permit(&self, at: &str) -> Result<(), MigrateError> {
        let Some(before) = self.state.permissions.get(at) else { return Ok(()) };
        self.until(&format!("{at} is to take messages"), async || {
            let config = self.settled(at).await?;
            if config.get(PERMISSION) == Some(before) {
                return Ok(Look::Reached(()));
            }
            self.desk.set_config(at, PERMISSION, before).await?;
            Ok(Look::not_yet(format!("{PERMISSION} is set to {before}")))
        })
        .await
    }

    /// Waits until no message has come for a while to a topic of users.
    pub(super) async fn drain(&self, set: &str, at: &str, must: bool) -> Result<(), MigrateError> {
        let Some(at) = self.whoever(set, at).await else { return Ok(()) };
        let begun = Instant::now();
        let (mut seen, mut since, mut wiped) = (self.ends(&at, set).await?, Instant::now(), Instant::now());
        self.until(&format!("{set} is to be quiet"), async || {
            let ends = self.ends(&at, set).await?;
            let grown: Vec<_> = ends.iter().filter(|(topic, end)| seen.get(*topic) != Some(*end)).collect();
            if grown.is_empty() && since.elapsed() >= self.pace.quiet {
                return Ok(Look::Reached(()));
            }
            if wiped.elapsed() >= AGAIN && self.state.wiped.contains(set) {
                wiped = Instant::now();
                self.wipe_again(set).await?;
            }
            let missing = if grown.is_empty() {
                format!("no message for {} s", since.elapsed().as_secs())
            } else {
                let names: Vec<_> = grown.iter().map(|(topic, _)| topic.as_str()).collect();
                format!("messages come to {}", some(names.into_iter()))
            };
            if !grown.is_empty() {
                (seen, since) = (ends, Instant::now());
            }
            if !must && begun.elapsed() >= COURTESY {
                say(&format!("  {missing}; those who send them have to try again when the broker stops"));
                return Ok(Look::Reached(()));
            }
            Ok(Look::NotYet(missing))
        })
        .await
    }

    /// Messages that each topic of users has ever had.
    async fn ends(&self, at: &str, set: &str) -> Result<BTreeMap<String, i64>, AskError> {
        let mut ends = BTreeMap::new();
        for topic in self.desk.topics(at).await?.topic_config_table.keys() {
            if !is_internal(topic, set, &self.state.cluster) {
                let queues = queues(self.desk, at, topic).await?;
                ends.insert(topic.to_string(), queues.values().map(|(_, max)| max).sum());
            }
        }
        Ok(ends)
    }

    /// Name servers show what the broker at this address allows.
    pub(super) async fn restore(&mut self, set: &str, at: &str) -> Result<(), MigrateError> {
        let (_, config) = self.desk.config(at).await?;
        if config.get(PERMISSION).is_some_and(|permission| permission == READ_ONLY) {
            say(&format!("  {at} takes no messages: its {PERMISSION} is {READ_ONLY}"));
            return Ok(());
        }
        let begun = Instant::now();
        let mut added = false;
        let open = self
            .until(&format!("producers are to come back to {set}"), async || {
                let shown = self.shown(set, at).await?;
                if shown.closed.is_empty() {
                    return Ok(Look::Reached(shown.open));
                }
                if !added && begun.elapsed() >= self.pace.registered {
                    added = true;
                    for name_server in &self.state.name_servers {
                        match self.desk.add_writes(name_server, set).await {
                            Err(err) if !err.is_gone() => return Err(err.into()),
                            _ => {}
                        }
                    }
                }
                let names = some(shown.closed.iter().map(String::as_str));
                Ok(Look::not_yet(format!("name servers do not let them write to {names}")))
            })
            .await?;
        self.state.wiped.remove(set);
        self.save()?;
        if !open.is_empty() {
            // A change that is none: the broker registers with what it allows.
            let permission = config.get(PERMISSION).map_or("6", String::as_str);
            self.desk.set_config(at, PERMISSION, permission).await?;
            let names = some(open.iter().map(String::as_str));
            say(&format!(
                "  until {at} registers a change, name servers may show as open what it keeps closed: {names}"
            ));
        }
        Ok(())
    }

    async fn shown(&self, set: &str, at: &str) -> Result<Shown, MigrateError> {
        let mut shown = Shown::default();
        let topics = self.desk.topics(at).await?.topic_config_table;
        for name_server in &self.state.name_servers {
            for (name, topic) in &topics {
                if is_internal(name, set, &self.state.cluster) {
                    continue;
                }
                let route = match self.desk.route(name_server, name).await {
                    Ok(route) => route,
                    Err(err) if err.is_gone() => break,
                    Err(err) => return Err(err.into()),
                };
                shown.add(name, topic, route.and_then(|route| perm(&route, set)));
            }
        }
        Ok(shown)
    }
}

impl Shown {
    fn add(&mut self, name: &TopicName, topic: &TopicConfig, perm: Option<i32>) {
        let is_open = perm.is_some_and(|perm| perm & TopicConfig::WRITE != 0);
        let list = match (topic.is_writable(), is_open) {
            (true, false) => &mut self.closed,
            (false, true) => &mut self.open,
            _ => return,
        };
        if !list.iter().any(|known| known == name.as_str()) {
            list.push(name.to_string());
        }
    }
}

fn perm(route: &TopicRouteData, set: &str) -> Option<i32> {
    route.queue_datas.iter().find(|data| *data.broker_name == *set).map(|data| data.perm)
}
