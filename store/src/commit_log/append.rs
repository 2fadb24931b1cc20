//! Writing a batch: the only thing that happens under the append lock.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;
use remoting::types::{Clock, PhysicalOffset, QueueOffset, Timestamp};
use tracing::warn;

use super::{CommitLog, Tail};
use crate::batch::{AppendBatch, Code, Encoded, Position, QueueSlot};
use crate::config::StoreConfig;
use crate::consume_queue::{Queue, Unit};
use crate::dispatch::Dispatch;
use crate::error::AppendError;
use crate::message::{BLANK_BYTES, MAGIC_BLANK};
use crate::mmap::Writer;

/// Why a batch was not written.
pub(crate) enum Refused {
    /// A queue was deleted since it was looked up: look it up again.
    QueueGone,
    Error(AppendError),
}

impl CommitLog {
    /// Gives the records of the batch their offsets and store time, writes them and hands them to the dispatch.
    ///
    /// All queues of the batch are looked up. Returns the end of the log behind the batch; on failure nothing has changed.
    pub(crate) fn append(
        &self,
        batch: &mut AppendBatch,
        config: &StoreConfig,
        clock: &Clock,
        dispatch: &Dispatch,
        may_write: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<PhysicalOffset, Refused> {
        self.check_fits(batch).map_err(Refused::Error)?;
        let mut tail = self.lock_to_append(config.append_patience).map_err(Refused::Error)?;
        may_write().map_err(Refused::Error)?;
        if batch.queues.iter().any(|slot| slot.queue.as_ref().is_some_and(|queue| queue.is_removed())) {
            return Err(Refused::QueueGone);
        }
        tail.clear(self).map_err(Refused::Error)?;
        let now = clock.now();
        let mut written = Written { tail: &mut tail, log: self, before: Vec::new() };
        match written.write(batch, now) {
            Ok(()) => {}
            Err(error) => {
                let cleared = written.take_back(batch.bytes.len());
                give_offsets_back(batch);
                return Err(Refused::Error(cleared.err().unwrap_or(error.into())));
            }
        }
        written.publish();
        let end = tail.writer.end();
        dispatch.hand_over(|work| {
            for (record, position) in batch.records.iter().zip(&batch.positions) {
                for place in 0..i64::from(record.places) {
                    let unit = Unit {
                        physical: position.physical_offset.0,
                        size: record.len as i32,
                        code: code_of(record.code, now, config),
                    };
                    work.push(queue_of(&batch.queues, record), position.queue_offset.0 + place, unit, now);
                }
            }
        });
        self.end_timestamp.store(now.0, Ordering::Release);
        self.end.store(end, Ordering::Release);
        if !tail.asked_for_next && tail.writer.left() < self.allocator.file_bytes() / 2 {
            tail.asked_for_next = true;
            self.allocator.ask(tail.writer.file().start() + tail.writer.file().len() as i64);
        }
        Ok(PhysicalOffset(end))
    }

    /// The append lock, within `patience`. While the disk lets nobody write, waiting would only keep threads from other work.
    fn lock_to_append(&self, patience: Duration) -> Result<MutexGuard<'_, Tail>, AppendError> {
        let patience_now = if self.stuck.load(Ordering::Relaxed) { Duration::ZERO } else { patience };
        let Some(tail) = self.tail.try_lock_for(patience_now) else {
            if !self.stuck.swap(true, Ordering::Relaxed) {
                warn!(
                    patience_ms = patience.as_millis() as u64,
                    "the disk takes no writes: messages are refused until it does"
                );
            }
            return Err(AppendError::Busy { limit: patience });
        };
        // Read first: as a rule there is nothing to take back, and a write would cost every append.
        if self.stuck.load(Ordering::Relaxed) {
            self.stuck.store(false, Ordering::Relaxed);
            warn!("the disk takes writes again");
        }
        Ok(tail)
    }

    /// Records that stay together must fit into an empty file, and leave room for a blank behind them.
    fn check_fits(&self, batch: &AppendBatch) -> Result<(), AppendError> {
        let room = self.allocator.file_bytes() - BLANK_BYTES;
        if batch.bytes.len() <= room {
            return Ok(());
        }
        let largest = (0..batch.records.len()).map(|at| together(&batch.records[at..])).max().unwrap_or(0);
        if largest <= room {
            Ok(())
        } else {
            let file_bytes = self.allocator.file_bytes() as u64;
            Err(AppendError::TooLargeForFile { bytes: largest, file_bytes })
        }
    }
}

/// Bytes of the first record and those that must follow it in the same file.
fn together(records: &[Encoded]) -> usize {
    let Some((first, rest)) = records.split_first() else { return 0 };
    first.len + rest.iter().take_while(|record| record.joined).map(|record| record.len).sum::<usize>()
}

fn queue_of<'a>(queues: &'a [QueueSlot], record: &Encoded) -> &'a Arc<Queue> {
    queues[record.queue].queue.as_ref().expect("queues are looked up before the append")
}

fn give_offsets_back(batch: &mut AppendBatch) {
    let stamped = batch.positions.len();
    for record in batch.records[..stamped].iter().filter(|record| record.places > 0) {
        queue_of(&batch.queues, record).next.fetch_sub(i64::from(record.places), Ordering::Relaxed);
    }
    batch.positions.clear();
}

/// Java: `CommitLog.checkMessageAndReturnSize`, `DefaultMessageStore`'s delay level table.
pub(crate) fn code_of(code: Code, stored: Timestamp, config: &StoreConfig) -> i64 {
    /// Java's delay for a level that its table does not have.
    const UNKNOWN_LEVEL_MS: i64 = 1000;
    match code {
        Code::Tags(code) => code,
        Code::DelayLevel(level) => {
            let level = usize::try_from(level).unwrap_or(0).min(config.delay_levels.len());
            let delay = level.checked_sub(1).and_then(|index| config.delay_levels.get(index));
            delay.map_or(Timestamp(stored.0.saturating_add(UNKNOWN_LEVEL_MS)), |delay| stored.after(*delay)).0
        }
    }
}

impl Tail {
    /// Clears what a failed write may have left behind the end. A failed sync may have lost what was written before as well.
    fn clear(&mut self, log: &CommitLog) -> Result<(), AppendError> {
        let Some(torn_to) = self.torn_to else { return Ok(()) };
        let file = self.writer.file().file();
        log.files.zero_range(file, self.writer.position() as u64, torn_to as u64)?;
        log.sync([file]).map_err(|_| AppendError::Poisoned)?;
        self.torn_to = None;
        Ok(())
    }
}

/// A batch being written: the tail and the files it has left behind, all of it still to be taken back.
struct Written<'a> {
    tail: &'a mut Tail,
    log: &'a CommitLog,
    before: Vec<Writer>,
}

impl Written<'_> {
    /// Stamps the records and writes them with as few calls as there are files.
    fn write(&mut self, batch: &mut AppendBatch, now: Timestamp) -> io::Result<()> {
        let AppendBatch { bytes, records, queues, positions, .. } = batch;
        positions.clear();
        // Where in `bytes` the part begins that goes into the current file, and where in the log.
        let mut part = 0;
        let mut physical = self.tail.writer.end();
        let mut left = self.tail.writer.left();
        for (at, record) in records.iter().enumerate() {
            if !record.joined && together(&records[at..]) + BLANK_BYTES > left {
                self.tail.writer.write(&*self.log.files, &bytes[part..record.start])?;
                self.roll()?;
                part = record.start;
                physical = self.tail.writer.end();
                left = self.tail.writer.left();
            }
            let queue_offset = if record.places > 0 {
                // Only changed under the append lock, so load and store need not be one step.
                let next = &queue_of(queues, record).next;
                let offset = next.load(Ordering::Relaxed);
                next.store(offset + i64::from(record.places), Ordering::Relaxed);
                QueueOffset(offset)
            } else {
                QueueOffset(0)
            };
            let physical_offset = PhysicalOffset(physical);
            record.patch.apply(&mut bytes[record.start..][..record.len], queue_offset, physical_offset, now);
            positions.push(Position { physical_offset, queue_offset, store_timestamp: now, size: record.len });
            physical += record.len as i64;
            left -= record.len;
        }
        self.tail.writer.write(&*self.log.files, &bytes[part..])
    }

    /// Ends the current file with a blank record and goes on in the next.
    fn roll(&mut self) -> io::Result<()> {
        let writer = &mut self.tail.writer;
        let mut blank = [0; BLANK_BYTES];
        blank[..4].copy_from_slice(&(writer.left() as i32).to_be_bytes());
        blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
        writer.write(&*self.log.files, &blank)?;
        let next = self.log.allocator.take(writer.file().start() + writer.file().len() as i64)?;
        self.before.push(std::mem::replace(writer, next));
        Ok(())
    }

    fn publish(mut self) {
        if !self.before.is_empty() {
            let mut segments = self.log.segments.write();
            let added = self.before.iter().skip(1).map(|writer| Arc::clone(writer.file()));
            let added = added.chain([Arc::clone(self.tail.writer.file())]);
            *segments = segments.iter().cloned().chain(added).collect();
            self.tail.asked_for_next = false;
        }
        for writer in self.before.iter_mut().chain([&mut self.tail.writer]) {
            writer.publish();
        }
    }

    /// `bytes`: of the batch. Fails if the store can no longer be used.
    fn take_back(mut self, bytes: usize) -> Result<(), AppendError> {
        // Back to the file that the batch began in. Those behind it are made again when they are needed.
        while let Some(before) = self.before.pop() {
            let unused = std::mem::replace(&mut self.tail.writer, before);
            let path = unused.file().path();
            if let Err(error) = self.log.files.remove_file(path) {
                warn!(path = %path.display(), %error, "remove a commit log file that was not used");
            }
        }
        self.tail.writer.take_back();
        let torn_to = self.tail.writer.position() + bytes + BLANK_BYTES;
        self.tail.torn_to = Some(torn_to.min(self.tail.writer.file().len()));
        match self.tail.clear(self.log) {
            Err(AppendError::Io(error)) => {
                warn!(%error, "clear what a failed write left in the commit log; tried again before the next");
                Ok(())
            }
            cleared => cleared,
        }
    }
}
