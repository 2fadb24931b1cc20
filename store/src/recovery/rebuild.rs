//! Making queue entries again from records.

use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use remoting::types::{QueueId, Timestamp, TopicName};
use tracing::info;

use super::scan::{self, Place};
use crate::config::StoreConfig;
use crate::consume_queue::{Gap, Queues};
use crate::dispatch::QueueEntry;
use crate::io::Files;
use crate::light::{self, LIGHT_QUEUE};
use crate::message::{Check, StoredMessage};
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

    /// Puts the record into its queues, unless it is there. `from_start`: the walk saw the whole log, so what lies before
    /// a queue's first record is gone.
    pub(super) fn apply(&mut self, message: &StoredMessage<'_>, from_start: bool) -> io::Result<()> {
        let key = (TopicName::new(message.topic), message.queue_id);
        if !self.behind.contains(&key)
            && let Some(entry) = QueueEntry::of(message, self.queues, self.config)
        {
            self.put(key, entry, message.store_timestamp, from_start)?;
        }
        if !self.config.light_queues {
            return Ok(());
        }
        let (queues, config) = (self.queues, self.config);
        for entry in QueueEntry::light_of(message, queues, config) {
            let key = (TopicName::clone(&entry.queue.topic), LIGHT_QUEUE);
            if !self.behind.contains(&key) {
                self.put(key, entry, message.store_timestamp, from_start)?;
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        key: (TopicName, QueueId),
        entry: QueueEntry,
        stored: Timestamp,
        from_start: bool,
    ) -> io::Result<()> {
        let QueueEntry { queue, offset, count, unit } = entry;
        let gap = if from_start { Gap::Fill(self.files) } else { Gap::Refuse };
        let applied = queue.apply(offset, std::iter::repeat_n(unit, count), stored, gap);
        self.added += applied.added as u64;
        self.unwritten += applied.added + applied.blanks;
        if applied.list {
            self.queues.list_unwritten(queue);
        }
        if applied.gap {
            self.behind.insert(key);
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
        scan::walk(log, Place::START, Check::Nothing, |message| {
            let is_behind = |topic: &str, queue_id| behind.contains(&(TopicName::new(topic), queue_id));
            let concerned = is_behind(message.topic, message.queue_id)
                || self.config.light_queues && light::places(message).any(|(queue, _)| is_behind(queue, LIGHT_QUEUE));
            // In those of its queues that lack nothing, it is passed over.
            if message.physical_offset.0 < end && concerned {
                self.apply(message, true)?;
            }
            Ok::<_, io::Error>(ControlFlow::Continue(()))
        })?;
        Ok(behind.len())
    }

    /// Writes all entries to their files; they are not synced.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        let mut written = Vec::new();
        for queue in self.queues.take_unwritten() {
            self.queues.write_out(&queue, self.files)?;
            written.push(queue);
            if self.queues.are_many_open() {
                self.queues.sync_and_close(&mut written, self.files)?;
            }
        }
        self.unwritten = 0;
        Ok(())
    }
}
