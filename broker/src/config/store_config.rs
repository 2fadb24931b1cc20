//! What the settings mean to the store.

use std::time::Duration;

use remoting::config::Unfit;
use store::{BadHours, FlushMode, IndexConfig, Retention, StoreConfig, TransferLimits};

use super::{BrokerConfig, FlushDiskType};

/// Java's limit: a length field of 32 bits with a sign.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// An entry of a consume queue.
const QUEUE_ENTRY_BYTES: u64 = 20;
/// An entry of a consume queue of inner batches.
const BATCH_QUEUE_ENTRY_BYTES: u64 = 46;

impl BrokerConfig {
    /// # Errors
    /// [`Unfit`] if `messageDelayLevel` is not a list of durations.
    pub fn store(&self) -> Result<StoreConfig, Unfit> {
        let flush = match self.flush_disk_type {
            FlushDiskType::AsyncFlush => FlushMode::Async,
            FlushDiskType::SyncFlush => FlushMode::Sync,
        };
        Ok(StoreConfig {
            root: self.store_path_root_dir.clone(),
            commit_log_dir: self.store_path_commit_log.clone(),
            commit_log_file_bytes: self.mapped_file_size_commit_log,
            consume_queue_file_bytes: self.mapped_file_size_consume_queue,
            batch_consume_queue_file_bytes: self.mapper_file_size_batch_consume_queue,
            flush,
            flush_interval: *self.flush_interval_commit_log,
            flush_least_pages: self.flush_commit_log_least_pages,
            flush_thorough_interval: *self.flush_commit_log_thorough_interval,
            append_patience: *self.os_page_cache_busy_time_out_mills,
            sync_flush_timeout: *self.sync_flush_timeout,
            consume_queue_flush_interval: *self.flush_interval_consume_queue,
            consume_queue_flush_least_pages: self.flush_consume_queue_least_pages,
            consume_queue_flush_thorough_interval: *self.flush_consume_queue_thorough_interval,
            check_crc_on_recover: self.check_crc_on_recover,
            append_record_crc: self.enabled_append_prop_crc,
            light_queues: self.enable_lmq && self.enable_multi_dispatch,
            require_record_crc: self.force_verify_prop_crc,
            max_message_bytes: self.max_message_size,
            delay_levels: self.delay_levels()?,
            transfer: TransferLimits {
                bytes_in_memory: self.max_transfer_bytes_on_message_in_memory,
                count_in_memory: self.max_transfer_count_on_message_in_memory,
                bytes_on_disk: self.max_transfer_bytes_on_message_in_disk,
                count_on_disk: self.max_transfer_count_on_message_in_disk,
            },
            access_message_in_memory_max_ratio: self.access_message_in_memory_max_ratio,
            max_filter_message_size: self.max_filter_message_size,
            note_from_queues: StoreConfig::NOTE_FROM_QUEUES,
            retention: self.retention()?,
            index: IndexConfig {
                enable: self.message_index_enable && self.index_file_write_enable,
                complete_at_open: self.message_index_safe,
                slots: self.max_hash_slot_num,
                entries: self.max_index_num,
            },
        })
    }

    /// How long messages are kept.
    ///
    /// # Errors
    /// [`Unfit`] if `deleteWhen` is not a list of hours.
    pub fn retention(&self) -> Result<Retention, Unfit> {
        Ok(Retention {
            reserved_time: *self.file_reserved_time,
            hours: self.delete_when.parse().map_err(|err: BadHours| Unfit::new("deleteWhen", err.to_string()))?,
            interval: *self.clean_resource_interval,
            files_per_pass_max: self.delete_file_batch_max,
            log_file_pause: *self.delete_commit_log_files_interval,
            queue_file_pause: *self.delete_consume_queue_files_interval,
            readers_patience: *self.destroy_maped_file_interval_forcibly,
            retry_interval: *self.redelete_hanged_file_interval,
            disk_max_used_percent: self.disk_max_used_space_ratio,
            disk_clean_forcibly_percent: self.disk_space_clean_forcibly_ratio,
            disk_warning_percent: self.disk_space_warning_level_ratio,
            clean_forcibly: self.clean_file_forcibly_enable,
            stores_per_disk: self.replicas_per_disk_partition,
            own_part_clean_forcibly: self.logical_disk_space_clean_forcibly_threshold,
        })
    }

    /// The delay of level 1, 2, ….
    ///
    /// # Errors
    /// [`Unfit`] if `messageDelayLevel` is not a list of durations.
    pub fn delay_levels(&self) -> Result<Vec<Duration>, Unfit> {
        let levels: Option<Vec<_>> = self.message_delay_level.split_whitespace().map(delay).collect();
        let levels = levels.filter(|levels| !levels.is_empty());
        levels.ok_or_else(|| Unfit::new("messageDelayLevel", "is not a list like 1s 5m 2h 1d"))
    }

    pub(super) fn check_store(&self) -> Result<(), Unfit> {
        let require = |holds: bool, key, reason: &str| if holds { Ok(()) } else { Err(Unfit::new(key, reason)) };
        let commit_log = self.store_path_commit_log.as_deref().map(|path| path.to_string_lossy());
        let one_folder = commit_log.is_none_or(|path| !path.contains(','));
        require(one_folder, "storePathCommitLog", "names several folders, which is not there yet")?;
        let message = self.max_message_size;
        require((1..=MESSAGE_BYTES_MAX).contains(&message), "maxMessageSize", "is not from 1 to 1073741824")?;
        require(
            self.mapped_file_size_commit_log > message as u64 + (64 << 10),
            "mappedFileSizeCommitLog",
            "leaves no room for a message of maxMessageSize and its properties",
        )?;
        require(
            self.mapped_file_size_commit_log <= i32::MAX as u64,
            "mappedFileSizeCommitLog",
            "is above 2147483647, which Java could not open",
        )?;
        require(
            self.mapped_file_size_consume_queue >= QUEUE_ENTRY_BYTES,
            "mappedFileSizeConsumeQueue",
            "is less than one entry of 20 bytes",
        )?;
        require(
            self.mapper_file_size_batch_consume_queue >= BATCH_QUEUE_ENTRY_BYTES,
            "mapperFileSizeBatchConsumeQueue",
            "is less than one entry of 46 bytes",
        )?;
        require(
            !self.force_verify_prop_crc || self.enabled_append_prop_crc,
            "forceVerifyPropCRC",
            "needs enabledAppendPropCRC=true: else new messages have no checksum, and the next start cuts them off",
        )?;
        let ratio = self.access_message_in_memory_max_ratio;
        require(ratio <= 100, "accessMessageInMemoryMaxRatio", "is above 100 percent")?;
        require(
            !self.clean_resource_interval.is_zero(),
            "cleanResourceInterval",
            "is 0: the disk would be looked at without end",
        )?;
        require(self.delete_file_batch_max > 0, "deleteFileBatchMax", "is 0: no file would ever be deleted")?;
        self.retention()?;
        self.delay_levels().map(drop)
    }
}

/// `5s`, `1m`, `2h` or `1d`. Java: `ScheduleMessageService.parseDelayLevel`.
fn delay(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let count: u32 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    Some(Duration::from_secs(u64::from(count) * seconds))
}
