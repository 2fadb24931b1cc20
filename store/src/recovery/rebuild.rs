//! Making queue entries again from records.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use remoting::types::{QueueId, TopicName};
use tracing::{info, warn};

use super::scan::{self, Check, Place};
use crate::batch::Code;
use crate::commit_log::code_of;
use crate::config::StoreConfig;
use crate::consume_queue::{Gap, Queues, Unit};
use crate::io::Files;
use crate::message::properties::name;
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
        if !sys_flag::takes_queue_offset(message.sys_flag) {
            return Ok(());
        }
        let inner = inner_batch(message);
        let is_inner = message.sys_flag & sys_flag::INNER_BATCH != 0;
        if is_inner && inner.is_none() {
            warn!(topic = message.topic, offset = %message.physical_offset, "inner batch does not say where it belongs");
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
        let gap = if from_start { Gap::Fill(self.files) } else { Gap::Refuse };
        let (queue, base, count) = match inner {
            Some((base, count)) => (self.queues.get_or_create_for_batches(&topic, message.queue_id), base, count),
            None => (Some(self.queues.get_or_create(&topic, message.queue_id)), message.queue_offset.0, 1),
        };
        let Some(queue) = queue else {
            warn!(%topic, queue_id = %message.queue_id, offset = %message.physical_offset,
                "inner batch in a queue of single messages, left out");
            return Ok(());
        };
        let applied = queue.apply(base, std::iter::repeat_n(unit, count), message.store_timestamp, gap);
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
        scan::walk(log, Place::START, Check::Nothing, |message| {
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

/// Offset of the first message and number of messages of an inner batch, as its broker noted them.
/// Java: `CommitLog.checkMessageAndReturnSize`.
fn inner_batch(message: &StoredMessage<'_>) -> Option<(i64, usize)> {
    if message.sys_flag & sys_flag::INNER_BATCH == 0 {
        return None;
    }
    let base = message.property(name::INNER_BASE)?.parse().ok().filter(|base| *base >= 0)?;
    let count: i16 = message.property(name::INNER_NUM)?.parse().ok()?;
    Some((base, usize::try_from(count).ok().filter(|count| *count > 0)?))
}
