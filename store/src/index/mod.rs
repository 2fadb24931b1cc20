//! The index: by which messages are found by key. RocketMQ's hash index files, fed from the log by a thread of its own.
//!
//! ```text
//! commit log ─ confirmed ─▶ Indexer: a cursor over the log ─ batches ─▶ index files ─▶ lookup ─▶ records of the log
//! ```
//!
//! Nothing is handed over by the appender: the cursor reads what the watermark has passed, so a slow index costs no producer
//! anything and loses nothing. Who queries waits until the cursor has come to where the log was confirmed.
//!
//! Java: `IndexService`.

mod batch;
mod file;
mod files;
mod indexer;
pub(crate) mod keys;
pub(crate) mod layout;
mod lookup;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use remoting::types::Timestamp;
use tracing::{error, info, warn};

use crate::checkpoint::Checkpoint;
use crate::io::Files;
use crate::signal::Signal;
use batch::Batch;
use file::{Damage, IndexFile};
use files::Known;
pub(crate) use indexer::Indexer;
pub use keys::KeyKind;
use layout::Header;
pub(crate) use layout::Layout;
pub(crate) use lookup::query;
pub use lookup::{Query, QueryOutcome};

const UNDAMAGED: u64 = u64::MAX;

/// The index files of a store and how far they are.
#[derive(Debug)]
pub(crate) struct Index {
    dir: PathBuf,
    layout: Layout,
    disk: Arc<dyn Files>,
    /// In the order of the log. Held for writing while a batch is written.
    files: RwLock<Vec<IndexFile>>,
    /// Everything before this place in the log is in the files.
    indexed: Mutex<i64>,
    moved: Condvar,
    /// Full files up to this store time are on disk.
    synced: AtomicI64,
    /// A full file could not be synced.
    sync_failed: AtomicBool,
    /// Name of the oldest file in which a query met damage.
    damaged: AtomicU64,
    pub(crate) signal: Signal,
}

impl Index {
    /// Opens the files in `dir`; those that cannot be believed, or know of messages behind `log_end`, are removed.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not be removed.
    pub(crate) fn open(
        dir: PathBuf,
        layout: Layout,
        checkpoint: &Checkpoint,
        clean: bool,
        log_end: i64,
        disk: Arc<dyn Files>,
    ) -> io::Result<Self> {
        let synced = checkpoint.index_msg_timestamp;
        let files = files::open(&dir, layout, Known { clean, synced, log_end }, &*disk)?;
        Ok(Self {
            dir,
            layout,
            disk,
            files: RwLock::new(files),
            indexed: Mutex::new(0),
            moved: Condvar::new(),
            synced: AtomicI64::new(synced.0),
            sync_failed: AtomicBool::new(false),
            damaged: AtomicU64::new(UNDAMAGED),
            signal: Signal::default(),
        })
    }

    /// What the checkpoint may say of the index.
    pub(crate) fn synced(&self) -> Timestamp {
        Timestamp(self.synced.load(Ordering::Acquire))
    }

    /// Removes the files whose last record lies before `min_physical`, but never the newest. Returns how many.
    ///
    /// # Errors
    /// A file could not be removed; it is tried again at the next call.
    ///
    /// Java: `IndexService.deleteExpiredFile`.
    pub(crate) fn delete_before(&self, min_physical: i64) -> io::Result<usize> {
        let mut removed = 0;
        loop {
            let path = {
                let files = self.files.read();
                let expired = files.len() > 1 && files[0].header.end < min_physical;
                if !expired {
                    return Ok(removed);
                }
                files[0].path.clone()
            };
            self.disk.remove_file(&path)?;
            // Unless the indexer was faster and has begun again from the start of the log.
            let mut files = self.files.write();
            if files.first().is_some_and(|file| file.path == path) {
                files.remove(0);
            }
            removed += 1;
        }
    }

    /// Waits until everything before `place` is in the files, but not for long: an index that is being made again is far
    /// behind.
    fn wait_for(&self, place: i64, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut indexed = self.indexed.lock();
        while *indexed < place {
            self.signal.raise();
            if self.moved.wait_until(&mut indexed, deadline).timed_out() {
                info!(behind_bytes = place - *indexed, "a query does not wait for the index");
                return;
            }
        }
    }

    fn set_indexed(&self, place: i64) {
        *self.indexed.lock() = place;
        self.moved.notify_all();
    }

    /// Called by a query that met damage.
    fn report(&self, file: &IndexFile, damage: &Damage) {
        if self.damaged.fetch_min(file.name, Ordering::AcqRel) > file.name {
            error!(path = %file.path.display(), %damage, "index file is damaged: it is made again from the log");
            self.signal.raise();
        }
    }

    /// Name of the oldest file that a query found damaged.
    fn take_damaged(&self) -> Option<u64> {
        Some(self.damaged.swap(UNDAMAGED, Ordering::AcqRel)).filter(|name| *name != UNDAMAGED)
    }

    /// Removes the file of this name and all behind it.
    fn forget_from(&self, name: u64) -> io::Result<()> {
        let mut files = self.files.write();
        let Some(at) = files.iter().position(|file| file.name == name) else { return Ok(()) };
        while files.len() > at {
            let Some(file) = files.last() else { break };
            self.disk.remove_file(&file.path)?;
            files.pop();
        }
        Ok(())
    }

    /// Name and header of the newest file, and whether it is full.
    fn newest(&self) -> Option<(u64, Header, bool)> {
        self.files.read().last().map(|file| (file.name, file.header, file.is_full()))
    }

    /// Makes a new newest file.
    fn add_file(&self, now: Timestamp) -> io::Result<Header> {
        // Only the indexer adds files, so that nobody is in between.
        let file = files::create_next(&self.dir, self.layout, self.files.read().last(), now, &*self.disk)?;
        let header = file.header;
        self.files.write().push(file);
        Ok(header)
    }

    /// Writes a batch to the newest file; returns whether that is full then.
    fn write(&self, batch: &mut Batch) -> io::Result<bool> {
        let mut files = self.files.write();
        let Some(file) = files.last_mut() else { return Ok(false) };
        batch.write(file, &*self.disk)?;
        Ok(file.is_full())
    }

    /// Brings the newest file to disk once it is full; then the checkpoint may vouch for it.
    fn finish_newest(&self) {
        let files = self.files.read();
        let Some(file) = files.last() else { return };
        match file.finish(&*self.disk) {
            Ok(()) if !self.sync_failed.load(Ordering::Acquire) => {
                self.synced.store(file.header.end_time, Ordering::Release);
            }
            Ok(()) => {}
            Err(error) => {
                // The checkpoint stays where it is: after a crash, everything from there on is indexed again.
                self.sync_failed.store(true, Ordering::Release);
                warn!(path = %file.path.display(), %error, "flush index file");
            }
        }
    }

    /// Brings the newest file to disk, or removes it if it is `broken`.
    fn settle(&self, broken: bool) -> io::Result<()> {
        let Some((name, ..)) = self.newest() else { return Ok(()) };
        let sync = || self.files.read().last().map_or(Ok(()), |file| self.disk.sync_data(&file.file));
        if broken { self.forget_from(name) } else { sync().or_else(|_| self.forget_from(name)) }
    }
}

#[cfg(test)]
mod tests;
