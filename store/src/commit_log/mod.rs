//! The log of all messages: files of equal size, written at the tail, read anywhere.
//!
//! Java: `CommitLog`.

mod allocate;
mod append;
mod copied;
mod flush;
mod read;
mod replica;
mod trim;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock};
use remoting::types::Timestamp;
use tracing::warn;

use crate::copy::Growth;
use crate::io::Files;
use crate::mmap::{MappedFile, Writer};
use crate::watermark::Watermark;
use allocate::Allocator;
pub(crate) use append::{Refused, code_of};
use flush::FlushTimes;
pub use flush::{FLUSH_TIME_ENDS, Flushes};
pub(crate) use read::Snapshot;
pub(crate) use replica::Stamped;

#[derive(Debug)]
pub(crate) struct CommitLog {
    dir: PathBuf,
    files: Arc<dyn Files>,
    /// Replaced as a whole, so that a reader takes one snapshot for all it reads.
    segments: RwLock<Segments>,
    /// The append lock.
    tail: Mutex<Tail>,
    /// An append has waited for the lock in vain, and nobody got it since.
    stuck: AtomicBool,
    /// Everything before this is written; with the store time of the last record before it.
    end: AtomicI64,
    end_timestamp: AtomicI64,
    /// Who waits for that to be more.
    growth: Growth,
    /// How far it is on disk, and who waits for that; moved while `syncing` is held.
    on_disk: Watermark,
    flushed_timestamp: AtomicI64,
    /// One sync at a time. Who waited to flush finds the work done.
    syncing: Mutex<Syncs>,
    flush_times: FlushTimes,
    pub(crate) allocator: Allocator,
}

/// All files in order; never empty.
type Segments = Arc<[Arc<MappedFile>]>;

/// Whether syncs of the log can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Syncs {
    #[default]
    Work,
    /// One has failed, and with it bytes may be lost that later ones know nothing of. Noted under the lock of the sync itself:
    /// the next one may wait for it already.
    Failed,
}

/// What the append lock protects.
#[derive(Debug)]
pub(crate) struct Tail {
    writer: Writer,
    /// The file behind this one was asked for.
    asked_for_next: bool,
    /// A write failed: up to here the file may hold bytes of messages that were refused. A crash could make them part of the
    /// log again, in the place of newer ones, so nothing is written before they are cleared.
    torn_to: Option<usize>,
}

/// How the log was found by recovery.
pub(crate) struct Recovered {
    /// Complete files before the last.
    pub(crate) sealed: Vec<Arc<MappedFile>>,
    pub(crate) tail: Writer,
    /// Store time of the last record, if one was seen.
    pub(crate) timestamp: Timestamp,
}

impl CommitLog {
    /// `sync_timeout`: longest wait for the disk.
    pub(crate) fn new(
        dir: PathBuf,
        file_bytes: u64,
        sync_timeout: Duration,
        files: Arc<dyn Files>,
        found: Recovered,
    ) -> Self {
        let end = found.tail.end();
        let segments = found.sealed.into_iter().chain([Arc::clone(found.tail.file())]).collect();
        Self {
            allocator: Allocator::new(dir.clone(), file_bytes, Arc::clone(&files)),
            dir,
            files,
            segments: RwLock::new(segments),
            tail: Mutex::new(Tail { writer: found.tail, asked_for_next: false, torn_to: None }),
            stuck: AtomicBool::new(false),
            end: AtomicI64::new(end),
            end_timestamp: AtomicI64::new(found.timestamp.0),
            growth: Growth::default(),
            on_disk: Watermark::new(end, sync_timeout),
            flushed_timestamp: AtomicI64::new(found.timestamp.0),
            syncing: Mutex::default(),
            flush_times: FlushTimes::new(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the next record goes.
    pub(crate) fn end(&self) -> i64 {
        self.end.load(Ordering::SeqCst)
    }

    /// Who waits for the log to grow. Told of it by who writes, once the append lock is free again.
    pub(crate) fn growth(&self) -> &Growth {
        &self.growth
    }

    /// First byte that is kept. Java: `CommitLog.getMinOffset`.
    pub(crate) fn min(&self) -> i64 {
        self.segments.read()[0].start()
    }

    pub(crate) fn flushed(&self) -> i64 {
        self.on_disk.confirmed().0
    }

    /// How far it is on disk, and who waits for that.
    pub(crate) fn on_disk(&self) -> &Watermark {
        &self.on_disk
    }

    pub(crate) fn flushed_timestamp(&self) -> Timestamp {
        Timestamp(self.flushed_timestamp.load(Ordering::Acquire))
    }

    /// Stops appends while held.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock()
    }

    /// Whether somebody writes at this moment.
    pub(crate) fn is_being_written(&self) -> bool {
        self.tail.is_locked()
    }

    /// Lets go of the pages that reads have mapped into the process.
    pub(crate) fn release_pages(&self) {
        let segments = self.segments.read().clone();
        for file in segments.iter() {
            if let Err(error) = file.release_pages() {
                warn!(path = %file.path().display(), %error, "let go of mapped pages");
            }
        }
    }

    /// Removes the file that was made ahead and holds nothing, as Java does at a clean stop.
    pub(crate) fn remove_preallocated(&self) -> io::Result<()> {
        match self.allocator.take_ready() {
            Some(writer) => self.files.remove_file(writer.file().path()),
            None => Ok(()),
        }
    }
}
