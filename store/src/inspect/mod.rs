//! Looking at a store without opening it: what is in it, and whether its parts agree.
//!
//! Everything is read with plain reads. Nothing is created, mended, mapped or kept locked, and no settings are needed: sizes
//! are those of the files. For `ferromq store`.

pub(crate) mod files;
pub(crate) mod index;
pub(crate) mod log;
pub(crate) mod queues;
mod roster;
pub(crate) mod verify;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::message::StoredMessage;
use files::Segments;
pub use index::IndexSummary;
use log::Log;
pub use log::Walked;
pub use queues::QueueSummary;
pub use roster::RosterSummary;
pub use verify::Verified;

/// The store could not be looked at.
#[derive(Debug, Error)]
pub enum InspectError {
    #[error("{path} is no store: it has neither a commit log nor a checkpoint")]
    NoStore { path: PathBuf },
    #[error("a broker is running on {path}: what it is writing looks like damage; to look all the same, say --running")]
    Running { path: PathBuf },
    #[error("read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// What a store keeps its messages in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commit log and queues in files.
    Files,
    /// The queues are in RocksDB.
    RocksDbQueues,
    /// The log is in DLedger's files.
    DLedger,
    /// Old messages are in a second store, whose list is kept here.
    Tiered,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::RocksDbQueues => "files, with queues in RocksDB, which are not read here",
            Self::DLedger => {
                "DLedger, whose files are not read here: `ferromq store import` makes an ordinary store of them"
            }
            Self::Tiered => "files, with old messages in tiered storage, which is not read here",
        })
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A file, a place in it, or a queue.
    pub place: String,
    pub what: String,
}

impl Problem {
    fn new(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The files of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    pub files: usize,
    pub file_bytes: u64,
    pub bytes: u64,
    /// First byte kept, and one behind the last file.
    pub min: i64,
    pub capacity: i64,
}

/// The fields of the checkpoint; times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointSummary {
    pub log_flushed_time: i64,
    pub queues_flushed_time: i64,
    pub index_flushed_time: i64,
    pub master_flushed_offset: i64,
    pub confirmed_offset: i64,
    pub queues_flushed_offset: i64,
}

/// A file or folder that is none of the above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherFiles {
    /// Relative to the store.
    pub path: String,
    pub files: usize,
    pub bytes: u64,
}

/// What is in a store.
#[derive(Debug)]
pub struct Inspection {
    pub root: PathBuf,
    pub kind: Kind,
    /// A broker has it open.
    pub running: bool,
    /// The last broker did not stop cleanly, or is running.
    pub abort: bool,
    pub log: LogSummary,
    /// By topic and queue id.
    pub queues: Vec<QueueSummary>,
    pub indexes: Vec<IndexSummary>,
    pub checkpoint: Option<CheckpointSummary>,
    pub roster: Option<RosterSummary>,
    pub others: Vec<OtherFiles>,
    /// What is wrong with names, sizes and the order of files.
    pub problems: Vec<Problem>,
    segments: Segments,
}

/// Where the parts of a store are, and whether it may be in use.
#[derive(Clone, Debug)]
pub struct InspectOptions {
    pub root: PathBuf,
    /// `None`: `<root>/commitlog`.
    pub commit_log_dir: Option<PathBuf>,
    /// Look also when a broker is running on it.
    pub running: bool,
}

/// Finds out what is in a store. Reads the queues, but not the log.
///
/// # Errors
/// [`InspectError`]; what is wrong with the store itself is in [`Inspection::problems`].
pub fn inspect(options: &InspectOptions) -> Result<Inspection, InspectError> {
    let root = &options.root;
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| InspectError::Io { path, source }
    };
    let kind = kind_of(root).map_err(error(root))?;
    let log_dir = options.commit_log_dir.clone().unwrap_or_else(|| root.join("commitlog"));
    if !log_dir.is_dir() && !root.join("checkpoint").is_file() {
        return Err(InspectError::NoStore { path: root.clone() });
    }
    let running = is_running(root).map_err(error(root))?;
    if running && !options.running {
        return Err(InspectError::Running { path: root.clone() });
    }
    let mut problems = Vec::new();
    let segments = Segments::find(&log_dir, &mut problems).map_err(error(&log_dir))?;
    let mut queues = Vec::new();
    for (folder, batches) in [("consumequeue", false), ("batchconsumequeue", true)] {
        if kind != Kind::RocksDbQueues || batches {
            let dir = root.join(folder);
            queues.extend(queues::find(&dir, batches, &mut problems).map_err(error(&dir))?);
        }
    }
    queues.sort_by(|a, b| (&a.topic, a.queue_id).cmp(&(&b.topic, b.queue_id)));
    for pair in queues.windows(2).filter(|pair| pair[0].name() == pair[1].name()) {
        problems.push(Problem::new(pair[0].name(), "the queue has folders of both kinds"));
    }
    let index_dir = root.join("index");
    let indexes = index::find(&index_dir, &mut problems).map_err(error(&index_dir))?;
    Ok(Inspection {
        root: root.clone(),
        kind,
        running,
        abort: root.join("abort").exists(),
        log: LogSummary {
            files: segments.list.len(),
            file_bytes: segments.file_bytes(),
            bytes: segments.bytes(),
            min: segments.list.first().map_or(0, |first| first.start),
            capacity: segments.list.last().map_or(0, files::Segment::end),
        },
        queues,
        indexes,
        checkpoint: checkpoint(&root.join("checkpoint"), &mut problems).map_err(error(root))?,
        roster: roster::find(root).map_err(error(root))?,
        others: others(root).map_err(error(root))?,
        problems,
        segments,
    })
}

impl Inspection {
    /// Checks every record and every reference between the files. `progress` is told bytes done and bytes in all.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, InspectError> {
        verify::verify(self, progress).map_err(|source| InspectError::Io { path: self.root.clone(), source })
    }

    /// Hands over records in the order of the log, from physical offset `from` on, which is where one begins.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn dump(
        &self,
        from: Option<i64>,
        each: &mut dyn FnMut(&StoredMessage<'_>, &[String]) -> ControlFlow<()>,
    ) -> Result<(Walked, Vec<Problem>), InspectError> {
        let error = |source| InspectError::Io { path: self.root.clone(), source };
        let log = Log::open(&self.segments).map_err(error)?;
        let mut problems = Vec::new();
        let walked = log.walk(from.unwrap_or(log.min()), &mut problems, |message, record, at| {
            each(message, &log::faults(message, record, at)).is_continue()
        });
        Ok((walked.map_err(error)?, problems))
    }
}

fn kind_of(root: &Path) -> io::Result<Kind> {
    if ["consumequeue", "consumequeue_rocksdb"].iter().any(|queues| root.join(queues).join("CURRENT").exists()) {
        return Ok(Kind::RocksDbQueues);
    }
    if files::entries(root)?.iter().any(|path| files::name(path).starts_with("dledger-")) {
        return Ok(Kind::DLedger);
    }
    let tiered = root.join("config/tieredStoreMetadata.json").exists();
    Ok(if tiered { Kind::Tiered } else { Kind::Files })
}

/// Whether a broker holds the lock. The look is a shared lock that is given back at once.
pub(crate) fn is_running(root: &Path) -> io::Result<bool> {
    let lock = match File::open(root.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => rustix::fs::fcntl_lock(&lock, FlockOperation::Unlock).map(|()| false).map_err(Into::into),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn checkpoint(path: &Path, problems: &mut Vec<Problem>) -> io::Result<Option<CheckpointSummary>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(fields) = Checkpoint::decode(&bytes) else {
        problems.push(Problem::new(path.display(), format!("{} bytes are too few for a checkpoint", bytes.len())));
        return Ok(None);
    };
    Ok(Some(CheckpointSummary {
        log_flushed_time: fields.physic_msg_timestamp.0,
        queues_flushed_time: fields.logics_msg_timestamp.0,
        index_flushed_time: fields.index_msg_timestamp.0,
        master_flushed_offset: fields.master_flushed_offset,
        confirmed_offset: fields.confirm_phy_offset,
        queues_flushed_offset: fields.logics_physical_offset,
    }))
}

/// Files and folders of other parts, folders summed up; the files of `config` one by one.
fn others(root: &Path) -> io::Result<Vec<OtherFiles>> {
    const KNOWN: &[&str] = &[
        "commitlog",
        "consumequeue",
        "batchconsumequeue",
        "index",
        "checkpoint",
        "abort",
        "lock",
        crate::consume_queue::roster::FILE_NAME,
        crate::consume_queue::roster::RUN_NAME,
        crate::consume_queue::roster::CHANGED_NAME,
    ];
    let mut found = Vec::new();
    let top = files::entries(root)?.into_iter().filter(|path| !KNOWN.contains(&files::name(path)));
    for path in top {
        let parts = if files::name(&path) == "config" { files::entries(&path)? } else { vec![path] };
        for part in parts {
            let (files, bytes) = sum(&part)?;
            let path = part.strip_prefix(root).unwrap_or(&part).display().to_string();
            found.push(OtherFiles { path, files, bytes });
        }
    }
    Ok(found)
}

fn sum(path: &Path) -> io::Result<(usize, u64)> {
    if !path.is_dir() {
        return Ok((1, fs::symlink_metadata(path)?.len()));
    }
    let mut total = (0, 0);
    for entry in files::entries(path)? {
        let (files, bytes) = sum(&entry)?;
        total = (total.0 + files, total.1 + bytes);
    }
    Ok(total)
}
