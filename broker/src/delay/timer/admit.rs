//! Which messages the timer takes. Java: `HookUtils.transformTimerMessage`.

use rand::Rng as _;
use remoting::types::Timestamp;
use thiserror::Error;

use super::timing::{Timing, slot_begin};
use super::{Timers, Wheel};

/// The timer does not take a message. Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum TimerRefusal {
    #[error("accurate timer message is not enabled, timerWheelEnable is false")]
    NotEnabled,
    /// The time is no number, or too far ahead; or the message cancels one that must be on its way by now.
    #[error(
        "timer message illegal, the delay time should not be bigger than the max delay {delay_ms_max}ms; or if set del msg, the delay time should be bigger than the current time"
    )]
    Illegal { delay_ms_max: i64 },
    /// Too many messages wait in the same slot.
    #[error(
        "timer message is under flow control, max num limit is {} or the current value is greater than {limit} and less than {}, trigger random flow control", limit * 2, limit * 2
    )]
    Crowded { limit: i64 },
}

impl TimerRefusal {
    /// Java: `PutMessageStatus`.
    pub(crate) fn java_name(&self) -> &'static str {
        match self {
            Self::NotEnabled => "WHEEL_TIMER_NOT_ENABLE",
            Self::Illegal { .. } => "WHEEL_TIMER_MSG_ILLEGAL",
            Self::Crowded { .. } => "WHEEL_TIMER_FLOW_CONTROL",
        }
    }
}

impl Timers {
    /// The begin of the slot in which a message has to wait, to be noted in its properties; `None`: it is due already, or
    /// asks for nothing.
    ///
    /// # Errors
    /// [`TimerRefusal`].
    pub(crate) fn admit(&self, timing: &Timing<'_>) -> Result<Option<Timestamp>, TimerRefusal> {
        if !timing.is_timed() {
            return Ok(None);
        }
        let Some(wheel) = &self.wheel else { return Err(TimerRefusal::NotEnabled) };
        let settings = self.ctx.settings();
        let delay_ms_max = settings.timer_max_delay_sec.saturating_mul(1000);
        let illegal = TimerRefusal::Illegal { delay_ms_max };
        let now = self.ctx.clock.now();
        let Ok(deliver_at) = timing.deliver_at(now) else { return Err(illegal) };
        if deliver_at <= now {
            return if timing.cancels.is_some() { Err(illegal) } else { Ok(None) };
        }
        if deliver_at.0 - now.0 > delay_ms_max {
            return Err(illegal);
        }
        let begin = slot_begin(deliver_at, wheel.precision_ms);
        let limit = settings.timer_congest_num_each_slot;
        if limit < i64::from(i32::MAX) && wheel.is_crowded(begin.0 / wheel.precision_ms, limit) {
            return Err(TimerRefusal::Crowded { limit });
        }
        Ok(Some(begin))
    }
}

impl Wheel {
    /// Up to the limit nobody is refused, above twice the limit everybody, and in between some. While the files are being
    /// worked on nobody is, as a send does not wait for that. Java: `TimerMessageStore.isReject`.
    fn is_crowded(&self, slot: i64, limit: i64) -> bool {
        let Some(pending) = self.state.try_lock().and_then(|state| state.files.pending_in(slot).ok()) else {
            return false;
        };
        let pending = i64::from(pending);
        if pending <= limit {
            return false;
        }
        pending >= limit * 2 || rand::rng().random_range(limit..limit * 2) < pending
    }
}
