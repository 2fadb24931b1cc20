//! The settings of retention.

use std::time::Duration;

use super::Hours;

/// How long messages are kept, and what happens when the disk fills up. May be changed while the store is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// A file of the log goes when it was last written to this long ago. Java: `fileReservedTime`.
    pub reserved_time: Duration,
    /// Hours of the day, local time, in which files go without need. Java: `deleteWhen`.
    pub hours: Hours,
    /// Time between two passes. Java: `cleanResourceInterval`.
    pub interval: Duration,
    /// Most files of the log that one pass deletes. Java: `deleteFileBatchMax`.
    pub files_per_pass_max: usize,
    /// Pause between two deleted files of the log. Java: `deleteCommitLogFilesInterval`.
    pub log_file_pause: Duration,
    /// Pause behind each queue that files were deleted of. Java: `deleteConsumeQueueFilesInterval`.
    pub queue_file_pause: Duration,
    /// A deleted file that is still being read after this is reported; it is never taken from its readers.
    /// Java: `destroyMapedFileIntervalForcibly`, after which it is.
    pub readers_patience: Duration,
    /// Time until the deletion of a file that failed is tried again. Java: `redeleteHangedFileInterval`.
    pub retry_interval: Duration,
    /// Used share of the disk, in percent, above which files that have expired go at any hour; taken as 10 to 95.
    /// Java: `diskMaxUsedSpaceRatio`.
    pub disk_max_used_percent: u32,
    /// Used share above which files go also before they have expired; taken as 30 to 85. Java: `diskSpaceCleanForciblyRatio`.
    pub disk_clean_forcibly_percent: u32,
    /// Used share above which messages are refused; taken as 35 to 90. Java: `diskSpaceWarningLevelRatio`.
    pub disk_warning_percent: u32,
    /// Whether files may go before they have expired. Java: `cleanFileForciblyEnable`.
    pub clean_forcibly: bool,
    /// Stores that share the disk; above 1, the store's own size is held against its part of the disk.
    /// Java: `replicasPerDiskPartition`.
    pub stores_per_disk: u32,
    /// Used share of that part, 0 to 1, above which files go before they have expired.
    /// Java: `logicalDiskSpaceCleanForciblyThreshold`.
    pub own_part_clean_forcibly: f64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            reserved_time: Duration::from_secs(72 * 3600),
            hours: Hours::default(),
            interval: Duration::from_secs(10),
            files_per_pass_max: 10,
            log_file_pause: Duration::from_millis(100),
            queue_file_pause: Duration::from_millis(100),
            readers_patience: Duration::from_secs(120),
            retry_interval: Duration::from_secs(120),
            disk_max_used_percent: 75,
            disk_clean_forcibly_percent: 85,
            disk_warning_percent: 90,
            clean_forcibly: true,
            stores_per_disk: 1,
            own_part_clean_forcibly: 0.8,
        }
    }
}

impl Retention {
    pub(super) fn max_used(&self) -> f64 {
        share(self.disk_max_used_percent.clamp(10, 95))
    }

    pub(super) fn clean_forcibly_above(&self) -> f64 {
        share(self.disk_clean_forcibly_percent.clamp(30, 85))
    }

    pub(super) fn warning_above(&self) -> f64 {
        share(self.disk_warning_percent.clamp(35, 90))
    }
}

fn share(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}
