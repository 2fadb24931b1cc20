//! Finding, cutting and correcting a queue while the store is being opened.

use std::io;
use std::sync::atomic::Ordering;

use super::{Queue, Tail};
use crate::consume_queue::{UNIT_BYTES, Unit};
use crate::io::Files;

/// Units that are read first of a queue's last file: a page of them.
const FIRST_UNITS: usize = 4096 / UNIT_BYTES;

impl Queue {
    /// Finds the end of the entries in the files. Java: `ConsumeQueue.recover`.
    ///
    /// After a clean exit the last written unit is searched by halves; otherwise units are walked from the third-last file
    /// on, up to the first that was never written or that points backwards. Returns the last entry.
    pub(crate) fn load(&self, clean: bool) -> io::Result<Option<Unit>> {
        if self.takes_batches() {
            return self.load_batches(clean);
        }
        let Some((start, end)) = self.files.lock().span() else { return Ok(None) };
        let (start, end) = (start / UNIT_BYTES as i64, end / UNIT_BYTES as i64);
        let units_per_file = self.files.lock().units_per_file();
        let mut bytes = Vec::new();
        let last_file = end - units_per_file;
        self.read_file(last_file, FIRST_UNITS, &mut bytes)?;
        let first_units: Vec<Unit> = bytes.as_chunks().0.iter().map(Unit::decode).collect();
        let short = first_units.iter().position(|unit| !unit.is_written());
        let found = if let Some(written) = short.filter(|written| clean && (*written > 0 || last_file == start)) {
            // Most queues of many are short: all of one is in what one read brought.
            last_file + written as i64
        } else if clean {
            self.partition(start, end, |unit| unit.is_written())?
        } else {
            self.walk((end - 3 * units_per_file).max(start), end)?
        };
        let read_already = usize::try_from(found - 1 - last_file).ok().and_then(|at| first_units.get(at)).copied();
        let last = match read_already {
            Some(unit) => Some(unit),
            None if found > start => self.must_read(found - 1)?,
            None => None,
        };
        let last = last.filter(|unit| !unit.is_blank());
        let max_physical = last.map_or(0, Unit::end);
        *self.tail.lock() = Tail { from: found, written: found, max_physical, ..Tail::default() };
        self.min.store(start.min(found), Ordering::Release);
        let first = first_units.first().filter(|unit| last_file == start && unit.is_written() && !unit.is_blank());
        self.first_record.store(first.map_or(-1, |unit| unit.physical), Ordering::Relaxed);
        self.max.store(found, Ordering::SeqCst);
        self.files.lock().close();
        Ok(last)
    }

    /// Forgets the entries of records at `log_offset` and behind, which no sync may have kept: they are made again, over what
    /// the files hold there. Java keeps what it finds, blank or not.
    pub(crate) fn distrust(&self, log_offset: i64) -> io::Result<()> {
        if self.takes_batches() {
            return self.distrust_batches(log_offset);
        }
        let (start, max) = (self.min(), self.max());
        // The last entry is one that was vouched for, and so are those before it. A blank one says nothing.
        if (1..=log_offset).contains(&self.tail.lock().max_physical) {
            return Ok(());
        }
        let kept = self.partition(start, max, |unit| unit.is_written() && unit.physical < log_offset)?;
        if kept < max {
            let last = if kept > start { self.must_read(kept - 1)?.filter(|unit| !unit.is_blank()) } else { None };
            let max_physical = last.map_or(0, Unit::end);
            *self.tail.lock() = Tail { from: kept, written: kept, max_physical, ..Tail::default() };
            self.max.store(kept, Ordering::SeqCst);
        }
        Ok(())
    }

    fn walk(&self, from: i64, end: i64) -> io::Result<i64> {
        const CHUNK_UNITS: usize = 3276;
        let (mut at, mut last_end) = (from, 0);
        let mut bytes = Vec::new();
        while at < end {
            let units = CHUNK_UNITS.min((end - at) as usize);
            self.read_file(at, units, &mut bytes)?;
            for unit in bytes.as_chunks().0.iter().map(Unit::decode) {
                if !unit.is_written() || (!unit.is_blank() && unit.end() <= last_end) {
                    return Ok(at);
                }
                if !unit.is_blank() {
                    last_end = unit.end();
                }
                at += 1;
            }
        }
        Ok(at)
    }

    pub(super) fn must_read(&self, offset: i64) -> io::Result<Option<Unit>> {
        let mut bytes = Vec::new();
        self.read_file(offset, 1, &mut bytes)?;
        Ok(bytes.as_chunks().0.first().map(Unit::decode))
    }

    /// First offset in `start..end` whose unit does not satisfy `before`, by halves.
    fn partition(&self, start: i64, end: i64, before: impl Fn(Unit) -> bool) -> io::Result<i64> {
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.must_read(middle)?.is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Cuts entries whose records end behind `log_end`, in memory and on disk; returns how many.
    ///
    /// Everything must be written out. After a crash (`!clean`) old units behind the end are zeroed in any case.
    /// Java: `ConsumeQueue.truncateDirtyLogicFiles`.
    pub(crate) fn truncate(&self, disk: &dyn Files, log_end: i64, clean: bool) -> io::Result<u64> {
        let (start, max) = (self.min(), self.max());
        {
            let tail = self.tail.lock();
            // Nothing to look up: its last entry is one, and of a record that is there.
            if clean && tail.max_physical > 0 && tail.max_physical <= log_end {
                return Ok(0);
            }
        }
        let kept = {
            let mut kept = max;
            // From the end: what is cut is short.
            while kept > start && self.unit(kept - 1).is_none_or(|unit| !unit.is_blank() && unit.end() > log_end) {
                kept -= 1;
            }
            kept
        };
        let last = if kept > start { self.unit(kept - 1).filter(|unit| !unit.is_blank()) } else { None };
        let max_physical = last.map_or(0, Unit::end);
        if kept == max && clean {
            return Ok(0);
        }
        let batches = if self.takes_batches() {
            Some(Box::new(self.truncate_batches(disk, kept)?))
        } else {
            self.files.lock().truncate(disk, kept * UNIT_BYTES as i64)?;
            None
        };
        let mut tail = self.tail.lock();
        *tail = Tail { from: kept, written: kept, max_physical, batches, ..Tail::default() };
        self.max.store(kept, Ordering::SeqCst);
        Ok((max - kept) as u64)
    }

    /// Ready for use: the next message gets the offset behind the last entry.
    pub(crate) fn restart(&self) {
        self.next.store(self.max(), Ordering::Relaxed);
        self.files.lock().close();
    }
}
