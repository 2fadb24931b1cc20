//! Writing what another broker has stamped, and taking back what a group did not agree on: the log of a member that follows.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::types::{Clock, PhysicalOffset, QueueId, Timestamp};

use super::{CommitLog, Tail};
use crate::config::StoreConfig;
use crate::consume_queue::{Queue, Queues};
use crate::dispatch::{Dispatch, QueueEntry};
use crate::error::AppendError;
use crate::message::{BLANK_BYTES, StoredMessage};
use crate::mmap::Writer;
use crate::raft::{Control, EntryId, EntryKind, Place, RaftState, StampedError};

/// An entry as it lies in the log of whoever made it.
pub(crate) struct Stamped<'a> {
    pub(crate) place: Place,
    pub(crate) bytes: &'a [u8],
    pub(crate) stored: Timestamp,
    pub(crate) records: Vec<StoredMessage<'a>>,
}

impl CommitLog {
    /// Writes entries at the very places where they lie in the log they come from; how far the log reaches then.
    ///
    /// # Errors
    /// They do not continue this log, or cannot be written; nothing has changed.
    pub(crate) fn append_stamped(
        &self,
        entries: &[Stamped<'_>],
        raft: &RaftState,
        dispatch: &Dispatch,
        queue_entry: impl Fn(&StoredMessage<'_>) -> Option<QueueEntry>,
        may_write: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<i64, StampedError> {
        let mut tail = self.tail.lock();
        may_write()?;
        tail.clear(self)?;
        let mut copying = Copying { log: self, before: Vec::new(), queues: Vec::new(), made: Vec::new() };
        if let Err(error) = copying.copy(&mut tail, entries, raft, &queue_entry) {
            let bytes = entries.iter().map(|entry| entry.bytes.len()).sum();
            let Copying { before, queues, .. } = copying;
            queues.iter().rev().for_each(|(entry, _)| entry.queue.next.store(entry.offset, Ordering::Relaxed));
            tail.take_back(self, before, bytes)?;
            return Err(error);
        }
        let Copying { before, queues, made, .. } = copying;
        tail.publish(self, before);
        dispatch.hand_over(|work| queues.iter().for_each(|(entry, stored)| entry.push(work, *stored)));
        self.moved(&mut tail, entries.last().map_or(Timestamp(0), |entry| entry.stored));
        raft.note(&made);
        Ok(tail.writer.end())
    }

    /// Writes an entry without messages at the end; how far the log reaches then.
    ///
    /// # Errors
    /// It cannot follow the last one, or cannot be written; nothing has changed.
    pub(crate) fn append_alone(
        &self,
        control: &Control<'_>,
        raft: &RaftState,
        clock: &Clock,
        may_write: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<i64, StampedError> {
        let mut tail = self.tail.lock();
        may_write()?;
        tail.clear(self)?;
        check_order(raft.last(), control.id)?;
        let now = clock.now();
        let made = tail.write_alone(self, control, raft, now)?;
        self.moved(&mut tail, now);
        raft.note(&[made]);
        Ok(tail.writer.end())
    }

    /// Writes a change of state as the next entry of the reign; how far the log reaches then.
    ///
    /// # Errors
    /// This broker does not lead, or the entry cannot be written; nothing has changed.
    pub(crate) fn append_state(
        &self,
        change: &[u8],
        raft: &RaftState,
        config: &StoreConfig,
        clock: &Clock,
        may_write: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<i64, AppendError> {
        let mut tail = self.lock_to_append(config.append_patience)?;
        may_write()?;
        let mut sealing = raft.seal()?;
        tail.clear(self)?;
        let now = clock.now();
        let control = Control::alone(sealing.next_id(), EntryKind::State, change);
        let made = tail.write_alone(self, &control, raft, now)?;
        self.moved(&mut tail, now);
        sealing.add(made);
        sealing.publish();
        Ok(tail.writer.end())
    }

    /// Takes back the records from `at` on, which belong to the entries from `index` on. None of them was confirmed.
    ///
    /// # Errors
    /// Failing I/O; what the disk holds is unknown then.
    pub(crate) fn cut(
        &self,
        at: i64,
        index: u64,
        queues: &Queues,
        dispatch: &Dispatch,
        raft: &RaftState,
    ) -> io::Result<()> {
        let mut tail = self.tail.lock();
        let mut syncs = self.syncing.lock();
        let end = tail.writer.end();
        let nexts = self.next_offsets_at(at, queues);
        #[cfg(any(test, feature = "testing"))]
        let nexts = if crate::testing::Bug::KeepsQueueOffsets.is_in() { Vec::new() } else { nexts };
        for (queue, next) in nexts {
            queue.next.store(next, Ordering::Relaxed);
        }
        dispatch.cut(at);
        self.remove_preallocated()?;
        let kept = {
            let segments = self.segments.read().clone();
            let holds = segments.partition_point(|file| file.start() <= at).checked_sub(1);
            let holds = holds.ok_or_else(|| io::Error::other("the place to cut the log at is no longer in it"))?;
            for file in segments[holds + 1..].iter().rev() {
                self.files.remove_file(file.path())?;
            }
            segments[..=holds].iter().cloned().collect::<super::Segments>()
        };
        let file = Arc::clone(kept.last().expect("the file that holds the place is kept"));
        let within = (at - file.start()) as usize;
        let written = (end - file.start()).min(file.len() as i64) as u64;
        tail.writer = Writer::resume(Arc::clone(&file), within);
        (tail.asked_for_next, tail.torn_to) = (false, None);
        *self.segments.write() = kept;
        self.end.store(at, Ordering::Release);
        self.files.zero_range(file.file(), within as u64, written)?;
        syncs.sync(&*self.files, [file.file()])?;
        self.on_disk.lower(at);
        drop(syncs);
        raft.cut(&self.snapshot(), index)
    }

    /// What the queues of the records from `at` on go back to.
    fn next_offsets_at(&self, at: i64, queues: &Queues) -> Vec<(Arc<Queue>, i64)> {
        let mut nexts: HashMap<(String, i32), i64> = HashMap::new();
        for (.., message) in self.snapshot().records(at) {
            if let Some(offset) = QueueEntry::first_offset(&message) {
                let next = nexts.entry((message.topic.to_owned(), message.queue_id.0)).or_insert(offset);
                *next = offset.min(*next);
            }
        }
        let find = |((topic, queue_id), next): ((String, i32), i64)| {
            queues.get(&topic, QueueId(queue_id)).map(|queue| (queue, next))
        };
        nexts.into_iter().filter_map(find).collect()
    }
}

impl Tail {
    /// Writes an entry without messages and shows it to readers; its place, and whether it starts a file.
    fn write_alone(
        &mut self,
        log: &CommitLog,
        control: &Control<'_>,
        raft: &RaftState,
        now: Timestamp,
    ) -> Result<(Place, bool), AppendError> {
        let bytes = raft.control_bytes() + control.data.len();
        let file_bytes = log.allocator.file_bytes() as u64;
        if bytes + BLANK_BYTES > file_bytes as usize {
            return Err(AppendError::TooLargeForFile { bytes, file_bytes });
        }
        let mut before = Vec::new();
        let mut write = || -> io::Result<(Place, bool)> {
            if bytes + BLANK_BYTES > self.writer.left() {
                before.push(self.roll(log)?);
            }
            let at = self.writer.end();
            let mut record = Vec::with_capacity(bytes);
            control.encode(&mut record, PhysicalOffset(at), now, raft.record_crc());
            let starts_file = self.writer.position() == 0;
            self.writer.write(&*log.files, &record)?;
            Ok((Place { id: control.id, kind: control.kind, at, bytes: record.len() }, starts_file))
        };
        match write() {
            Ok(made) => {
                self.publish(log, before);
                Ok(made)
            }
            Err(error) => {
                self.take_back(log, before, bytes)?;
                Err(error.into())
            }
        }
    }
}

/// Entries follow each other by index, the first being 0, and their terms never go back.
fn check_order(last: Option<EntryId>, entry: EntryId) -> Result<(), StampedError> {
    let next = last.map_or(0, |last| last.index + 1);
    if entry.index != next || last.is_some_and(|last| last.term > entry.term) {
        return Err(StampedError::Order { entry, last });
    }
    Ok(())
}

/// Entries being written, all of it still to be taken back.
struct Copying<'a> {
    log: &'a CommitLog,
    before: Vec<Writer>,
    /// What the queues get, with the time of each.
    queues: Vec<(QueueEntry, Timestamp)>,
    made: Vec<(Place, bool)>,
}

impl Copying<'_> {
    fn copy(
        &mut self,
        tail: &mut Tail,
        entries: &[Stamped<'_>],
        raft: &RaftState,
        queue_entry: &impl Fn(&StoredMessage<'_>) -> Option<QueueEntry>,
    ) -> Result<(), StampedError> {
        let mut last = raft.last();
        for Stamped { place, bytes, stored, records } in entries {
            check_order(last, place.id)?;
            // Entry 0 begins where the log did before the group, and nowhere else.
            if last.is_none() && place.at != tail.writer.end() {
                return Err(StampedError::Older { at: place.at, end: tail.writer.end() });
            }
            last = Some(place.id);
            if place.at != tail.writer.end() {
                if place.at != tail.file_end() {
                    return Err(StampedError::Diverged { entry: place.id, at: place.at, end: tail.writer.end() });
                }
                let left = tail.roll(self.log)?;
                self.before.push(left);
            }
            self.made.push((*place, tail.writer.position() == 0));
            tail.writer.write(&*self.log.files, bytes)?;
            for record in records {
                let Some(entry) = queue_entry(record) else { continue };
                let next = entry.queue.next.load(Ordering::Relaxed);
                if next != entry.offset {
                    let (topic, queue_id) = (record.topic.into(), record.queue_id);
                    return Err(StampedError::Queue { topic, queue_id, offset: entry.offset, next });
                }
                entry.queue.next.store(next + entry.count as i64, Ordering::Relaxed);
                self.queues.push((entry, *stored));
            }
        }
        Ok(())
    }
}
