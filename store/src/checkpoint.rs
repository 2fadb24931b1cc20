//! The `checkpoint` file: what is surely on disk.
//!
//! 4096 bytes, six big-endian `i64` at the front: time of the last flushed record, time of the last record whose queue
//! entry is flushed, time of the last flushed index entry, master's flushed offset, confirmed offset, physical offset of
//! the last record whose queue entry is flushed. Java 4.9 knows the first three only.
//!
//! Java: `StoreCheckpoint`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use remoting::types::Timestamp;

use crate::io::Files;

const FILE_BYTES: u64 = 4096;
const FIELDS: usize = 6;
/// Bytes of the fields.
pub(crate) const FIELDS_BYTES: usize = FIELDS * 8;

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) physic_msg_timestamp: Timestamp,
    pub(crate) logics_msg_timestamp: Timestamp,
    /// Full index files up to here are on disk.
    pub(crate) index_msg_timestamp: Timestamp,
    pub(crate) master_flushed_offset: i64,
    pub(crate) confirm_phy_offset: i64,
    /// 0: written by a version that did not know it.
    pub(crate) logics_physical_offset: i64,
}

impl Checkpoint {
    /// Records up to this time need no second look after a crash. Java: `StoreCheckpoint.getMinTimestamp`.
    pub(crate) fn min_timestamp(&self) -> Timestamp {
        const SAFETY_MS: i64 = 3000;
        let min = self.physic_msg_timestamp.min(self.logics_msg_timestamp);
        Timestamp(min.0.saturating_sub(SAFETY_MS).max(0))
    }

    /// Entries of records that begin before this are on disk, whatever happened; 0: nobody knows.
    pub(crate) fn queues_end(&self) -> i64 {
        if self.logics_physical_offset > 0 { self.logics_physical_offset.saturating_add(1) } else { 0 }
    }

    /// Records that begin before this were confirmed; 0: nobody knows.
    pub(crate) fn confirmed_end(&self) -> i64 {
        if self.confirm_phy_offset > 0 { self.confirm_phy_offset.saturating_add(1) } else { 0 }
    }

    /// The checkpoint of a log whose last record begins at `last`; `None`: it says nothing of records behind that, or not of
    /// queues but of what was confirmed only, and that is not gone by. One that did would soon vouch for entries of others
    /// that took their place.
    pub(crate) fn lowered_to(&self, last: i64, by_confirmed: bool) -> Option<Self> {
        let lower = Self {
            logics_physical_offset: self.logics_physical_offset.min(last),
            confirm_phy_offset: self.confirm_phy_offset.min(last),
            ..*self
        };
        let is_lower = lower.logics_physical_offset < self.logics_physical_offset
            || (by_confirmed && lower.confirm_phy_offset < self.confirm_phy_offset);
        is_lower.then_some(lower)
    }

    /// Reads the fields at the start of the file; `None` if there are not enough bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FIELDS_BYTES] = bytes.first_chunk()?;
        let [physic, logics, index, master_flushed_offset, confirm_phy_offset, logics_physical_offset] = fields(bytes);
        Some(Self {
            physic_msg_timestamp: Timestamp(physic),
            logics_msg_timestamp: Timestamp(logics),
            index_msg_timestamp: Timestamp(index),
            master_flushed_offset,
            confirm_phy_offset,
            logics_physical_offset,
        })
    }

    pub(crate) fn encode(&self) -> [u8; FIELDS_BYTES] {
        row([
            self.physic_msg_timestamp.0,
            self.logics_msg_timestamp.0,
            self.index_msg_timestamp.0,
            self.master_flushed_offset,
            self.confirm_phy_offset,
            self.logics_physical_offset,
        ])
    }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct CheckpointFile(File);

impl CheckpointFile {
    /// Opens the file, or makes one that says nothing.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Checkpoint)> {
        let file = Self(open_or_make(path)?);
        let checkpoint = Checkpoint::decode(&file.fields()?).expect("six fields were read");
        Ok((file, checkpoint))
    }

    /// The fields as they are in the file.
    pub(crate) fn fields(&self) -> io::Result<[u8; FIELDS_BYTES]> {
        let mut bytes = [0; FIELDS_BYTES];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Returns once the checkpoint is on disk. The fields lie in one sector, so a crash leaves the old or the new ones.
    pub(crate) fn write(&self, disk: &dyn Files, checkpoint: &Checkpoint) -> io::Result<()> {
        disk.write_at(&self.0, &checkpoint.encode(), 0)?;
        disk.sync_data(&self.0)
    }
}

/// A file of 4096 bytes, which are zeros if it is new.
pub(crate) fn open_or_make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() < FILE_BYTES {
        file.set_len(FILE_BYTES)?;
    }
    Ok(file)
}

/// Fields one behind the other, big-endian.
pub(crate) fn row<const FIELDS: usize, const BYTES: usize>(fields: [i64; FIELDS]) -> [u8; BYTES] {
    const { assert!(BYTES == FIELDS * 8) };
    let mut bytes = [0; BYTES];
    for (place, field) in bytes.as_chunks_mut().0.iter_mut().zip(fields) {
        *place = field.to_be_bytes();
    }
    bytes
}

/// The fields of a [`row`].
pub(crate) fn fields<const FIELDS: usize, const BYTES: usize>(row: &[u8; BYTES]) -> [i64; FIELDS] {
    const { assert!(BYTES == FIELDS * 8) };
    std::array::from_fn(|at| i64::from_be_bytes(row.as_chunks().0[at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::RealFiles;

    #[test]
    fn a_checkpoint_is_read_back_and_starts_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("checkpoint");
        let (file, found) = CheckpointFile::open(&path).expect("opened");
        assert_eq!(found, Checkpoint::default());
        let written = Checkpoint {
            physic_msg_timestamp: Timestamp(5000),
            logics_msg_timestamp: Timestamp(4000),
            index_msg_timestamp: Timestamp(3),
            master_flushed_offset: 4,
            confirm_phy_offset: 5,
            logics_physical_offset: 6,
        };
        file.write(&RealFiles, &written).expect("written");
        let (_, found) = CheckpointFile::open(&path).expect("opened");
        assert_eq!(found, written);
        assert_eq!(found.min_timestamp(), Timestamp(1000));
        assert_eq!(std::fs::metadata(&path).expect("a file").len(), 4096);
    }
}
