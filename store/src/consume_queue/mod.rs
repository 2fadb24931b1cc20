//! Consume queues: per topic and queue id, the list of its messages in 20-byte units.
//!
//! Java: `ConsumeQueue`, `ConsumeQueueStore`.

mod batches;
mod by_time;
mod entry;
mod files;
mod open_files;
mod queue;
mod reports;
pub(crate) mod roster;

pub(crate) use batches::{BATCH_UNIT_BYTES, BatchUnit};
pub use by_time::Boundary;
pub(crate) use by_time::offset_by_time;
pub use entry::Entry;
pub(crate) use entry::{EXTENSION_ADDRESS_MAX, UNIT_BYTES, Unit};
pub(crate) use queue::{Gap, LastExit, Queue};
pub(crate) use reports::Reports;
use roster::{Diary, Noted};
pub(crate) use roster::{Distrust, LogEnds, Roster};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use remoting::types::{QueueId, TopicName};
use tracing::warn;

use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::io::Files;
use crate::parallel::in_parts;
use crate::segments;
use files::{FileList, QueueFiles, QueueRoot};
use open_files::OpenFiles;

/// All queues of the store.
#[derive(Debug)]
pub(crate) struct Queues {
    /// `<root>/consumequeue`.
    singles: Arc<QueueRoot>,
    /// `<root>/batchconsumequeue`.
    batches: Arc<QueueRoot>,
    topics: DashMap<TopicName, Arc<TopicQueues>>,
    /// Queues with units that are not in files yet; the keeper's list.
    unwritten: Mutex<Vec<Arc<Queue>>>,
    pub(crate) reports: Arc<Reports>,
    /// Held for reading while files are created, for writing while the folder of a topic goes away.
    folders: RwLock<()>,
    /// Makes names of folders on their way out unique.
    trash_number: AtomicU64,
    /// Bytes of units that queues keep in memory though they are in files.
    kept_bytes: AtomicUsize,
}

type TopicQueues = RwLock<BTreeMap<QueueId, Arc<Queue>>>;

/// Bytes of units kept in memory for readers near the ends of queues, of all queues together.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Folders with this prefix, beside the topics' own, hold deleted queues. No topic name starts like this.
const TRASH_PREFIX: &str = ".deleted-";

impl Queues {
    /// No queues, which will lie in the folders of `config`.
    fn none(config: &StoreConfig) -> Self {
        let open = OpenFiles::of_this_process();
        let diary = Arc::new(Diary::default());
        let root = |folder, file_bytes, unit_bytes| {
            let (dir, file_bytes) = (config.root.join(folder), file_bytes as i64);
            Arc::new(QueueRoot { dir, file_bytes, unit_bytes, open: Arc::clone(&open), diary: Arc::clone(&diary) })
        };
        Self {
            singles: root("consumequeue", config.consume_queue_file_bytes, UNIT_BYTES as i64),
            batches: root("batchconsumequeue", config.batch_consume_queue_file_bytes, BATCH_UNIT_BYTES as i64),
            topics: DashMap::new(),
            unwritten: Mutex::default(),
            reports: Arc::default(),
            folders: RwLock::default(),
            trash_number: AtomicU64::new(0),
            kept_bytes: AtomicUsize::new(0),
        }
    }

    /// Finds the queues in the folders of `config`; [`Queue::load`] then finds their ends.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let queues = Self::none(config);
        let [singles, batches] = [&queues.singles, &queues.batches].map(|root| &*root.dir);
        fs::create_dir_all(singles).map_err(StoreError::io("create", singles))?;
        let of_batches = if batches.exists() { folders(batches)? } else { Vec::new() };
        queues.find(&folders(singles)?, &of_batches)?;
        Ok(queues)
    }

    /// Finds the queues in these folders of topics, of queues of single messages and of inner batches.
    fn find(&self, singles: &[(PathBuf, String)], batches: &[(PathBuf, String)]) -> Result<(), StoreError> {
        let queues = self;
        in_parts(singles, |part| {
            for (topic, id, queue_dir) in queue_folders(part)? {
                let file_bytes = queues.singles.file_bytes as u64;
                let starts = segments::list(&queue_dir, file_bytes, "mappedFileSizeConsumeQueue")?;
                queues.insert(&topic, id, |topic| QueueFiles::new(&queues.singles, topic, id, FileList::of(&starts)));
            }
            Ok(())
        })?;
        for (topic, id, queue_dir) in queue_folders(batches)? {
            const TWO_KINDS: &str = "the queue has a folder under consumequeue, too, and is of one kind only; move away \
                the folder that does not go with the topic's attribute queue.type";
            if queues.get(&topic, id).is_some() {
                return Err(StoreError::OtherKind { path: queue_dir, what: TWO_KINDS });
            }
            let file_bytes = queues.batches.file_bytes as u64;
            let starts = segments::list(&queue_dir, file_bytes, "mapperFileSizeBatchConsumeQueue")?;
            queues.get_or_create(&topic, id).take_batches(&queues.batches, FileList::of(&starts));
        }
        Ok(())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.singles.dir
    }

    pub(crate) fn get(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        let queues = Arc::clone(&*self.topics.get(topic)?);
        queues.read().get(&id).cloned()
    }

    /// The queue, in memory at least; its files come with its first entry.
    pub(crate) fn get_or_create(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        if let Some(queue) = self.get(topic, id) {
            return queue;
        }
        self.insert(topic, id, |topic| QueueFiles::new(&self.singles, topic, id, FileList::default()))
    }

    /// The queue; if it is not there, a new one with these files.
    fn insert(&self, topic: &TopicName, id: QueueId, files: impl FnOnce(&Arc<TopicName>) -> QueueFiles) -> Arc<Queue> {
        // Held while the queue is put in, so that it is not put into a topic that was just deleted.
        let held = self.topics.entry(topic.clone()).or_default();
        let mut queues = held.write();
        // All queues of a topic share its name.
        let name = queues.values().next().map_or_else(|| Arc::new(topic.clone()), |queue| Arc::clone(&queue.topic));
        Arc::clone(queues.entry(id).or_insert_with(|| Arc::new(Queue::new(Arc::clone(&name), id, files(&name)))))
    }

    /// The queue as one that takes inner batches; `None`: it is there and holds other entries.
    pub(crate) fn get_or_create_for_batches(&self, topic: &TopicName, id: QueueId) -> Option<Arc<Queue>> {
        let queue = self.get_or_create(topic, id);
        queue.take_batches(&self.batches, FileList::default()).then_some(queue)
    }

    /// The queue that a record goes to; `None`: it is an inner batch, and the queue holds other entries.
    pub(crate) fn of_record(&self, topic: &str, id: QueueId, batches: bool) -> Option<Arc<Queue>> {
        let topic = TopicName::new(topic);
        if batches { self.get_or_create_for_batches(&topic, id) } else { Some(self.get_or_create(&topic, id)) }
    }

    /// Every queue, also those without entries.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.topics.iter().flat_map(|topic| topic.read().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Whether there are so many.
    pub(crate) fn are_at_least(&self, count: usize) -> bool {
        let mut found = 0;
        self.topics.iter().any(|topic| {
            found += topic.read().len();
            found >= count
        })
    }

    /// Bytes of all queue files.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().iter().map(|queue| queue.bytes()).sum()
    }

    /// Topics that have entries.
    pub(crate) fn topics(&self) -> Vec<TopicName> {
        let has_entries = |queues: &TopicQueues| queues.read().values().any(|queue| queue.exists());
        self.topics.iter().filter(|topic| has_entries(topic)).map(|topic| topic.key().clone()).collect()
    }

    /// Queues of `topic` that have entries.
    pub(crate) fn of_topic(&self, topic: &str) -> Vec<QueueId> {
        let Some(queues) = self.topics.get(topic).map(|queues| Arc::clone(&*queues)) else { return Vec::new() };
        let queues = queues.read();
        queues.values().filter(|queue| queue.exists()).map(|queue| queue.queue_id).collect()
    }

    /// Notes that `queue` has units to write out.
    pub(crate) fn list_unwritten(&self, queue: Arc<Queue>) {
        self.unwritten.lock().push(queue);
    }

    pub(crate) fn take_unwritten(&self) -> Vec<Arc<Queue>> {
        std::mem::take(&mut *self.unwritten.lock())
    }

    /// Writes one queue's units to its files; see [`Queue::write_out`].
    pub(crate) fn write_out(&self, queue: &Queue, disk: &dyn Files) -> io::Result<usize> {
        let _folders = self.folders.read();
        let written = queue.write_out(disk)?;
        self.kept_bytes.fetch_add(written.kept_more, Ordering::Relaxed);
        Ok(written.bytes)
    }

    /// Whether so many files are open that some have to be closed.
    pub(crate) fn are_many_open(&self) -> bool {
        self.singles.open.are_many()
    }

    /// Has the files of these queues, which nobody else writes to, on disk and closed; forgets the list.
    pub(crate) fn sync_and_close(&self, queues: &mut Vec<Arc<Queue>>, disk: &dyn Files) -> io::Result<()> {
        // One call costs less than one for each file and each of its folders.
        let at_once = match disk.sync_file_system(self.dir()) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
            Err(error) => return Err(error),
        };
        for queue in queues.drain(..) {
            if at_once {
                queue.count_as_synced();
            } else {
                queue.sync(disk)?;
            }
            queue.trim();
        }
        Ok(())
    }

    /// Whether quiet queues keep so much in memory that it has to go.
    pub(crate) fn keep_much(&self) -> bool {
        self.kept_bytes.load(Ordering::Relaxed) > KEPT_BYTES_MAX
    }

    /// Closes the files that need no sync, and has queues keep in memory only what is not in files.
    pub(crate) fn trim(&self) {
        self.kept_bytes.store(0, Ordering::Relaxed);
        for topic in &self.topics {
            topic.read().values().for_each(|queue| queue.trim());
        }
    }

    /// Keeps files from being created while a topic is deleted.
    pub(crate) fn hold_folders(&self) -> RwLockWriteGuard<'_, ()> {
        self.folders.write()
    }

    /// Takes a topic out of the table: from now on appends make new queues. Called under the append lock.
    ///
    /// Returns whether the topic was there.
    pub(crate) fn forget(&self, topic: &str) -> bool {
        let Some((_, queues)) = self.topics.remove(topic) else { return false };
        for queue in queues.read().values() {
            if queue.remove() {
                self.reports.push(Arc::clone(queue));
            }
        }
        true
    }

    /// Takes one queue out of the table, if it had messages and all their records lie before `log_min`. Called under the
    /// append lock. Says whether it did.
    pub(crate) fn forget_expired(&self, topic: &str, id: QueueId, log_min: i64) -> bool {
        self.forget_one(topic, id, |queue| queue.is_expired(log_min))
    }

    /// Takes one queue out of the table. Called under the append lock. Says whether it was there.
    pub(crate) fn forget_queue(&self, topic: &str, id: QueueId) -> bool {
        self.forget_one(topic, id, |_| true)
    }

    fn forget_one(&self, topic: &str, id: QueueId, may_go: impl FnOnce(&Queue) -> bool) -> bool {
        let Some(queues) = self.topics.get(topic).map(|queues| Arc::clone(&*queues)) else { return false };
        let mut queues = queues.write();
        let Some(queue) = queues.get(&id).filter(|queue| may_go(queue)).cloned() else { return false };
        queues.remove(&id);
        if queue.remove() {
            self.reports.push(queue);
        }
        true
    }

    /// Moves the folders of a forgotten topic out of the way, for the caller to remove.
    pub(crate) fn discard(&self, topic: &str) -> Result<Vec<PathBuf>, StoreError> {
        self.note(topic)?;
        self.move_away(Path::new(topic))
    }

    /// The same for one queue; a topic's folder goes with its last.
    pub(crate) fn discard_queue(&self, topic: &str, id: QueueId) -> Result<Vec<PathBuf>, StoreError> {
        self.note(topic)?;
        let discarded = self.move_away(&Path::new(topic).join(id.to_string()))?;
        for parent in [&self.singles.dir, &self.batches.dir] {
            match fs::remove_dir(parent.join(topic)) {
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                    return Err(StoreError::io("remove", parent.join(topic))(error));
                }
                _ => {}
            }
        }
        Ok(discarded)
    }

    fn note(&self, topic: &str) -> Result<(), StoreError> {
        let noted = self.singles.diary.note(&mut Noted::default(), &TopicName::new(topic));
        noted.map_err(StoreError::io("note that queues go in", &self.singles.dir))
    }

    fn move_away(&self, folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let mut discarded = Vec::new();
        for parent in [&self.singles.dir, &self.batches.dir] {
            let dir = parent.join(folder);
            let trash = parent.join(format!("{TRASH_PREFIX}{}", self.trash_number.fetch_add(1, Ordering::Relaxed)));
            match fs::rename(&dir, &trash) {
                Ok(()) => discarded.push(trash),
                // Nothing was written out yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("move away", dir)(error)),
            }
        }
        Ok(discarded)
    }
}

/// Topic, queue id and folder of every queue in these folders of topics. What is left of deleted topics is removed.
fn queue_folders(topics: &[(PathBuf, String)]) -> Result<Vec<(TopicName, QueueId, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for (topic_dir, topic) in topics {
        if topic.starts_with(TRASH_PREFIX) {
            fs::remove_dir_all(topic_dir).map_err(StoreError::io("remove", topic_dir))?;
            continue;
        }
        let topic = TopicName::new(topic);
        for (queue_dir, id) in folders(topic_dir)? {
            match id.parse().map(QueueId) {
                Ok(id) => found.push((topic.clone(), id, queue_dir)),
                Err(_) => warn!(path = %queue_dir.display(), "folder of a topic is no queue id, left alone"),
            }
        }
    }
    Ok(found)
}

/// Sub-folders of `dir` with readable names.
fn folders(dir: &Path) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        let is_dir = entry.file_type().map_err(StoreError::io("look at", entry.path()))?.is_dir();
        if let (true, Ok(name)) = (is_dir, entry.file_name().into_string()) {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}
