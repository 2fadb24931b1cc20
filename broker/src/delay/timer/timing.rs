//! What a message's properties say of when it is to be delivered.

use remoting::types::Timestamp;

pub(crate) const DELAY_SEC: &str = "TIMER_DELAY_SEC";
pub(crate) const DELAY_MS: &str = "TIMER_DELAY_MS";
pub(crate) const DELIVER_MS: &str = "TIMER_DELIVER_MS";
/// Set by the broker: begin of the slot, one precision or less before the message is due.
pub(crate) const OUT_MS: &str = "TIMER_OUT_MS";
/// Set by the broker when it delivers: when the message was enrolled, and when it left its slot.
pub(super) const ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
pub(super) const DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
/// Set by the broker: how often the message was put back, as its time lay behind the window.
pub(super) const ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
/// The unique key of a message that this one cancels.
pub(crate) const CANCEL_KEY: &str = "TIMER_DEL_UNIQKEY";

/// The values of these properties, as texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timing<'a> {
    delay_sec: Option<&'a str>,
    delay_ms: Option<&'a str>,
    deliver_ms: Option<&'a str>,
    out_ms: Option<&'a str>,
    roll_times: Option<&'a str>,
    pub(crate) cancels: Option<&'a str>,
}

/// A time is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoNumber;

impl<'a> Timing<'a> {
    pub(crate) fn in_text(properties: &'a str) -> Self {
        let mut timing = Self::default();
        store::message::properties::iter(properties).for_each(|(name, value)| timing.note(name, value));
        timing
    }

    /// Takes one property; others than these are passed over.
    pub(crate) fn note(&mut self, name: &str, value: &'a str) {
        let place = match name {
            DELAY_SEC => &mut self.delay_sec,
            DELAY_MS => &mut self.delay_ms,
            DELIVER_MS => &mut self.deliver_ms,
            OUT_MS => &mut self.out_ms,
            ROLL_TIMES => &mut self.roll_times,
            CANCEL_KEY => &mut self.cancels,
            _ => return,
        };
        *place = Some(value);
    }

    /// Whether any time is named, be it over or not.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.delay_sec.or(self.delay_ms).or(self.deliver_ms).is_some()
    }

    /// Whether the message is to wait; one that the timer has had is not. Java: `HookUtils.checkIfTimerMessage`.
    pub(crate) fn is_timed(&self) -> bool {
        self.is_asked_for() && self.out_ms.is_none()
    }

    /// When the message is due if it came at `now`. Java: `HookUtils.transformTimerMessage`.
    pub(super) fn deliver_at(&self, now: Timestamp) -> Result<Timestamp, NoNumber> {
        let number = |text: &str| text.parse::<i64>().map_err(|_| NoNumber);
        Ok(Timestamp(match (self.delay_sec, self.delay_ms) {
            (Some(seconds), _) => now.0.saturating_add(number(seconds)?.saturating_mul(1000)),
            (None, Some(millis)) => now.0.saturating_add(number(millis)?),
            (None, None) => number(self.deliver_ms.ok_or(NoNumber)?)?,
        }))
    }

    /// Begin of the slot that a message in the timer topic belongs to.
    pub(super) fn out_time(&self) -> Option<Timestamp> {
        self.out_ms?.parse().ok().map(Timestamp)
    }

    pub(super) fn rolls(&self) -> i64 {
        self.roll_times.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// When exactly a message in the timer topic is due: later than its slot begins, not later than it ends. What its
    /// properties leave open is the end of the slot, so that it is never early.
    ///
    /// A delay counts from when the message was stored, which for one that was rolled is long after it came; such a one
    /// was given its time when it was rolled.
    pub(super) fn due_at(&self, stored: Timestamp, slot_begin: Timestamp, precision_ms: i64) -> Timestamp {
        let given = self.deliver_ms.and_then(|text| text.parse().ok()).map(Timestamp);
        let exact = if self.rolls() > 0 { given } else { self.deliver_at(stored).ok() };
        let end = Timestamp(slot_begin.0 + precision_ms);
        exact.filter(|exact| *exact > slot_begin).map_or(end, |exact| exact.min(end))
    }
}

/// Begin of the slot for a message that is due at `deliver_at`: before that, by one precision at most.
pub(crate) fn slot_begin(deliver_at: Timestamp, precision_ms: i64) -> Timestamp {
    Timestamp((deliver_at.0 - 1).div_euclid(precision_ms) * precision_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        text.replace('=', "\u{1}").replace(';', "\u{2}")
    }

    fn deliver_at(text: &str) -> Result<i64, NoNumber> {
        let text = encoded(text);
        Timing::in_text(&text).deliver_at(Timestamp(1_000_000)).map(|at| at.0)
    }

    #[test]
    fn seconds_beat_milliseconds_beat_a_time() {
        for (text, expect) in [
            ("TIMER_DELIVER_MS=5;", Ok(5)),
            ("TIMER_DELIVER_MS=5;TIMER_DELAY_MS=7;", Ok(1_000_007)),
            ("TIMER_DELAY_SEC=2;TIMER_DELAY_MS=7;", Ok(1_002_000)),
            ("TIMER_DELAY_SEC=-2;", Ok(998_000)),
            ("TIMER_DELAY_SEC=soon;TIMER_DELAY_MS=7;", Err(NoNumber)),
            ("TIMER_DELIVER_MS=1.5;", Err(NoNumber)),
            ("TIMER_DELAY_SEC=9223372036854775807;", Ok(i64::MAX)),
        ] {
            assert_eq!(deliver_at(text), expect, "{text}");
        }
    }

    #[test]
    fn what_the_timer_has_had_is_not_timed_again() {
        for (text, timed) in [
            ("TIMER_DELIVER_MS=1;", true),
            ("TIMER_DELAY_MS=1;TIMER_OUT_MS=2;", false),
            ("TIMER_DEL_UNIQKEY=k;", false),
            ("a=1;", false),
        ] {
            let text = encoded(text);
            assert_eq!(Timing::in_text(&text).is_timed(), timed, "{text}");
        }
    }

    #[test]
    fn a_slot_begins_before_its_messages_are_due() {
        for (at, begin) in [(1001, 1000), (1999, 1000), (2000, 1000), (2001, 2000)] {
            assert_eq!(slot_begin(Timestamp(at), 1000), Timestamp(begin), "{at}");
        }
        assert_eq!(slot_begin(Timestamp(1100), 100), Timestamp(1000));
    }

    #[test]
    fn a_message_is_due_to_the_millisecond_and_never_early() {
        let due = |text: &str, stored: i64| {
            let text = encoded(text);
            Timing::in_text(&text).due_at(Timestamp(stored), Timestamp(5000), 1000).0
        };
        assert_eq!(due("TIMER_DELIVER_MS=5678;", 9), 5678);
        assert_eq!(due("TIMER_DELAY_MS=3000;", 2123), 5123);
        assert_eq!(due("TIMER_DELAY_SEC=3;", 2123), 5123);
        // Stored a little later than it came: the slot was chosen before.
        assert_eq!(due("TIMER_DELAY_SEC=3;", 3002), 6000);
        // Rolled: the delay has begun long ago.
        assert_eq!(due("TIMER_DELAY_SEC=3;TIMER_ROLL_TIMES=1;", 2123), 6000);
        assert_eq!(due("TIMER_DELAY_SEC=3;TIMER_ROLL_TIMES=1;TIMER_DELIVER_MS=5500;", 2123), 5500);
        assert_eq!(due("", 2123), 6000);
        assert_eq!(due("TIMER_DELIVER_MS=77;", 2123), 6000);
    }
}
