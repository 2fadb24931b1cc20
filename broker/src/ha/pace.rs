//! How fast the log goes out: counted, and held back if the settings say so.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const SECOND: Duration = Duration::from_secs(1);
/// A bound for a second is kept in tenths of it, so that bytes come evenly.
const TURNS: u64 = 10;
const TURN: Duration = Duration::from_millis(100);

/// Bytes in the last whole second.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Second>);

#[derive(Debug)]
struct Second {
    began: Instant,
    bytes: u64,
    /// In the one before.
    last: u64,
}

impl Second {
    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed >= SECOND {
            self.last = if passed < 2 * SECOND { self.bytes } else { 0 };
            (self.began, self.bytes) = (now, 0);
        }
    }
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Second { began: now, bytes: 0, last: 0 }))
    }

    pub(super) fn add(&self, bytes: usize, now: Instant) {
        let mut second = self.0.lock();
        second.roll(now);
        second.bytes += bytes as u64;
    }

    pub(super) fn bytes_per_second(&self, now: Instant) -> u64 {
        let mut second = self.0.lock();
        second.roll(now);
        second.last
    }
}

/// Keeps one sender to a bound. Java: `FlowMonitor`.
#[derive(Debug)]
pub(super) struct Pace {
    turn: Instant,
    sent: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { turn: now, sent: 0 }
    }

    /// Bytes that may go out now, at most `max`.
    ///
    /// # Errors
    /// None may, for so long.
    pub(super) fn allows(&mut self, per_second: u64, max: usize, now: Instant) -> Result<usize, Duration> {
        let passed = now.saturating_duration_since(self.turn);
        if passed >= TURN {
            (self.turn, self.sent) = (now, 0);
        }
        let left = per_second.div_ceil(TURNS).saturating_sub(self.sent);
        if left == 0 {
            return Err(TURN - passed);
        }
        Ok(usize::try_from(left).unwrap_or(max).min(max))
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_sender_keeps_to_its_bound_in_every_tenth_of_a_second() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        assert_eq!(pace.allows(1000, 64, began), Ok(64));
        pace.sent(64);
        assert_eq!(pace.allows(1000, 64, began + millis(30)), Ok(36));
        pace.sent(36);
        assert_eq!(pace.allows(1000, 64, began + millis(30)), Err(millis(70)));
        assert_eq!(pace.allows(1000, 64, began + millis(100)), Ok(64));
        assert_eq!(pace.allows(u64::MAX, 64, began + millis(100)), Ok(64));
        assert_eq!(pace.allows(1, 64, began + millis(500)), Ok(1), "never nothing for ever");
    }

    #[test]
    fn bytes_are_those_of_the_last_whole_second() {
        let began = Instant::now();
        let meter = Meter::new(began);
        meter.add(5, began);
        meter.add(7, began + millis(999));
        assert_eq!(meter.bytes_per_second(began + millis(999)), 0);
        assert_eq!(meter.bytes_per_second(began + millis(1000)), 12);
        meter.add(1, began + millis(1500));
        assert_eq!(meter.bytes_per_second(began + millis(2000)), 1);
        assert_eq!(meter.bytes_per_second(began + millis(5000)), 0);
    }
}
