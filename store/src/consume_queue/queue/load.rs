//! Finding, cutting and correcting a queue while the store is being opened.

use std::io;
use std::sync::atomic::Ordering;

use super::{Queue, Tail};
use crate::consume_queue::{UNIT_BYTES, Unit};
use crate::io::{self as disk, Files};

/// Bytes that are read first of a queue's last file: a page.
const FRONT_BYTES: usize = 4096;

/// What is known of the queues before they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastExit {
    /// Every entry is in the files and on disk.
    Clean,
    /// Entries of records that begin before this are, as they should be; the others may be there, torn or missing.
    Crash { vouched: i64 },
}

/// Units at the start of a queue's last file, from one read.
struct Front {
    /// Number of the first one.
    start: i64,
    units: Vec<Unit>,
}

impl Front {
    fn end(&self) -> i64 {
        self.start + self.units.len() as i64
    }

    fn unit(&self, number: i64) -> Option<Unit> {
        self.units.get(usize::try_from(number - self.start).ok()?).copied()
    }
}

impl Queue {
    /// Finds the end of the entries in the files. Java: `ConsumeQueue.recover`.
    ///
    /// The last unit that is vouched for is searched by halves; behind it, units are walked up to the first that was never
    /// written or that points backwards. Where nothing is vouched for, the walk begins with the third-last file. Returns the
    /// last entry.
    pub(crate) fn load(&self, exit: LastExit) -> io::Result<Option<Unit>> {
        if self.takes_batches() {
            return self.load_batches(exit == LastExit::Clean);
        }
        let Some((start, end)) = self.files.lock().span() else { return Ok(None) };
        let (start, end) = (start / UNIT_BYTES as i64, end / UNIT_BYTES as i64);
        let units_per_file = self.files.lock().units_per_file();
        let mut bytes = Vec::new();
        let last_file = end - units_per_file;
        self.read_bytes(last_file, FRONT_BYTES, &mut bytes)?;
        let front = Front { start: last_file, units: bytes.as_chunks().0.iter().map(Unit::decode).collect() };
        let is_sure = |unit: Unit| match exit {
            LastExit::Clean => unit.is_written(),
            LastExit::Crash { vouched } => unit.is_written() && unit.physical < vouched,
        };
        // Most queues of many are short: all of one is in what one read brought.
        let short = front.units.iter().position(|unit| !is_sure(*unit));
        let sure = match short {
            Some(count) if count > 0 || last_file == start => last_file + count as i64,
            _ => self.partition(start, end, is_sure)?,
        };
        let found = match exit {
            LastExit::Clean => sure,
            LastExit::Crash { .. } => self.walk(sure.max(end - 3 * units_per_file).max(start), end, &front)?,
        };
        let last = match front.unit(found - 1) {
            Some(unit) => Some(unit),
            None if found > start => self.must_read(found - 1)?,
            None => None,
        };
        let last = last.filter(|unit| !unit.is_blank());
        let max_physical = last.map_or(0, Unit::end);
        let zero_behind =
            exit != LastExit::Clean && found >= last_file && self.is_zero_behind(found, &front, &bytes)?;
        *self.tail.lock() = Tail { from: found, written: found, max_physical, zero_behind, ..Tail::default() };
        self.min.store(start.min(found), Ordering::Release);
        let first = front.unit(start).filter(|unit| unit.is_written() && !unit.is_blank());
        self.first_record.store(first.map_or(-1, |unit| unit.physical), Ordering::Relaxed);
        self.max.store(found, Ordering::SeqCst);
        self.files.lock().close();
        Ok(last)
    }

    /// Whether nothing was ever written behind the units in the last file, which end at `found`. Only a short queue is
    /// looked at. `bytes` are those of `front`.
    fn is_zero_behind(&self, found: i64, front: &Front, bytes: &[u8]) -> io::Result<bool> {
        let read = usize::try_from(found - front.start).ok().and_then(|count| bytes.get(count * UNIT_BYTES..));
        if !read.is_some_and(|rest| rest.iter().all(|byte| *byte == 0)) {
            return Ok(false);
        }
        let (file, within, left) = self.files.lock().locate(front.start * UNIT_BYTES as i64)?;
        disk::is_zero_behind(&file, within + bytes.len() as u64, within + left as u64)
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

    /// First number from `from` on, before `end`, whose unit was never written or points backwards.
    fn walk(&self, from: i64, end: i64, front: &Front) -> io::Result<i64> {
        const CHUNK_UNITS: usize = 3276;
        let (mut at, mut last_end) = (from, 0);
        let (mut bytes, mut units) = (Vec::new(), Vec::new());
        while at < end {
            units.clear();
            if (front.start..front.end()).contains(&at) {
                units.extend_from_slice(&front.units[(at - front.start) as usize..]);
            } else {
                self.read_file(at, CHUNK_UNITS.min((end - at) as usize), &mut bytes)?;
                units.extend(bytes.as_chunks().0.iter().map(Unit::decode));
            }
            for unit in &units {
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
    /// Everything must be written out. After a crash (`!clean`) old units behind the end are zeroed in any case, unless there
    /// surely are none.
    /// Java: `ConsumeQueue.truncateDirtyLogicFiles`.
    pub(crate) fn truncate(&self, disk: &dyn Files, log_end: i64, clean: bool) -> io::Result<u64> {
        let (start, max) = (self.min(), self.max());
        let nothing_behind = {
            let tail = self.tail.lock();
            let nothing_behind = clean || tail.zero_behind;
            // Nothing to look up: its last entry is one, and of a record that is there.
            if nothing_behind && tail.max_physical > 0 && tail.max_physical <= log_end {
                return Ok(0);
            }
            nothing_behind
        };
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
        if kept == max && nothing_behind {
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
