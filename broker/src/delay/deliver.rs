//! The tasks: one per level, and one that saves how far they are.

use std::sync::Arc;
use std::time::Duration;

use remoting::types::{GroupName, QueueOffset};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::due::{self, Delivery};
use super::{Delays, queue_of, schedule_topic};

/// Longest sleep while something waits, so that a changed clock is noticed.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Pause after the store refused messages.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest time until what was delivered is saved; after a crash that much is delivered again.
const SAVE_PERIOD_MAX: Duration = Duration::from_secs(1);
/// Entries looked at in one go.
const ENTRIES_MAX: usize = 256;

/// The consumer that deliveries are counted for. Java: `MixAll.SCHEDULE_CONSUMER_GROUP`.
const SCHEDULE_GROUP: &str = "SCHEDULE_CONSUMER";

/// When a level looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    After(Duration),
    /// When its queue has an entry at this offset.
    Arrival(QueueOffset),
}

impl Delays {
    /// Delivers as long as this broker is the master or acts for it, until it stops; saves before it ends.
    pub(crate) fn start(self: &Arc<Self>) {
        self.ctx.tasks.spawn(Arc::clone(self).run());
    }

    async fn run(self: Arc<Self>) {
        let levels = TaskTracker::new();
        for level in self.levels.all() {
            levels.spawn(Arc::clone(&self).run_level(level));
        }
        levels.close();
        while !self.ctx.stopping.is_cancelled() {
            let period = self
                .progress
                .pace(Duration::from(self.ctx.settings().flush_delay_offset_interval).min(SAVE_PERIOD_MAX));
            tokio::select! {
                () = self.ctx.stopping.cancelled() => {}
                () = sleep(period) => self.progress.save_or_log(),
            }
        }
        levels.wait().await;
        self.progress.save_or_log();
    }

    async fn run_level(self: Arc<Self>, level: i32) {
        let mut role = self.ctx.role.clone();
        loop {
            tokio::select! {
                () = self.ctx.stopping.cancelled() => return,
                delivers = role.wait_for(|role| role.delivers()) => if delivers.is_err() { return },
            }
            // Not cancelled on the way: what was stored must be noted.
            let next = self.deliver(level).await;
            tokio::select! {
                () = self.ctx.stopping.cancelled() => return,
                () = self.until(level, next) => {}
            }
        }
    }

    async fn until(&self, level: i32, next: Next) {
        match next {
            Next::Now => tokio::task::yield_now().await,
            Next::After(pause) => sleep(pause).await,
            Next::Arrival(offset) => self.store.arrivals(schedule_topic(), queue_of(level)).past(offset).await,
        }
    }

    /// Delivers some of what is due.
    pub(super) async fn deliver(&self, level: i32) -> Next {
        let offset = self.progress.offset(level).unwrap_or_default();
        let entries = self.store.entries(schedule_topic(), queue_of(level), offset, ENTRIES_MAX);
        let Some(first) = entries.first() else {
            // A queue that was deleted begins anew. A slave's may only be behind what its master has delivered.
            if !self.outlet.is_elsewhere() {
                self.correct(level);
            }
            return Next::Arrival(self.progress.offset(level).unwrap_or_default());
        };
        let now = self.ctx.clock.now();
        let delay = self.levels.delay(level);
        let due = entries.iter().take_while(|entry| due::deliver_time(entry, delay, now) <= now).count();
        let due = if self.outlet.is_elsewhere() { due.min(1) } else { due };
        if due == 0 {
            return Next::After(due::deliver_time(first, delay, now).since(now).min(LOOK_PERIOD));
        }
        let Some(mut delivery) = self.read(entries, due).await else { return Next::After(RETRY_PAUSE) };
        match self.outlet.put(&self.ctx, &self.store, &mut delivery.batch).await {
            Ok(sizes) => {
                let step = self.ctx.settings().delay_offset_update_version_step;
                self.progress.delivered(level, delivery.next, sizes.len(), step, self.ctx.clock.now());
                self.count(level, &delivery, &sizes);
                Next::Now
            }
            Err(err) => {
                if err.is_news() {
                    tracing::warn!(level, %err, "delayed messages are not delivered yet");
                }
                Next::After(RETRY_PAUSE)
            }
        }
    }

    /// A delayed message counts as taken from the schedule topic and put into its own.
    fn count(&self, level: i32, delivery: &Delivery, sizes: &[usize]) {
        if sizes.is_empty() || !self.ctx.settings().enable_schedule_message_stats {
            return;
        }
        let bytes = sizes.iter().map(|size| *size as u64).sum();
        let group = GroupName::new(SCHEDULE_GROUP);
        self.stats.get(&group, schedule_topic(), queue_of(level), sizes.len() as u64, bytes);
        for ((topic, queue_id), size) in delivery.to.iter().zip(sizes) {
            self.stats.put(topic, *queue_id, 1, 1, *size as u64);
        }
    }

    /// The messages of the first `due` entries; `None` if reading them panicked.
    async fn read(&self, mut entries: Vec<store::Entry>, due: usize) -> Option<Delivery> {
        entries.truncate(due);
        let elsewhere = self.outlet.is_elsewhere();
        if entries.iter().all(|entry| self.store.in_memory(entry.physical_offset)) {
            return Some(Delivery::of(&self.store, &entries, elsewhere));
        }
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || Delivery::of(&store, &entries, elsewhere)).await.ok()
    }
}
