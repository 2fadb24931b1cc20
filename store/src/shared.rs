//! What the store's threads and its users share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use remoting::types::{Clock, QueueOffset, Timestamp};
use tracing::error;

use crate::batch::AppendBatch;
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::cold::Cold;
use crate::commit_log::CommitLog;
use crate::config::{FlushMode, StoreConfig};
use crate::consume_queue::{LogEnds, Queue, Queues};
use crate::dispatch::Dispatch;
use crate::error::AppendError;
use crate::figures::Stats;
use crate::hot::Seen;
use crate::index::Index;
use crate::io::{Files, is_out_of_space};
use crate::raft::RaftState;
use crate::residency::Residency;
use crate::retention::Cleaning;
use crate::signal::Signal;
use crate::watermark::Watermark;

#[derive(Debug)]
pub(crate) struct Shared {
    /// Tells the batches of several stores in one process apart.
    pub(crate) id: u64,
    pub(crate) config: StoreConfig,
    pub(crate) clock: Clock,
    pub(crate) disk: Arc<dyn Files>,
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) watermark: Watermark,
    pub(crate) dispatch: Dispatch,
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) stats: Stats,
    pub(crate) residency: Residency,
    pub(crate) seen: Seen,
    pub(crate) cold: Cold,
    pub(crate) cleaning: Cleaning,
    pub(crate) index: Index,
    /// The log is a Raft log: a group confirms, and not who writes or flushes.
    pub(crate) raft: Option<RaftState>,
    pub(crate) flush_signal: Signal,
    pub(crate) keeper_signal: Signal,
    /// Wakes the thread that ends waits which took too long.
    pub(crate) deadline_signal: Signal,
    /// Bytes behind the log's end up to which memory is taken to reach.
    pub(crate) memory_bytes: AtomicI64,
    /// Who copies the log of another broker. Changed under the append lock.
    pub(crate) copying: AtomicUsize,
    pub(crate) closed: AtomicBool,
    pub(crate) stopping: AtomicBool,
    pub(crate) poisoned: AtomicBool,
    pub(crate) queues_failing: AtomicBool,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Whether an append is taken.
    pub(crate) fn may_write(&self) -> Result<(), AppendError> {
        // A look is enough: it changes under the append lock, which is held.
        if self.copying.load(Ordering::Relaxed) > 0 { Err(AppendError::Copying) } else { self.may_copy() }
    }

    /// Whether anything is written.
    pub(crate) fn may_copy(&self) -> Result<(), AppendError> {
        if self.closed.load(Ordering::Acquire) {
            Err(AppendError::Closed)
        } else if self.is_poisoned() {
            Err(AppendError::Poisoned)
        } else if self.queues_failing.load(Ordering::Acquire) {
            Err(AppendError::QueuesFailing)
        } else if self.cleaning.refuses() {
            Err(self.cleaning.refusal())
        } else {
            Ok(())
        }
    }

    /// Counts a refused append and does what it calls for; returns what its caller is told. A write that found no space has
    /// the next ones refused at once.
    pub(crate) fn note_refusal(&self, error: AppendError) -> AppendError {
        self.stats.put_failed.fetch_add(1, Ordering::Relaxed);
        match error {
            AppendError::Poisoned => {
                self.poison();
                error
            }
            AppendError::Io(cause) if is_out_of_space(&cause) => {
                self.cleaning.note_out_of_space(&cause);
                self.cleaning.refusal()
            }
            other => other,
        }
    }

    /// Finds the queues of the batch that are not known yet, or were deleted.
    ///
    /// # Errors
    /// [`AppendError::QueueKind`].
    pub(crate) fn look_up(&self, batch: &mut AppendBatch) -> Result<(), AppendError> {
        let other_store = std::mem::replace(&mut batch.store, self.id) != self.id;
        for slot in &mut batch.queues {
            slot.queue = slot.queue.take().filter(|queue| !other_store && !queue.is_removed());
        }
        // Only those that records go to: the batch remembers queues of earlier uses, whose topics may be gone.
        for record in &batch.records {
            let slot = &mut batch.queues[record.queue];
            if slot.queue.is_none() && slot.batches {
                let queue = self.queues.get_or_create_for_batches(&slot.topic, slot.queue_id);
                let wrong = || AppendError::QueueKind { topic: slot.topic.clone(), queue_id: slot.queue_id };
                slot.queue = Some(queue.ok_or_else(wrong)?);
            } else if slot.queue.is_none() {
                slot.queue = Some(self.queues.get_or_create(&slot.topic, slot.queue_id));
            }
        }
        for at in batch.light.slots() {
            let slot = &mut batch.queues[at];
            if slot.queue.is_none() {
                slot.queue = Some(self.queues.get_or_create(&slot.topic, slot.queue_id));
            }
        }
        if !batch.light.is_empty() {
            batch.fit();
        }
        Ok(())
    }

    /// When the message at `offset` of the queue was stored; `None` if there is none.
    pub(crate) fn time_of(&self, queue: &Queue, offset: QueueOffset) -> Option<Timestamp> {
        let unit = queue.unit(offset.0).filter(|unit| !unit.is_blank())?;
        self.log.snapshot().store_time(unit.physical, usize::try_from(unit.size).ok()?)
    }

    /// Brings the log to disk and, where that is what confirms, tells who waits. A failure poisons the store.
    pub(crate) fn flush(&self) {
        if self.is_poisoned() {
            return;
        }
        match self.log.flush() {
            Ok(end) => {
                if self.config.flush == FlushMode::Sync && self.raft.is_none() {
                    self.confirm(end);
                }
                self.log.on_disk().release();
            }
            Err(error) => {
                error!(%error, "flush of the commit log failed: no messages are taken until the store is reopened");
                self.poison();
            }
        }
    }

    /// A sync failed: nothing is taken, and nothing more confirmed, until the store is reopened.
    pub(crate) fn poison(&self) {
        if !self.poisoned.swap(true, Ordering::AcqRel) {
            self.watermark.fail();
            self.log.on_disk().fail();
        }
    }

    /// Has what was written, up to `end`, count as stored as soon as it may, and tells who waits for the log to grow. The append
    /// lock is free.
    pub(crate) fn wrote(&self, end: i64) {
        match self.config.flush {
            FlushMode::Async if self.raft.is_none() => self.confirm(end),
            FlushMode::Async => {}
            FlushMode::Sync => self.flush_signal.raise(),
        }
        self.log.growth().tell();
    }

    /// Moves the watermark, lets consumers see what it passed, answers who waited for it.
    pub(crate) fn confirm(&self, end: i64) {
        self.watermark.advance(end);
        self.dispatch.run(&self.watermark, &self.queues);
        self.watermark.release();
    }

    /// Writes the [roster](crate::consume_queue::roster), at a stop that is clean.
    pub(crate) fn note_queues(&self) -> io::Result<()> {
        let log = LogEnds { min: self.log.min(), last: self.dispatch.progress().last, end: self.log.end() };
        self.queues.write_roster(&self.config.root, &*self.disk, self.checkpoint.fields()?, log)
    }

    /// Notes how the queues stand amid a run.
    pub(crate) fn note_queues_of_run(&self) -> io::Result<()> {
        // First: all entries of records before this are in their queues, in memory at least.
        let progress = self.dispatch.progress();
        let log = LogEnds { min: self.log.min(), last: progress.last, end: progress.end };
        self.queues.write_roster_of_run(&self.config.root, &*self.disk, self.checkpoint.fields()?, log)
    }

    /// Entries of records before this are in their queues, and surely on disk.
    pub(crate) fn queues_on_disk(&self) -> i64 {
        // First: everything dispatched by then is in what is read next.
        let dispatched = self.dispatch.dispatched();
        let fields = self.checkpoint.fields().ok();
        let vouched =
            fields.and_then(|fields| Checkpoint::decode(&fields)).map_or(0, |checkpoint| checkpoint.queues_end());
        if self.dispatch.progress().last < vouched { dispatched } else { vouched.min(dispatched) }
    }

    pub(crate) fn dispatch_behind(&self) -> u64 {
        u64::try_from(self.log.end() - self.dispatch.dispatched()).unwrap_or(0)
    }

    /// Java: `DefaultMessageStore.estimateInMemByCommitOffset`.
    pub(crate) fn is_in_memory(&self, physical: i64, log_end: i64) -> bool {
        log_end - physical <= self.memory_bytes.load(Ordering::Relaxed)
    }
}
