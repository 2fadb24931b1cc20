//! The files of one queue: equal-sized, opened when they are first used.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::UNIT_BYTES;
use super::open_files::{OpenFile, OpenFiles};
use crate::io::{self as disk, Files};
use crate::segments;

/// Files of one queue, addressed by byte. Written by one thread at a time, read by many.
#[derive(Debug)]
pub(crate) struct QueueFiles {
    dir: PathBuf,
    file_bytes: i64,
    unit_bytes: i64,
    list: Vec<QueueFile>,
    /// Files were created whose folder entries are not on disk yet.
    new_entries: bool,
    open: Arc<OpenFiles>,
}

#[derive(Debug)]
struct QueueFile {
    start: i64,
    file: Option<Arc<OpenFile>>,
    /// Written since the last sync.
    dirty: bool,
}

impl QueueFiles {
    /// Files with units of another size than usual.
    pub(crate) fn of_units(
        unit_bytes: usize,
        dir: PathBuf,
        file_bytes: i64,
        starts: Vec<i64>,
        open: &Arc<OpenFiles>,
    ) -> Self {
        Self { unit_bytes: unit_bytes as i64, ..Self::new(dir, file_bytes, starts, open) }
    }

    pub(crate) fn new(dir: PathBuf, file_bytes: i64, starts: Vec<i64>, open: &Arc<OpenFiles>) -> Self {
        let list = starts.into_iter().map(|start| QueueFile { start, file: None, dirty: false }).collect();
        Self { dir, file_bytes, unit_bytes: UNIT_BYTES as i64, list, new_entries: false, open: Arc::clone(open) }
    }

    pub(crate) fn units_per_file(&self) -> i64 {
        self.file_bytes / self.unit_bytes
    }

    /// First byte of the first file, and one behind the last byte of the last.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        Some((self.list.first()?.start, self.list.last()?.start + self.file_bytes))
    }

    fn index_of(&self, at: i64) -> Option<usize> {
        let first = self.list.first()?.start;
        let index = usize::try_from(at.checked_sub(first)?.div_euclid(self.file_bytes)).ok()?;
        (index < self.list.len()).then_some(index)
    }

    /// `keep`: it stays open also if many are.
    fn open(&mut self, index: usize, keep: bool) -> io::Result<Arc<OpenFile>> {
        let slot = &mut self.list[index];
        if let Some(file) = &slot.file {
            return Ok(Arc::clone(file));
        }
        let path = segments::path_of(&self.dir, slot.start);
        let keep = keep || !self.open.are_many();
        let file = self.open.add(OpenOptions::new().read(true).write(true).open(path)?);
        if keep {
            slot.file = Some(Arc::clone(&file));
        }
        Ok(file)
    }

    /// The file that holds byte `at`, where `at` lies in it, and how many bytes it has from there on.
    pub(crate) fn locate(&mut self, at: i64) -> io::Result<(Arc<OpenFile>, u64, usize)> {
        let index = self.index_of(at).ok_or(io::ErrorKind::NotFound)?;
        let within = at - self.list[index].start;
        Ok((self.open(index, false)?, within as u64, (self.file_bytes - within) as usize))
    }

    /// Writes at byte `at`, creating the files that are missing behind the last one, or the first one around `at`.
    pub(crate) fn write(&mut self, files: &dyn Files, mut at: i64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            while self.span().is_none_or(|(_, end)| end <= at) {
                self.create_next(files, at)?;
            }
            let index = self.index_of(at).ok_or(io::ErrorKind::NotFound)?;
            let within = at - self.list[index].start;
            // Open until it is synced: only this descriptor is sure to tell of a write that failed later.
            let file = self.open(index, true)?;
            let (now, later) = bytes.split_at(bytes.len().min((self.file_bytes - within) as usize));
            files.write_at(&file, now, within as u64)?;
            self.list[index].dirty = true;
            at += now.len() as i64;
            bytes = later;
        }
        Ok(())
    }

    fn create_next(&mut self, files: &dyn Files, at: i64) -> io::Result<()> {
        let start = self.span().map_or(at - at.rem_euclid(self.file_bytes), |(_, end)| end);
        fs::create_dir_all(&self.dir)?;
        let path = segments::path_of(&self.dir, start);
        let file = files.create_sized(&path, self.file_bytes as u64, false)?;
        let file = Some(self.open.add(file));
        // Most queues have one file.
        self.list.reserve_exact(1);
        self.list.push(QueueFile { start, file, dirty: false });
        self.new_entries = true;
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.list.len() as u64 * self.file_bytes as u64
    }

    /// Removes the files that lie wholly before byte `at`, but never the last; returns how many.
    ///
    /// # Errors
    /// A file could not be removed; it and those behind it stay.
    pub(crate) fn remove_before(&mut self, files: &dyn Files, at: i64) -> io::Result<usize> {
        let mut removed = 0;
        while self.list.len() > 1 && self.list[0].start + self.file_bytes <= at {
            // Names go from disk in order: a gap would keep the store from opening.
            if removed > 0 {
                files.sync_dir(&self.dir)?;
            }
            files.remove_file(&segments::path_of(&self.dir, self.list[0].start))?;
            self.list.remove(0);
            removed += 1;
        }
        Ok(removed)
    }

    /// Closes the files that need no sync; they are opened again when they are used.
    pub(crate) fn close(&mut self) {
        for file in self.list.iter_mut().filter(|file| !file.dirty) {
            file.file = None;
        }
    }

    /// What a sync has to call `fdatasync` on; the caller does that without holding the files.
    pub(crate) fn take_dirty(&mut self) -> (Vec<Arc<OpenFile>>, Option<PathBuf>) {
        let take = |file: &mut QueueFile| std::mem::take(&mut file.dirty).then(|| file.file.clone()).flatten();
        let dirty = self.list.iter_mut().filter_map(take).collect();
        let new_entries = std::mem::take(&mut self.new_entries).then(|| self.dir.clone());
        (dirty, new_entries)
    }

    /// Puts back what [`Self::take_dirty`] gave after a sync that failed.
    pub(crate) fn all_dirty(&mut self) {
        for file in self.list.iter_mut().filter(|file| file.file.is_some()) {
            file.dirty = true;
        }
        self.new_entries = true;
    }

    /// Removes files wholly behind byte `at` and zeroes the rest of the one that holds it.
    ///
    /// Java leaves the old units in place, where a later recovery takes them for entries.
    pub(crate) fn truncate(&mut self, files: &dyn Files, at: i64) -> io::Result<()> {
        while let Some(last) = self.list.last().filter(|last| last.start >= at) {
            files.remove_file(&segments::path_of(&self.dir, last.start))?;
            self.list.pop();
            self.new_entries = true;
        }
        if let Some(index) = self.index_of(at) {
            let file = self.open(index, true)?;
            let from = (at - self.list[index].start) as u64;
            if !disk::is_zero_behind(&file, from, self.file_bytes as u64)? {
                files.zero_range(&file, from, self.file_bytes as u64)?;
                self.list[index].dirty = true;
            }
        }
        Ok(())
    }
}

/// Makes new folders and files of a queue durable: its own entries, its topic's and the root's.
pub(crate) fn sync_dirs(files: &dyn Files, queue_dir: &Path) -> io::Result<()> {
    queue_dir.ancestors().take(3).try_for_each(|dir| files.sync_dir(dir))
}

/// Fills `buffer` from `file`; fewer bytes than asked for are an error.
pub(crate) fn read_exact(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(buffer, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::RealFiles;

    #[test]
    fn readers_keep_no_more_files_open_than_allowed_and_a_dirty_one_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = OpenFiles::at_most(2);
        let mut files = QueueFiles::new(dir.path().join("0"), 20, Vec::new(), &open);
        files.write(&RealFiles, 0, &[1; 80]).expect("written");
        assert_eq!(open.count(), 4, "all four wait for their sync");
        files.close();
        assert_eq!(open.count(), 4);
        drop(files.take_dirty());
        files.close();
        assert_eq!(open.count(), 0);
        for start in [0, 20, 40, 60] {
            let (file, within, left) = files.locate(start + 5).expect("opened");
            let mut byte = [0];
            read_exact(&file, &mut byte, within).expect("read");
            assert_eq!((byte, within, left), ([1], 5, 15));
        }
        assert_eq!(open.count(), 2);
    }
}
