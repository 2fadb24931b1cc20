//! The files of a queue of inner batches: a unit for each record, found by halves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Queue, Tail};
use crate::consume_queue::Unit;
use crate::consume_queue::batches::{BATCH_UNIT_BYTES, BatchTail, BatchUnit};
use crate::consume_queue::files::{self, FileList, QueueRoot};
use crate::io::Files;

/// Units read at once.
const CHUNK_UNITS: usize = 512;

impl Queue {
    /// Whether records of this queue are inner batches.
    pub(crate) fn takes_batches(&self) -> bool {
        self.tail.lock().batches.is_some()
    }

    /// Makes a queue that holds nothing one of inner batches, with files below `root`. False if it holds other entries.
    pub(crate) fn take_batches(&self, root: &Arc<QueueRoot>, list: FileList) -> bool {
        let mut tail = self.tail.lock();
        if tail.batches.is_some() {
            return true;
        }
        if self.max() > 0 || tail.end() > 0 {
            return false;
        }
        let mut files = self.files.lock();
        *files = files.moved(root, list);
        tail.batches = Some(Box::default());
        true
    }

    /// Reads units of the messages from offset `at` on, at most `count`, from the files. Offsets that no record has are
    /// blank. At least one is added.
    pub(super) fn read_batches(&self, at: i64, count: usize, out: &mut Vec<Unit>) -> io::Result<()> {
        let (start, end) = self.batch_span();
        // The last record that begins at or before `at`.
        let found = self.batch_partition(start, end, |batch| batch.base <= at)? - 1;
        let units = CHUNK_UNITS.min((end - found) as usize).min(count + 2);
        let mut bytes = Vec::new();
        let (from, units) = if found < start { (start, units.saturating_sub(1).max(1)) } else { (found, units) };
        self.read_batch_bytes(from, units, &mut bytes)?;
        let wanted = out.len() + count;
        let mut next = at;
        for batch in bytes.as_chunks().0.iter().map(BatchUnit::decode) {
            while next < batch.base && out.len() < wanted {
                out.push(Unit::BLANK);
                next += 1;
            }
            while next < batch.end() && out.len() < wanted {
                out.push(batch.unit);
                next += 1;
            }
        }
        if next == at {
            // Behind the last record of the files, and before what is in memory.
            out.push(Unit::BLANK);
        }
        Ok(())
    }

    /// Numbers of the first unit in the files, and of the one behind the last that was written.
    fn batch_span(&self) -> (i64, i64) {
        let written = self.tail.lock().batches.as_ref().map_or(0, |batches| batches.written);
        let start = self.files.lock().span().map_or(0, |(start, _)| start / BATCH_UNIT_BYTES as i64);
        (start, written.max(start))
    }

    /// Reads from the one file that holds the unit with this number, which may have fewer than `units`.
    fn read_batch_bytes(&self, number: i64, units: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let (file, within, left) = self.files.lock().locate(number * BATCH_UNIT_BYTES as i64)?;
        bytes.resize(left.min(units * BATCH_UNIT_BYTES), 0);
        files::read_exact(&file, bytes, within)
    }

    fn batch(&self, number: i64) -> io::Result<BatchUnit> {
        let mut bytes = Vec::new();
        self.read_batch_bytes(number, 1, &mut bytes)?;
        bytes.first_chunk().map(BatchUnit::decode).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// First number in `start..end` whose unit does not satisfy `before`.
    fn batch_partition(&self, start: i64, end: i64, before: impl Fn(BatchUnit) -> bool) -> io::Result<i64> {
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.batch(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where the unit lies in the files that holds the queue's first offset.
    pub(super) fn first_batch_byte(&self) -> io::Result<i64> {
        let (start, end) = self.batch_span();
        let min = self.min();
        Ok(self.batch_partition(start, end, |batch| batch.end() <= min)? * BATCH_UNIT_BYTES as i64)
    }

    /// As [`Queue::load`]. Java: `BatchConsumeQueue.recover`.
    pub(super) fn load_batches(&self, clean: bool) -> io::Result<Option<Unit>> {
        let Some((start, end)) = self.files.lock().span() else { return Ok(None) };
        let (start, end) = (start / BATCH_UNIT_BYTES as i64, end / BATCH_UNIT_BYTES as i64);
        let per_file = self.files.lock().units_per_file();
        let found = if clean {
            self.batch_partition(start, end, BatchUnit::is_written)?
        } else {
            let mut at = (end - 3 * per_file).max(start);
            let mut last_end = 0;
            while at < end {
                let batch = self.batch(at)?;
                if !batch.is_written() || batch.unit.end() <= last_end {
                    break;
                }
                last_end = batch.unit.end();
                at += 1;
            }
            at
        };
        self.end_batches_at(start, found)
    }

    /// As [`Queue::distrust`].
    pub(super) fn distrust_batches(&self, log_offset: i64) -> io::Result<()> {
        let (start, end) = self.batch_span();
        let kept = self.batch_partition(start, end, |batch| batch.is_written() && batch.unit.physical < log_offset)?;
        if kept < end { self.end_batches_at(start, kept).map(drop) } else { Ok(()) }
    }

    /// The units in the files are those from number `start` to `found`. Returns the last entry.
    fn end_batches_at(&self, start: i64, found: i64) -> io::Result<Option<Unit>> {
        let last = if found > start { Some(self.batch(found - 1)?) } else { None };
        let min = if found > start { self.batch(start)?.base } else { 0 };
        let max = last.map_or(0, BatchUnit::end);
        *self.tail.lock() = Tail {
            from: max,
            written: max,
            max_physical: last.map_or(0, |last| last.unit.end()),
            batches: Some(Box::new(BatchTail { unwritten: Vec::new(), written: found })),
            ..Tail::default()
        };
        self.min.store(min, Ordering::Release);
        self.max.store(max, Ordering::SeqCst);
        self.files.lock().close();
        Ok(last.map(|last| last.unit))
    }

    /// Cuts the files behind the record whose messages end at offset `kept`; everything is written out.
    pub(super) fn truncate_batches(&self, disk: &dyn Files, kept: i64) -> io::Result<BatchTail> {
        let (start, end) = self.batch_span();
        let written = self.batch_partition(start, end, |batch| batch.base < kept)?;
        self.files.lock().truncate(disk, written * BATCH_UNIT_BYTES as i64)?;
        Ok(BatchTail { unwritten: Vec::new(), written })
    }
}
