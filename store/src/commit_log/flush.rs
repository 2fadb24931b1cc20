//! Getting the written bytes to disk.

use std::io;
use std::sync::atomic::Ordering;

use super::CommitLog;

impl CommitLog {
    /// Returns once everything that was written when it was called is on disk; how far that is.
    ///
    /// # Errors
    /// The disk failed. What it holds is unknown then, and no later call may be believed: the caller poisons the store.
    pub(crate) fn flush(&self) -> io::Result<i64> {
        let _one_at_a_time = self.flushing.lock();
        // The time first: if a record comes in between, the time is older than the end, never newer.
        let timestamp = self.end_timestamp.load(Ordering::Acquire);
        let end = self.end();
        let from = self.flushed();
        if from < end {
            let segments = self.segments.read().clone();
            let behind = |at: i64| move |start: i64, len: usize| start + len as i64 > at;
            let dirty = segments.iter().filter(|file| behind(from)(file.start(), file.len()) && file.start() < end);
            for file in dirty {
                self.files.sync_data(file.file())?;
            }
            self.flushed_timestamp.store(timestamp, Ordering::Release);
            self.flushed.store(end, Ordering::Release);
        }
        Ok(end)
    }

    /// Bytes written but not on disk.
    pub(crate) fn unflushed(&self) -> u64 {
        (self.end() - self.flushed()).max(0) as u64
    }
}
