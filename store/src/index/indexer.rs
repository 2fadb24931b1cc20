//! The thread that follows the log and keeps the index files up to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use remoting::types::PhysicalOffset;
use tracing::{error, info, warn};

use super::batch::Batch;
use super::keys::Hasher;
use super::layout::Header;
use crate::commit_log::Snapshot;
use crate::message::Record;
use crate::shared::Shared;

/// How often new messages are looked for; a query wakes the thread earlier.
const INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of the log between two looks at whether to stop.
const SLICE_BYTES: i64 = 4 << 20;
/// At a clean stop no more than this is caught up with: the next start goes on where this one ended.
const BEHIND_AT_STOP_MAX: i64 = 256 << 20;
/// Gives way to the threads that serve clients.
const NICE: i32 = 5;

pub(crate) struct Indexer {
    shared: Arc<Shared>,
    /// The next byte of the log to look at.
    cursor: i64,
    /// The message at this offset is in the index already, and all before it.
    last: Option<i64>,
    batch: Batch,
    /// The batch is for the newest file, and that is not full.
    has_file: bool,
    hasher: Hasher,
    taken: Taken,
    /// The disk failed, and that was said.
    failing: bool,
}

/// The message before the cursor; its hashes up to `put` are in the batch.
#[derive(Debug, Default)]
struct Taken {
    offset: i64,
    time: i64,
    hashes: Vec<u32>,
    put: usize,
}

impl Indexer {
    /// Goes on behind what the files hold.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut indexer = Self {
            shared,
            cursor: 0,
            last: None,
            batch: Batch::new(Header::following(0, 0)),
            has_file: false,
            hasher: Hasher::default(),
            taken: Taken::default(),
            failing: false,
        };
        indexer.place();
        let behind_bytes = indexer.behind();
        if behind_bytes > SLICE_BYTES {
            info!(from = indexer.cursor, behind_bytes, "the index is behind the log: it catches up");
        }
        indexer
    }

    /// Follows the log until the store stops.
    pub(crate) fn run(mut self) -> Self {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            info!(%error, "the index thread keeps its priority");
        }
        while !self.shared.is_stopping() {
            self.turn();
            self.shared.index.signal.wait(Some(INTERVAL));
        }
        self
    }

    /// Makes the index complete. Java: `messageIndexSafe`.
    pub(crate) fn complete(&mut self) {
        self.catch_up(|_| false);
    }

    /// Brings the index up to the end of the log and to disk, for a clean stop.
    pub(crate) fn finish(mut self) {
        let behind_bytes = self.behind();
        if behind_bytes > BEHIND_AT_STOP_MAX {
            warn!(behind_bytes, "the index is behind the log: it goes on at the next start");
        } else {
            self.complete();
        }
        // The next start goes on behind the last message in the file, which so must be there with all its keys.
        self.failing |= self.put().and_then(|()| self.write()).is_err();
        // A file whose slots point at entries that are not there looks right: better none.
        if let Err(error) = self.shared.index.settle(self.failing) {
            warn!(%error, "bring the newest index file to disk");
        }
    }

    fn behind(&self) -> i64 {
        self.shared.watermark.confirmed().0 - self.cursor
    }

    fn turn(&mut self) {
        if let Some(damaged) = self.shared.index.take_damaged() {
            match self.shared.index.forget_from(damaged) {
                Ok(()) => self.place(),
                Err(error) => warn!(%error, "remove damaged index file"),
            }
        }
        self.catch_up(Shared::is_stopping);
        if let Err(error) = self.shared.index.delete_before(self.shared.log.min()) {
            warn!(%error, "remove index file of messages that are gone");
        }
    }

    /// Finds the place in the log that the files have come to. A newest file that ends where no message begins is not of
    /// this log.
    fn place(&mut self) {
        let index = &self.shared.index;
        let log = self.shared.log.snapshot();
        let newest = loop {
            let Some((name, header, full)) = index.newest() else { break None };
            if header.end < log.min() || log.record_at(PhysicalOffset(header.end)).is_some() {
                break Some((header, full));
            }
            warn!(
                name,
                offset = header.end,
                "no message where an index file ends: its part of the log is indexed again"
            );
            if let Err(error) = index.forget_from(name) {
                warn!(%error, "remove index file");
                break Some((header, full));
            }
        };
        self.taken = Taken::default();
        self.failing = false;
        self.has_file = newest.is_some_and(|(_, full)| !full);
        self.batch.restart(newest.map_or(Header::following(0, 0), |(header, _)| header));
        let end = newest.map(|(header, _)| header.end);
        // The last message of a full file may have had keys that did not fit.
        self.last = end.filter(|_| self.has_file);
        self.cursor = end.unwrap_or(0).max(log.min());
        index.set_indexed(self.cursor);
    }

    fn catch_up(&mut self, stop: impl Fn(&Shared) -> bool) {
        while self.behind() > 0 || !self.batch.is_empty() || self.taken.put < self.taken.hashes.len() {
            let outcome = self.slice();
            if let Err(error) = outcome {
                if !std::mem::replace(&mut self.failing, true) {
                    error!(%error, "write index file: messages are not found by key until it can be");
                }
                return;
            } else if std::mem::take(&mut self.failing) {
                warn!("index files can be written again");
            }
            if stop(&self.shared) {
                return;
            }
        }
        self.shared.index.set_indexed(self.cursor);
        self.batch.shrink();
    }

    /// Takes up the next part of the log. Its entries are written when the batch is due, or nothing is left to take up: the
    /// more entries are written at once, the less each of them costs.
    fn slice(&mut self) -> io::Result<()> {
        // What a failed write has left.
        self.put()?;
        let log = self.shared.log.snapshot();
        self.cursor = self.cursor.max(log.min());
        let confirmed = self.shared.watermark.confirmed().0;
        let (from, end) = (self.cursor, confirmed.min(self.cursor + SLICE_BYTES));
        while self.cursor < end {
            self.step(&log, end)?;
        }
        // This thread may wait for that, and while the store opens there is no keeper to do it.
        if self.shared.residency.read((self.cursor - from).unsigned_abs()) && self.shared.residency.take() {
            self.shared.log.release_pages();
        }
        if self.cursor >= confirmed { self.write() } else { Ok(()) }
    }

    /// Takes up the record at the cursor.
    fn step(&mut self, log: &Snapshot, end: i64) -> io::Result<()> {
        let Some((file, at)) = log.locate(self.cursor) else {
            self.cursor = end;
            return Ok(());
        };
        let next_file = file.start() + file.len() as i64;
        match Record::parse(file.readable().get(at..).unwrap_or_default()) {
            Ok(Record::Message(message)) => {
                if self.last.is_none_or(|last| self.cursor > last) {
                    let taken = &mut self.taken;
                    (taken.offset, taken.time, taken.put) = (self.cursor, message.store_timestamp.0, 0);
                    taken.hashes.clear();
                    self.hasher.hashes(&message, |hash| taken.hashes.push(hash));
                }
                self.cursor += message.size as i64;
            }
            Ok(Record::Blank { .. }) => self.cursor = next_file,
            Err(error) => {
                error!(offset = self.cursor, %error, "the log cannot be read here: the rest of the file is not indexed");
                self.cursor = next_file.min(self.shared.watermark.confirmed().0);
            }
        }
        self.put()
    }

    /// Moves the hashes of the message before the cursor into the batch.
    fn put(&mut self) -> io::Result<()> {
        while let Some(hash) = self.taken.hashes.get(self.taken.put).copied() {
            if self.batch.is_due(self.shared.index.layout) {
                self.write()?;
            }
            if !self.has_file {
                self.batch.restart(self.shared.index.add_file(self.shared.clock.now())?);
                self.has_file = true;
            }
            self.batch.push(hash, self.taken.offset, self.taken.time);
            self.taken.put += 1;
        }
        Ok(())
    }

    /// Writes the batch. A file that is full then is brought to disk.
    fn write(&mut self) -> io::Result<()> {
        if !self.batch.is_empty() && self.shared.index.write(&mut self.batch)? {
            self.has_file = false;
            self.shared.index.finish_newest();
        }
        Ok(())
    }
}
