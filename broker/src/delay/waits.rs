//! Which messages wait, and where.

use std::sync::Arc;

use remoting::types::{QueueId, Timestamp, TopicName};

use super::timer::{TimerRefusal, Timers, timing::Timing};
use super::{Levels, queue_of, schedule_topic, timer_topic};

/// Decides for every message that is stored whether it waits before its topic gets it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Waits {
    levels: Arc<Levels>,
    timers: Arc<Timers>,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The duration of a delay level.
    Level(i32),
    /// A time in the slot that begins here.
    Slot(Timestamp),
}

impl Until {
    /// Where it waits.
    pub(crate) fn place(self) -> (&'static TopicName, QueueId) {
        match self {
            Self::Level(level) => (schedule_topic(), queue_of(level)),
            Self::Slot(_) => (timer_topic(), QueueId(0)),
        }
    }
}

impl Waits {
    pub(crate) fn new(levels: Arc<Levels>, timers: Arc<Timers>) -> Self {
        Self { levels, timers }
    }

    /// `None`: it does not wait. A level above 0 beats a time. Java: `HookUtils.handleScheduleMessage`.
    ///
    /// # Errors
    /// [`TimerRefusal`].
    pub(crate) fn until(&self, level: i32, timing: &Timing<'_>) -> Result<Option<Until>, TimerRefusal> {
        if level > 0 {
            return Ok(Some(Until::Level(self.levels.clip(level))));
        }
        Ok(self.timers.admit(timing)?.map(Until::Slot))
    }
}
