//! The roster: all queues as they stood at a clean stop, in one file, so that the next start lists no queue's folder.
//!
//! The file is `ferromq.queues` in the root of the store, where Java looks only for files of names that it knows. It is made
//! by a clean stop, after everything else is on disk and before the `abort` file goes; and the next opening removes it, and
//! syncs the folder, before it changes anything. It is written in place: a torn one does not pass its CRC.
//!
//! It is used only if nothing has changed since:
//!
//! - There is no `abort` file, so no run has begun, or ended badly, without removing it.
//! - The `lock` file has the inode and the time of change that it had. A broker of Java, 4.9 or 5, writes to that file and
//!   syncs it at each start before it does anything else, and ours writes to it only when it makes it: a run of Java's in
//!   between shows, however clean its end, and whatever the clock said. So does a copy that was put in place of the store:
//!   a time of change cannot be set.
//! - The same holds for the `checkpoint`, and its fields are the same bytes.
//! - The log begins and ends where it did, with a record where the last one was, and none behind the end.
//! - The sizes of queue files that were set are those that are.
//! - The folders of queues, of all their topics, and the two above them, are on the disk of the roster, and none was changed
//!   since the stop: nobody has added, removed or renamed anything in them. Their times of change are not kept each, but
//!   held against one: that of the file system's clock at the stop, once it had gone past every change before it. Of many
//!   queues only some folders are looked at, for each may cost a read from the disk.
//!
//! Whatever does not hold, the folders are listed as after a stop of Java's. What is not noticed is what people may do by
//! hand to a stopped store: change bytes of a queue file in place, which listing does not notice either; move files while the
//! clock is set back to before the stop; and, among very many queues, add or remove a file of one whose folder was not looked
//! at, and leave its topic's as it was.
//!
//! A copy of a whole disk, made while it was stopped, holds what it held, and its roster with it.

mod layout;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use remoting::types::{QueueId, TopicName};
use thiserror::Error;

use self::layout::{Folders, Topic, Writer};
use super::files::{QueueFiles, QueueRoot};
use super::{Queue, Queues, TRASH_PREFIX};
use crate::checkpoint::FIELDS_BYTES;
use crate::config::StoreConfig;
use crate::io::{Files, Stamp};
use crate::parallel::in_parts;

/// Its name in the root of the store.
pub(crate) const FILE_NAME: &str = "ferromq.queues";

/// Larger files are not read: that many queues there cannot be.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Folders of queues that are looked at, at most.
const QUEUE_FOLDERS_MAX: usize = 20_000;

/// Where the log begins, where its last record that is in a queue begins, and where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnds {
    pub(crate) min: i64,
    pub(crate) last: i64,
    pub(crate) end: i64,
}

/// What has to be as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// A moment, in nanoseconds of the file system's time, later than every change before the stop.
    settled_ns: i64,
    lock: Stamp,
    checkpoint: Stamp,
    checkpoint_fields: [u8; FIELDS_BYTES],
    /// Of a queue of single messages, and of one of inner batches.
    file_bytes: [i64; 2],
    pub(crate) log: LogEnds,
}

/// Why a roster is not used.
#[derive(Debug, Error)]
pub(crate) enum Distrust {
    #[error("there is none")]
    Missing,
    #[error("it is torn, damaged or of another version")]
    Damaged,
    #[error("{0} was written since")]
    Touched(&'static str),
    #[error("the sizes of queue files are set otherwise")]
    Settings,
    #[error("the commit log does not begin and end where it did")]
    Log,
    #[error("{} was changed since", .0.display())]
    Changed(PathBuf),
    #[error("look at {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// By name, what folders a topic has, and its queues.
type TopicFolders = BTreeMap<String, (Folders, Vec<Arc<Queue>>)>;

/// A roster that was read and found whole.
#[derive(Debug)]
pub(crate) struct Roster {
    bytes: Vec<u8>,
    pub(crate) proof: Proof,
}

impl Roster {
    /// Reads the roster of the store in `root`, without asking whether it may be used.
    pub(crate) fn read(root: &Path) -> Result<Self, Distrust> {
        let path = root.join(FILE_NAME);
        let bytes = match fs::metadata(&path) {
            Ok(found) if found.len() > FILE_BYTES_MAX => return Err(Distrust::Damaged),
            Ok(_) => fs::read(&path),
            Err(error) => Err(error),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Distrust::Missing),
            Err(source) => return Err(Distrust::Io { path, source }),
        };
        let (proof, _) = layout::read(&bytes).ok_or(Distrust::Damaged)?;
        Ok(Self { bytes, proof })
    }

    pub(crate) fn topics(&self) -> Vec<Topic<'_>> {
        layout::read_checked(&self.bytes).expect("it was found whole").1
    }

    /// Holds the marks and settings against what there is now. The log is held against [`Proof::log`] by the caller.
    pub(crate) fn check_marks(
        &self,
        config: &StoreConfig,
        disk: &dyn Files,
        checkpoint: &[u8; FIELDS_BYTES],
    ) -> Result<(), Distrust> {
        for (name, was) in [("lock", self.proof.lock), ("checkpoint", self.proof.checkpoint)] {
            if !stamp(disk, &config.root.join(name))?.is_same_file_unchanged(&was) {
                return Err(Distrust::Touched(name));
            }
        }
        if *checkpoint != self.proof.checkpoint_fields {
            return Err(Distrust::Touched("checkpoint"));
        }
        let sizes = [config.consume_queue_file_bytes, config.batch_consume_queue_file_bytes];
        if sizes.map(|bytes| bytes as i64) == self.proof.file_bytes { Ok(()) } else { Err(Distrust::Settings) }
    }
}

/// Removes the roster for good: what comes next may change what it tells of.
///
/// # Errors
/// It may be there again after a crash.
pub(crate) fn remove(root: &Path, disk: &dyn Files) -> io::Result<()> {
    let path = root.join(FILE_NAME);
    if path.try_exists()? {
        disk.remove_file(&path)?;
        disk.sync_dir(root)?;
    }
    Ok(())
}

fn stamp(disk: &dyn Files, path: &Path) -> Result<Stamp, Distrust> {
    disk.stamp(path).map_err(|source| Distrust::Io { path: path.to_owned(), source })
}

impl Queues {
    /// Makes the queues that the roster tells of, as they stood.
    ///
    /// # Errors
    /// A folder was changed since, or cannot be looked at.
    pub(crate) fn from_roster(config: &StoreConfig, roster: &Roster, disk: &dyn Files) -> Result<Self, Distrust> {
        let queues = Self::none(config);
        let device = stamp(disk, &config.root.join(FILE_NAME))?.device;
        let unchanged = |path: PathBuf| {
            let is = stamp(disk, &path)?;
            let unchanged = is.device == device && is.changed_ns < roster.proof.settled_ns;
            if unchanged { Ok(()) } else { Err(Distrust::Changed(path)) }
        };
        let topics = roster.topics();
        let every = topics.iter().map(Topic::len).sum::<usize>().div_ceil(QUEUE_FOLDERS_MAX);
        unchanged(queues.singles.dir.clone())?;
        if topics.iter().any(|topic| topic.folders.batches) || queues.batches.dir.exists() {
            unchanged(queues.batches.dir.clone())?;
        }
        in_parts(&topics, |part| {
            let mut number = 0;
            for topic in part {
                for (_, root) in [(topic.folders.singles, &queues.singles), (topic.folders.batches, &queues.batches)]
                    .into_iter()
                    .filter(|(has, _)| *has)
                {
                    unchanged(root.dir.join(topic.name))?;
                }
                let name = Arc::new(TopicName::new(topic.name));
                let mut of_topic = BTreeMap::new();
                for standing in topic.queues() {
                    let root = if standing.batches { &queues.batches } else { &queues.singles };
                    let files = QueueFiles::new(root, &name, standing.id, standing.files);
                    if number % every == 0 {
                        unchanged(files.dir())?;
                    }
                    number += 1;
                    of_topic.insert(standing.id, Arc::new(Queue::standing_at(Arc::clone(&name), files, &standing)));
                }
                if !of_topic.is_empty() {
                    queues.topics.insert(TopicName::clone(&name), Arc::new(of_topic.into()));
                }
            }
            Ok(())
        })?;
        Ok(queues)
    }

    /// Writes the roster, at a stop: all entries are in the files and on disk, and nobody changes anything any more.
    ///
    /// # Errors
    /// There is none then; the stop may be clean all the same.
    pub(crate) fn write_roster(
        &self,
        root: &Path,
        disk: &dyn Files,
        checkpoint_fields: [u8; FIELDS_BYTES],
        log: LogEnds,
    ) -> io::Result<()> {
        let mut writer = Writer::new();
        for (name, (folders, queues)) in self.all_folders()? {
            let mut standings = Vec::new();
            for queue in queues {
                let standing = queue.standing().ok_or_else(|| io::Error::other("a queue is not all in its files"))?;
                // Queues that were only asked for have no folder.
                if standing.files.count > 0 || self.has_folder(queue.queue_id, &name, standing.batches) {
                    standings.push(standing);
                }
            }
            writer.topic(&name, folders, &standings).ok_or(io::ErrorKind::InvalidData)?;
        }
        let path = root.join(FILE_NAME);
        let file = disk.create_sized(&path, writer.len() as u64, false)?;
        let proof = Proof {
            settled_ns: disk.moment_after_all(&file)?,
            lock: disk.stamp(&root.join("lock"))?,
            checkpoint: disk.stamp(&root.join("checkpoint"))?,
            checkpoint_fields,
            file_bytes: [self.singles.file_bytes, self.batches.file_bytes],
            log,
        };
        disk.write_at(&file, &writer.finish(&proof), 0)?;
        disk.sync_data(&file)?;
        disk.sync_dir(root)
    }

    /// Every topic that has a folder, whether it has queues or not. What is left of deleted ones is removed.
    fn all_folders(&self) -> io::Result<TopicFolders> {
        let mut all = TopicFolders::new();
        for (root, of_batches) in [(&self.singles, false), (&self.batches, true)] {
            if !root.dir.exists() {
                continue;
            }
            for entry in fs::read_dir(&root.dir)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                if !entry.file_type()?.is_dir() {
                    continue;
                }
                if name.starts_with(TRASH_PREFIX) {
                    fs::remove_dir_all(entry.path())?;
                    continue;
                }
                let (folders, _) = all.entry(name).or_default();
                let folder = if of_batches { &mut folders.batches } else { &mut folders.singles };
                *folder = true;
            }
        }
        for topic in &self.topics {
            if let Some((_, queues)) = all.get_mut(topic.key().as_str()) {
                queues.extend(topic.read().values().cloned());
            }
        }
        Ok(all)
    }

    fn has_folder(&self, id: QueueId, topic: &str, batches: bool) -> bool {
        let root: &QueueRoot = if batches { &self.batches } else { &self.singles };
        root.dir_of(topic, id).is_dir()
    }
}
