//! What the store counts about itself. Java: `StoreStatsService`.

use std::array;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use remoting::types::{PhysicalOffset, Timestamp};

use crate::commit_log::Flushes;

/// Figures of the store for RUNTIME INFO. Java: `StoreStatsService`, `DefaultMessageStore.getRuntimeInfo`.
#[derive(Clone, Debug)]
pub struct Figures {
    pub boot_timestamp: Timestamp,
    pub min_physical_offset: PhysicalOffset,
    pub max_physical_offset: PhysicalOffset,
    pub flushed_offset: PhysicalOffset,
    pub flushes: Flushes,
    /// Bytes written but not yet in the queues.
    pub dispatch_behind_bytes: u64,
    /// Most bytes that were waiting for the dispatch, sampled once a second.
    pub dispatch_behind_bytes_max: u64,
    /// Messages stored since start, and their bytes.
    pub put_messages: u64,
    pub put_bytes: u64,
    /// Batches refused since start, but for empty ones.
    pub put_failed: u64,
    /// Longest append since start.
    pub put_time_ms_max: u64,
    /// Appends of the last whole minute by duration; see [`PUT_TIME_BUCKETS`].
    pub put_time_buckets: [u64; 13],
    /// Percentiles of append times in the last whole minute, in ms.
    pub put_latency_99_ms: f64,
    pub put_latency_999_ms: f64,
    pub get_time_ms_max: u64,
    pub put_tps: Rates,
    pub get_found_tps: Rates,
    pub get_miss_tps: Rates,
    pub get_total_tps: Rates,
    pub get_transferred_tps: Rates,
    /// Used share of the disk that holds the commit log, 0–1; −1 if unknown.
    pub commit_log_disk_ratio: f64,
    pub consume_queue_disk_ratio: f64,
}

/// Per second over the last 10, 60 and 600 seconds; `None` until that long has passed.
pub type Rates = [Option<f64>; 3];

/// Names of [`Figures::put_time_buckets`]. Java: `StoreStatsService.PUT_MESSAGE_ENTIRE_TIME_MAX_DESC`.
pub const PUT_TIME_BUCKETS: [&str; 13] = [
    "[<=0ms]",
    "[0~10ms]",
    "[10~50ms]",
    "[50~100ms]",
    "[100~200ms]",
    "[200~500ms]",
    "[500ms~1s]",
    "[1~2s]",
    "[2~3s]",
    "[3~4s]",
    "[4~5s]",
    "[5~10s]",
    "[10s~]",
];

/// Upper ends of the buckets but the first and last, in ms, exclusive.
const PUT_TIME_ENDS_MS: [u64; 11] = [10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000];
/// Width in ms and number of the buckets that percentiles are taken from; one more holds what is longer.
const FINE_STEPS: [(u64, usize); 7] = [(1, 20), (2, 15), (5, 10), (10, 10), (50, 6), (100, 5), (1000, 9)];
const FINE_BUCKETS: usize = 76;
const SAMPLES_KEPT: usize = 601;
const SAMPLES_PER_MINUTE: u64 = 60;

/// Counters, cheap enough for the append path.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) boot: Timestamp,
    pub(crate) put_messages: AtomicU64,
    pub(crate) put_bytes: AtomicU64,
    pub(crate) put_failed: AtomicU64,
    put_time_ms_max: AtomicU64,
    put_times: [AtomicU64; 13],
    put_times_fine: [AtomicU64; FINE_BUCKETS],
    get_found: AtomicU64,
    get_miss: AtomicU64,
    get_transferred: AtomicU64,
    get_time_ms_max: AtomicU64,
    dispatch_behind_max: AtomicU64,
    samples: Mutex<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    /// One a second, newest last.
    counts: VecDeque<Sample>,
    taken: u64,
    last_minute: [u64; 13],
    last_minute_fine: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    put: u64,
    found: u64,
    miss: u64,
    transferred: u64,
}

impl Stats {
    pub(crate) fn new(boot: Timestamp) -> Self {
        Self {
            boot,
            put_messages: AtomicU64::new(0),
            put_bytes: AtomicU64::new(0),
            put_failed: AtomicU64::new(0),
            put_time_ms_max: AtomicU64::new(0),
            put_times: array::from_fn(|_| AtomicU64::new(0)),
            put_times_fine: array::from_fn(|_| AtomicU64::new(0)),
            get_found: AtomicU64::new(0),
            get_miss: AtomicU64::new(0),
            get_transferred: AtomicU64::new(0),
            get_time_ms_max: AtomicU64::new(0),
            dispatch_behind_max: AtomicU64::new(0),
            samples: Mutex::default(),
        }
    }

    pub(crate) fn put(&self, messages: usize, bytes: u64, took: Duration) {
        let ms = took.as_millis() as u64;
        self.put_messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.put_bytes.fetch_add(bytes, Ordering::Relaxed);
        let bucket = if ms == 0 { 0 } else { 1 + PUT_TIME_ENDS_MS.partition_point(|end| *end <= ms) };
        self.put_times[bucket].fetch_add(1, Ordering::Relaxed);
        self.put_times_fine[fine_bucket(ms)].fetch_add(1, Ordering::Relaxed);
        if ms > 0 {
            self.put_time_ms_max.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// Messages that came from another broker: they count, but nobody waited for them.
    /// Java: `DefaultMessageStore.ReputMessageService.doReput`, of a slave.
    pub(crate) fn copied(&self, messages: usize, bytes: u64) {
        self.put_messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.put_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, messages: usize, took: Duration) {
        let outcome = if messages > 0 { &self.get_found } else { &self.get_miss };
        outcome.fetch_add(1, Ordering::Relaxed);
        self.get_transferred.fetch_add(messages as u64, Ordering::Relaxed);
        self.get_time_ms_max.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
    }

    /// Called once a second.
    pub(crate) fn sample(&self, at: Timestamp, dispatch_behind: u64) {
        self.dispatch_behind_max.fetch_max(dispatch_behind, Ordering::Relaxed);
        let sample = Sample {
            at,
            put: self.put_messages.load(Ordering::Relaxed),
            found: self.get_found.load(Ordering::Relaxed),
            miss: self.get_miss.load(Ordering::Relaxed),
            transferred: self.get_transferred.load(Ordering::Relaxed),
        };
        let mut samples = self.samples.lock();
        samples.counts.push_back(sample);
        if samples.counts.len() > SAMPLES_KEPT {
            samples.counts.pop_front();
        }
        samples.taken += 1;
        if samples.taken.is_multiple_of(SAMPLES_PER_MINUTE) {
            let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
            samples.last_minute = self.put_times.each_ref().map(take);
            samples.last_minute_fine = self.put_times_fine.iter().map(take).collect();
        }
    }

    /// The figures that are counted here; the caller fills in the others.
    pub(crate) fn figures(&self) -> Figures {
        let samples = self.samples.lock();
        let rates = |count: fn(&Sample) -> u64| [10, 60, 600].map(|seconds| samples.rate(seconds, count));
        Figures {
            boot_timestamp: self.boot,
            min_physical_offset: PhysicalOffset(0),
            max_physical_offset: PhysicalOffset(0),
            flushed_offset: PhysicalOffset(0),
            flushes: Flushes::default(),
            dispatch_behind_bytes: 0,
            dispatch_behind_bytes_max: self.dispatch_behind_max.load(Ordering::Relaxed),
            put_messages: self.put_messages.load(Ordering::Relaxed),
            put_bytes: self.put_bytes.load(Ordering::Relaxed),
            put_failed: self.put_failed.load(Ordering::Relaxed),
            put_time_ms_max: self.put_time_ms_max.load(Ordering::Relaxed),
            put_time_buckets: samples.last_minute,
            put_latency_99_ms: percentile(&samples.last_minute_fine, 0.99),
            put_latency_999_ms: percentile(&samples.last_minute_fine, 0.999),
            get_time_ms_max: self.get_time_ms_max.load(Ordering::Relaxed),
            put_tps: rates(|sample| sample.put),
            get_found_tps: rates(|sample| sample.found),
            get_miss_tps: rates(|sample| sample.miss),
            get_total_tps: rates(|sample| sample.found + sample.miss),
            get_transferred_tps: rates(|sample| sample.transferred),
            commit_log_disk_ratio: -1.0,
            consume_queue_disk_ratio: -1.0,
        }
    }
}

impl Samples {
    fn rate(&self, seconds: usize, count: fn(&Sample) -> u64) -> Option<f64> {
        let last = self.counts.back()?;
        let before = self.counts.get(self.counts.len().checked_sub(seconds + 1)?)?;
        let ms = last.at.since(before.at).as_millis().max(1) as f64;
        Some((count(last) - count(before)) as f64 * 1000.0 / ms)
    }
}

/// The bucket whose upper end, inclusive, is the first at or above `ms`.
fn fine_bucket(ms: u64) -> usize {
    let (mut end, mut bucket) = (0, 0);
    for (step, count) in FINE_STEPS {
        let last = end + step * count as u64;
        if ms <= last {
            return bucket + (ms.saturating_sub(end + 1) / step) as usize;
        }
        end = last;
        bucket += count;
    }
    bucket
}

/// Upper end of a bucket; the last has none, so its lower one counts.
fn fine_end(bucket: usize) -> u64 {
    let mut left = bucket + 1;
    let mut end = 0;
    for (step, count) in FINE_STEPS {
        end += step * left.min(count) as u64;
        left -= left.min(count);
    }
    end
}

/// Java: `StoreStatsService.findPutMessageEntireTimePX`, straight lines within a bucket.
fn percentile(counts: &[u64], share: f64) -> f64 {
    let wanted = (counts.iter().sum::<u64>() as f64 * share) as u64;
    let mut passed = 0;
    for (bucket, count) in counts.iter().enumerate() {
        if wanted <= passed + count {
            let low = bucket.checked_sub(1).map_or(0, fine_end) as f64;
            let part = if *count == 0 { 0.0 } else { (wanted - passed) as f64 / *count as f64 };
            return low + (fine_end(bucket) as f64 - low) * part;
        }
        passed += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_javas_buckets() {
        assert_eq!(FINE_STEPS.iter().map(|(_, count)| count).sum::<usize>() + 1, FINE_BUCKETS);
        for (ms, end) in [(0, 1), (1, 1), (2, 2), (20, 20), (21, 22), (22, 22), (51, 55), (999, 1000), (10_000, 10_000)]
        {
            assert_eq!(fine_end(fine_bucket(ms)), end, "{ms} ms");
        }
        assert_eq!(fine_bucket(10_001), FINE_BUCKETS - 1);
        let stats = Stats::new(Timestamp(0));
        for ms in [0, 1, 9, 10, 10_000] {
            stats.put(1, 1, Duration::from_millis(ms));
        }
        (0..60).for_each(|second| stats.sample(Timestamp(second * 1000), 0));
        let figures = stats.figures();
        assert_eq!(figures.put_time_buckets, [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((figures.put_messages, figures.put_time_ms_max), (5, 10_000));
    }

    #[test]
    fn rates_appear_once_their_time_has_passed() {
        let stats = Stats::new(Timestamp(0));
        for second in 0..=60 {
            stats.sample(Timestamp(second * 1000), 0);
            stats.put(50, 1, Duration::ZERO);
        }
        assert_eq!(stats.figures().put_tps, [Some(50.0), Some(50.0), None]);
    }
}
