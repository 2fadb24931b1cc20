//! Where timed messages wait: a wheel of slots, and a log of units that the slots are chains of.
//!
//! ```text
//! timerwheel   slot of a second ─ last ─▶ unit ─ prev ─▶ unit ─ prev ─▶ none      timerlog/…
//!                                          └─ place of the message in the commit log
//! config/timercheck   how far all this is
//! ```
//! The messages themselves are in the commit log, in the timer topic. Memory does not depend on how many wait: only slots that
//! were changed lately are held. All files are Java's, so that a Java broker can go on with them, and this one with Java's.
//!
//! **Order of writes.** Units are written to the log before their slots change. A flush writes the changed slots, then brings
//! log and wheel to disk, then says in the checkpoint up to where the wheel has the log.
//!
//! **Recovery** ([`TimerFiles::open`]). Units behind the checkpoint are linked again; linking one twice changes nothing. A slot
//! that points behind the end of the log, as a power failure can leave it, is made again from the log. The next message to
//! enrol follows the last one in the log, unless the log lost some: then the checkpoint counts.
//!
//! Java: `TimerMessageStore.recover`.

mod checkpoint;
mod log;
pub(crate) mod unit;
mod wheel;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use remoting::types::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use tracing::{info, warn};

use crate::error::StoreError;
use crate::io::Files;
use crate::message::StoredMessage;
use crate::store::Store;
use checkpoint::CheckpointFile;
use log::{Log, Reader};
use unit::{NONE, UNIT_BYTES};
use wheel::{Slot, Wheel};

pub use checkpoint::{CHECKPOINT_BYTES, Cursor, TimerCheckpoint};
pub use unit::{Unit, change_of};
pub use wheel::WINDOW_SLOTS;

/// What the files depend on.
#[derive(Clone, Debug)]
pub struct TimerConfig {
    /// Where timed messages wait in the commit log: queue 0 of this topic.
    pub topic: String,
    /// Size of each file of the timer log.
    pub log_file_bytes: u64,
    /// Time that a slot stands for.
    pub precision_ms: i64,
}

/// A message that is to wait.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment {
    /// Number of the slot.
    pub slot: i64,
    pub deliver_at: Timestamp,
    pub roll: bool,
    pub cancel: bool,
    pub message: PhysicalOffset,
    pub message_bytes: usize,
    pub topic_hash: i32,
}

/// Wheel, log and checkpoint of one broker.
///
/// Everything here is short work on files that are in memory as a rule; nothing waits for the disk but [`ToSync::sync`].
#[derive(Debug)]
pub struct TimerFiles {
    wheel: Wheel,
    log: Log,
    file: CheckpointFile,
    /// As of the last flush.
    checkpoint: TimerCheckpoint,
    cursor: Cursor,
    queue_offset: QueueOffset,
    /// Sum of the slots' counts.
    pending: i64,
    precision_ms: i64,
    disk: Arc<dyn Files>,
}

impl TimerFiles {
    /// Opens the files in the folder of `store`, or makes them, and recovers them. New ones begin at `now`.
    ///
    /// # Errors
    /// The files are of another size, or I/O fails.
    pub fn open(store: &Store, config: &TimerConfig, now: Timestamp) -> Result<Self, StoreError> {
        let root = &store.shared.config.root;
        let disk = Arc::clone(&store.shared.disk);
        let log = Log::open(root.join("timerlog"), config.log_file_bytes, Arc::clone(&disk))?;
        let wheel = Wheel::open(root.join("timerwheel"), Arc::clone(&disk))?;
        let path = root.join("config").join("timercheck");
        let opened = CheckpointFile::open(&path, Arc::clone(&disk)).map_err(StoreError::io("open", &path))?;
        let (file, checkpoint, noted) = opened;
        let read_slot = match checkpoint.read_time.0 {
            // There was no flush yet: new, or as far back as messages can wait.
            0 => now.0 / config.precision_ms - if log.is_new() { 0 } else { WINDOW_SLOTS },
            at => at / config.precision_ms,
        };
        let noted = noted.filter(|noted| noted.slot >= read_slot);
        let mut files = Self {
            wheel,
            log,
            file,
            checkpoint,
            cursor: noted.unwrap_or(Cursor::start_of(read_slot)),
            queue_offset: checkpoint.queue_offset,
            pending: 0,
            precision_ms: config.precision_ms,
            disk,
        };
        files.recover().map_err(StoreError::io("recover", root.join("timerlog")))?;
        files.queue_offset = files.next_to_enrol(store, &config.topic);
        info!(pending = files.pending, log_end = files.log.end(), queue_offset = %files.queue_offset,
            read_slot = files.cursor.slot, "timer opened");
        Ok(files)
    }

    /// Deletes the files in the folder of `store`: what waits there is in the timer topic, too.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn discard(store: &Store) -> io::Result<()> {
        let root = &store.shared.config.root;
        let is_gone = |outcome: io::Result<()>| match outcome {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        };
        // The checkpoint goes first: without it, a log that is left begins anew.
        is_gone(std::fs::remove_file(root.join("config").join("timercheck")))?;
        is_gone(std::fs::remove_file(root.join("timerwheel")))?;
        is_gone(std::fs::remove_dir_all(root.join("timerlog")))
    }

    /// Links what the wheel does not have yet, and counts what waits.
    fn recover(&mut self) -> io::Result<()> {
        let flushed = self.log.find_end(self.checkpoint.log_flushed)?;
        let (end, read_slot) = (self.log.end(), self.cursor.slot);
        let mut broken = HashSet::new();
        let mut pending = 0;
        self.wheel.for_each(|slot| {
            if slot.number < read_slot {
                return;
            }
            if slot.last < end {
                pending += i64::from(slot.count);
            } else {
                broken.insert(slot.number);
            }
        })?;
        self.pending = pending;
        let mut from = flushed;
        if !broken.is_empty() {
            warn!(slots = broken.len(), log_end = end, "the timer wheel is ahead of its log; slots are made again");
            broken.iter().try_for_each(|number| self.wheel.put(Slot::empty(*number)))?;
            from = self.log.start();
        }
        let (wheel, pending, precision_ms) = (&mut self.wheel, &mut self.pending, self.precision_ms);
        self.log.walk(from, |position, unit| {
            let number = unit.slot_time.0.div_euclid(precision_ms);
            if number < read_slot || (position < flushed && !broken.contains(&number)) {
                return Ok(());
            }
            let slot = wheel.slot(number)?;
            if slot.last >= position {
                return Ok(());
            }
            *pending += i64::from(change_of(unit.cancel));
            wheel.put(slot.with(position, unit.cancel))
        })
    }

    /// Java: `TimerMessageStore.reviseQueueOffset`.
    fn next_to_enrol(&self, store: &Store, topic: &str) -> QueueOffset {
        let noted = self.checkpoint.queue_offset;
        let last = self.log.last().ok().flatten().and_then(|unit| {
            let record = store.record_at(unit.message)?;
            let offset = StoredMessage::parse(&record).ok()?.queue_offset;
            let entry = store.entries(topic, QueueId(0), offset, 1).first().map(|entry| entry.physical_offset);
            (entry == Some(unit.message)).then(|| QueueOffset(offset.0 + 1))
        });
        let lost = self.log.end() < self.checkpoint.log_flushed;
        let next = match last {
            Some(last) if lost => last.min(noted),
            Some(last) => last.max(noted),
            // The messages of the lost units are still in the queue.
            None if lost => QueueOffset(0),
            None => noted,
        };
        let min = store.min_offset(topic, QueueId(0)).unwrap_or_default();
        let max = store.max_offset(topic, QueueId(0)).unwrap_or_default();
        next.clamp(min, max.max(min))
    }

    /// How far delivery is.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Begin of the slot that is read.
    pub fn read_time(&self) -> Timestamp {
        Timestamp(self.cursor.slot * self.precision_ms)
    }

    /// The first message of the timer topic that was not enrolled.
    pub fn queue_offset(&self) -> QueueOffset {
        self.queue_offset
    }

    /// Messages that wait, less those that cancel one. Java: `TimerWheel.getAllNum`.
    pub fn pending(&self) -> i64 {
        self.pending
    }

    /// As of the last flush.
    pub fn checkpoint(&self) -> TimerCheckpoint {
        self.checkpoint
    }

    /// The same for one slot. Java: `TimerWheel.getNum`.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn pending_in(&self, slot: i64) -> io::Result<i32> {
        Ok(self.wheel.slot(slot)?.count)
    }

    /// Writes a unit for each message; the next one to enrol is `next` then. Returns their positions.
    ///
    /// # Errors
    /// Failing I/O; the messages are not enrolled, and may be tried again.
    pub fn enrol(
        &mut self,
        enrolments: &[Enrolment],
        next: QueueOffset,
        now: Timestamp,
    ) -> io::Result<Vec<(i64, Unit)>> {
        let mut slots: HashMap<i64, Slot> = HashMap::new();
        let mut units = Vec::with_capacity(enrolments.len());
        let mut at = self.log.end();
        for one in enrolments {
            let slot = match slots.get(&one.slot) {
                Some(slot) => *slot,
                None => self.wheel.slot(one.slot)?,
            };
            let position = self.log.place(at);
            at = position + UNIT_BYTES as i64;
            let unit = Unit {
                prev: slot.last,
                roll: one.roll,
                cancel: one.cancel,
                // Java reads back a whole slot's begin.
                enrolled_at: Timestamp(now.0.div_euclid(self.precision_ms) * self.precision_ms),
                slot_time: Timestamp(one.slot * self.precision_ms),
                message: one.message,
                message_bytes: i32::try_from(one.message_bytes).unwrap_or(i32::MAX),
                topic_hash: one.topic_hash,
                deliver_at: one.deliver_at,
            };
            slots.insert(one.slot, slot.with(position, one.cancel));
            units.push((position, unit));
        }
        self.log.append(&units)?;
        self.pending += enrolments.iter().map(|one| i64::from(change_of(one.cancel))).sum::<i64>();
        self.queue_offset = next;
        for slot in slots.into_values() {
            // What cannot be written now is kept and written with the next flush.
            if let Err(error) = self.wheel.put(slot) {
                warn!(%error, "write the timer wheel");
            }
        }
        Ok(units)
    }

    /// The first slot from `from` on, before `until`, in which something waits.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn next_filled(&self, from: i64, until: i64) -> io::Result<Option<i64>> {
        self.wheel.next_filled(from, until)
    }

    /// The units of a slot with their positions, the last enrolled first.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn chain(&self, slot: i64) -> io::Result<Chain<'_>> {
        Ok(Chain { next: self.wheel.slot(slot)?.last, reader: self.log.reader() })
    }

    /// Everything in the slot was delivered: it is empty from now on.
    ///
    /// # Errors
    /// Failing I/O of other slots.
    pub fn clear(&mut self, slot: i64) -> io::Result<()> {
        let was = self.wheel.slot(slot)?;
        if was.is_empty() {
            return Ok(());
        }
        self.pending -= i64::from(was.count);
        self.wheel.put(Slot::empty(slot))
    }

    /// Notes what was delivered. Not flushed, but after a crash of the process it is there.
    ///
    /// # Errors
    /// Failing I/O; a crash would deliver again.
    pub fn delivered(&mut self, cursor: Cursor) -> io::Result<()> {
        self.cursor = cursor;
        self.file.write_cursor(cursor)
    }

    /// Moves on to a later slot, of which nothing was delivered; not written before the next flush.
    pub fn move_to(&mut self, slot: i64) {
        self.cursor = Cursor::start_of(slot);
    }

    /// Goes back to an earlier slot, as the clock was set back: what is enrolled now waits there.
    ///
    /// # Errors
    /// Failing I/O; a crash would pass over what is enrolled in the slots between.
    pub fn turn_back(&mut self, slot: i64) -> io::Result<()> {
        self.move_to(slot);
        self.checkpoint.read_time = self.read_time();
        self.file.write_cursor(self.cursor)?;
        self.file.write(&self.checkpoint)
    }

    /// Whether a flush would change anything that matters.
    pub fn needs_flush(&self) -> bool {
        /// An idle timer says once a minute where it reads.
        const READ_LAG_MS: i64 = 60_000;
        self.wheel.has_changed()
            || self.log.end() != self.checkpoint.log_flushed
            || self.queue_offset != self.checkpoint.queue_offset
            || self.read_time().0 - self.checkpoint.read_time.0 >= READ_LAG_MS
    }

    /// Writes the changed slots. What is returned has to be synced and then given to [`Self::end_flush`]; meanwhile this may be
    /// used.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn begin_flush(&mut self, now: Timestamp) -> io::Result<Flush> {
        self.wheel.write()?;
        let checkpoint = TimerCheckpoint {
            read_time: self.read_time(),
            log_flushed: self.log.end(),
            queue_offset: self.queue_offset,
            master_queue_offset: self.queue_offset,
            changed_at: now,
            changes: self.checkpoint.changes + 1,
            ..self.checkpoint
        };
        let log = self.log.files_since(self.checkpoint.log_flushed.min(self.log.end()));
        let files = log.into_iter().chain([self.wheel.file()]).collect();
        Ok(Flush { checkpoint, to_sync: ToSync { files, disk: Arc::clone(&self.disk) } })
    }

    /// Says in the checkpoint what a flush brought to disk. It has to be synced.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn end_flush(&mut self, flush: &Flush) -> io::Result<ToSync> {
        // The clock may have been set back since.
        let read_time = self.read_time().min(flush.checkpoint.read_time);
        let checkpoint = TimerCheckpoint { read_time, ..flush.checkpoint };
        self.file.write(&checkpoint)?;
        self.checkpoint = checkpoint;
        Ok(ToSync { files: vec![self.file.handle()], disk: Arc::clone(&self.disk) })
    }

    /// Deletes files of the log whose messages are gone from the commit log, which begins at `min`. Returns how many.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn delete_before(&mut self, min: PhysicalOffset) -> io::Result<usize> {
        self.log.delete_before(min.0)
    }
}

/// A flush under way.
#[derive(Debug)]
pub struct Flush {
    checkpoint: TimerCheckpoint,
    pub to_sync: ToSync,
}

/// Files that are to be brought to disk.
#[derive(Debug)]
pub struct ToSync {
    files: Vec<Arc<File>>,
    disk: Arc<dyn Files>,
}

impl ToSync {
    /// Returns once they are. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed: what it holds is unknown, so there must be no further flush.
    pub fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| self.disk.sync_data(file))
    }
}

/// The units of one slot, the last enrolled first. Ends where a unit's file was deleted.
#[derive(Debug)]
pub struct Chain<'a> {
    next: i64,
    reader: Reader<'a>,
}

impl Iterator for Chain<'_> {
    type Item = io::Result<(i64, Unit)>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.next;
        match self.reader.unit(position) {
            Ok(unit) => {
                let unit = unit?;
                // A chain leads back; one that does not would never end.
                self.next = if unit.prev < position { unit.prev } else { NONE };
                Some(Ok((position, unit)))
            }
            Err(error) => {
                self.next = NONE;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests;
