//! What a store is told when it is opened.
//!
//! The broker maps RocketMQ's property names to these fields; each field names its property.

use std::path::PathBuf;
use std::time::Duration;

use crate::consume_queue::{BATCH_UNIT_BYTES, UNIT_BYTES};
use crate::error::StoreError;
use crate::index::Layout;
use crate::message::Check;
use crate::retention::Retention;

/// When a message counts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// Once it is written; the disk follows within the flush interval. Java: `ASYNC_FLUSH`.
    Async,
    /// Once `fdatasync` came back; waiters share one call. Java: `SYNC_FLUSH`.
    Sync,
}

/// Where a store lives and how it behaves. Sizes are bytes.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Java: `storePathRootDir`.
    pub root: PathBuf,
    /// `None`: `<root>/commitlog`. Java: `storePathCommitLog`.
    pub commit_log_dir: Option<PathBuf>,
    /// Size of every commit log file; must match the files found. Java: `mappedFileSizeCommitLog`.
    pub commit_log_file_bytes: u64,
    /// Size of every consume queue file, rounded up to whole units of 20 bytes. Java: `mappedFileSizeConsumeQueue`.
    pub consume_queue_file_bytes: u64,
    /// Size of every file of a queue of inner batches, rounded up to whole units of 46 bytes.
    /// Java: `mapperFileSizeBatchConsumeQueue`.
    pub batch_consume_queue_file_bytes: u64,
    /// Java: `flushDiskType`.
    pub flush: FlushMode,
    /// Time between two looks at what to flush under [`FlushMode::Async`]. Java: `flushIntervalCommitLog`.
    pub flush_interval: Duration,
    /// Pages of 4 KiB that must be waiting before a look flushes them. Java: `flushCommitLogLeastPages`.
    pub flush_least_pages: u64,
    /// After this long everything is flushed, however little it is. Java: `flushCommitLogThoroughInterval`.
    pub flush_thorough_interval: Duration,
    /// Longest wait of an append for the one before it; after one in vain, the next are refused at once until the log is
    /// free. Java: `osPageCacheBusyTimeOutMills`.
    pub append_patience: Duration,
    /// Longest wait for a confirmation. Java: `syncFlushTimeout`.
    pub sync_flush_timeout: Duration,
    /// Java: `flushIntervalConsumeQueue`.
    pub consume_queue_flush_interval: Duration,
    /// Java: `flushConsumeQueueLeastPages`.
    pub consume_queue_flush_least_pages: u64,
    /// Java: `flushConsumeQueueThoroughInterval`.
    pub consume_queue_flush_thorough_interval: Duration,
    /// Check the body CRC of every record that recovery walks over, or that is copied from another broker. Java: `checkCRCOnRecover`.
    pub check_crc_on_recover: bool,
    /// New records end with a checksum over all of them. Java: `enabledAppendPropCRC`.
    pub append_record_crc: bool,
    /// Check that checksum, instead of the body's, of every record that recovery walks over or that is copied; a record without
    /// one ends the log. Java: `forceVerifyPropCRC`.
    pub require_record_crc: bool,
    /// Messages go into the light queues that they name, too. Java: `enableLmq` and `enableMultiDispatch`.
    pub light_queues: bool,
    /// Largest body, and largest encoded body of a batch. Java: `maxMessageSize`.
    pub max_message_bytes: usize,
    /// Delay of level 1, 2, …; decides the deliver time kept in the schedule topic's queues. Java: `messageDelayLevel`.
    pub delay_levels: Vec<Duration>,
    /// How much one read may return.
    pub transfer: TransferLimits,
    /// Share of physical memory, in percent, within which the end of the log is taken to be cached.
    /// Java: `accessMessageInMemoryMaxRatio`.
    pub access_message_in_memory_max_ratio: u32,
    /// Bytes of queue units one read may scan; at least 20 × the messages asked for are. Java: `maxFilterMessageSize`.
    pub max_filter_message_size: usize,
    /// From so many queues on, it is noted while the store is in use how they stand, for the start after a crash of the process.
    pub note_from_queues: usize,
    pub retention: Retention,
    pub index: IndexConfig,
}

/// How messages are found by key.
#[derive(Clone, Copy, Debug)]
pub struct IndexConfig {
    /// Keep the index up to the log. What there is of it is looked into in any case. Java: `messageIndexEnable`.
    pub enable: bool,
    /// Opening waits until the index is complete, instead of completing it meanwhile. Java: `messageIndexSafe`.
    pub complete_at_open: bool,
    /// Slots of every file; must match the files found. Java: `maxHashSlotNum`.
    pub slots: u32,
    /// Entries of every file, of which the first is not used; must match the files found. Java: `maxIndexNum`.
    pub entries: u32,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self { enable: true, complete_at_open: false, slots: 5_000_000, entries: 20_000_000 }
    }
}

/// Most messages and bytes in one read, by whether the messages are expected to be cached.
#[derive(Clone, Copy, Debug)]
pub struct TransferLimits {
    /// Java: `maxTransferBytesOnMessageInMemory`.
    pub bytes_in_memory: usize,
    /// Java: `maxTransferCountOnMessageInMemory`.
    pub count_in_memory: usize,
    /// Java: `maxTransferBytesOnMessageInDisk`.
    pub bytes_on_disk: usize,
    /// Java: `maxTransferCountOnMessageInDisk`.
    pub count_on_disk: usize,
}

impl Default for TransferLimits {
    fn default() -> Self {
        Self { bytes_in_memory: 256 << 10, count_in_memory: 32, bytes_on_disk: 64 << 10, count_on_disk: 8 }
    }
}

impl IndexConfig {
    pub(crate) fn layout(&self) -> Layout {
        Layout { slots: self.slots, entries: self.entries }
    }
}

impl StoreConfig {
    /// Of fewer, all folders are listed in half a second.
    pub const NOTE_FROM_QUEUES: usize = 10_000;

    /// RocketMQ's defaults, in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            commit_log_dir: None,
            commit_log_file_bytes: 1 << 30,
            consume_queue_file_bytes: 6_000_000,
            batch_consume_queue_file_bytes: 300_000 * BATCH_UNIT_BYTES as u64,
            flush: FlushMode::Async,
            flush_interval: Duration::from_millis(500),
            flush_least_pages: 4,
            flush_thorough_interval: Duration::from_secs(10),
            append_patience: Duration::from_secs(1),
            sync_flush_timeout: Duration::from_secs(5),
            consume_queue_flush_interval: Duration::from_secs(1),
            consume_queue_flush_least_pages: 2,
            consume_queue_flush_thorough_interval: Duration::from_secs(60),
            check_crc_on_recover: true,
            append_record_crc: false,
            light_queues: false,
            require_record_crc: false,
            max_message_bytes: 4 << 20,
            delay_levels: default_delay_levels(),
            transfer: TransferLimits::default(),
            access_message_in_memory_max_ratio: 40,
            max_filter_message_size: 16_000,
            note_from_queues: Self::NOTE_FROM_QUEUES,
            retention: Retention::default(),
            index: IndexConfig::default(),
        }
    }

    /// Rounds and checks what the files depend on.
    pub(crate) fn checked(mut self) -> Result<Self, StoreError> {
        const UNIT: u64 = UNIT_BYTES as u64;
        let property = |setting, value, reason| Err(StoreError::Setting { setting, value, reason });
        // Positions in records are i32, and a file must hold a record and a blank.
        if !(1024..=i32::MAX as u64).contains(&self.commit_log_file_bytes) {
            return property("mappedFileSizeCommitLog", self.commit_log_file_bytes, "1024 to 2147483647 bytes");
        }
        self.consume_queue_file_bytes = self.consume_queue_file_bytes.next_multiple_of(UNIT);
        if !(UNIT..=i32::MAX as u64).contains(&self.consume_queue_file_bytes) {
            return property("mappedFileSizeConsumeQueue", self.consume_queue_file_bytes, "20 to 2147483640 bytes");
        }
        self.batch_consume_queue_file_bytes =
            self.batch_consume_queue_file_bytes.next_multiple_of(BATCH_UNIT_BYTES as u64);
        if !(BATCH_UNIT_BYTES as u64..=i32::MAX as u64).contains(&self.batch_consume_queue_file_bytes) {
            let value = self.batch_consume_queue_file_bytes;
            return property("mapperFileSizeBatchConsumeQueue", value, "46 to 2147483618 bytes");
        }
        let layout @ Layout { slots, entries } = self.index.layout();
        // Places in a file are i32 in Java.
        if slots == 0 || layout.slot_at(slots) > i32::MAX as u64 {
            return property("maxHashSlotNum", slots.into(), "1 to 536870901");
        }
        if entries < 2 || layout.file_bytes() > i32::MAX as u64 {
            return property("maxIndexNum", entries.into(), "from 2, and files of at most 2147483647 bytes");
        }
        Ok(self)
    }

    /// What is checked of records that do not come from an append.
    pub(crate) fn record_check(&self) -> Check {
        match (self.require_record_crc, self.check_crc_on_recover) {
            (true, _) => Check::Record,
            (false, true) => Check::Body,
            (false, false) => Check::Nothing,
        }
    }

    pub(crate) fn commit_log_dir(&self) -> PathBuf {
        self.commit_log_dir.clone().unwrap_or_else(|| self.root.join("commitlog"))
    }
}

/// `1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h`.
fn default_delay_levels() -> Vec<Duration> {
    const MINUTE: u64 = 60;
    [1, 5, 10, 30]
        .into_iter()
        .chain((1..=10).map(|minutes| minutes * MINUTE))
        .chain([20 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE])
        .map(Duration::from_secs)
        .collect()
}
