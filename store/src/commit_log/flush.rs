//! Getting the written bytes to disk.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;

use super::{CommitLog, Syncs};
use crate::io::Files;

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
            syncs.sync(&*self.files, dirty.map(|file| file.file()))?;
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
        self.syncing.lock().sync(&*self.files, files)
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
