//! Getting the written bytes to disk.

use std::array;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{CommitLog, Syncs};
use crate::io::Files;

/// Upper ends of [`Flushes::counts`] but of the last one, inclusive.
pub const FLUSH_TIME_ENDS: [Duration; 11] =
    [ms(1), ms(2), ms(5), ms(10), ms(20), ms(50), ms(100), ms(500), ms(1000), ms(2000), ms(10_000)];

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How long it takes to bring the log to disk, since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushes {
    /// By the time that they took; see [`FLUSH_TIME_ENDS`].
    pub counts: [u64; FLUSH_TIME_ENDS.len() + 1],
    /// Time that all of them took.
    pub total: Duration,
    pub longest: Duration,
    /// How long the one that is under way has taken so far.
    pub under_way: Option<Duration>,
    /// One has failed: there are no more.
    pub failed: bool,
}

/// Counts flushes. One at a time is under way.
#[derive(Debug)]
pub(super) struct FlushTimes {
    base: Instant,
    /// When the one that is under way began, in nanoseconds behind `base`; 0: none is.
    began_ns: AtomicU64,
    counts: [AtomicU64; FLUSH_TIME_ENDS.len() + 1],
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
}

impl FlushTimes {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            began_ns: AtomicU64::new(0),
            counts: array::from_fn(|_| AtomicU64::new(0)),
            total_ns: AtomicU64::new(0),
            longest_ns: AtomicU64::new(0),
        }
    }

    fn now_ns(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    fn time<T>(&self, flush: impl FnOnce() -> T) -> T {
        let began = self.now_ns().max(1);
        self.began_ns.store(began, Ordering::Relaxed);
        let done = flush();
        let took = self.now_ns() - began;
        let bucket = FLUSH_TIME_ENDS.partition_point(|end| *end < Duration::from_nanos(took));
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.total_ns.fetch_add(took, Ordering::Relaxed);
        self.longest_ns.fetch_max(took, Ordering::Relaxed);
        self.began_ns.store(0, Ordering::Relaxed);
        done
    }

    fn figures(&self, failed: bool) -> Flushes {
        let began = self.began_ns.load(Ordering::Relaxed);
        Flushes {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            total: Duration::from_nanos(self.total_ns.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(self.longest_ns.load(Ordering::Relaxed)),
            under_way: (began > 0).then(|| Duration::from_nanos(self.now_ns().saturating_sub(began))),
            failed,
        }
    }
}

impl CommitLog {
    /// Returns once everything that was written when it was called is on disk; how far that is.
    ///
    /// # Errors
    /// The disk failed. What it holds is unknown then, and no later call may be believed: the caller poisons the store.
    pub(crate) fn flush(&self) -> io::Result<i64> {
        let mut syncs = self.syncing.lock();
        // The time first: if a record comes in between, the time is older than the end, never newer.
        let timestamp = self.end_timestamp.load(Ordering::Acquire);
        let end = self.end();
        let from = self.flushed();
        if from < end {
            let segments = self.segments.read().clone();
            let behind = |at: i64| move |start: i64, len: usize| start + len as i64 > at;
            let dirty = segments.iter().filter(|file| behind(from)(file.start(), file.len()) && file.start() < end);
            self.flush_times.time(|| syncs.sync(&*self.files, dirty.map(|file| file.file())))?;
            self.flushed_timestamp.store(timestamp, Ordering::Release);
            self.on_disk.advance(end);
        }
        Ok(end)
    }

    /// Syncs files of the log, for other ends than to flush it.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub(super) fn sync<'a>(&self, files: impl IntoIterator<Item = &'a File>) -> io::Result<()> {
        let mut syncs = self.syncing.lock();
        self.flush_times.time(|| syncs.sync(&*self.files, files))
    }

    /// `failed`: the store takes no more messages, as one has.
    pub(crate) fn flushes(&self, failed: bool) -> Flushes {
        self.flush_times.figures(failed)
    }

    /// Bytes written but not on disk.
    pub(crate) fn unflushed(&self) -> u64 {
        (self.end() - self.flushed()).max(0) as u64
    }
}

impl Syncs {
    pub(super) fn sync<'a>(&mut self, disk: &dyn Files, files: impl IntoIterator<Item = &'a File>) -> io::Result<()> {
        if *self == Self::Failed {
            return Err(io::Error::other("an earlier flush of the commit log failed"));
        }
        let synced = files.into_iter().try_for_each(|file| disk.sync_data(file));
        if synced.is_err() {
            *self = Self::Failed;
        }
        synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    #[test]
    fn flushes_are_counted_by_their_time_and_seen_while_they_last() {
        let times = FlushTimes::new();
        assert_eq!(times.figures(false), Flushes::default());
        times.time(|| {
            Signal::default().wait(Some(Duration::from_millis(3)));
            let so_far = times.figures(false);
            assert!(so_far.under_way.is_some_and(|time| time >= Duration::from_millis(3)), "{so_far:?}");
            assert_eq!(so_far.counts, [0; 12], "it is counted when it is over");
        });
        times.time(|| {});
        let found = times.figures(true);
        assert_eq!((found.counts.iter().sum::<u64>(), found.under_way, found.failed), (2, None, true));
        assert_eq!(found.counts[..2], [1, 0], "one took no time, the other more than 2 ms");
        assert!(found.longest >= Duration::from_millis(3) && found.total >= found.longest, "{found:?}");
    }
}
