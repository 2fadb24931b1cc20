//! Making queue entries again from records.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use remoting::types::{QueueId, TopicName};
use tracing::{info, warn};

use super::scan::{self, Place};
use crate::batch::Code;
use crate::commit_log::code_of;
use crate::config::StoreConfig;
use crate::consume_queue::{Gap, Queues, Unit};
use crate::io::Files;
use crate::message::{StoredMessage, is_folder_name, sys_flag};
use crate::mmap::MappedFile;

/// Entries kept in memory before they are written out.
const ENTRIES_IN_MEMORY: usize = 100_000;

pub(super) struct Rebuild<'a> {
    config: &'a StoreConfig,
    files: &'a dyn Files,
    queues: &'a Queues,
    added: u64,
    unwritten: usize,
    /// Queues that lack entries of records before the walk's start.
    behind: HashSet<(TopicName, QueueId)>,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(config: &'a StoreConfig, files: &'a dyn Files, queues: &'a Queues) -> Self {
        Self { config, files, queues, added: 0, unwritten: 0, behind: HashSet::new() }
    }

    /// Entries added so far.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// Puts the record into its queue, unless it is there. `from_start`: the walk saw the whole log, so what lies before
    /// a queue's first record is gone.
    pub(super) fn apply(&mut self, message: &StoredMessage<'_>, from_start: bool) -> io::Result<()> {
        // Batch records belong to queues of another layout.
        let has_entry = sys_flag::takes_queue_offset(message.sys_flag) && message.sys_flag & sys_flag::INNER_BATCH == 0;
        if !has_entry {
            return Ok(());
        }
        if !is_folder_name(message.topic) || message.queue_id.0 < 0 {
            warn!(topic = message.topic, queue_id = %message.queue_id, offset = %message.physical_offset,
                "record of a queue that cannot be");
            return Ok(());
        }
        let topic = TopicName::new(message.topic);
        if self.behind.contains(&(topic.clone(), message.queue_id)) {
            return Ok(());
        }
        let unit = Unit {
            physical: message.physical_offset.0,
            size: message.size as i32,
            code: code_of(Code::of(message.topic, message.properties), message.store_timestamp, self.config),
        };
        let queue = self.queues.get_or_create(&topic, message.queue_id);
        let gap = if from_start { Gap::Fill(self.files) } else { Gap::Refuse };
        let applied = queue.apply(message.queue_offset.0, [unit], gap);
        self.added += applied.added as u64;
        self.unwritten += applied.added;
        if applied.list {
            self.queues.list_unwritten(queue);
        }
        if applied.gap {
            self.behind.insert((topic, message.queue_id));
        }
        if self.unwritten >= ENTRIES_IN_MEMORY { self.write_out() } else { Ok(()) }
    }

    /// Walks the whole log again for the queues that were found to lack entries; returns how many these are.
    pub(super) fn fill_gaps(&mut self, log: &[Arc<MappedFile>], end: i64) -> io::Result<usize> {
        let behind = std::mem::take(&mut self.behind);
        if behind.is_empty() {
            return Ok(0);
        }
        info!(queues = behind.len(), "consume queues lack entries: make them again from the start of the log");
        // Records before the place where recovery began are only looked at here, so there is no CRC to end the walk early.
        scan::walk(log, Place::START, false, |message| {
            let key = (TopicName::new(message.topic), message.queue_id);
            if message.physical_offset.0 < end && behind.contains(&key) {
                self.apply(message, true)?;
            }
            Ok(())
        })?;
        Ok(behind.len())
    }

    /// Writes all entries to their files; they are not synced.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        for queue in self.queues.take_unwritten() {
            self.queues.write_out(&queue, self.files)?;
        }
        self.unwritten = 0;
        Ok(())
    }
}
