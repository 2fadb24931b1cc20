//! One figure that only grows, and what it was over the last minute, hour and day.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use remoting::body::{BrokerStatsData, BrokerStatsItem};
use remoting::types::Timestamp;

/// The three looks back. Java: `StatsItem.samplingInSeconds`, `samplingInMinutes`, `samplingInHour`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Minute,
    Hour,
    Day,
}

impl Span {
    pub(super) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Time between two samples.
    pub(super) fn period(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(10),
            Self::Hour => Duration::from_secs(10 * 60),
            Self::Day => Duration::from_secs(60 * 60),
        }
    }

    /// How far the oldest sample lies before the newest.
    fn length(self) -> Duration {
        match self {
            Self::Minute | Self::Hour => 6 * self.period(),
            Self::Day => 24 * self.period(),
        }
    }
}

/// A sum and how many calls made it up; adding costs two uncontended atomic additions.
///
/// Java: `StatsItem`, of which one exists from the first addition on; here it exists before and says so.
#[derive(Debug, Default)]
pub(super) struct Counter {
    value: AtomicU64,
    calls: AtomicU64,
    history: Mutex<[Window; 3]>,
}

impl Counter {
    pub(super) fn add(&self, value: u64, calls: u64) {
        self.value.fetch_add(value, Ordering::Relaxed);
        self.calls.fetch_add(calls, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.value() == 0 && self.calls.load(Ordering::Relaxed) == 0
    }

    /// To be called once every [`Span::period`].
    pub(super) fn sample(&self, span: Span, now: Timestamp) {
        if self.is_untouched() {
            return;
        }
        let sample = Sample { at: now, value: self.value(), calls: self.calls.load(Ordering::Relaxed) };
        self.history.lock()[span as usize].push(span, sample);
    }

    /// What tools are shown; `None` if nothing was ever added.
    pub(super) fn data(&self) -> Option<BrokerStatsData> {
        if self.is_untouched() {
            return None;
        }
        let history = self.history.lock();
        let [stats_minute, stats_hour, stats_day] = Span::ALL.map(|span| history[span as usize].item(span));
        Some(BrokerStatsData { stats_day, stats_hour, stats_minute })
    }

    /// Per second over the last minute.
    pub(super) fn tps(&self) -> f64 {
        self.history.lock()[Span::Minute as usize].item(Span::Minute).tps
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    at: Timestamp,
    value: u64,
    calls: u64,
}

/// Samples of one span. Only those that differ from the one before are kept, because most of a broker's figures stand
/// still most of the time.
#[derive(Debug, Default)]
struct Window {
    /// When counting began: one period before the first sample, as Java has it.
    origin: Timestamp,
    last: Timestamp,
    samples: VecDeque<Sample>,
}

impl Window {
    fn push(&mut self, span: Span, sample: Sample) {
        if self.samples.is_empty() {
            self.origin = before(sample.at, span.period());
            self.samples.push_back(Sample { at: self.origin, value: 0, calls: 0 });
        }
        self.last = sample.at;
        if self.samples.back().is_none_or(|last| (last.value, last.calls) != (sample.value, sample.calls)) {
            self.samples.push_back(sample);
        }
        // Samples come a little early or late.
        let start = before(sample.at, span.length() - span.period() / 2);
        while self.samples.get(1).is_some_and(|second| second.at <= start) {
            self.samples.pop_front();
        }
    }

    /// Java: `StatsItem.computeStatsData`.
    fn item(&self, span: Span) -> BrokerStatsItem {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return BrokerStatsItem::default();
        };
        let start = self.origin.max(before(self.last, span.length()));
        let sum = last.value - first.value;
        let calls = last.calls - first.calls;
        let millis = self.last.since(start).as_millis().max(1);
        BrokerStatsItem {
            avgpt: if calls > 0 { sum as f64 / calls as f64 } else { 0.0 },
            sum: i64::try_from(sum).unwrap_or(i64::MAX),
            tps: sum as f64 * 1000.0 / millis as f64,
        }
    }
}

fn before(at: Timestamp, span: Duration) -> Timestamp {
    Timestamp(at.0 - i64::try_from(span.as_millis()).expect("spans are at most a day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 1_700_000_000_000;

    /// The minute's (sum, tps, avgpt) after samples every 10 s, each after one addition of (value, calls).
    fn minute(additions: &[(u64, u64)]) -> (i64, f64, f64) {
        let counter = Counter::default();
        for (number, (value, calls)) in additions.iter().enumerate() {
            counter.add(*value, *calls);
            // Late by up to half a second.
            let jitter = (number as i64 * 137) % 500;
            counter.sample(Span::Minute, Timestamp(T0 + number as i64 * 10_000 + jitter));
        }
        let item = counter.data().unwrap().stats_minute;
        (item.sum, (item.tps * 10.0).round() / 10.0, item.avgpt)
    }

    #[test]
    fn sums_cover_the_last_minute_as_javas_seven_samples_do() {
        assert_eq!(minute(&[(50, 10)]), (50, 5.0, 5.0), "the first sample counts from one period before");
        assert_eq!(minute(&[(50, 10), (30, 10)]), (80, 4.0, 4.0));
        assert_eq!(minute(&[(60, 6); 6]), (360, 6.0, 10.0));
        assert_eq!(minute(&[(60, 6); 20]), (360, 6.0, 10.0), "what is older than a minute is left out");
        let idle = [&[(600, 6)][..], &[(0, 0); 5]].concat();
        assert_eq!(minute(&idle), (600, 10.0, 100.0));
        let idle = [&[(600, 6)][..], &[(0, 0); 6]].concat();
        assert_eq!(minute(&idle), (0, 0.0, 0.0));
        let again = [&[(600, 6)][..], &[(0, 0); 20], &[(120, 1)]].concat();
        assert_eq!(minute(&again), (120, 2.0, 120.0));
    }

    #[test]
    fn nothing_is_known_of_what_was_never_counted() {
        let counter = Counter::default();
        counter.sample(Span::Minute, Timestamp(T0));
        assert_eq!(counter.data(), None);
        counter.add(1, 1);
        assert_eq!(counter.data(), Some(BrokerStatsData::default()), "counted but not sampled yet");
    }

    #[test]
    fn spans_are_sampled_apart() {
        let counter = Counter::default();
        for hour in 0..30 {
            counter.add(3600, 1);
            counter.sample(Span::Day, Timestamp(T0 + hour * 3_600_000));
            if hour % 2 == 0 {
                counter.sample(Span::Hour, Timestamp(T0 + hour * 600_000));
            }
        }
        let data = counter.data().unwrap();
        assert_eq!((data.stats_day.sum, data.stats_day.tps), (24 * 3600, 1.0));
        assert_eq!(data.stats_minute.sum, 0);
        assert!(data.stats_hour.sum > 0);
    }

    #[test]
    fn an_idle_counter_keeps_one_sample() {
        let counter = Counter::default();
        counter.add(1, 1);
        for tick in 0..1000 {
            counter.sample(Span::Minute, Timestamp(T0 + tick * 10_000));
        }
        assert_eq!(counter.history.lock()[0].samples.len(), 1);
    }
}
