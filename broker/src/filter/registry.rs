//! The expressions of consumer groups, as their heartbeats tell them, each with its version. Java: `ConsumerFilterManager`.
//!
//! A filter is born with its first heartbeat, dies when the group has no members any more or no longer names the topic,
//! and comes back to life with the heartbeat that names it again. The newest version of a client counts: an older one is
//! ignored, a newer one replaces it. The dead are kept for `filterDataCleanTimeSpan`, over restarts, too: all that were
//! alive count as dead from the start on. Pulls use what is here, dead or alive.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use remoting::body::{ExpressionType, SubscriptionData};
use remoting::types::{GroupName, Timestamp, TopicName};
use tokio::time::{Duration, MissedTickBehavior, interval};

use super::bloom::{Bloom, BloomPlace};
use super::file;
use super::sql::Expression;
use super::{FilterError, compile};
use crate::context::Context;
use crate::persist::{Home, LoadError, TableFile};

/// Filters that may be kept; a further one is not taken, and its group's pulls are told so.
const FILTERS_MAX: usize = 100_000;

/// Time between two saves. Java: `BrokerController`, which no setting changes.
const SAVE_PERIOD: Duration = Duration::from_secs(10);

/// Java counts those that were alive before a start as dead for so long.
const DEAD_AT_START: Duration = Duration::from_secs(30);

pub(crate) struct Filters {
    ctx: Context,
    bloom: Bloom,
    table: RwLock<Table>,
    file: TableFile,
}

pub(super) type Table = BTreeMap<TopicName, BTreeMap<GroupName, Arc<GroupFilter>>>;

/// What a group wants of a topic. Java: `ConsumerFilterData`.
#[derive(Clone, Debug)]
pub(crate) struct GroupFilter {
    pub(crate) expression: Arc<Expression>,
    pub(super) text: String,
    /// Version of the subscription that brought it, or last agreed with it.
    pub(crate) client_version: i64,
    pub(super) born: Timestamp,
    pub(super) dead: Option<Timestamp>,
    pub(super) place: BloomPlace,
}

impl Filters {
    /// Loads `consumerFilter.json`, which the last run left.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn open(ctx: Context, home: &Home) -> Result<Arc<Self>, LoadError> {
        let settings = ctx.settings();
        let bloom = Bloom::new(settings.max_error_rate_of_bloom_filter, settings.expect_consumer_num_use_filter);
        let dead_since = Timestamp(ctx.clock.now().0 - DEAD_AT_START.as_millis() as i64);
        let table = RwLock::new(file::load(home, bloom, dead_since)?);
        Ok(Arc::new(Self { ctx, bloom, table, file: home.file(file::NAME) }))
    }

    /// Starts to save changes until the broker stops.
    pub(crate) fn start(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.ctx.tasks.spawn(async move {
            let mut ticks = interval(this.file.pace(SAVE_PERIOD));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = this.ctx.stopping.cancelled() => return this.persist(),
                    _ = ticks.tick() => this.persist(),
                }
            }
        });
    }

    /// Forgets those that have been dead for long, and writes the file if anything has changed. Blocks.
    fn persist(&self) {
        self.clean();
        self.file.save_or_log("the filters of consumer groups are not saved", || file::write(&self.table.read()));
    }

    pub(crate) fn get(&self, topic: &str, group: &str) -> Option<Arc<GroupFilter>> {
        self.table.read().get(topic)?.get(group).cloned()
    }

    /// For people: the JSON of one filter, `null` if there is none.
    pub(crate) fn describe(&self, topic: &TopicName, group: &GroupName) -> String {
        self.get(topic, group).map_or("null".to_owned(), |filter| filter.describe(topic, group))
    }

    /// A heartbeat names all that the group subscribes to.
    pub(crate) fn register(&self, group: &GroupName, subscriptions: &[SubscriptionData]) {
        for subscription in subscriptions {
            if !subscription.expression_type.is_tag() && !subscription.sub_string.is_empty() {
                self.register_one(group, subscription);
            }
        }
        self.end(group, |topic| subscriptions.iter().all(|subscription| subscription.topic != *topic));
    }

    /// The group has no members any more.
    pub(crate) fn unregister(&self, group: &GroupName) {
        self.end(group, |_| true);
    }

    /// Java: `FilterDataMapByTopic.register`.
    fn register_one(&self, group: &GroupName, new: &SubscriptionData) {
        let known = self.get(&new.topic, group);
        let next = match &known {
            Some(known) if new.sub_version < known.client_version => return,
            Some(known) if new.sub_version == known.client_version => known.dead.is_some().then(|| known.alive()),
            Some(known) if known.text == new.sub_string && new.expression_type.0 == ExpressionType::SQL92 => {
                Some(GroupFilter { client_version: new.sub_version, ..known.alive() })
            }
            _ => match self.build(group, new) {
                Ok(built) => Some(built),
                Err(err) => {
                    tracing::debug!(%group, topic = %new.topic, %err, "a subscription cannot be used");
                    // So that the group's pulls say so.
                    return self.remove(&new.topic, group);
                }
            },
        };
        let Some(next) = next else { return };
        let mut table = self.table.write();
        if known.is_none() && table.values().map(BTreeMap::len).sum::<usize>() >= FILTERS_MAX {
            tracing::warn!(%group, topic = %new.topic, "there are {FILTERS_MAX} filters already, this one is not taken");
            return;
        }
        table.entry(new.topic.clone()).or_default().insert(group.clone(), Arc::new(next));
        self.file.changed();
    }

    fn build(&self, group: &GroupName, new: &SubscriptionData) -> Result<GroupFilter, FilterError> {
        Ok(GroupFilter {
            expression: Arc::new(compile(&new.expression_type, &new.sub_string)?),
            text: new.sub_string.clone(),
            client_version: new.sub_version,
            born: self.ctx.clock.now(),
            dead: None,
            place: self.bloom.place(&format!("{group}#{}", new.topic)),
        })
    }

    fn remove(&self, topic: &TopicName, group: &GroupName) {
        if self.table.write().get_mut(topic).and_then(|groups| groups.remove(group)).is_some() {
            self.file.changed();
        }
    }

    /// Ends the group's living filters of the topics that `is_over`.
    fn end(&self, group: &GroupName, is_over: impl Fn(&TopicName) -> bool) {
        let is_ending = |topic: &TopicName, filter: &GroupFilter| filter.dead.is_none() && is_over(topic);
        let ends = |table: &Table| {
            table.iter().any(|(topic, groups)| groups.get(group).is_some_and(|filter| is_ending(topic, filter)))
        };
        // Nearly every heartbeat ends none.
        if !ends(&self.table.read()) {
            return;
        }
        let now = self.ctx.clock.now();
        for (topic, groups) in self.table.write().iter_mut() {
            if let Some(filter) = groups.get_mut(group)
                && is_ending(topic, filter)
            {
                Arc::make_mut(filter).dead = Some(now);
            }
        }
        self.file.changed();
    }

    /// Java: `ConsumerFilterManager.clean`.
    fn clean(&self) {
        let (now, kept) = (self.ctx.clock.now(), *self.ctx.settings().filter_data_clean_time_span);
        let is_over = |filter: &GroupFilter| filter.dead.is_some_and(|dead| now.since(dead) >= kept);
        if !self.table.read().values().flat_map(BTreeMap::values).any(|filter| is_over(filter)) {
            return;
        }
        self.table.write().retain(|_, groups| {
            groups.retain(|_, filter| !is_over(filter));
            !groups.is_empty()
        });
        self.file.changed();
    }
}

impl GroupFilter {
    fn alive(&self) -> Self {
        Self { dead: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
