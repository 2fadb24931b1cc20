//! What can be read at once, and reading the rest before it is asked for.
//!
//! Old messages lie on disk only. Who reads them waits, and nobody else should: so a reader that must not wait asks first, and
//! one that may has the system fetch the part of the log behind what it read while its consumer is busy with that.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::commit_log::Snapshot;

/// The end of the log, which was just written and so is in memory.
const JUST_WRITTEN_BYTES: i64 = 16 << 20;
/// Looked at in one call.
const WINDOW_BYTES: i64 = 256 << 10;
/// What was in memory is taken to be there for one or two of these.
const TICK_MS: u128 = 64;
const TICK_BITS: u32 = 24;

/// How much is read ahead of a reader: as much of the log as its last messages were spread over.
const AHEAD_BYTES_MIN: i64 = 1 << 20;
const AHEAD_BYTES_MAX: i64 = 16 << 20;

/// Windows of the log that were in memory a moment ago. Readers that go through it pull by pull look at each window once.
#[derive(Debug)]
pub(crate) struct Seen {
    began: Instant,
    /// Where a window has its place, the newest of them: its number and, in the lowest bits, the tick it was looked at.
    slots: [AtomicU64; SLOTS],
}

const SLOTS: usize = 256;

impl Default for Seen {
    fn default() -> Self {
        Self { began: Instant::now(), slots: [const { AtomicU64::new(0) }; SLOTS] }
    }
}

impl Seen {
    /// The first one is 2, so that an empty slot is of long ago.
    fn tick(&self, now: Instant) -> u64 {
        let ticks = now.duration_since(self.began).as_millis() / TICK_MS;
        ticks as u64 + 2
    }

    fn holds(&self, window: u64, tick: u64) -> bool {
        let seen = self.slots[window as usize % SLOTS].load(Ordering::Relaxed);
        seen == entry(window, tick) || seen == entry(window, tick.wrapping_sub(1))
    }

    fn note(&self, window: u64, tick: u64) {
        self.slots[window as usize % SLOTS].store(entry(window, tick), Ordering::Relaxed);
    }
}

fn entry(window: u64, tick: u64) -> u64 {
    window << TICK_BITS | tick & ((1 << TICK_BITS) - 1)
}

/// Tells of records whether they are in memory.
#[derive(Debug)]
pub(crate) struct Hot<'a> {
    /// From here on nothing needs to be looked at.
    from: i64,
    seen: &'a Seen,
    tick: u64,
}

impl<'a> Hot<'a> {
    pub(crate) fn new(log_end: i64, seen: &'a Seen, now: Instant) -> Self {
        Self { from: log_end - JUST_WRITTEN_BYTES, seen, tick: seen.tick(now) }
    }

    pub(crate) fn holds(&self, log: &Snapshot, record: Range<i64>) -> bool {
        record.start >= self.from
            || (record.start / WINDOW_BYTES..=(record.end - 1) / WINDOW_BYTES)
                .all(|window| self.holds_window(log, window))
            || log.is_resident(record)
    }

    fn holds_window(&self, log: &Snapshot, window: i64) -> bool {
        let number = window.unsigned_abs();
        if self.seen.holds(number, self.tick) {
            return true;
        }
        let resident = log.is_resident(window * WINDOW_BYTES..(window + 1) * WINDOW_BYTES);
        if resident {
            self.seen.note(number, self.tick);
        }
        resident
    }
}

/// Has the part of the log read that a reader of `read` comes to next, and returns it; `None`: all of it is in memory already.
pub(crate) fn read_ahead(log: &Snapshot, log_end: i64, read: &Range<i64>) -> Option<Range<i64>> {
    let ahead = (read.end - read.start).clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
    let next = read.end..(read.end + ahead).min(log_end - JUST_WRITTEN_BYTES);
    let missing = !next.is_empty() && !log.is_resident(next.clone());
    missing.then(|| {
        log.read_ahead(next.clone());
        next
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::io::RealFiles;
    use crate::mmap::Writer;

    #[test]
    fn what_was_dropped_from_memory_is_told_and_read_ahead_brings_it_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("0");
        let file = crate::io::create_sized(&path, 8 << 20, true).expect("a file");
        let mut writer = Writer::new(&path, 0, file, 0).expect("mapped");
        writer.write(&RealFiles, &vec![7; 8 << 20]).expect("written");
        writer.publish();
        let log = Snapshot::of([writer.file().clone()]);
        let seen = Seen::default();
        let now = seen.began;
        assert!(Hot::new(0, &seen, now).holds(&log, 0..8 << 20), "just written");
        assert!(Hot::new(64 << 20, &seen, now).holds(&log, 4 << 20..5 << 20), "in memory");

        writer.file().file().sync_all().expect("synced");
        rustix::fs::fadvise(writer.file().file(), 0, None, rustix::fs::Advice::DontNeed).expect("dropped");
        if log.is_resident(0..8 << 20) {
            // A file system without a disk, or one that keeps its pages: there is nothing to see.
            return;
        }
        let later = now + Duration::from_secs(1);
        assert!(Hot::new(64 << 20, &seen, now).holds(&log, 4 << 20..5 << 20), "it was there just now");
        assert!(!Hot::new(64 << 20, &seen, later).holds(&log, 4 << 20..5 << 20));
        assert!(Hot::new(0, &seen, later).holds(&log, 4 << 20..5 << 20), "the end of the log is not looked at");
        assert_eq!(read_ahead(&log, JUST_WRITTEN_BYTES + 1, &(0..1)), None, "nor behind it");
        assert_eq!(read_ahead(&log, 64 << 20, &(0..1)), Some(1..1 + AHEAD_BYTES_MIN));
        let came = (0..500).any(|_| {
            std::thread::park_timeout(Duration::from_millis(10));
            log.is_resident(1..1 << 20)
        });
        assert!(came, "what was read ahead is not in memory");
        assert_eq!(read_ahead(&log, 64 << 20, &(0..1)), None, "it is there already");
        log.forget(0..8 << 20);
        assert!(!log.is_resident(0..8 << 20), "what was forgotten is gone, though it had been read");
    }
}
