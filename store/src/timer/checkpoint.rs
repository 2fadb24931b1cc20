//! `config/timercheck`: how far the timer is.
//!
//! 4096 bytes; seven big-endian `i64` at the front, which are also what slaves are told:
//!
//! ```text
//! [time of the slot that is read][flushed end of the timer log][next offset in the timer topic][the same of the master]
//! [state version][time of the last change][changes]
//! ```
//! Behind them, at byte 64, is what only this broker writes and Java leaves as it is: how much of a slot was delivered.
//!
//! ```text
//! [mark: i64][slot number: i64][deliver time of the last message delivered: i64][its position in the timer log: i64]
//! ```
//! It is written after every delivery and not flushed: it makes repeated deliveries after a crash of the process rare. One of
//! an earlier slot than the first field names is of no use any more.
//!
//! Java: `TimerCheckpoint`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use remoting::types::{QueueOffset, Timestamp};

use super::unit::NONE;
use crate::checkpoint::{fields, open_or_make, row};
use crate::io::Files;

/// Size of what slaves are told. Java: `TimerCheckpoint.encode`.
pub const CHECKPOINT_BYTES: usize = 56;
const CURSOR_AT: u64 = 64;
const CURSOR_BYTES: usize = 32;
/// "Ferromq1".
const CURSOR_MARK: i64 = 0x4665_7272_6F6D_7131;

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerCheckpoint {
    /// Begin of the slot that is read; all before it were delivered.
    pub read_time: Timestamp,
    /// The wheel has all units of the log before this.
    pub log_flushed: i64,
    /// The first message of the timer topic that is not in the log.
    pub queue_offset: QueueOffset,
    /// Of the master; here always the same.
    pub master_queue_offset: QueueOffset,
    pub state_version: i64,
    pub changed_at: Timestamp,
    pub changes: i64,
}

impl TimerCheckpoint {
    pub fn encode(&self) -> [u8; CHECKPOINT_BYTES] {
        let fields = [
            self.read_time.0,
            self.log_flushed,
            self.queue_offset.0,
            self.master_queue_offset.0,
            self.state_version,
            self.changed_at.0,
            self.changes,
        ];
        row(fields)
    }

    /// Of [`TimerCheckpoint::encode`].
    pub fn decode(bytes: &[u8; CHECKPOINT_BYTES]) -> Self {
        let [read_time, log_flushed, queue_offset, master_queue_offset, state_version, changed_at, changes] =
            fields(bytes);
        Self {
            read_time: Timestamp(read_time),
            log_flushed,
            queue_offset: QueueOffset(queue_offset),
            master_queue_offset: QueueOffset(master_queue_offset),
            state_version,
            changed_at: Timestamp(changed_at),
            changes,
        }
    }
}

/// Everything in earlier slots was delivered, and of this slot what comes not later than the last message delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub slot: i64,
    pub deliver_at: Timestamp,
    /// Of messages that are due at the same time, the one that was enrolled first comes first.
    pub position: i64,
}

impl Cursor {
    /// Nothing of the slot was delivered.
    pub fn start_of(slot: i64) -> Self {
        Self { slot, deliver_at: Timestamp(i64::MIN), position: NONE }
    }
}

#[derive(Debug)]
pub(super) struct CheckpointFile {
    file: Arc<File>,
    disk: Arc<dyn Files>,
}

impl CheckpointFile {
    /// Opens or makes the file; what it says.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn open(path: &Path, disk: Arc<dyn Files>) -> io::Result<(Self, TimerCheckpoint, Option<Cursor>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = open_or_make(path)?;
        let mut head = [0; CHECKPOINT_BYTES];
        file.read_exact_at(&mut head, 0)?;
        let mut tail = [0; CURSOR_BYTES];
        file.read_exact_at(&mut tail, CURSOR_AT)?;
        let [mark, slot, deliver_at, position] = fields(&tail);
        let cursor = Cursor { slot, deliver_at: Timestamp(deliver_at), position };
        let cursor = (mark == CURSOR_MARK).then_some(cursor);
        Ok((Self { file: Arc::new(file), disk }, TimerCheckpoint::decode(&head), cursor))
    }

    pub(super) fn handle(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn write_cursor(&self, cursor: Cursor) -> io::Result<()> {
        let bytes: [u8; CURSOR_BYTES] = row([CURSOR_MARK, cursor.slot, cursor.deliver_at.0, cursor.position]);
        self.disk.write_at(&self.file, &bytes, CURSOR_AT)
    }

    pub(super) fn write(&self, checkpoint: &TimerCheckpoint) -> io::Result<()> {
        self.disk.write_at(&self.file, &checkpoint.encode(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::RealFiles;

    #[test]
    fn javas_bytes_are_read_and_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config/timercheck");
        // Of a 5.5.0 broker.
        let fields = [1_795_255_807_000, 2340, 43, 43, 0, 1_795_255_807_755, 227_i64];
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
        bytes.resize(4096, 0);
        std::fs::create_dir(dir.path().join("config")).expect("a folder");
        std::fs::write(&path, &bytes).expect("written");
        let (file, checkpoint, cursor) = CheckpointFile::open(&path, Arc::new(RealFiles)).expect("opened");
        assert_eq!((checkpoint.read_time, checkpoint.log_flushed), (Timestamp(1_795_255_807_000), 2340));
        assert_eq!((checkpoint.queue_offset, checkpoint.changes, cursor), (QueueOffset(43), 227, None));
        let seen = Cursor { slot: 1_795_255_808, deliver_at: Timestamp(1_795_255_808_123), position: 52 };
        file.write(&checkpoint).expect("written");
        file.write_cursor(seen).expect("written");
        let after = std::fs::read(&path).expect("read");
        assert_eq!((&after[..64], after.len()), (&bytes[..64], 4096));
        let (.., cursor) = CheckpointFile::open(&path, Arc::new(RealFiles)).expect("opened");
        assert_eq!(cursor, Some(seen));
    }

    #[test]
    fn a_new_one_says_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let opened = CheckpointFile::open(&dir.path().join("config/timercheck"), Arc::new(RealFiles));
        let (_, checkpoint, cursor) = opened.expect("opened");
        assert_eq!((checkpoint, cursor), (TimerCheckpoint::default(), None));
    }
}
