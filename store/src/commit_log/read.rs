//! Reading records by their place in the log.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use remoting::types::{PhysicalOffset, Timestamp};

use super::{CommitLog, Segments};
use crate::message::{MAGIC_V1, MAGIC_V2, Record, StoredMessage};
use crate::mmap::MappedFile;

/// The files as they were at one moment, for a read of many records.
#[derive(Debug)]
pub(crate) struct Snapshot(Segments);

impl CommitLog {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.segments.read().clone())
    }

    /// First byte of the file behind the one that holds `offset`. Java: `CommitLog.rollNextFile`.
    pub(crate) fn next_file(&self, offset: i64) -> i64 {
        let file_bytes = self.allocator.file_bytes() as i64;
        offset - offset.rem_euclid(file_bytes) + file_bytes
    }
}

impl Snapshot {
    /// First byte that is kept.
    pub(crate) fn min(&self) -> i64 {
        self.0.first().map_or(0, |file| file.start())
    }

    /// First byte of the last file.
    pub(crate) fn last_start(&self) -> i64 {
        self.0.last().map_or(0, |file| file.start())
    }

    /// The last record before `end`, seen from `from`, where a record or a file begins.
    pub(crate) fn last_record(&self, from: i64, end: i64) -> Option<(PhysicalOffset, Bytes)> {
        let is_before_end = |(at, ..): &(i64, _, _)| *at < end;
        let (at, file, message) = self.records(from).take_while(is_before_end).last()?;
        let within = usize::try_from(at - file.start()).ok()?;
        Some((PhysicalOffset(at), file.slice(within..within + message.size)?))
    }

    /// The records from `at` on, where a record or a file begins, up to what is none: where each lies, in which file.
    pub(super) fn records(&self, mut at: i64) -> impl Iterator<Item = (i64, &Arc<MappedFile>, StoredMessage<'_>)> {
        std::iter::from_fn(move || {
            loop {
                let (file, within) = self.locate(at)?;
                match Record::parse(file.readable().get(within..)?) {
                    Ok(Record::Message(message)) => {
                        let size = message.size as i64;
                        at += size;
                        return Some((at - size, file, message));
                    }
                    Ok(Record::Blank { .. }) => at = file.start() + file.len() as i64,
                    Err(_) => return None,
                }
            }
        })
    }

    /// The files that are not written to any more.
    pub(crate) fn all_but_last(&self) -> &[Arc<MappedFile>] {
        self.0.split_last().map_or(&[], |(_, files)| files)
    }

    /// The files from the one that holds `offset` on.
    pub(crate) fn from(&self, offset: i64) -> &[Arc<MappedFile>] {
        &self.0[self.0.partition_point(|file| file.start() + file.len() as i64 <= offset)..]
    }

    /// First byte of the file behind the one that holds `offset`.
    pub(crate) fn end_of_file(&self, offset: i64) -> Option<i64> {
        self.locate(offset).map(|(file, _)| file.start() + file.len() as i64)
    }

    /// The file that holds `offset`, and where in it.
    pub(crate) fn locate(&self, offset: i64) -> Option<(&Arc<MappedFile>, usize)> {
        let first = self.0.first()?;
        let within = usize::try_from(offset.checked_sub(first.start())?).ok()?;
        let file = self.0.get(within / first.len())?;
        Some((file, within % first.len()))
    }

    /// Whether reading this part of the log waits for no disk. What is not there needs no reading.
    pub(crate) fn is_resident(&self, part: Range<i64>) -> bool {
        self.files_of(part).all(|(file, range)| file.is_resident(range))
    }

    /// Has this part of the log read meanwhile, as far as there is one.
    pub(crate) fn read_ahead(&self, part: Range<i64>) {
        for (file, range) in self.files_of(part) {
            // It only makes a later read quicker.
            let _ = file.read_ahead(range);
        }
    }

    /// Has the system keep this part of the log in memory no longer, as far as it is on disk.
    pub(crate) fn forget(&self, part: Range<i64>) {
        for (file, range) in self.files_of(part) {
            // It is in nobody's way but for its room.
            let _ = file.forget(range);
        }
    }

    /// The files that hold a part of the log, and which part of each.
    fn files_of(&self, part: Range<i64>) -> impl Iterator<Item = (&Arc<MappedFile>, Range<usize>)> {
        let at = self.0.partition_point(|file| file.start() + file.len() as i64 <= part.start);
        self.0[at..].iter().take_while(move |file| file.start() < part.end).map(move |file| {
            let within = |offset: i64| usize::try_from(offset - file.start()).unwrap_or(0).min(file.len());
            (file, within(part.start)..within(part.end))
        })
    }

    #[cfg(test)]
    pub(crate) fn of(files: impl IntoIterator<Item = Arc<MappedFile>>) -> Self {
        Self(files.into_iter().collect())
    }

    /// The record of `size` bytes at `offset`, if that is what its head says.
    pub(crate) fn record(&self, offset: i64, size: usize) -> Option<(&Arc<MappedFile>, usize, &[u8])> {
        let (file, at) = self.locate(offset)?;
        let record = file.readable().get(at..)?.get(..size)?;
        let (total, rest) = record.split_first_chunk().map(|(total, rest)| (i32::from_be_bytes(*total), rest))?;
        let magic = rest.first_chunk().map(|magic| i32::from_be_bytes(*magic))?;
        let is_record = usize::try_from(total) == Ok(size) && matches!(magic, MAGIC_V1 | MAGIC_V2);
        is_record.then_some((file, at, record))
    }

    /// The whole record that starts at `offset`, checked field by field.
    pub(crate) fn record_at(&self, offset: PhysicalOffset) -> Option<Bytes> {
        let (file, at) = self.locate(offset.0)?;
        let message = StoredMessage::parse(file.readable().get(at..)?).ok()?;
        // A body can contain what looks like a record, but not one that lies where it says.
        if message.physical_offset != offset {
            return None;
        }
        file.slice(at..at + message.size)
    }

    /// Store time of the record of `size` bytes at `offset`. Java: `CommitLog.pickupStoreTimestamp`.
    pub(crate) fn store_time(&self, offset: i64, size: usize) -> Option<Timestamp> {
        let (.., record) = self.record(offset, size)?;
        crate::message::store_timestamp(record)
    }
}
