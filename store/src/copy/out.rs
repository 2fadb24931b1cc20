//! The side that has the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use remoting::types::PhysicalOffset;
use thiserror::Error;

use crate::mmap::MappedFile;
use crate::store::Store;

/// A place that is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the log reaches from {min} to {end}, and {at} is not in it")]
pub struct OutOfLog {
    pub at: PhysicalOffset,
    /// First byte that is kept.
    pub min: PhysicalOffset,
    pub end: PhysicalOffset,
}

/// Bytes of the log, all of one file, and where they lie. The file stays as long as these do.
#[derive(Clone, Debug)]
pub struct LogBytes {
    file: Arc<MappedFile>,
    at: usize,
    len: usize,
}

impl Store {
    /// Bytes of the log from `from` on, at most `max`, all of one file; `None`: the log ends there. They are written, be they
    /// confirmed or not. What lies behind the last record of a full file is given out, too.
    ///
    /// # Errors
    /// The place lies before the first file that is kept, or behind the end.
    ///
    /// Java: `DefaultMessageStore.getCommitLogData`.
    pub fn log_bytes(&self, from: PhysicalOffset, max: usize) -> Result<Option<LogBytes>, OutOfLog> {
        let (end, log) = (self.max_physical_offset(), self.shared.log.snapshot());
        let out = OutOfLog { at: from, min: PhysicalOffset(log.min()), end };
        if from < out.min || from > end {
            return Err(out);
        }
        let Some((file, at)) = log.locate(from.0) else { return Ok(None) };
        // The file shows what is written a moment before the log ends there, and who was given that would ask from behind its end.
        let before_end = usize::try_from(end.0 - from.0).unwrap_or(usize::MAX);
        let len = file.readable().len().saturating_sub(at).min(before_end).min(max);
        Ok((len > 0).then(|| LogBytes { file: Arc::clone(file), at, len }))
    }

    /// Waits until the log reaches beyond `at`, the store is closed, or for `timeout`; how far it reaches then. Blocks. Not for
    /// a store that is a Raft log.
    pub fn wait_written(&self, at: PhysicalOffset, timeout: Duration) -> PhysicalOffset {
        let shared = &*self.shared;
        shared.log.growth().wait_while(timeout, || shared.log.end() <= at.0 && !shared.closed.load(Ordering::SeqCst));
        self.max_physical_offset()
    }

    /// Where the last file of the log begins.
    pub fn last_file_start(&self) -> PhysicalOffset {
        PhysicalOffset(self.shared.log.snapshot().last_start())
    }

    /// The last record, where it begins and its bytes; `None`: the log holds none. Who is to have the same log has the same
    /// record there, or no record yet.
    pub fn last_record(&self) -> Option<(PhysicalOffset, Bytes)> {
        let log = self.shared.log.snapshot();
        // A place where a record begins: that of the last one, or of one not far before it.
        let from = self.shared.dispatch.progress().last.max(log.min());
        log.last_record(from, self.shared.log.end())
    }
}

impl LogBytes {
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes; who touches them may wait for the disk.
    pub fn as_slice(&self) -> &[u8] {
        &self.file.readable()[self.at..self.at + self.len]
    }
}
