//! A queue whose oldest records are gone: its first offset moves, its old files go.

use std::io;
use std::sync::atomic::Ordering;

use super::Queue;
use crate::consume_queue::{UNIT_BYTES, Unit};
use crate::io::Files;

impl Queue {
    /// Moves the first offset over blanks and entries whose records lie before `log_min`, and deletes the files that hold
    /// nothing else; the last file stays, so that the queue goes on at its offset. Returns how many files went.
    ///
    /// # Errors
    /// Failing I/O; the first offset has moved only over what is surely gone.
    ///
    /// Java: `ConsumeQueue.correctMinOffset`, `MappedFileQueue.deleteExpiredFileByOffset`.
    pub(crate) fn follow(&self, disk: &dyn Files, log_min: i64) -> io::Result<usize> {
        if self.is_removed() {
            return Ok(0);
        }
        self.correct_min(log_min)?;
        self.remove_files_before_min(disk)
    }

    /// Moves the first offset to `offset`, which is not behind the end, though the records before it are still there; deletes
    /// files as [`Queue::follow`] does. Where it moved to inside of a file, that is forgotten by an opening that finds the
    /// queue by its files.
    ///
    /// # Errors
    /// Failing I/O; the first offset may have moved.
    pub(crate) fn forget_before(&self, disk: &dyn Files, offset: i64) -> io::Result<usize> {
        if self.is_removed() || offset <= self.min() {
            return Ok(0);
        }
        let first = if offset < self.max() { self.entry(offset)? } else { None };
        self.min.fetch_max(offset, Ordering::AcqRel);
        if let Some(first) = first {
            self.first_record.store(first.physical, Ordering::Relaxed);
        }
        self.remove_files_before_min(disk)
    }

    fn remove_files_before_min(&self, disk: &dyn Files) -> io::Result<usize> {
        let first = if self.takes_batches() { self.first_batch_byte()? } else { self.min() * UNIT_BYTES as i64 };
        self.files.lock().remove_before(disk, first)
    }

    /// Moves the first offset over blanks and entries whose records are gone. Java: `ConsumeQueue.correctMinOffset`.
    ///
    /// # Errors
    /// An entry cannot be read; nothing has changed.
    pub(crate) fn correct_min(&self, log_min: i64) -> io::Result<()> {
        let (mut low, mut high) = (self.min(), self.max());
        // What the queue knows without its files: most queues of many are quiet, and need not be opened.
        if low == high || self.first_record.load(Ordering::Relaxed) >= log_min {
            return Ok(());
        }
        if self.last_record_end(high).is_some_and(|end| end <= log_min) {
            low = high;
        }
        let mut first = None;
        while low < high {
            // The first entry first: mostly it is that one, or one near the end.
            let middle = if first.is_none() && low == self.min() { low } else { low + (high - low) / 2 };
            match self.entry(middle)? {
                Some(unit) if !unit.is_blank() && unit.physical >= log_min => {
                    first = Some(unit.physical);
                    high = middle;
                }
                _ => low = middle + 1,
            }
        }
        self.min.store(low, Ordering::Release);
        if let Some(first) = first {
            self.first_record.store(first, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The first offset whose record lies at `log_offset` or behind it, and where that is; the end of the queue if there is
    /// none. Also of those that the queue [has forgotten](Self::forget_before).
    ///
    /// # Errors
    /// An entry cannot be read.
    pub(crate) fn first_behind(&self, log_offset: i64) -> io::Result<(i64, Option<i64>)> {
        let max = self.max();
        if self.last_record_end(max).is_some_and(|end| end <= log_offset) {
            return Ok((max, None));
        }
        let list = self.files.lock().list();
        let knows_files = list.count > 0 && !self.takes_batches();
        let (mut low, mut high) = (if knows_files { list.start / UNIT_BYTES as i64 } else { self.min() }, max);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle)? {
                Some(unit) if !unit.is_blank() && unit.physical >= log_offset => {
                    found = Some(unit.physical);
                    high = middle;
                }
                _ => low = middle + 1,
            }
        }
        Ok((low, found))
    }

    /// Whether it had messages and the records of all of them lie before `log_min`. Asked under the append lock.
    pub(crate) fn is_expired(&self, log_min: i64) -> bool {
        let max = self.max();
        self.next.load(Ordering::Relaxed) == max && self.last_record_end(max).is_some_and(|end| end <= log_min)
    }

    /// Where the record of the last entry ends, if the queue ends at `max` and with an entry.
    fn last_record_end(&self, max: i64) -> Option<i64> {
        let tail = self.tail.lock();
        (tail.end() == max && tail.max_physical > 0).then_some(tail.max_physical)
    }

    /// The unit at `offset`, which lies before the end.
    fn entry(&self, offset: i64) -> io::Result<Option<Unit>> {
        {
            let tail = self.tail.lock();
            if let Ok(skip) = usize::try_from(offset - tail.from) {
                return Ok(tail.units.as_chunks().0.get(skip).map(Unit::decode));
            }
        }
        if self.takes_batches() {
            let mut units = Vec::with_capacity(1);
            self.read_batches(offset, 1, &mut units)?;
            return Ok(units.first().copied());
        }
        self.must_read(offset)
    }
}
