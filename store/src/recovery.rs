//! stub being filled
use std::time::Duration;

use remoting::types::PhysicalOffset;

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The last exit left no `abort` file behind.
    pub clean: bool,
    pub commit_log_files: usize,
    pub queues: usize,
    /// First byte that the scan looked at.
    pub scanned_from: PhysicalOffset,
    pub scanned_bytes: u64,
    pub scanned_records: u64,
    /// Entries written to queues that were behind.
    pub rebuilt_entries: u64,
    /// Bytes behind the last good record that were taken for more than free space.
    pub cut_bytes: u64,
    /// Queue entries that pointed behind the end of the log.
    pub cut_entries: u64,
    /// The end of the log: where the next record goes.
    pub end: PhysicalOffset,
    pub took: Duration,
}
