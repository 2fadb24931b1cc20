//! Limits on what consumer groups read from disk, for brokers on slow disks: off unless `coldDataFlowControlEnable` is set.
//!
//! Messages that had to be read from disk, for this pull or ahead of it, are counted, by group and in all, over five seconds. Who
//! has read more than its limit is put off: members of pushed groups are told to come again, pull consumers wait, and then get one
//! message.
//!
//! Java: `ColdDataCgCtrService`, which counts what is beyond a share of the memory or, by a scan, was not in it a minute ago.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use remoting::body::{ColdDataFlow, ColdDataReads, fastjson};
use remoting::config::Properties;
use remoting::header::NoHeader;
use remoting::protocol::cold_data::{GetColdDataFlow, RemoveColdDataLimit, UpdateColdDataLimits};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{GroupName, Timestamp};
use tokio::time::{Duration, MissedTickBehavior, interval};

use crate::config::BrokerConfig;
use crate::context::Context;

/// What is counted is counted anew after so long.
const PERIOD: Duration = Duration::from_secs(5);
/// A group is forgotten when it has read nothing from disk for so long.
const FORGOTTEN_AFTER_MS: i64 = 60_000;

/// A found limit has this name behind that of its group.
const FOUND: &str = "||adaptive";
/// So much more or less a found limit becomes.
const MORE: f64 = 1.5;
const LESS: f64 = 0.8;
/// Found limits that become less in one period: the largest ones.
const LESS_AT_A_TIME: usize = 3;
/// The share of the limit of all that found limits aim at.
const AIM: f64 = 0.8;
/// Periods that are looked back on.
const DRIFTS: usize = 10;

pub(super) struct ColdFlow {
    ctx: Context,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    reads: BTreeMap<GroupName, ColdDataReads>,
    /// By an administrator.
    set: BTreeMap<GroupName, i64>,
    /// By `coldCtrStrategyEnable`.
    found: BTreeMap<GroupName, i64>,
    /// Bytes read by all groups.
    total: i64,
    /// By how many bytes what all groups read was below what is aimed at; the last one is the newest.
    drifts: VecDeque<i64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("the body is not text in the form of properties: {0}")]
    Body(String),
    #[error("the limit of consumer group {group} is to be {value:?}, which is not a number of bytes")]
    Limit { group: String, value: String },
}

impl ColdFlow {
    pub(super) fn new(ctx: Context) -> Arc<Self> {
        Arc::new(Self { ctx, table: Mutex::default() })
    }

    /// Begins to count by periods.
    pub(super) fn start(self: &Arc<Self>) {
        let (this, stopping) = (Arc::clone(self), self.ctx.stopping.clone());
        self.ctx.tasks.spawn(stopping.run_until_cancelled_owned(async move {
            let mut periods = interval(PERIOD);
            periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                periods.tick().await;
                this.table.lock().turn(&this.ctx.settings(), this.ctx.clock.now());
            }
        }));
    }

    /// Whether a group has read what it may in this period.
    pub(super) fn is_over(&self, group: &GroupName, settings: &BrokerConfig) -> bool {
        settings.cold_data_flow_control_enable && self.table.lock().is_over(group, settings)
    }

    pub(super) fn note(&self, group: &GroupName, bytes: usize, settings: &BrokerConfig) {
        if settings.cold_data_flow_control_enable && bytes > 0 {
            self.table.lock().note(group, bytes as i64, self.ctx.clock.now());
        }
    }
}

impl Table {
    fn limit(&self, group: &GroupName, settings: &BrokerConfig) -> i64 {
        let found = if settings.cold_ctr_strategy_enable { self.found.get(group) } else { None };
        self.set.get(group).or(found).copied().unwrap_or(settings.cg_cold_read_threshold)
    }

    fn is_over(&self, group: &GroupName, settings: &BrokerConfig) -> bool {
        let Some(reads) = self.reads.get(group) else { return false };
        reads.cold_acc >= self.limit(group, settings) || self.total >= settings.global_cold_read_threshold
    }

    fn note(&mut self, group: &GroupName, bytes: i64, now: Timestamp) {
        self.total += bytes;
        let reads = self.reads.entry(group.clone());
        let reads = reads.or_insert(ColdDataReads { create_time_mills: now, ..ColdDataReads::default() });
        reads.cold_acc += bytes;
        reads.last_cold_read_time_mills = now;
    }

    /// Ends a period. Java: `ColdDataCgCtrService.clearDataAcc`.
    fn turn(&mut self, settings: &BrokerConfig, now: Timestamp) {
        let finds = settings.cold_data_flow_control_enable && settings.cold_ctr_strategy_enable;
        if finds {
            self.find_limits(settings);
        } else {
            self.found.clear();
            self.drifts.clear();
        }
        let gone_before = now.0 - FORGOTTEN_AFTER_MS;
        self.reads.retain(|_, reads| reads.last_cold_read_time_mills.0 > gone_before);
        self.found.retain(|group, _| self.reads.contains_key(group));
        self.reads.values_mut().for_each(|reads| reads.cold_acc = 0);
        self.total = 0;
    }

    /// Gives groups that are over their limit more while all of them are below theirs, and else takes some of it back.
    fn find_limits(&mut self, settings: &BrokerConfig) {
        let all = settings.global_cold_read_threshold;
        if self.drifts.len() == DRIFTS {
            self.drifts.pop_front();
        }
        self.drifts.push_back((all as f64 * AIM) as i64 - self.total);
        let (mut more, mut less) = (self.total <= all, self.total > all);
        if settings.use_pid_cold_ctr_strategy {
            let factor = self.factor();
            (more, less) = (more && factor > 0.0, factor < 0.0);
        }
        if more {
            let is_over = |group: &&GroupName| {
                !self.set.contains_key(*group) && self.reads[*group].cold_acc >= self.limit(group, settings)
            };
            let over: Vec<_> = self.reads.keys().filter(is_over).cloned().collect();
            for group in over {
                let limit = (self.limit(&group, settings) as f64 * MORE) as i64;
                self.found.insert(group, limit);
            }
        }
        if less {
            let mut found: Vec<_> = self.found.iter_mut().filter(|(group, _)| !self.set.contains_key(*group)).collect();
            found.sort_by_key(|(_, limit)| std::cmp::Reverse(**limit));
            for (_, limit) in found.into_iter().take(LESS_AT_A_TIME) {
                *limit = ((*limit as f64 * LESS) as i64).max(settings.cg_cold_read_threshold);
            }
        }
    }

    /// Above 0 where there is room, below where there was too little. Java: `PIDAdaptiveColdCtrStrategy.decisionFactor`.
    fn factor(&self) -> f64 {
        if self.drifts.len() < DRIFTS {
            return 0.0;
        }
        let (last, before) = (self.drifts[DRIFTS - 1], self.drifts[DRIFTS - 2]);
        0.5 * last as f64 + 0.3 * self.drifts.iter().sum::<i64>() as f64 + 0.2 * (last - before) as f64
    }

    fn shown(&self, settings: &BrokerConfig) -> ColdDataFlow {
        let set = self.set.iter().map(|(group, limit)| (group.to_string(), *limit));
        let found = self.found.iter().map(|(group, limit)| (format!("{group}{FOUND}"), *limit));
        ColdDataFlow {
            runtime_table: self.reads.clone(),
            config_table: set.chain(found).collect(),
            cg_cold_read_threshold: settings.cg_cold_read_threshold,
            global_cold_read_threshold: settings.global_cold_read_threshold,
            global_acc: self.total,
        }
    }
}

pub(super) fn routes(flow: &Arc<ColdFlow>, router: &mut Router) {
    router.on::<UpdateColdDataLimits>(flow).on::<RemoveColdDataLimit>(flow).on::<GetColdDataFlow>(flow);
}

impl Handle<UpdateColdDataLimits> for ColdFlow {
    type Error = LimitError;

    /// All or none. Java sets those that it can read, and says nothing of the others.
    async fn handle(&self, call: Call<UpdateColdDataLimits>) -> Result<Reply<NoHeader>, LimitError> {
        let text = String::from_utf8_lossy(&call.body);
        let limits = Properties::parse(&text).map_err(|err| LimitError::Body(err.to_string()))?;
        let limit = |group: &str, value: &str| {
            let bytes = value.parse::<i64>();
            bytes.map_err(|_| LimitError::Limit { group: group.to_owned(), value: value.to_owned() })
        };
        let limits = limits.iter().map(|set| Ok((GroupName::from(set.key.as_str()), limit(&set.key, &set.value)?)));
        let limits: Vec<_> = limits.collect::<Result<_, _>>()?;
        tracing::info!(caller = %call.peer.remote(), ?limits, "limits of reads from disk are set by request");
        self.table.lock().set.extend(limits);
        Ok(Reply::done())
    }
}

impl Handle<RemoveColdDataLimit> for ColdFlow {
    type Error = LimitError;

    async fn handle(&self, call: Call<RemoveColdDataLimit>) -> Result<Reply<NoHeader>, LimitError> {
        let group = GroupName::from(&*String::from_utf8_lossy(&call.body));
        tracing::info!(caller = %call.peer.remote(), %group, "the limit of reads from disk is removed by request");
        self.table.lock().set.remove(&group);
        Ok(Reply::done())
    }
}

impl Handle<GetColdDataFlow> for ColdFlow {
    type Error = LimitError;

    async fn handle(&self, _: Call<GetColdDataFlow>) -> Result<Reply<NoHeader>, LimitError> {
        let shown = self.table.lock().shown(&self.ctx.settings());
        Ok(Reply::done().body(fastjson::write(&shown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut BrokerConfig)) -> BrokerConfig {
        let mut settings = BrokerConfig {
            cold_data_flow_control_enable: true,
            cg_cold_read_threshold: 1000,
            global_cold_read_threshold: 10_000,
            ..BrokerConfig::default()
        };
        change(&mut settings);
        settings
    }

    #[test]
    fn a_group_is_over_by_its_own_reads_or_by_those_of_all_until_the_period_ends() {
        let settings = settings(|_| ());
        let mut table = Table::default();
        let (a, b) = (GroupName::from("a"), GroupName::from("b"));
        assert!(!table.is_over(&a, &settings));
        table.note(&a, 999, Timestamp(5));
        assert!(!table.is_over(&a, &settings));
        table.note(&a, 1, Timestamp(6));
        assert!(table.is_over(&a, &settings) && !table.is_over(&b, &settings));
        table.set.extend([(a.clone(), 20_000), (b.clone(), 20_000)]);
        assert!(!table.is_over(&a, &settings));
        table.note(&b, 9000, Timestamp(7));
        assert!(table.is_over(&a, &settings) && table.is_over(&b, &settings), "all have read too much");
        assert!(!table.is_over(&"new".into(), &settings), "who begins may");
        table.turn(&settings, Timestamp(60_006));
        assert!(!table.is_over(&a, &settings) && !table.is_over(&b, &settings));
        assert_eq!(table.reads.keys().collect::<Vec<_>>(), [&b], "a has read nothing for a minute");
        assert_eq!(table.set.len(), 2, "what was set stays");
    }

    #[test]
    fn limits_are_found_where_that_is_wanted_and_are_gone_when_it_is_not() {
        let mut settings = settings(|settings| {
            settings.cold_ctr_strategy_enable = true;
            settings.use_pid_cold_ctr_strategy = false;
        });
        let (group, mut table) = (GroupName::from("a"), Table::default());
        let mut period = |settings: &BrokerConfig, bytes: i64| {
            table.note(&group, bytes, Timestamp(0));
            table.turn(settings, Timestamp(1));
            table.shown(settings).config_table.get("a||adaptive").copied()
        };
        assert_eq!(period(&settings, 999), None);
        assert_eq!(period(&settings, 1000), Some(1500));
        assert_eq!(period(&settings, 1499), Some(1500));
        assert_eq!(period(&settings, 1500), Some(2250));
        assert_eq!(period(&settings, 10_001), Some(1800), "all read too much");
        assert_eq!(period(&settings, 10_001), Some(1440));
        settings.use_pid_cold_ctr_strategy = true;
        for _ in 0..3 {
            assert_eq!(period(&settings, 2000), Some(1440), "nothing before ten periods were seen");
        }
        assert_eq!(period(&settings, 2000), Some(2160), "well below what all may read");
        settings.cold_ctr_strategy_enable = false;
        assert_eq!(period(&settings, 2000), None);
    }
}
