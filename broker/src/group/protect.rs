//! Groups that read so far behind that they push what others need out of memory.

use std::sync::Arc;
use std::time::Duration;

use remoting::body::SubscriptionGroupConfig;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::GroupTable;
use crate::stats::Stats;

/// Time between two looks. Java: `BrokerController.protectBroker`.
const PERIOD: Duration = Duration::from_secs(3 * 60);

impl GroupTable {
    /// Looks for such groups until the broker stops, and turns them off while `disableConsumeIfConsumerReadSlowly` is on.
    pub fn start(self: &Arc<Self>, stats: Arc<Stats>) {
        let this = Arc::clone(self);
        self.ctx.tasks.spawn(async move {
            let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = this.ctx.stopping.cancelled() => return,
                    _ = ticks.tick() => this.protect(&stats),
                }
            }
        });
    }

    fn protect(&self, stats: &Stats) {
        let settings = self.ctx.settings();
        if settings.disable_consume_if_consumer_read_slowly {
            for group in stats.fallen_behind(settings.consumer_fallbehind_threshold) {
                self.disable(&group);
            }
        }
    }

    /// An administrator turns the group on again. Saved along with the next change, as in Java: a restart forgives.
    fn disable(&self, group: &str) {
        let mut version = self.version.lock();
        if let Some(config) = self.get(group).filter(|config| config.consume_enable) {
            tracing::warn!(group, "the group reads too far behind and may consume no more");
            let config = SubscriptionGroupConfig { consume_enable: false, ..SubscriptionGroupConfig::clone(&config) };
            self.store(&mut version, Arc::new(config));
        }
    }
}

#[cfg(test)]
mod tests {
    use remoting::types::QueueId;

    use super::*;
    use crate::context::Context;

    #[test]
    fn a_group_far_behind_is_turned_off_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let consumes = |on: bool, bytes| {
            let (ctx, _) = Context::for_tests(|settings| {
                settings.disable_consume_if_consumer_read_slowly = on;
                settings.consumer_fallbehind_threshold = 100;
            });
            let groups = GroupTable::open(ctx.clone(), folder.path()).unwrap();
            let stats = Stats::new(ctx);
            groups.find("G").unwrap();
            stats.fall_behind(&"G".into(), &"T".into(), QueueId(0), bytes);
            groups.protect(&stats);
            groups.get("G").unwrap().consume_enable
        };
        assert!(consumes(true, 100));
        assert!(consumes(false, 101));
        assert!(!consumes(true, 101));
    }
}
