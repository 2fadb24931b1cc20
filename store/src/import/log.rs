//! Writing the new commit log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::moves::Layout;
use crate::io::{Files, RealFiles};
use crate::message::{BLANK_BYTES, MAGIC_BLANK};
use crate::segments;

/// Bytes written at once.
const CHUNK: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct NewLog {
    layout: Layout,
    /// `None`: nothing is written.
    dir: Option<PathBuf>,
    /// The last file, if it is not full.
    open: Option<File>,
    end: i64,
    /// What is to be written, and ends at `end`.
    waiting: Vec<u8>,
    /// When the last record was written to the old log: files are deleted by that time.
    written: Option<SystemTime>,
}

impl NewLog {
    /// A log that ends at `end`, where a file ends.
    pub(super) fn new(layout: Layout, dir: Option<PathBuf>, end: i64) -> Self {
        Self { layout, dir, open: None, end, waiting: Vec::new(), written: None }
    }

    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Adds a record, which says where it lies: at [`Layout::place`]. `written`: when it was to the old log.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn append(&mut self, record: &[u8], written: SystemTime) -> io::Result<()> {
        let left = self.layout.left(self.end);
        if self.layout.place(self.end, record.len()) != self.end {
            self.waiting.extend((left as i32).to_be_bytes());
            self.waiting.extend(MAGIC_BLANK.to_be_bytes());
            self.end += BLANK_BYTES as i64;
            self.close_file()?;
            self.end += left - BLANK_BYTES as i64;
        }
        if self.open.is_none()
            && let Some(dir) = &self.dir
        {
            let path = segments::path_of(dir, self.end);
            self.open = Some(RealFiles.create_sized(&path, self.layout.file_bytes as u64, true)?);
        }
        self.written = Some(written);
        self.waiting.extend_from_slice(record);
        self.end += record.len() as i64;
        if self.waiting.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        if let Some(file) = &self.open {
            let from = self.end - self.waiting.len() as i64;
            let within = (from - self.layout.start).rem_euclid(self.layout.file_bytes);
            RealFiles.write_at(file, &self.waiting, within as u64)?;
        }
        self.waiting.clear();
        Ok(())
    }

    fn close_file(&mut self) -> io::Result<()> {
        self.write()?;
        let Some(file) = self.open.take() else { return Ok(()) };
        if let Some(written) = self.written {
            file.set_modified(written)?;
        }
        file.sync_all()
    }

    /// Returns once everything is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.close_file()?;
        if let Some(dir) = self.dir.as_ref().filter(|_| self.end == self.layout.start) {
            // The name of the first file says where the log goes on.
            let path = segments::path_of(dir, self.end);
            RealFiles.create_sized(&path, self.layout.file_bytes as u64, true)?.sync_all()?;
        }
        self.dir.as_deref().map_or(Ok(()), |dir| RealFiles.sync_dir(dir))
    }
}

/// Copies a file as it is, with its time; returns once it is on disk.
///
/// # Errors
/// Failing I/O.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let file = File::options().write(true).open(to)?;
    file.set_modified(fs::metadata(from)?.modified()?)?;
    file.sync_all()
}
