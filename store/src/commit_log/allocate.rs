//! The next file, made ahead so that no append waits for it. Java: `AllocateMappedFileService`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tracing::warn;

use crate::io::Files;
use crate::mmap::Writer;
use crate::segments;
use crate::signal::Signal;

#[derive(Debug)]
pub(crate) struct Allocator {
    dir: PathBuf,
    file_bytes: u64,
    disk: Arc<dyn Files>,
    /// Held while a file is made: an append that comes too early waits for it instead of making another.
    ready: Mutex<Option<Writer>>,
    /// Start of the file to make; negative: none.
    wanted: AtomicI64,
    pub(crate) signal: Signal,
}

impl Allocator {
    pub(crate) fn new(dir: PathBuf, file_bytes: u64, disk: Arc<dyn Files>) -> Self {
        Self { dir, file_bytes, disk, ready: Mutex::default(), wanted: AtomicI64::new(-1), signal: Signal::default() }
    }

    pub(crate) fn file_bytes(&self) -> usize {
        self.file_bytes as usize
    }

    /// Asks the background thread for the file that starts at `start`.
    pub(crate) fn ask(&self, start: i64) {
        self.wanted.store(start, Ordering::Release);
        self.signal.raise();
    }

    /// One turn of the background thread: makes the file that was asked for.
    pub(crate) fn work(&self) {
        let mut ready = self.ready.lock();
        let start = self.wanted.swap(-1, Ordering::AcqRel);
        if start < 0 {
            return;
        }
        if let Err(error) = self.fill(&mut ready, start) {
            // The append tries again and reports what it meets.
            warn!(start, %error, "make the next commit log file");
        }
    }

    /// Makes the file that starts at `start`, unless an append was faster and has made it itself.
    pub(crate) fn make(&self, start: i64) -> io::Result<()> {
        self.fill(&mut self.ready.lock(), start)
    }

    fn fill(&self, ready: &mut Option<Writer>, start: i64) -> io::Result<()> {
        if ready.is_none() && !segments::path_of(&self.dir, start).exists() {
            *ready = Some(self.create(start)?);
        }
        Ok(())
    }

    /// The file that starts at `start`, made now if it was not ready.
    pub(crate) fn take(&self, start: i64) -> io::Result<Writer> {
        let mut ready = self.ready.lock();
        match ready.take() {
            Some(writer) if writer.file().start() == start => return Ok(writer),
            // Made for a log that was cut since.
            Some(other) => self.disk.remove_file(other.file().path())?,
            None => {}
        }
        self.create(start)
    }

    /// The file that is ready, if there is one; none is on its way either then.
    pub(crate) fn take_ready(&self) -> Option<Writer> {
        let mut ready = self.ready.lock();
        self.wanted.store(-1, Ordering::Release);
        ready.take()
    }

    fn create(&self, start: i64) -> io::Result<Writer> {
        let path = segments::path_of(&self.dir, start);
        let file = self.disk.create_sized(&path, self.file_bytes, true)?;
        let made = self.disk.sync_dir(&self.dir).and_then(|()| Writer::new(&path, start, file, 0));
        if made.is_err() {
            // A file that nothing leads up to would keep the store from opening.
            let _ = self.disk.remove_file(&path);
        }
        made
    }
}
