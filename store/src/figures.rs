//! stub being filled
use remoting::types::{PhysicalOffset, Timestamp};

/// Figures of the store for RUNTIME INFO. Java: `StoreStatsService`, `DefaultMessageStore.getRuntimeInfo`.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub boot_timestamp: Timestamp,
    pub min_physical_offset: PhysicalOffset,
    pub max_physical_offset: PhysicalOffset,
    pub flushed_offset: PhysicalOffset,
    /// Bytes written but not yet in the queues.
    pub dispatch_behind_bytes: u64,
    /// Most bytes that were ever waiting for the dispatch.
    pub dispatch_behind_bytes_max: u64,
    /// Messages stored since start.
    pub put_messages: u64,
    pub put_bytes: u64,
    pub put_failed: u64,
    /// Longest append since start.
    pub put_time_ms_max: u64,
    /// Appends by time, in Java's thirteen buckets: the last whole minute.
    pub put_time_buckets: [u64; 13],
    /// 99th and 99.9th percentile of append time over the last whole minute, in ms.
    pub put_latency_99_ms: f64,
    pub put_latency_999_ms: f64,
    pub get_time_ms_max: u64,
    /// Per second over the last 10, 60 and 600 seconds; `None` until that long has passed.
    pub put_tps: [Option<f64>; 3],
    pub get_found_tps: [Option<f64>; 3],
    pub get_missed_tps: [Option<f64>; 3],
    pub get_total_tps: [Option<f64>; 3],
    pub get_transferred_tps: [Option<f64>; 3],
    /// Used share of the disk that holds the commit log, 0–1; negative if unknown.
    pub commit_log_disk_ratio: f64,
    pub consume_queue_disk_ratio: f64,
}
