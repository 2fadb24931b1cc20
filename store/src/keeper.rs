//! The background thread that brings queues and checkpoint to disk, so that no append and no reader waits for that, and keeps
//! the process small.
//!
//! Java: `ConsumeQueueStore.FlushConsumeQueueService`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::checkpoint::Checkpoint;
use crate::consume_queue::Queue;
use crate::dispatch::Progress;
use crate::room::Room;
use crate::shared::Shared;

/// How often new units are written to their files. Until then readers get them from memory.
const WRITE_INTERVAL: Duration = Duration::from_millis(200);
/// With so few queues to sync, all are, however little they hold: the checkpoint then follows within a second, and
/// recovery after a crash has little to do.
const FEW_QUEUES: usize = 16;
/// From so many queues on, the whole file system is synced in one call: that costs less than a call for each file and folder.
const MANY_QUEUES: usize = 256;
/// Appends are refused when units could not be written for so long. Java: 30 tries, one a second.
const FAILING_LIMIT: Duration = Duration::from_secs(30);
const PAGE_BYTES: u64 = 4096;
/// Topics that may have changed since queues were noted, before they are noted anew: so many folders the next start lists.
const CHANGED_TOPICS_MAX: usize = 1000;
/// Noting a million queues takes a second of this thread.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    /// Written but not synced, by address, with the bytes written.
    unsynced: HashMap<usize, (Arc<Queue>, u64)>,
    checkpoint: Checkpoint,
    /// A failed sync may have lost units, and no later one may be believed: the checkpoint stays, recovery starts from it.
    sync_failed: bool,
    failing_since: Option<Instant>,
    last_sync: Instant,
    last_thorough: Instant,
    last_second: Instant,
    last_note: Instant,
    room: Room,
}

impl Keeper {
    /// `all_unsynced`: recovery wrote to queues without syncing them.
    pub(crate) fn new(shared: Arc<Shared>, checkpoint: Checkpoint, all_unsynced: bool) -> Self {
        let now = Instant::now();
        let queues = if all_unsynced { shared.queues.all() } else { Vec::new() };
        Self {
            shared,
            unsynced: queues.into_iter().map(|queue| (key(&queue), (queue, 0))).collect(),
            checkpoint,
            sync_failed: false,
            failing_since: None,
            last_sync: now,
            last_thorough: now,
            last_second: now,
            last_note: now,
            room: Room::default(),
        }
    }

    pub(crate) fn run(mut self) -> Self {
        while !self.shared.is_stopping() {
            self.shared.keeper_signal.wait(Some(WRITE_INTERVAL));
            self.turn();
        }
        self
    }

    pub(crate) fn turn(&mut self) {
        if self.shared.residency.take() {
            self.shared.log.release_pages();
        }
        self.room.make(&self.shared.log, Instant::now());
        let progress = self.shared.dispatch.progress();
        self.write_out();
        self.trim();
        let config = &self.shared.config;
        if self.last_sync.elapsed() >= config.consume_queue_flush_interval {
            self.last_sync = Instant::now();
            let thorough = self.last_thorough.elapsed() >= config.consume_queue_flush_thorough_interval;
            if thorough {
                self.last_thorough = Instant::now();
            }
            let least_bytes = config.consume_queue_flush_least_pages * PAGE_BYTES;
            self.sync(if thorough || self.unsynced.len() <= FEW_QUEUES { 0 } else { least_bytes });
            if let Err(error) = self.save_checkpoint(progress) {
                warn!(%error, "write checkpoint");
            }
        }
        if self.last_second.elapsed() >= Duration::from_secs(1) {
            self.last_second = Instant::now();
            self.note_queues();
            self.shared.stats.sample(self.shared.clock.now(), self.shared.dispatch_behind());
        }
    }

    /// Notes how very many queues stand, if so many have changed since that a start after a crash would take long.
    fn note_queues(&mut self) {
        let queues = &self.shared.queues;
        let is_due = queues.changed_topics().is_none_or(|changed| changed > CHANGED_TOPICS_MAX);
        if !is_due
            || self.last_note.elapsed() < NOTE_INTERVAL
            || !queues.are_at_least(self.shared.config.note_from_queues)
        {
            return;
        }
        self.last_note = Instant::now();
        if let Err(error) = self.shared.note_queues_of_run() {
            warn!(%error, "note how the queues stand: the next start after a crash lists their folders");
        }
    }

    /// Everything to disk, for a clean stop. Returns whether that worked.
    pub(crate) fn finish(&mut self) -> bool {
        let progress = self.shared.dispatch.progress();
        self.write_out();
        self.sync(0);
        let saved = self.save_checkpoint(progress).inspect_err(|error| warn!(%error, "write checkpoint"));
        saved.is_ok() && self.unsynced.is_empty() && self.failing_since.is_none() && !self.sync_failed
    }

    fn write_out(&mut self) {
        let mut failed = false;
        for queue in self.shared.queues.take_unwritten() {
            match self.shared.queues.write_out(&queue, &*self.shared.disk) {
                Ok(bytes) => {
                    let unsynced = self.unsynced.entry(key(&queue)).or_insert((queue, 0));
                    unsynced.1 += bytes as u64;
                    self.trim();
                }
                Err(error) => {
                    if self.failing_since.is_none() {
                        error!(topic = %queue.topic, queue_id = %queue.queue_id, %error, "write consume queue");
                    }
                    failed = true;
                    self.shared.queues.list_unwritten(queue);
                }
            }
        }
        self.note_failing(failed);
    }

    /// Closes files and gives memory back, if there is much of either.
    fn trim(&mut self) {
        let queues = &self.shared.queues;
        if queues.are_many_open() {
            queues.trim();
            // Those that are left wait for their sync.
            if self.shared.queues.are_many_open() {
                self.sync(0);
                self.shared.queues.trim();
            }
        } else if queues.keep_much() {
            queues.trim();
        }
    }

    fn note_failing(&mut self, failed: bool) {
        if failed {
            let since = *self.failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= FAILING_LIMIT && !self.shared.queues_failing.swap(true, Ordering::AcqRel) {
                error!("consume queues cannot be written: no messages are taken until they can");
            }
        } else if self.failing_since.take().is_some() {
            self.shared.queues_failing.store(false, Ordering::Release);
            warn!("consume queues can be written again");
        }
    }

    /// Syncs the queues that have at least `least_bytes` to sync.
    fn sync(&mut self, least_bytes: u64) {
        let disk = &self.shared.disk;
        if self.unsynced.values().filter(|(_, bytes)| *bytes >= least_bytes).count() > MANY_QUEUES {
            // What is written meanwhile is written by this thread, so nothing is.
            match disk.sync_file_system(self.shared.queues.dir()) {
                Ok(()) => {
                    // There may have been very many.
                    let synced = std::mem::take(&mut self.unsynced);
                    return synced.into_values().for_each(|(queue, _)| queue.count_as_synced());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
                Err(error) => {
                    error!(%error, "flush consume queues");
                    self.sync_failed = true;
                }
            }
        }
        self.unsynced.retain(|_, (queue, bytes)| {
            if *bytes < least_bytes {
                return true;
            }
            match queue.sync(&**disk) {
                Ok(()) => false,
                Err(error) => {
                    error!(topic = %queue.topic, queue_id = %queue.queue_id, %error, "flush consume queue");
                    self.sync_failed = true;
                    false
                }
            }
        });
    }

    /// Notes how far log and queues are on disk, if that changed. `progress` was read before the units were written out.
    fn save_checkpoint(&mut self, progress: Progress) -> std::io::Result<()> {
        let mut next = self.checkpoint;
        if self.unsynced.is_empty() && self.failing_since.is_none() && !self.sync_failed && !self.shared.is_poisoned() {
            // A checkpoint never vouches for records that the log could still lose.
            if self.shared.log.flushed() < progress.end {
                self.shared.flush();
            }
            if self.shared.log.flushed() >= progress.end {
                next.logics_msg_timestamp = progress.timestamp;
                next.logics_physical_offset = progress.last;
                next.confirm_phy_offset = progress.last;
            }
        }
        next.index_msg_timestamp = self.shared.index.synced();
        next.physic_msg_timestamp = self.shared.log.flushed_timestamp();
        if next != self.checkpoint {
            self.shared.checkpoint.write(&*self.shared.disk, &next)?;
            self.checkpoint = next;
        }
        Ok(())
    }
}

/// Queues are told apart by their address: a deleted topic's and its successor's have the same name.
fn key(queue: &Arc<Queue>) -> usize {
    Arc::as_ptr(queue).addr()
}
