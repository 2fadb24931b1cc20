//! Delayed messages: they wait in the schedule topic, one queue per level, until their time has come. Messages with a time of
//! their own wait in [`timer`].
//!
//! ```text
//! send or retry ─▶ SCHEDULE_TOPIC_XXXX, queue = level − 1 ─ due ─▶ the topic and queue named in the properties
//! ```
//! Within a level all wait equally long, so the queue is in the order of delivery and a level only looks at its front. It
//! sleeps until that is due; nothing is delivered early. How far each level is stands in `config/delayOffset.json`, which
//! never says more than the store has confirmed: a crash may deliver again, but loses nothing.
//!
//! Java: `ScheduleMessageService`.

mod deliver;
mod due;
mod home;
mod levels;
mod progress;
mod query;
mod timer;
mod waits;

use std::sync::Arc;

use remoting::body::DelayOffsets;
use remoting::protocol::offset::GetAllDelayOffset;
use remoting::router::Router;
use remoting::types::QueueOffset;
use store::Store;

pub(crate) use self::levels::{Levels, queue_of, schedule_topic};
use self::progress::Progress;
pub(crate) use self::timer::TimerError;
pub(crate) use self::timer::{
    RecallError, Recalls, TimerQueryError, TimerRefusal, Timers, handle_of as recall_handle, recall_routes,
    routes as timer_routes, timer_topic, timing,
};
pub(crate) use self::waits::{Until, Waits};
use crate::context::{Context, Role};
use crate::persist::{Home, LoadError};
use crate::slave::Outlet;
use crate::stats::Stats;

/// Delivers delayed messages when they are due.
pub(crate) struct Delays {
    ctx: Context,
    store: Arc<Store>,
    stats: Arc<Stats>,
    levels: Arc<Levels>,
    progress: Progress,
    outlet: Outlet,
}

pub(crate) fn routes(delays: &Arc<Delays>, router: &mut Router) {
    router.on::<GetAllDelayOffset>(delays);
}

impl Delays {
    /// Loads `delayOffset.json`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn open(
        ctx: Context,
        home: impl Into<Home>,
        store: Arc<Store>,
        stats: Arc<Stats>,
        levels: Arc<Levels>,
    ) -> Result<Arc<Self>, LoadError> {
        let progress = Progress::load(&home.into(), ctx.clock.now())?;
        let outlet = Outlet::of(&ctx);
        let delays = Self { ctx, store, stats, levels, progress, outlet };
        // A slave knows how far its master is, which may be further than the slave's queues.
        if *delays.ctx.role.borrow() == Role::Master {
            delays.levels.all().for_each(|level| delays.correct(level));
        }
        Ok(Arc::new(delays))
    }

    /// How far each level is, for slaves.
    pub(crate) fn snapshot(&self) -> DelayOffsets {
        self.progress.snapshot()
    }

    /// Grows whenever one gets further.
    pub(crate) fn step(&self) -> u64 {
        self.progress.step()
    }

    /// Takes over how far another broker of the set is. Java: `SlaveSynchronize.syncDelayOffset`.
    pub(crate) fn copy(&self, other: DelayOffsets) {
        self.progress.copy(other);
    }

    /// Saves how far each level is, if that changed; a failure is logged.
    pub(crate) fn persist(&self) {
        self.progress.save_or_log();
    }

    /// For RUNTIME INFO: the next offset to deliver and the end of the queue, of each level that delivered something.
    ///
    /// Java: `ScheduleMessageService.buildRunningStats`.
    pub(crate) fn running_stats(&self) -> Vec<(String, String)> {
        let stat = |(level, offset): (i32, QueueOffset)| {
            let end = self.store.max_offset(schedule_topic(), queue_of(level)).unwrap_or_default();
            (format!("scheduleMessageOffset_{level}"), format!("{offset},{end}"))
        };
        self.progress.offsets().into_iter().map(stat).collect()
    }

    /// Brings the offset of a level into its queue. Java: `ScheduleMessageService.correctDelayOffset`.
    fn correct(&self, level: i32) {
        let (topic, queue) = (schedule_topic(), queue_of(level));
        let bounds = self.store.min_offset(topic, queue).zip(self.store.max_offset(topic, queue));
        let (Some((min, max)), Some(offset)) = (bounds, self.progress.offset(level)) else { return };
        let corrected = offset.clamp(min, max);
        if corrected != offset {
            tracing::error!(level, %offset, %min, %max, "the offset of a delay level lies outside of its queue, corrected");
            self.progress.set(level, corrected);
        }
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
