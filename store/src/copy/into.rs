//! The side that gets the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::types::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use thiserror::Error;
use tracing::info;

use super::partial::{Blank, Partial};
use super::records::{Records, Stop};
use crate::commit_log::Tail;
use crate::consume_queue::{Queue, Queues};
use crate::error::{AppendError, StoreError};
use crate::message::BadRecord;
use crate::shared::Shared;
use crate::store::{Store, forget};

/// Why bytes of another broker's log were not taken.
#[derive(Debug, Error)]
pub enum CopyError {
    /// They are not those that come next.
    #[error("bytes for {at} of the log came, but it ends at {end}")]
    Gap { at: PhysicalOffset, end: PhysicalOffset },
    /// A log that holds nothing can begin where a file does, and nowhere else.
    #[error(
        "the log cannot begin at {at}, which is no multiple of {file_bytes}: mappedFileSizeCommitLog has to be what it is on the \
         master"
    )]
    Start { at: PhysicalOffset, file_bytes: u64 },
    /// The other's files end elsewhere.
    #[error(
        "the record at {at} has {bytes} bytes, and the file {left} from there on: mappedFileSizeCommitLog has to be what it is on \
         the master"
    )]
    FileSize { at: PhysicalOffset, bytes: usize, left: usize },
    #[error("the record at {at} says that it lies at {says}: it is not of this log")]
    NotContinuing { at: PhysicalOffset, says: PhysicalOffset },
    #[error(
        "queue {queue_id} of topic {topic} would get offset {offset}, but its next one is {next}: this log is not the one that \
         the master's goes on with"
    )]
    Queue { topic: TopicName, queue_id: QueueId, offset: QueueOffset, next: QueueOffset },
    #[error("the record at {at} is damaged: {why}")]
    Record { at: PhysicalOffset, why: BadRecord },
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Of a queue that begins anew.
    #[error("forget the old entries of a queue: {0}")]
    Forget(StoreError),
}

/// A log that is written as another broker has it; see [`Store::copy`].
#[derive(Debug)]
pub struct LogCopy {
    shared: Arc<Shared>,
    partial: Partial,
    records: Records,
}

impl Store {
    /// Takes the log for copying: the store refuses messages of its own while this lives. It does not keep the store open.
    ///
    /// # Panics
    /// The store is a Raft log, which a group writes.
    pub fn copy(self: &Arc<Self>) -> LogCopy {
        assert!(self.shared.raft.is_none(), "the log of a group's member is not copied from a master");
        let _appends = self.shared.log.lock();
        self.shared.copying.fetch_add(1, Ordering::Relaxed);
        LogCopy { shared: Arc::clone(&self.shared), partial: Partial::default(), records: Records::default() }
    }
}

impl Drop for LogCopy {
    fn drop(&mut self) {
        let _appends = self.shared.log.lock();
        self.shared.copying.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LogCopy {
    /// Whether there was never a message: the log can begin at any file's start.
    pub fn is_empty(&self) -> bool {
        let log = &self.shared.log;
        log.end() == log.min() && self.shared.queues.topics().is_empty()
    }

    /// Where the whole records end, which is what the master is told; 0 while there is none, so that it chooses where the log
    /// begins.
    pub fn end(&self) -> PhysicalOffset {
        if self.partial.is_empty() && self.is_empty() {
            return PhysicalOffset(0);
        }
        PhysicalOffset(self.shared.log.end())
    }

    /// Where the next bytes go: behind what came of a record that is not whole yet.
    pub fn received(&self) -> PhysicalOffset {
        PhysicalOffset(self.end().0 + self.partial.len() as i64)
    }

    /// What came of a record that is not whole is forgotten: its bytes come again.
    pub fn forget_partial(&mut self) {
        self.partial = Partial::default();
    }

    /// Takes bytes of the master's log, which lie at `at`, and writes the records that are whole with them. [`Self::end`] then.
    ///
    /// Blocks for as long as writing takes.
    ///
    /// # Errors
    /// The record that [`Self::end`] then leads to cannot be taken; those before it are written. Nothing is kept of it: the next
    /// bytes are those that lie there.
    pub fn write(&mut self, at: PhysicalOffset, bytes: &[u8]) -> Result<PhysicalOffset, CopyError> {
        let before = self.shared.log.end();
        let taken = self.take(at, bytes);
        let end = self.shared.log.end();
        if end > before {
            self.shared.wrote(end);
        }
        match taken {
            Ok(()) => Ok(self.end()),
            Err(error) => {
                self.forget_partial();
                Err(match error {
                    CopyError::Append(error) => self.shared.note_refusal(error).into(),
                    other => other,
                })
            }
        }
    }

    fn take(&mut self, at: PhysicalOffset, bytes: &[u8]) -> Result<(), CopyError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.meet(at)?;
        let mut rest = bytes;
        loop {
            let (used, anew) = self.take_part(rest)?;
            rest = &rest[used..];
            match anew {
                Some(queue) => self.forget_queue(&queue).map_err(CopyError::Forget)?,
                None if rest.is_empty() => return Ok(()),
                None => {}
            }
        }
    }

    /// Has the log end at `at`, if it can.
    fn meet(&mut self, at: PhysicalOffset) -> Result<(), CopyError> {
        let shared = &*self.shared;
        let end = PhysicalOffset(shared.log.end() + self.partial.len() as i64);
        if at == end {
            return Ok(());
        }
        let file_bytes = shared.config.commit_log_file_bytes;
        if at < end || !self.partial.is_empty() || !self.is_empty() {
            return Err(CopyError::Gap { at, end });
        } else if at.0 % file_bytes as i64 != 0 {
            return Err(CopyError::Start { at, file_bytes });
        }
        {
            let mut tail = shared.log.lock();
            shared.may_copy()?;
            tail.clear(&shared.log)?;
            tail.begin_at(&shared.log, at.0)?;
        }
        info!(%at, "the log begins where the master has it begin");
        // There is nothing before it.
        shared.confirm(at.0);
        Ok(())
    }

    /// Takes from the start of `bytes` what goes into one file: whole records, and what came of one that is not; how much that
    /// is. With a queue to forget before the next record is taken.
    fn take_part(&mut self, bytes: &[u8]) -> Result<(usize, Option<Arc<Queue>>), CopyError> {
        let Self { shared, partial, records } = self;
        let shared: &Shared = shared;
        let mut tail = shared.log.lock();
        shared.may_copy()?;
        tail.clear(&shared.log)?;
        let (end, file_end) = (shared.log.end(), tail.file_end());
        let room = usize::try_from(file_end - end).unwrap_or(0).saturating_sub(partial.len());
        let bytes = &bytes[..bytes.len().min(room)];
        if let Some(blank) = &mut partial.blank {
            blank.add(bytes);
            put_blank(shared, &mut tail, partial)?;
            return Ok((bytes.len(), None));
        }
        let lacked = partial.complete(bytes);
        let rest = &bytes[lacked..];
        let (joined, stop) = records.gather(shared, &partial.joint, end, file_end);
        let (used, stop) = if joined == partial.joint.len() {
            records.gather(shared, rest, end + joined as i64, file_end)
        } else {
            (0, stop)
        };
        put(shared, &mut tail, records, [&partial.joint[..joined], &rest[..used]])?;
        match stop {
            Stop::Partial => partial.advance(joined, &rest[used..]),
            Stop::Blank { size } => {
                partial.advance(joined, &rest[used..]);
                let mut blank = Blank::of(size);
                blank.add(&std::mem::take(&mut partial.joint));
                partial.blank = Some(blank);
                put_blank(shared, &mut tail, partial)?;
            }
            Stop::Anew(queue) => {
                partial.advance(joined, &[]);
                return Ok((lacked + used, Some(queue)));
            }
            Stop::Error(error) => return Err(error),
        }
        Ok((bytes.len(), None))
    }

    /// Forgets the entries of a queue. Its records stay in the log.
    fn forget_queue(&self, queue: &Queue) -> Result<(), StoreError> {
        let (topic, id) = (&**queue.topic, queue.queue_id);
        info!(%topic, queue_id = %id, "a queue begins anew: what was there of it is forgotten");
        let taken = |queues: &Queues| queues.forget_queue(topic, id);
        forget(&self.shared, taken, |queues| queues.discard_queue(topic, id)).map(|_| ())
    }
}

/// Writes the records that were gathered, whose bytes these are.
fn put(shared: &Shared, tail: &mut Tail, records: &mut Records, bytes: [&[u8]; 2]) -> Result<(), AppendError> {
    let (count, stored) = (records.count, records.stored);
    if count == 0 {
        return Ok(());
    }
    let written = records.begin_queues(shared);
    let written = written.and_then(|()| tail.copy(&shared.log, bytes, stored, || records.hand_over(shared)));
    match &written {
        Ok(()) => shared.stats.copied(count, (bytes[0].len() + bytes[1].len()) as u64),
        Err(_) => records.forget(),
    }
    written
}

/// Writes the blank and what is behind it, if all of that has come.
fn put_blank(shared: &Shared, tail: &mut Tail, partial: &mut Partial) -> Result<(), AppendError> {
    if let Some(whole) = partial.blank.as_ref().and_then(Blank::whole) {
        tail.copy_blank(&shared.log, whole)?;
        partial.blank = None;
    }
    Ok(())
}
