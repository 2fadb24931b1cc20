//! The side that has the log.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use remoting::types::PhysicalOffset;

use super::Staging;
use super::starts::{self, Start};
use crate::mmap::MappedFile;
use crate::raft::{RaftLog, RaftState};
use crate::shared::Shared;

/// Keeps retention from files of the log, until it is dropped.
#[derive(Debug)]
pub struct Pinned {
    shared: Arc<Shared>,
    pin: u64,
}

/// A file of the log, or what is wanted of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub start: PhysicalOffset,
    pub bytes: u64,
    /// When it was last written to, in milliseconds since 1970.
    pub written_ms: i64,
}

impl Pinned {
    /// Keeps all files of the log that there are, and those to come.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let pin = shared.raft.as_ref().expect("only a store that is a Raft log hands files out").pin(0);
        Self { shared, pin }
    }

    fn raft(&self) -> &RaftState {
        self.shared.raft.as_ref().expect("only a store that is a Raft log hands files out")
    }

    /// The files from the one that holds entry `first` on, up to the end of entry `last`. What is from before the group goes
    /// with the first file of entries.
    ///
    /// # Errors
    /// One of the two is not in the log.
    pub fn segments(&self, first: u64, last: u64) -> io::Result<Vec<Segment>> {
        let log = self.shared.log.snapshot();
        let place = |index| {
            let gone = || io::Error::other(format!("entry {index} is not in the log"));
            self.raft().place(&log, index).ok_or_else(gone)
        };
        let (first, end) = (place(first)?, place(last)?.end());
        let from = if self.raft().is_in_first_file(&log, &first) { 0 } else { first.at };
        let files = log.from(from).iter().take_while(|file| file.start() < end);
        let segment = |file: &Arc<MappedFile>| {
            let bytes = (end - file.start()).min(file.len() as i64) as u64;
            Ok(Segment { start: PhysicalOffset(file.start()), bytes, written_ms: file.written_at()? })
        };
        files.map(segment).collect()
    }

    /// Lets go the files that end by `at`.
    pub fn pass(&self, at: PhysicalOffset) {
        self.raft().move_pin(self.pin, at.0);
        self.shared.cleaning.signal.raise();
    }

    /// Bytes of the log, all in one file. Waits for the disk; what was not in memory before is not kept there.
    ///
    /// # Errors
    /// Failing I/O, or the file is gone.
    pub fn read(&self, at: PhysicalOffset, bytes: usize) -> io::Result<Vec<u8>> {
        let log = self.shared.log.snapshot();
        let gone = || io::Error::other(format!("the log has nothing at {at} any more"));
        let (file, within) = log.locate(at.0).ok_or_else(gone)?;
        let mut read = vec![0; bytes];
        let range = within..within + bytes;
        let was_resident = file.is_resident(range.clone());
        file.file().read_exact_at(&mut read, within as u64)?;
        if !was_resident {
            file.forget(range)?;
        }
        Ok(read)
    }

    /// How the queues stand at `from`, where a file of the log begins, for one who makes them again from the log up to `end`.
    ///
    /// # Errors
    /// A queue cannot be read.
    pub fn queues(&self, from: PhysicalOffset, end: PhysicalOffset) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        for queue in self.shared.queues.all() {
            let (next, physical) = queue.first_behind(from.0)?;
            // Its first message in the log tells as much.
            if next == 0 || physical.is_some_and(|physical| physical < end.0) {
                continue;
            }
            let topic = (*queue.topic).clone();
            starts::encode(&mut text, &Start { topic, id: queue.queue_id, batches: queue.takes_batches(), next });
        }
        Ok(text)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.raft().unpin(self.pin);
        self.shared.cleaning.signal.raise();
    }
}

impl RaftLog {
    /// Keeps retention from all files of the log that there are, and those to come.
    pub fn pin(&self) -> Pinned {
        Pinned::new(Arc::clone(self.shared()))
    }

    /// Size of every file of the log.
    pub fn file_bytes(&self) -> u64 {
        self.shared().config.commit_log_file_bytes
    }

    /// Where what this store is filled with is gathered.
    pub fn staging(&self) -> Staging {
        Staging::of(&self.shared().config)
    }
}
