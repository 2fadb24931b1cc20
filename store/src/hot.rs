//! What can be read at once, and reading the rest before it is asked for.
//!
//! Old messages lie on disk only. Who reads them waits, and nobody else should: so a reader that must not wait asks first, and
//! one that may has the system fetch the part of the log behind what it read while its consumer is busy with that.

use std::ops::Range;

use crate::commit_log::Snapshot;

/// The end of the log, which was just written and so is in memory.
const JUST_WRITTEN_BYTES: i64 = 16 << 20;
/// Looked at in one call.
const WINDOW_BYTES: i64 = 256 << 10;

/// How much is read ahead of a reader: as much of the log as its last messages were spread over.
const AHEAD_BYTES_MIN: i64 = 1 << 20;
const AHEAD_BYTES_MAX: i64 = 16 << 20;

/// Tells of records, mostly in the order of the log, whether they are in memory.
#[derive(Debug)]
pub(crate) struct Hot {
    /// From here on nothing needs to be looked at.
    from: i64,
    /// Known to be in memory.
    known: Range<i64>,
}

impl Hot {
    pub(crate) fn new(log_end: i64) -> Self {
        Self { from: log_end - JUST_WRITTEN_BYTES, known: 0..0 }
    }

    pub(crate) fn holds(&mut self, log: &Snapshot, record: Range<i64>) -> bool {
        if record.start >= self.from || self.known.start <= record.start && record.end <= self.known.end {
            return true;
        }
        let window = record.start..record.end.max(record.start + WINDOW_BYTES);
        if log.is_resident(window.clone()) {
            self.known = window;
            return true;
        }
        log.is_resident(record)
    }
}

/// Has the part of the log read that a reader of `read` comes to next; false if all of it is in memory already.
pub(crate) fn read_ahead(log: &Snapshot, log_end: i64, read: &Range<i64>) -> bool {
    let ahead = (read.end - read.start).clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
    let next = read.end..(read.end + ahead).min(log_end - JUST_WRITTEN_BYTES);
    let missing = !next.is_empty() && !log.is_resident(next.clone());
    if missing {
        log.read_ahead(next);
    }
    missing
}

#[cfg(test)]
mod tests {
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
        assert!(Hot::new(0).holds(&log, 0..8 << 20), "just written");

        writer.file().file().sync_all().expect("synced");
        rustix::fs::fadvise(writer.file().file(), 0, None, rustix::fs::Advice::DontNeed).expect("dropped");
        if log.is_resident(0..8 << 20) {
            // A file system without a disk, or one that keeps its pages: there is nothing to see.
            return;
        }
        assert!(!Hot::new(64 << 20).holds(&log, 4 << 20..5 << 20));
        assert!(Hot::new(0).holds(&log, 4 << 20..5 << 20), "the end of the log is not looked at");
        assert!(!read_ahead(&log, JUST_WRITTEN_BYTES + 1, &(0..1)), "nor behind it");
        assert!(read_ahead(&log, 64 << 20, &(0..1)));
        let came = (0..500).any(|_| {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
            log.is_resident(1..1 << 20)
        });
        assert!(came, "what was read ahead is not in memory");
        assert!(!read_ahead(&log, 64 << 20, &(0..1)), "it is there already");
    }
}
