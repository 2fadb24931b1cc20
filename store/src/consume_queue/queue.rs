//! One queue: its newest units in memory, all of them in files.
//!
//! The dispatch only appends to memory; the keeper thread writes units out and syncs them. A crash loses what was not
//! written, and recovery makes it again from the log.

mod batch_files;
mod begin;
mod follow;
mod load;
mod standing;

pub(crate) use self::load::LastExit;
pub(crate) use self::standing::Standing;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use remoting::types::{QueueId, Timestamp, TopicName};
use tokio::sync::Notify;
use tracing::warn;

use super::batches::{BATCH_UNIT_BYTES, BatchTail};
use super::entry::{UNIT_BYTES, Unit};
use super::files::{self, QueueFiles};
use crate::io::{Files, Patience};

/// Units that stay in memory after they were written, for readers near the end.
const KEPT_UNITS: usize = 256;

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) topic: Arc<TopicName>,
    pub(crate) queue_id: QueueId,
    /// Offset of the next message; read and written under the append lock only.
    pub(crate) next: AtomicI64,
    min: AtomicI64,
    /// Where the record of the first entry lies in the log, if that is known; else less.
    first_record: AtomicI64,
    /// One behind the last entry that readers see.
    max: AtomicI64,
    tail: Mutex<Tail>,
    files: Mutex<QueueFiles>,
    /// Its topic was deleted: it makes no more files, and appends look the queue up again.
    removed: AtomicBool,
    /// Tasks inside [`Self::grown_past`], so that nobody is woken in vain.
    waiting: AtomicUsize,
    grown: Notify,
    /// Somebody asked to be told when it grows.
    report: AtomicBool,
}

/// The units that are not in files yet, and some that are.
#[derive(Debug, Default)]
struct Tail {
    units: Vec<u8>,
    /// Offset of the first unit in `units`.
    from: i64,
    /// Offset of the first unit that is not in the files.
    written: i64,
    /// Where the record of the last entry ends in the log.
    max_physical: i64,
    /// Bytes of `units` that were counted as kept.
    counted: usize,
    /// Stands in the keeper's list.
    listed: bool,
    /// While the store is being opened: the files have only zeros behind the last unit.
    zero_behind: bool,
    /// Of a queue that takes inner batches.
    batches: Option<Box<BatchTail>>,
}

impl Tail {
    fn end(&self) -> i64 {
        self.from + (self.units.len() / UNIT_BYTES) as i64
    }
}

/// What [`Queue::write_out`] did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrittenOut {
    pub(crate) bytes: usize,
    /// Bytes of units that it keeps in memory, beyond those that it told of before.
    pub(crate) kept_more: usize,
}

/// What to do with an entry that lies ahead of the queue's end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gap<'a> {
    /// Put blanks before it; files of an earlier life of the queue go.
    Fill(&'a dyn Files),
    /// Put blanks before it.
    Blanks,
    /// Leave it.
    Refuse,
}

/// What [`Queue::apply`] did with its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) added: usize,
    /// Blanks before them.
    pub(crate) blanks: usize,
    /// An entry was refused because those before it are missing.
    pub(crate) gap: bool,
    /// The queue has to be put in the keeper's list.
    pub(crate) list: bool,
    /// Its growth has to be [reported](super::Reports).
    pub(crate) report: bool,
}

impl Queue {
    pub(crate) fn new(topic: Arc<TopicName>, queue_id: QueueId, files: QueueFiles) -> Self {
        Self {
            topic,
            queue_id,
            next: AtomicI64::new(0),
            min: AtomicI64::new(0),
            first_record: AtomicI64::new(-1),
            max: AtomicI64::new(0),
            tail: Mutex::default(),
            files: Mutex::new(files),
            removed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            grown: Notify::new(),
            report: AtomicBool::new(false),
        }
    }

    /// Has entries, or had some: a queue that readers take for existing.
    pub(crate) fn exists(&self) -> bool {
        self.max() > 0
    }

    pub(crate) fn min(&self) -> i64 {
        self.min.load(Ordering::Acquire)
    }

    pub(crate) fn max(&self) -> i64 {
        self.max.load(Ordering::SeqCst)
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }

    /// Adds entries that follow each other, the first at `offset`, and wakes who waits for them.
    ///
    /// Idempotent: entries of records that the queue already points at or behind are skipped.
    /// An inner batch is as many equal entries as it has messages. `stored` is the time of all records.
    /// Java: `ConsumeQueue.putMessagePositionInfo`, `BatchConsumeQueue.putBatchMessagePositionInfo`.
    pub(crate) fn apply(
        &self,
        mut offset: i64,
        units: impl IntoIterator<Item = Unit>,
        stored: Timestamp,
        gap: Gap<'_>,
    ) -> Applied {
        let mut done = Applied::default();
        let mut tail = self.tail.lock();
        let mut open = None;
        for unit in units {
            let continues = tail.batches.is_some() && open == Some(unit);
            if unit.end() <= tail.max_physical && !continues {
                offset += 1;
                continue;
            }
            if let Gap::Fill(files) = gap
                && self.is_another_life(&tail, offset)
            {
                self.start_over(files, &mut tail, offset);
            }
            if offset < tail.end() {
                warn!(topic = %self.topic, queue_id = %self.queue_id, offset, "queue already holds another entry here");
            } else if offset > tail.end() && matches!(gap, Gap::Refuse) {
                done.gap = true;
                break;
            } else {
                while tail.end() < offset {
                    tail.units.extend_from_slice(&Unit::BLANK.encode());
                    done.blanks += 1;
                }
                tail.units.extend_from_slice(&unit.encode());
                tail.max_physical = unit.end();
                if let Some(batches) = &mut tail.batches {
                    batches.push(offset, unit, stored, continues);
                    open = Some(unit);
                }
                done.added += 1;
            }
            offset += 1;
        }
        if done.added > 0 {
            done.list = !std::mem::replace(&mut tail.listed, true);
            self.max.store(tail.end(), Ordering::SeqCst);
            drop(tail);
            self.wake();
            done.report = self.take_report();
        }
        done
    }

    fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.grown.notify_waiters();
        }
    }

    /// Waits until there is an entry at `offset` or behind it, or the queue is removed. Cancel-safe.
    pub(crate) async fn grown_past(&self, offset: i64) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let here = || self.max() > offset || self.is_removed();
        if here() {
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        loop {
            // The notification is armed before the queue is looked at, so growth in between is not missed.
            let mut grown = std::pin::pin!(self.grown.notified());
            grown.as_mut().enable();
            if here() {
                return;
            }
            grown.await;
        }
    }

    /// Asks for one report once there is an entry at `offset` or behind it, or the queue is removed. True if that is so
    /// already and nobody else reports it.
    pub(crate) fn ask_report(&self, offset: i64) -> bool {
        // Asked before the queue is looked at, so growth in between is not missed.
        self.report.store(true, Ordering::SeqCst);
        (self.max() > offset || self.is_removed()) && self.take_report()
    }

    /// Whether it is on the caller to report.
    fn take_report(&self) -> bool {
        self.report.load(Ordering::SeqCst) && self.report.swap(false, Ordering::SeqCst)
    }

    /// Marks the queue as deleted; what is applied or written out from now on is lost. True if the caller has to report it.
    pub(crate) fn remove(&self) -> bool {
        self.removed.store(true, Ordering::SeqCst);
        self.grown.notify_waiters();
        self.take_report()
    }

    /// Reads up to `count` units from offset `from` on into `out`; fewer at the end or where a file cannot be read.
    pub(crate) fn read(&self, from: i64, count: usize, out: &mut Vec<Unit>) {
        if let Err(error) = self.try_read(from, count, Patience::ForDisk, out) {
            self.warn_of_gap(from, out, &error);
        }
    }

    /// As [`Self::read`], and fewer where the next unit may have to come from the disk. False if even the first has to.
    pub(crate) fn read_now(&self, from: i64, count: usize, out: &mut Vec<Unit>) -> bool {
        match self.try_read(from, count, Patience::None, out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return !out.is_empty(),
            Err(error) => self.warn_of_gap(from, out, &error),
            Ok(()) => {}
        }
        true
    }

    fn warn_of_gap(&self, from: i64, read: &[Unit], error: &io::Error) {
        let offset = from + read.len() as i64;
        warn!(topic = %self.topic, queue_id = %self.queue_id, offset, %error, "read consume queue");
    }

    /// What was read before an error stays in `out`. Without patience there may be one of kind `WouldBlock`.
    fn try_read(&self, from: i64, count: usize, patience: Patience, out: &mut Vec<Unit>) -> io::Result<()> {
        out.clear();
        if from < 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        while out.len() < count {
            let at = from + out.len() as i64;
            let in_files = {
                let tail = self.tail.lock();
                if at >= tail.from {
                    let skip = usize::try_from(at - tail.from).unwrap_or(usize::MAX);
                    let units = tail.units.as_chunks().0.iter().skip(skip).map(Unit::decode);
                    out.extend(units.take(count - out.len()));
                    return Ok(());
                }
                tail.from - at
            };
            let units = (count - out.len()).min(usize::try_from(in_files).unwrap_or(usize::MAX));
            match (self.takes_batches(), patience) {
                (true, Patience::ForDisk) => {
                    self.read_batches(at, units, out)?;
                    continue;
                }
                // Finding one takes many reads.
                (true, Patience::None) => return Err(io::ErrorKind::WouldBlock.into()),
                (false, Patience::ForDisk) => self.read_file(at, units, &mut bytes)?,
                (false, Patience::None) => self.read_file_now(at, units, &mut bytes)?,
            }
            out.extend(bytes.as_chunks().0.iter().map(Unit::decode));
        }
        Ok(())
    }

    /// As [`Self::read_file`], without waiting for the disk or for who writes.
    ///
    /// # Errors
    /// `WouldBlock`: it would have to.
    fn read_file_now(&self, at: i64, units: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let place = self.files.try_lock().ok_or(io::ErrorKind::WouldBlock)?.locate_now(at * UNIT_BYTES as i64);
        let (file, within, left) = place?;
        bytes.resize(left.min(units * UNIT_BYTES), 0);
        files::read_exact_now(&file, bytes, within)
    }

    /// Reads from the one file that holds the unit at `at`, which may have fewer than `units`.
    fn read_file(&self, at: i64, units: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.read_bytes(at, units * UNIT_BYTES, bytes)
    }

    fn read_bytes(&self, at: i64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let (file, within, left) = self.files.lock().locate(at * UNIT_BYTES as i64)?;
        bytes.resize(left.min(len), 0);
        files::read_exact(&file, bytes, within)
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.lock().bytes()
    }

    /// The unit at `offset`.
    pub(crate) fn unit(&self, offset: i64) -> Option<Unit> {
        let mut out = Vec::with_capacity(1);
        self.read(offset, 1, &mut out);
        out.first().copied()
    }

    /// First offset of the file behind the one that holds `offset`. Java: `ConsumeQueue.rollNextFile`,
    /// `BatchConsumeQueue.rollNextOffset`.
    pub(crate) fn next_file(&self, offset: i64) -> i64 {
        if self.takes_batches() {
            return offset + 1;
        }
        let units_per_file = self.files.lock().units_per_file();
        offset - offset.rem_euclid(units_per_file) + units_per_file
    }

    /// Closes the files that need no sync, and drops the units in memory if all of them are in the files.
    pub(crate) fn trim(&self) {
        self.files.lock().close();
        let mut tail = self.tail.lock();
        tail.counted = 0;
        if tail.written == tail.end() {
            tail.from = tail.written;
            tail.units = Vec::new();
        }
    }

    /// Writes to the files what is only in memory. One thread at a time.
    ///
    /// # Errors
    /// Failing I/O; the units stay in memory, and the queue in the caller's list.
    pub(crate) fn write_out(&self, disk: &dyn Files) -> io::Result<WrittenOut> {
        let (end, at, bytes) = {
            let mut tail = self.tail.lock();
            tail.listed = false;
            match &tail.batches {
                Some(batches) => (tail.end(), batches.written * BATCH_UNIT_BYTES as i64, batches.encoded()),
                None => {
                    let skip = (tail.written - tail.from) as usize * UNIT_BYTES;
                    (tail.end(), tail.written * UNIT_BYTES as i64, tail.units[skip..].to_vec())
                }
            }
        };
        let result = {
            let mut files = self.files.lock();
            if self.is_removed() { Ok(()) } else { files.write(disk, at, &bytes) }
        };
        let mut tail = self.tail.lock();
        if let Err(error) = result {
            tail.listed = true;
            return Err(error);
        }
        tail.written = end;
        if let Some(batches) = &mut tail.batches {
            let units = bytes.len() / BATCH_UNIT_BYTES;
            batches.unwritten.drain(..units);
            batches.written += units as i64;
        }
        let keep = KEPT_UNITS.min((tail.written - tail.from) as usize);
        let drop_units = (tail.written - tail.from) as usize - keep;
        tail.units.drain(..drop_units * UNIT_BYTES);
        tail.units.shrink_to(2 * KEPT_UNITS * UNIT_BYTES);
        tail.from += drop_units as i64;
        let kept = tail.units.capacity();
        let kept_more = kept.saturating_sub(tail.counted);
        tail.counted = tail.counted.max(kept);
        Ok(WrittenOut { bytes: bytes.len(), kept_more })
    }

    /// As if [`Self::sync`] was done, by a caller who has all files synced at once.
    pub(crate) fn count_as_synced(&self) {
        drop(self.files.lock().take_dirty());
    }

    /// Returns once everything written out is on disk.
    pub(crate) fn sync(&self, disk: &dyn Files) -> io::Result<()> {
        if self.is_removed() {
            return Ok(());
        }
        let (dirty, new_entries) = self.files.lock().take_dirty();
        let synced = dirty.iter().try_for_each(|file| disk.sync_data(file));
        let synced = synced.and_then(|()| new_entries.as_deref().map_or(Ok(()), |dir| files::sync_dirs(disk, dir)));
        // A topic deleted meanwhile has no folders to sync.
        if synced.is_err() && self.is_removed() {
            return Ok(());
        }
        synced.inspect_err(|_| self.files.lock().all_dirty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_queue_takes_a_quarter_of_a_kibibyte() {
        assert!(
            size_of::<Queue>() <= 250,
            "{} bytes; 800,000 of them are to fit beside everything else",
            size_of::<Queue>()
        );
    }
}
