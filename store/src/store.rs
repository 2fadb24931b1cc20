//! The store as the broker sees it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::types::{Clock, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use tracing::{info, warn};

use crate::arrivals::Arrivals;
use crate::background::Background;
use crate::batch::{AppendBatch, Appended};
use crate::checkpoint::CheckpointFile;
use crate::cold::Cold;
use crate::commit_log::{CommitLog, Refused};
use crate::config::StoreConfig;
use crate::consume_queue::{self, Boundary, Entry, Queues};
use crate::dispatch::Dispatch;
use crate::error::{AppendError, StoreError};
use crate::figures::{Figures, Stats};
use crate::fill;
use crate::hot::{self, Seen};
use crate::index::{self, Index, Indexer, Query, QueryOutcome};
use crate::io::{Files, Patience, RealFiles};
use crate::keeper::Keeper;
use crate::memory;
use crate::presence::{self, Presence};
use crate::raft::{RaftLog, RaftState};
use crate::read::{self, EntryFilter, ReadOutcome, ReadRequest};
use crate::recovery::{self, Kind, RecoveryReport};
use crate::residency::Residency;
use crate::retention::{self, Cleaning, Retention};
use crate::shared::Shared;
use crate::signal::Signal;
use crate::watermark::{Confirmation, Watermark};

/// The message store of one broker. Closes itself on drop.
///
/// Nothing here is async but [`Store::append_and_confirm`], [`Store::grown`] and [`Arrivals`]: an append is a write into the
/// page cache under a short lock, a read cuts slices from mapped files. [`Store::read`] may wait for the disk, and
/// so may who uses the bytes that it found; [`Store::read_now`] does not.
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

/// Taken away by the first close.
#[derive(Debug)]
struct Running {
    background: Background,
    presence: Presence,
}

/// Who does the work that no append and no reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turns {
    OfThreads,
    #[cfg(any(test, feature = "testing"))]
    ByHand,
}

impl Store {
    /// Opens the store in `config.root`, or makes one, and recovers it by Java's rules.
    ///
    /// Blocks for as long as recovery takes.
    ///
    /// # Errors
    /// The store is in use, of another kind, was written with other file sizes, or cannot be read or written.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<(Arc<Self>, RecoveryReport), StoreError> {
        Self::open_on(config, clock, Arc::new(RealFiles))
    }

    /// Opens a store whose log is a Raft log, or makes one. It takes messages while it [leads](RaftLog::lead), and what is
    /// written is confirmed by a [group](RaftLog::confirm).
    ///
    /// # Errors
    /// As [`Self::open`]; also if another broker has written to it as to an ordinary store.
    pub fn open_raft(config: StoreConfig, clock: Clock) -> Result<(Arc<Self>, RaftLog, RecoveryReport), StoreError> {
        Self::open_raft_on(config, clock, false, Arc::new(RealFiles), Turns::OfThreads)
    }

    /// As [`Self::open_raft`], for one that is in no group, or has left the one it was in. If it was written to as an ordinary
    /// store since, all that is in it is from before a group that is still to be made.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_raft_anew(
        config: StoreConfig,
        clock: Clock,
    ) -> Result<(Arc<Self>, RaftLog, RecoveryReport), StoreError> {
        Self::open_raft_on(config, clock, true, Arc::new(RealFiles), Turns::OfThreads)
    }

    pub(crate) fn open_raft_on(
        config: StoreConfig,
        clock: Clock,
        has_left: bool,
        disk: Arc<dyn Files>,
        turns: Turns,
    ) -> Result<(Arc<Self>, RaftLog, RecoveryReport), StoreError> {
        // Members that copy records know nothing of light queues. Java's DLedger leaves them out, too.
        let config = StoreConfig { light_queues: false, ..config };
        let (store, report) = Self::open_as(Kind::Raft { has_left }, config, clock, disk, turns)?;
        let log = RaftLog::new(Arc::clone(&store.shared));
        Ok((store, log, report))
    }

    pub(crate) fn open_on(
        config: StoreConfig,
        clock: Clock,
        disk: Arc<dyn Files>,
    ) -> Result<(Arc<Self>, RecoveryReport), StoreError> {
        Self::open_as(Kind::Alone, config, clock, disk, Turns::OfThreads)
    }

    fn open_as(
        kind: Kind,
        config: StoreConfig,
        clock: Clock,
        disk: Arc<dyn Files>,
        turns: Turns,
    ) -> Result<(Arc<Self>, RecoveryReport), StoreError> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let config = config.checked()?;
        std::fs::create_dir_all(&config.root).map_err(StoreError::io("create", &config.root))?;
        let presence = Presence::take(&config.root)?;
        fill::swap::finish(&config)?;
        presence::check_kind(&config.root)?;
        let clean = presence.was_clean();
        let path = config.root.join("checkpoint");
        let (checkpoint_file, mut checkpoint) =
            CheckpointFile::open(&path).map_err(StoreError::io("open", path.clone()))?;
        let opened = recovery::open(kind, &config, &*disk, &checkpoint, clean)?;
        if let Some(lower) = checkpoint.lowered_to(opened.progress.last, kind != Kind::Alone) {
            checkpoint_file.write(&*disk, &lower).map_err(StoreError::io("write", path))?;
            checkpoint = lower;
        }
        let end = opened.progress.end;
        let watermark = Watermark::new(end, config.sync_flush_timeout);
        let raft_state = |places| RaftState::new(places, end, clean, config.append_record_crc, watermark.lost());
        let raft = opened.entries.map(raft_state);
        let index_dir = config.root.join("index");
        let index = Index::open(index_dir.clone(), config.index.layout(), &checkpoint, clean, end, Arc::clone(&disk));
        let index = index.map_err(StoreError::io("open", index_dir))?;
        presence.mark_running()?;

        let memory_bytes = memory::percent(config.access_message_in_memory_max_ratio);
        let shared = Arc::new(Shared {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            log: CommitLog::new(
                config.commit_log_dir(),
                config.commit_log_file_bytes,
                config.sync_flush_timeout,
                Arc::clone(&disk),
                opened.log,
            ),
            queues: opened.queues,
            watermark,
            dispatch: Dispatch::new(end, opened.progress),
            checkpoint: checkpoint_file,
            stats: Stats::new(clock.now()),
            residency: Residency::default(),
            seen: Seen::default(),
            cold: Cold::default(),
            cleaning: Cleaning::new(config.retention.clone()),
            index,
            raft,
            flush_signal: Signal::default(),
            keeper_signal: Signal::default(),
            deadline_signal: Signal::default(),
            memory_bytes: memory_bytes.into(),
            copying: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            queues_failing: AtomicBool::new(false),
            disk,
            clock,
            config,
        });
        for (entry, stored) in opened.undecided {
            entry.queue.next.store(entry.offset + entry.count as i64, Ordering::Relaxed);
            shared.dispatch.hand_over(|work| entry.push(work, stored));
        }
        // A disk that is full already must not get its first messages.
        retention::look(&shared, &shared.cleaning.settings());
        // What recovery has read.
        shared.log.release_pages();
        let wrote_queues = !clean || opened.report.rebuilt_entries > 0 || opened.report.cut_entries > 0;
        let keeper = Keeper::new(Arc::clone(&shared), checkpoint, wrote_queues);
        let mut indexer = shared.config.index.enable.then(|| Indexer::new(Arc::clone(&shared)));
        if let Some(indexer) = indexer.as_mut().filter(|_| shared.config.index.complete_at_open) {
            indexer.complete();
        }
        let background = match turns {
            Turns::OfThreads => Background::start(&shared, keeper, indexer)
                .map_err(StoreError::io("start threads for", &shared.config.root))?,
            #[cfg(any(test, feature = "testing"))]
            Turns::ByHand => Background::by_hand(keeper, indexer),
        };
        let running = Mutex::new(Some(Running { background, presence }));
        Ok((Arc::new(Self { shared, running }), opened.report))
    }

    /// Takes no more messages, brings everything to disk and marks the exit as clean. Later calls do nothing.
    ///
    /// Blocks for as long as the disk takes. What was read stays readable.
    ///
    /// # Errors
    /// The clean mark could not be made. If something could not be brought to disk, the mark is left out without error:
    /// the next start then recovers as after a crash.
    pub fn close(&self) -> Result<(), StoreError> {
        let Some(Running { background, presence }) = self.running.lock().take() else { return Ok(()) };
        let shared = &*self.shared;
        {
            // Appends that are under way end before this lock is had.
            let _appends = shared.log.lock();
            shared.closed.store(true, Ordering::SeqCst);
        }
        shared.stopping.store(true, Ordering::Release);
        let signals = [&shared.flush_signal, &shared.keeper_signal, &shared.deadline_signal, &shared.cleaning.signal];
        signals.into_iter().chain([&shared.log.allocator.signal, &shared.index.signal]).for_each(Signal::raise);
        shared.log.growth().tell();
        let (keeper, indexer) = background.join();
        shared.flush();
        shared.watermark.fail();
        shared.log.on_disk().fail();
        if let Some(indexer) = indexer {
            indexer.finish();
        }
        let finished = keeper.is_some_and(|mut keeper| keeper.finish());
        if let Err(error) = shared.log.remove_preallocated() {
            warn!(%error, "remove the commit log file made ahead");
        }
        let is_on_disk = finished && !shared.is_poisoned();
        if is_on_disk && shared.dispatch_behind() == 0 {
            if let Err(error) = shared.note_queues() {
                warn!(%error, "note how the queues stand: the next start lists their folders");
            }
            return presence.leave_cleanly();
        }
        if is_on_disk && shared.raft.is_some() {
            info!("the group has not agreed on the end of the log: the next start looks what became of it");
        } else {
            warn!("the store was not closed cleanly: the next start recovers it");
        }
        Ok(())
    }

    /// Has the keeper do what it does from time to time.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn turn_keeper(&self) {
        if let Some(running) = &mut *self.running.lock() {
            running.background.turn_keeper();
        }
    }

    /// Leaves everything as it is, instead of [closing](Self::close).
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn abandon(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.running.lock().take();
    }

    /// An empty batch with this store's limits.
    pub fn batch(&self) -> AppendBatch {
        let config = &self.shared.config;
        AppendBatch::new(config.max_message_bytes)
            .with_record_crc(config.append_record_crc)
            .with_light_queues(config.light_queues)
    }

    /// Writes the messages of the batch: all of them, or none.
    ///
    /// Readers see them, and [`Self::when_confirmed`] answers, once the watermark has passed the end. The batch is empty
    /// afterwards; after an error it is as it was and may be tried again.
    ///
    /// # Errors
    /// Nothing was stored, and the variant says whether later appends have a chance.
    pub fn append<'b>(&self, batch: &'b mut AppendBatch) -> Result<Appended<'b>, AppendError> {
        if batch.is_empty() {
            return Err(AppendError::Empty);
        }
        let began = Instant::now();
        let shared = &*self.shared;
        let end = self.write(batch).map_err(|error| shared.note_refusal(error))?;
        batch.spent = true;
        shared.wrote(end.0);
        shared.stats.put(batch.records.len(), batch.bytes.len() as u64, began.elapsed());
        Ok(Appended { positions: &batch.positions, end })
    }

    fn write(&self, batch: &mut AppendBatch) -> Result<PhysicalOffset, AppendError> {
        let shared = &*self.shared;
        loop {
            shared.look_up(batch)?;
            match shared.log.append(
                batch,
                &shared.config,
                &shared.clock,
                &shared.dispatch,
                shared.raft.as_ref(),
                || shared.may_write(),
            ) {
                Ok(end) => return Ok(end),
                Err(Refused::QueueGone | Refused::LightOffsetsGrew) => {}
                Err(Refused::Error(error)) => return Err(error),
            }
        }
    }

    /// How far messages count as stored and are readable.
    pub fn confirmed(&self) -> PhysicalOffset {
        self.shared.watermark.confirmed()
    }

    /// Calls `then` once everything before `end` is confirmed, or will not be: at once, on this thread, if that is
    /// settled already, else from the thread that settles it. `then` must not block, and must not own the store: its
    /// last owner waits for that thread.
    pub fn when_confirmed(&self, end: PhysicalOffset, then: Box<dyn FnOnce(Confirmation) + Send>) {
        self.shared.watermark.when_confirmed(end.0, then);
    }

    /// [`Self::when_confirmed`] for those who wait. It is asked for at once, and does not keep the store open.
    pub fn confirmation(&self, end: PhysicalOffset) -> impl Future<Output = Confirmation> + Send + use<> {
        self.shared.watermark.confirmation(end.0)
    }

    /// Appends and waits until that is confirmed or will not be. For writers of single messages.
    ///
    /// Not cancel-safe: dropped early, the messages may be stored all the same.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_and_confirm<'b>(
        &self,
        batch: &'b mut AppendBatch,
    ) -> Result<(Appended<'b>, Confirmation), AppendError> {
        let appended = self.append(batch)?;
        let confirmation = self.confirmation(appended.end).await;
        Ok((appended, confirmation))
    }

    /// Reads messages of one queue; waits for the disk if they are old.
    pub fn read(&self, request: &ReadRequest<'_>, filter: &dyn EntryFilter) -> ReadOutcome {
        read::read(&self.shared, request, filter, Patience::ForDisk).expect("a patient read has an outcome")
    }

    /// Reads the messages that are in memory, which is fewer than asked for where the next one, or its queue entry, is not;
    /// `None`: even the first may have to come from the disk. So it is where a queue's file has yet to be opened.
    pub fn read_now(&self, request: &ReadRequest<'_>, filter: &dyn EntryFilter) -> Option<ReadOutcome> {
        read::read(&self.shared, request, filter, Patience::None)
    }

    /// Has the system read from disk what a reader of `outcome` comes to next; false if all of it is in memory already.
    pub fn read_ahead(&self, outcome: &ReadOutcome) -> bool {
        let (log, end) = (self.shared.log.snapshot(), self.shared.log.end());
        let missing = if outcome.count > 0 { hot::read_ahead(&log, end, &outcome.spread) } else { None };
        if let Some(read) = &missing {
            self.shared.cold.note(read, Instant::now()).into_iter().for_each(|part| log.forget(part));
        }
        missing.is_some()
    }

    /// Whether messages that were read are in memory only as somebody has just had them read from disk.
    pub fn is_from_disk(&self, outcome: &ReadOutcome) -> bool {
        outcome.count > 0 && self.shared.cold.holds(&outcome.spread)
    }

    /// Queue entries from `from` on (or the queue's minimum), at most `max`, without their messages.
    pub fn entries(&self, topic: &str, queue_id: QueueId, from: QueueOffset, max: usize) -> Vec<Entry> {
        let queue = self.shared.queues.get(topic, queue_id);
        queue.map_or_else(Vec::new, |queue| read::entries(&self.shared, &queue, from.0, max))
    }

    /// The whole stored record that starts at `offset`; `None` if there is none, or it is not confirmed.
    pub fn record_at(&self, offset: PhysicalOffset) -> Option<Bytes> {
        let record = self.shared.log.snapshot().record_at(offset)?;
        (offset.after(record.len()) <= self.confirmed()).then_some(record)
    }

    /// The record at `offset` or, where a file has none left there, at the start of the next one, and where it lies; `None` at
    /// the end of what is confirmed. For a walk over the log: the next one lies behind it.
    pub fn record_from(&self, offset: PhysicalOffset) -> Option<(PhysicalOffset, Bytes)> {
        let next_file = PhysicalOffset(self.shared.log.next_file(offset.0));
        [offset, next_file].into_iter().find_map(|at| Some((at, self.record_at(at)?)))
    }

    /// The messages of a key. Blocks: on the disk, and until the index has what was confirmed when this was called.
    pub fn query(&self, query: &Query<'_>) -> QueryOutcome {
        index::query(&self.shared, query)
    }

    /// First offset kept; `None`: there is no such queue.
    pub fn min_offset(&self, topic: &str, queue_id: QueueId) -> Option<QueueOffset> {
        self.queue(topic, queue_id, |queue| QueueOffset(queue.min()))
    }

    /// One behind the last offset; `None`: there is no such queue.
    pub fn max_offset(&self, topic: &str, queue_id: QueueId) -> Option<QueueOffset> {
        self.queue(topic, queue_id, |queue| QueueOffset(queue.max()))
    }

    /// The place of a time in a queue, as [`Boundary`] says; 0 without such a queue.
    pub fn offset_by_time(&self, topic: &str, queue_id: QueueId, at: Timestamp, boundary: Boundary) -> QueueOffset {
        let search = |queue: &consume_queue::Queue| {
            consume_queue::offset_by_time(queue, at, boundary, |offset| self.shared.time_of(queue, QueueOffset(offset)))
        };
        self.queue(topic, queue_id, search).unwrap_or_default()
    }

    /// When the message at `offset` was stored; `None` if there is none.
    pub fn store_time(&self, topic: &str, queue_id: QueueId, offset: QueueOffset) -> Option<Timestamp> {
        self.queue(topic, queue_id, |queue| self.shared.time_of(queue, offset)).flatten()
    }

    /// When the first message kept in the queue was stored; `None` if there is none.
    pub fn earliest_store_time(&self, topic: &str, queue_id: QueueId) -> Option<Timestamp> {
        self.queue(topic, queue_id, |queue| self.shared.time_of(queue, QueueOffset(queue.min()))).flatten()
    }

    fn queue<T>(&self, topic: &str, queue_id: QueueId, ask: impl FnOnce(&consume_queue::Queue) -> T) -> Option<T> {
        let queue = self.shared.queues.get(topic, queue_id).filter(|queue| queue.exists())?;
        Some(ask(&queue))
    }

    /// Whether the record at `offset` is near enough to the end of the log to be expected in memory.
    pub fn in_memory(&self, offset: PhysicalOffset) -> bool {
        self.shared.is_in_memory(offset.0, self.shared.log.end())
    }

    /// First byte of the log that is kept.
    pub fn min_physical_offset(&self) -> PhysicalOffset {
        PhysicalOffset(self.shared.log.min())
    }

    /// Where the next record goes.
    pub fn max_physical_offset(&self) -> PhysicalOffset {
        PhysicalOffset(self.shared.log.end())
    }

    /// For waiting until a queue grows; it need not exist yet.
    pub fn arrivals(&self, topic: &TopicName, queue_id: QueueId) -> Arrivals {
        let queues = &self.shared.queues;
        Arrivals { queue: queues.get_or_create(topic, queue_id), reports: Arc::clone(&queues.reports) }
    }

    /// Waits until queues have grown of which [that was asked](Arrivals::report_past), and tells which. Each report is
    /// given once: for one task. Cancel-safe.
    pub async fn grown(&self) -> Vec<Arrivals> {
        let reports = &self.shared.queues.reports;
        let told = |queue| Arrivals { queue, reports: Arc::clone(reports) };
        reports.take().await.into_iter().map(told).collect()
    }

    /// Forgets the queues of a topic; its records stay in the log until that is cleaned. Says whether there were any.
    ///
    /// A store that is a Raft log keeps them: members must agree on the next offset of each queue at every place in the log.
    ///
    /// Blocks while files are removed.
    ///
    /// # Errors
    /// The topic is gone, but its files could not be removed.
    pub fn delete_topic(&self, topic: &str) -> Result<bool, StoreError> {
        if self.shared.raft.is_some() {
            return Ok(false);
        }
        forget(&self.shared, |queues| queues.forget(topic), |queues| queues.discard(topic))
    }

    /// Forgets the queues of a topic whose messages are all gone from the log; the next message of such a queue gets offset
    /// 0 again. Says which they were; none, if the store is a Raft log ([`Self::delete_topic`]).
    ///
    /// Blocks while files are removed.
    ///
    /// # Errors
    /// A queue's files could not be removed.
    ///
    /// Java: `ConsumeQueueStore.cleanExpired`.
    pub fn delete_expired_queues(&self, topic: &str) -> Result<Vec<QueueId>, StoreError> {
        let log_min = self.shared.log.min();
        let mut deleted = Vec::new();
        if self.shared.raft.is_some() {
            return Ok(deleted);
        }
        for id in self.shared.queues.of_topic(topic) {
            let is_expired = |queues: &Queues| queues.forget_expired(topic, id, log_min);
            if forget(&self.shared, is_expired, |queues| queues.discard_queue(topic, id))? {
                deleted.push(id);
            }
        }
        Ok(deleted)
    }

    /// Takes messages for likely cached that are within so many percent of the memory from the end of the log.
    pub fn set_memory_ratio(&self, percent: u32) {
        self.shared.memory_bytes.store(memory::percent(percent), Ordering::Relaxed);
    }

    /// Puts other settings of retention in force.
    pub fn set_retention(&self, retention: Retention) {
        self.shared.cleaning.change(retention);
    }

    /// Has messages of some topics kept for their own time, counted from when they were stored; the others go with the log.
    pub fn set_topic_retention(&self, topics: HashMap<TopicName, Duration>) {
        self.shared.cleaning.change_topics(topics);
    }

    /// Has expired files of the log deleted soon, whatever the hour. Java: `DefaultMessageStore.executeDeleteFilesManually`.
    pub fn delete_expired_files(&self) {
        self.shared.cleaning.ask();
    }

    /// Topics that have, or had, messages here.
    pub fn topics(&self) -> Vec<TopicName> {
        self.shared.queues.topics()
    }

    /// Queues that a topic has here, ascending.
    pub fn queues(&self, topic: &str) -> Vec<QueueId> {
        self.shared.queues.of_topic(topic)
    }

    pub fn figures(&self) -> Figures {
        let shared = &*self.shared;
        Figures {
            min_physical_offset: self.min_physical_offset(),
            max_physical_offset: self.max_physical_offset(),
            flushed_offset: PhysicalOffset(shared.log.flushed()),
            flushes: shared.log.flushes(shared.is_poisoned()),
            dispatch_behind_bytes: shared.dispatch_behind(),
            commit_log_disk_ratio: shared.disk.used_share(shared.log.dir()),
            consume_queue_disk_ratio: shared.disk.used_share(shared.queues.dir()),
            ..shared.stats.figures()
        }
    }
}

/// Takes queues out of the table while nobody appends, and if `taken` says that there were any, removes the folders that `discard`
/// has moved away. Says whether there were any.
pub(crate) fn forget(
    shared: &Shared,
    taken: impl FnOnce(&Queues) -> bool,
    discard: impl FnOnce(&Queues) -> Result<Vec<PathBuf>, StoreError>,
) -> Result<bool, StoreError> {
    let queues = &shared.queues;
    let trash = {
        let _folders = queues.hold_folders();
        let appends = shared.log.lock();
        if !taken(queues) {
            return Ok(false);
        }
        drop(appends);
        discard(queues)?
    };
    trash.into_iter().try_for_each(|dir| std::fs::remove_dir_all(&dir).map_err(StoreError::io("remove", dir)))?;
    Ok(true)
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            warn!(%error, "close the store");
        }
    }
}
