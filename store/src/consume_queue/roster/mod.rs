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
//!
//! While a store with very many queues is in use, there is another roster, which the keeper makes anew now and then, and a
//! [diary] of what has changed since: for the start after a crash of the process.

mod diary;
mod layout;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use remoting::types::{QueueId, TopicName};
use thiserror::Error;

pub(crate) use self::diary::{CHANGED_NAME, RUN_NAME};
pub(super) use self::diary::{Diary, Noted};
use self::layout::{Folders, Topic, Writer};
use super::files::{QueueFiles, QueueRoot};
use super::{Queue, Queues, TRASH_PREFIX};
use crate::checkpoint::FIELDS_BYTES;
use crate::config::StoreConfig;
use crate::error::StoreError;
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
    #[error("what has changed since it was written is not known")]
    Unnoted,
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
        Self::read_file(root.join(FILE_NAME))
    }

    /// Reads the roster of the run before, and which topics have changed since; whose queues are not told of by it any more.
    pub(crate) fn read_of_run(root: &Path, disk: &dyn Files) -> Result<(Self, HashSet<TopicName>), Distrust> {
        let roster = Self::read_file(root.join(RUN_NAME))?;
        let changed = disk.boot().ok().and_then(|boot| diary::read(root, roster.crc(), &boot));
        Ok((roster, changed.ok_or(Distrust::Unnoted)?))
    }

    fn read_file(path: PathBuf) -> Result<Self, Distrust> {
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

    /// Tells it from others.
    fn crc(&self) -> u32 {
        crc32fast::hash(&self.bytes)
    }

    /// Holds the marks and settings against what there is now. The log is held against [`Proof::log`] by the caller.
    /// Without a checkpoint, one of a run is looked at: it was written since.
    pub(crate) fn check_marks(
        &self,
        config: &StoreConfig,
        disk: &dyn Files,
        checkpoint: Option<&[u8; FIELDS_BYTES]>,
    ) -> Result<(), Distrust> {
        let is_touched =
            |name, was: &Stamp| Ok::<_, Distrust>(!stamp(disk, &config.root.join(name))?.is_same_file_unchanged(was));
        if is_touched("lock", &self.proof.lock)? {
            return Err(Distrust::Touched("lock"));
        }
        if let Some(fields) = checkpoint
            && (*fields != self.proof.checkpoint_fields || is_touched("checkpoint", &self.proof.checkpoint)?)
        {
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
    diary::remove(root)?;
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
    /// Makes the queues that the roster tells of, as they stood; of a run's, but for those of topics that have `changed`.
    ///
    /// # Errors
    /// A folder was changed since, or cannot be looked at.
    pub(crate) fn from_roster(
        config: &StoreConfig,
        roster: &Roster,
        changed: Option<&HashSet<TopicName>>,
        disk: &dyn Files,
    ) -> Result<Self, Distrust> {
        let queues = Self::none(config);
        let device = stamp(disk, &config.root)?.device;
        let unchanged = |path: PathBuf| {
            let is = stamp(disk, &path)?;
            let unchanged = is.device == device && is.changed_ns < roster.proof.settled_ns;
            if unchanged { Ok(()) } else { Err(Distrust::Changed(path)) }
        };
        let mut topics = roster.topics();
        topics.retain(|topic| changed.is_none_or(|changed| !changed.contains(topic.name)));
        let every = topics.iter().map(Topic::len).sum::<usize>().div_ceil(QUEUE_FOLDERS_MAX);
        // While a store is in use, folders of topics and queues come and go.
        let is_whole = changed.is_none();
        if is_whole {
            unchanged(queues.singles.dir.clone())?;
        }
        if is_whole && (topics.iter().any(|topic| topic.folders.batches) || queues.batches.dir.exists()) {
            unchanged(queues.batches.dir.clone())?;
        }
        in_parts(&topics, |part| {
            let mut number = 0;
            for topic in part {
                for (_, root) in [(topic.folders.singles, &queues.singles), (topic.folders.batches, &queues.batches)]
                    .into_iter()
                    .filter(|(has, _)| *has && is_whole)
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
                    let queue = Queue::standing_at(Arc::clone(&name), files, &standing);
                    of_topic.insert(standing.id, Arc::new(queue));
                }
                if !of_topic.is_empty() {
                    queues.topics.insert(TopicName::clone(&name), Arc::new(of_topic.into()));
                }
            }
            Ok(())
        })?;
        Ok(queues)
    }

    /// Finds in their folders the queues of topics that have changed since the roster was written.
    pub(crate) fn find_changed(&self, changed: &HashSet<TopicName>) -> Result<(), StoreError> {
        let folders = |root: &QueueRoot| {
            let folder = |topic: &TopicName| (root.dir.join(topic.as_str()), topic.as_str().to_owned());
            changed.iter().map(folder).filter(|(dir, _)| dir.is_dir()).collect::<Vec<_>>()
        };
        self.find(&folders(&self.singles), &folders(&self.batches))
    }

    /// Keeps the roster that this opening has used for the next one, should this run be killed: that of a clean stop, or of a
    /// run, with what has `changed` since. From now on there is none of a clean stop.
    ///
    /// # Errors
    /// It is not kept.
    pub(crate) fn keep_roster(
        &self,
        roster: &Roster,
        changed: Option<&HashSet<TopicName>>,
        root: &Path,
        disk: &dyn Files,
    ) -> io::Result<()> {
        let boot = disk.boot()?;
        match changed {
            None => fs::rename(root.join(FILE_NAME), root.join(RUN_NAME))?,
            // One may have been written by a stop that was not completed.
            Some(_) => disk.remove_file(&root.join(FILE_NAME))?,
        }
        disk.sync_dir(root)?;
        self.singles.diary.open(root, roster.crc(), &boot, changed.cloned().unwrap_or_default())
    }

    /// How many topics have changed since the roster of this run; `None`: there is none.
    pub(crate) fn changed_topics(&self) -> Option<usize> {
        self.singles.diary.named()
    }

    /// Writes a roster amid a run, and begins the diary of what changes from now on. Called by the thread that writes queues out.
    ///
    /// # Errors
    /// There may be none now.
    pub(crate) fn write_roster_of_run(
        &self,
        root: &Path,
        disk: &dyn Files,
        checkpoint_fields: [u8; FIELDS_BYTES],
        log: LogEnds,
    ) -> io::Result<()> {
        let boot = disk.boot()?;
        let diary = &self.singles.diary;
        if !diary.gather() {
            return Ok(());
        }
        let path = root.join(format!("{RUN_NAME}.new"));
        let write = || {
            let mut writer = Writer::new();
            let topics: Vec<_> =
                self.topics.iter().map(|entry| (entry.key().clone(), Arc::clone(entry.value()))).collect();
            for (name, queues) in topics {
                let (mut standings, mut folders) = (Vec::new(), Folders::default());
                for queue in queues.read().values() {
                    match queue.standing() {
                        Some(standing) if standing.files.count > 0 => {
                            let has = if standing.batches { &mut folders.batches } else { &mut folders.singles };
                            *has = true;
                            standings.push(standing);
                        }
                        // Was only asked for.
                        Some(_) => {}
                        None => diary.note(&mut Noted::default(), &name)?,
                    }
                }
                writer.topic(&name, folders, &standings).ok_or(io::ErrorKind::InvalidData)?;
            }
            self.write_file(&path, writer, root, disk, checkpoint_fields, log)
        };
        match write() {
            Ok(crc) => diary.turn(root, &path, crc, &boot),
            Err(error) => {
                diary.give_up();
                Err(error)
            }
        }
    }

    /// Writes a roster to `path`, when all that it tells of is as it says; its CRC.
    fn write_file(
        &self,
        path: &Path,
        writer: Writer,
        root: &Path,
        disk: &dyn Files,
        checkpoint_fields: [u8; FIELDS_BYTES],
        log: LogEnds,
    ) -> io::Result<u32> {
        let file = disk.create_sized(path, writer.len() as u64, false)?;
        let proof = Proof {
            settled_ns: disk.moment_after_all(&file)?,
            lock: disk.stamp(&root.join("lock"))?,
            checkpoint: disk.stamp(&root.join("checkpoint"))?,
            checkpoint_fields,
            file_bytes: [self.singles.file_bytes, self.batches.file_bytes],
            log,
        };
        let bytes = writer.finish(&proof);
        disk.write_at(&file, &bytes, 0)?;
        disk.sync_data(&file)?;
        Ok(crc32fast::hash(&bytes))
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
        self.write_file(&root.join(FILE_NAME), writer, root, disk, checkpoint_fields, log)?;
        diary::remove(root)?;
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
