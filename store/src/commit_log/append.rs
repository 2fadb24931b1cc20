//! Writing a batch: the only thing that happens under the append lock.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;
use remoting::types::{Clock, PhysicalOffset, QueueOffset, Timestamp};
use tracing::warn;

use super::{CommitLog, Tail};
use crate::batch::{AppendBatch, Code, Encoded, Position};
use crate::config::StoreConfig;
use crate::consume_queue::Unit;
use crate::dispatch::Dispatch;
use crate::error::AppendError;
use crate::light::{self, queue_of};
use crate::message::{BLANK_BYTES, MAGIC_BLANK};
use crate::mmap::Writer;
use crate::raft::{RaftState, Sealing};

/// Why a batch was not written.
pub(crate) enum Refused {
    /// A queue was deleted since it was looked up: look it up again.
    QueueGone,
    /// An offset in a light queue has got longer than the room made for it: make more.
    LightOffsetsGrew,
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
        raft: Option<&RaftState>,
        may_write: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<PhysicalOffset, Refused> {
        self.check_fits(batch, raft.map_or(0, RaftState::control_bytes)).map_err(Refused::Error)?;
        let mut tail = self.lock_to_append(config.append_patience).map_err(Refused::Error)?;
        may_write().map_err(Refused::Error)?;
        let sealing = raft.map(RaftState::seal).transpose().map_err(Refused::Error)?;
        if batch.queues.iter().any(|slot| slot.queue.as_ref().is_some_and(|queue| queue.is_removed())) {
            return Err(Refused::QueueGone);
        }
        if !batch.light.is_empty() && !batch.is_fit() {
            return Err(Refused::LightOffsetsGrew);
        }
        tail.clear(self).map_err(Refused::Error)?;
        let now = clock.now();
        let mut written = Written { tail: &mut tail, log: self, before: Vec::new(), sealing };
        match written.write(batch, now) {
            Ok(()) => {}
            Err(error) => {
                let cleared = written.take_back(batch.bytes.len());
                give_offsets_back(batch);
                return Err(Refused::Error(cleared.err().unwrap_or(error.into())));
            }
        }
        let sealing = written.publish();
        let end = tail.writer.end();
        dispatch.hand_over(|work| {
            let mut shares = batch.light.shares.iter().peekable();
            for (at, (record, position)) in batch.records.iter().zip(&batch.positions).enumerate() {
                for place in 0..i64::from(record.places) {
                    let unit = unit_of(record, position, now, config);
                    work.push(queue_of(&batch.queues, record.queue), position.queue_offset.0 + place, unit, now);
                }
                if let Some(share) = shares.next_if(|share| share.is_of(at)) {
                    let unit = unit_of(record, position, now, config);
                    for (queue, offset) in share.units(&batch.queues, &batch.light.places) {
                        work.push(queue, offset, unit, now);
                    }
                }
            }
        });
        self.moved(&mut tail, now);
        if let Some(sealing) = sealing {
            sealing.publish();
        }
        Ok(PhysicalOffset(end))
    }

    /// The end is another; readers may have what lies before it.
    pub(crate) fn moved(&self, tail: &mut Tail, stored: Timestamp) {
        self.end_timestamp.store(stored.0, Ordering::Release);
        // In one order with who begins to wait for it.
        self.end.store(tail.writer.end(), Ordering::SeqCst);
        if !tail.asked_for_next && tail.writer.left() < self.allocator.file_bytes() / 2 {
            tail.asked_for_next = true;
            self.allocator.ask(tail.file_end());
        }
    }

    /// The append lock, within `patience`. While the disk lets nobody write, waiting would only keep threads from other work.
    pub(super) fn lock_to_append(&self, patience: Duration) -> Result<MutexGuard<'_, Tail>, AppendError> {
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
    fn check_fits(&self, batch: &AppendBatch, control_bytes: usize) -> Result<(), AppendError> {
        let room = self.allocator.file_bytes() - BLANK_BYTES - control_bytes;
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

fn unit_of(record: &Encoded, position: &Position, stored: Timestamp, config: &StoreConfig) -> Unit {
    let code = code_of(record.code, stored, config);
    Unit { physical: position.physical_offset.0, size: record.len as i32, code }
}

fn give_offsets_back(batch: &mut AppendBatch) {
    let stamped = batch.positions.len();
    for record in &batch.records[..stamped] {
        light::give_place_back(&batch.queues, record);
    }
    let shares = batch.light.shares.iter().take_while(|share| share.is_before(stamped)).count();
    light::give_light_places_back(&batch.queues, &batch.light.shares[..shares], &batch.light.places);
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
    pub(crate) fn clear(&mut self, log: &CommitLog) -> Result<(), AppendError> {
        let Some(torn_to) = self.torn_to else { return Ok(()) };
        let file = self.writer.file().file();
        log.files.zero_range(file, self.writer.position() as u64, torn_to as u64)?;
        log.sync([file]).map_err(|_| AppendError::Poisoned)?;
        self.torn_to = None;
        Ok(())
    }
}

/// A batch being written: the tail and the files it has left behind, all of it still to be taken back.
struct Written<'a, 's> {
    tail: &'a mut Tail,
    log: &'a CommitLog,
    before: Vec<Writer>,
    /// What goes into one file becomes an entry of the Raft log, if this is one.
    sealing: Option<Sealing<'s>>,
}

impl<'s> Written<'_, 's> {
    /// Stamps the records and writes them with as few calls as there are files.
    fn write(&mut self, batch: &mut AppendBatch, now: Timestamp) -> io::Result<()> {
        let AppendBatch { bytes, records, queues, positions, light, .. } = batch;
        let mut shares = light.shares.iter().peekable();
        positions.clear();
        let control_bytes = self.sealing.as_ref().map_or(0, Sealing::control_bytes);
        // The first record that goes into the current file, and where the next one goes.
        let mut part = 0;
        let mut physical = self.tail.writer.end() + control_bytes as i64;
        let mut left = self.tail.writer.left().saturating_sub(control_bytes);
        for (at, record) in records.iter().enumerate() {
            if !record.joined && together(&records[at..]) + BLANK_BYTES > left {
                self.write_part(bytes, &records[part..at], now)?;
                self.roll()?;
                part = at;
                physical = self.tail.writer.end() + control_bytes as i64;
                left = self.tail.writer.left() - control_bytes;
            }
            let queue_offset = QueueOffset(light::take_place(queues, record));
            let stored = &mut bytes[record.start..][..record.len];
            if let Some(share) = shares.next_if(|share| share.is_of(at)) {
                share.stamp(queues, &mut light.places, stored);
            }
            let physical_offset = PhysicalOffset(physical);
            record.patch.apply(stored, queue_offset, physical_offset, now);
            positions.push(Position { physical_offset, queue_offset, store_timestamp: now, size: record.len });
            physical += record.len as i64;
            left -= record.len;
        }
        self.write_part(bytes, &records[part..], now)
    }

    /// Writes records that lie side by side into the current file.
    fn write_part(&mut self, bytes: &[u8], records: &[Encoded], now: Timestamp) -> io::Result<()> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let bytes = &bytes[first.start..last.start + last.len];
        let (writer, disk) = (&mut self.tail.writer, &*self.log.files);
        if let Some(sealing) = &mut self.sealing {
            let control = sealing.seal(writer.end(), bytes, records.len(), now, writer.position() == 0);
            writer.write(disk, control)?;
        }
        writer.write(disk, bytes)
    }

    fn roll(&mut self) -> io::Result<()> {
        let before = self.tail.roll(self.log)?;
        self.before.push(before);
        Ok(())
    }

    /// Shows what was written to readers; gives back the entries that were made of it.
    fn publish(self) -> Option<Sealing<'s>> {
        self.tail.publish(self.log, self.before);
        self.sealing
    }

    /// `bytes`: of the batch. Fails if the store can no longer be used.
    fn take_back(self, bytes: usize) -> Result<(), AppendError> {
        let control_bytes = self.sealing.as_ref().map_or(0, Sealing::control_bytes);
        self.tail.take_back(self.log, self.before, bytes + control_bytes)
    }
}

impl Tail {
    /// Ends the current file with a blank record and goes on in the next; the file that was left.
    pub(super) fn roll(&mut self, log: &CommitLog) -> io::Result<Writer> {
        let writer = &mut self.writer;
        let mut blank = [0; BLANK_BYTES];
        blank[..4].copy_from_slice(&(writer.left() as i32).to_be_bytes());
        blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
        writer.write(&*log.files, &blank)?;
        self.leave(log)
    }

    /// Goes on in the next file; the one that was left.
    pub(super) fn leave(&mut self, log: &CommitLog) -> io::Result<Writer> {
        let next = log.allocator.take(self.file_end())?;
        Ok(std::mem::replace(&mut self.writer, next))
    }

    /// One behind the last byte of the file that is written to.
    pub(crate) fn file_end(&self) -> i64 {
        self.writer.file().start() + self.writer.file().len() as i64
    }

    /// Shows what was written to readers, in the files that were left, too.
    pub(super) fn publish(&mut self, log: &CommitLog, before: Vec<Writer>) {
        if !before.is_empty() {
            let mut segments = log.segments.write();
            let added = before.iter().skip(1).map(|writer| Arc::clone(writer.file()));
            let added = added.chain([Arc::clone(self.writer.file())]);
            *segments = segments.iter().cloned().chain(added).collect();
            self.asked_for_next = false;
        }
        // Behind its blank a file is as it will stay: who copies the log copies that, too.
        before.into_iter().for_each(Writer::finish);
        self.writer.publish();
    }

    /// Takes back what was written since the last publishing: at most so many bytes, and a blank. Fails if the store can no
    /// longer be used.
    pub(super) fn take_back(
        &mut self,
        log: &CommitLog,
        mut before: Vec<Writer>,
        bytes: usize,
    ) -> Result<(), AppendError> {
        // Back to the file that it began in. Those behind it are made again when they are needed.
        while let Some(writer) = before.pop() {
            let unused = std::mem::replace(&mut self.writer, writer);
            let path = unused.file().path();
            if let Err(error) = log.files.remove_file(path) {
                warn!(path = %path.display(), %error, "remove a commit log file that was not used");
            }
        }
        self.writer.take_back();
        let torn_to = self.writer.position() + bytes + BLANK_BYTES;
        self.torn_to = Some(torn_to.min(self.writer.file().len()));
        match self.clear(log) {
            Err(AppendError::Io(error)) => {
                warn!(%error, "clear what a failed write left in the commit log; tried again before the next");
                Ok(())
            }
            cleared => cleared,
        }
    }
}
