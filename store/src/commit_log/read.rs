//! Reading records by their place in the log.

use std::sync::Arc;

use bytes::Bytes;
use remoting::types::{PhysicalOffset, Timestamp};

use super::{CommitLog, Segments};
use crate::message::{MAGIC_V1, MAGIC_V2, StoredMessage};
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

    /// The file that holds `offset`, and where in it.
    pub(crate) fn locate(&self, offset: i64) -> Option<(&Arc<MappedFile>, usize)> {
        let first = self.0.first()?;
        let within = usize::try_from(offset.checked_sub(first.start())?).ok()?;
        let file = self.0.get(within / first.len())?;
        Some((file, within % first.len()))
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
