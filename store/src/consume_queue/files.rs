//! The files of one queue: equal-sized, opened when they are first used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use remoting::types::{QueueId, TopicName};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::open_files::{OpenFile, OpenFiles};
use super::roster::{Diary, Noted};
use crate::io::{self as disk, Files};
use crate::segments;

/// What all queues of one kind share.
#[derive(Debug)]
pub(crate) struct QueueRoot {
    /// Holds a folder for each topic, which holds one for each queue.
    pub(crate) dir: PathBuf,
    pub(crate) file_bytes: i64,
    pub(crate) unit_bytes: i64,
    pub(crate) open: Arc<OpenFiles>,
    /// Of both roots.
    pub(crate) diary: Arc<Diary>,
}

impl QueueRoot {
    /// Where the files of a queue lie.
    pub(crate) fn dir_of(&self, topic: &str, id: QueueId) -> PathBuf {
        let mut dir = self.dir.join(topic);
        dir.push(id.to_string());
        dir
    }
}

/// Files of one queue, addressed by byte. Written by one thread at a time, read by many.
///
/// There may be a million of these: what can be told from the rest is not kept.
#[derive(Debug)]
pub(crate) struct QueueFiles {
    root: Arc<QueueRoot>,
    topic: Arc<TopicName>,
    id: QueueId,
    /// Files were created whose folder entries are not on disk yet.
    new_entries: bool,
    noted: Noted,
    list: FileList,
    open: Vec<OpenPart>,
}

/// Files that follow each other without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileList {
    /// First byte of the first one.
    pub(crate) start: i64,
    pub(crate) count: u32,
}

impl FileList {
    /// The files with these first bytes.
    pub(crate) fn of(starts: &[i64]) -> Self {
        Self { start: starts.first().copied().unwrap_or(0), count: starts.len() as u32 }
    }
}

#[derive(Debug)]
struct OpenPart {
    start: i64,
    file: Arc<OpenFile>,
    /// Written since the last sync.
    dirty: bool,
}

impl QueueFiles {
    pub(crate) fn new(root: &Arc<QueueRoot>, topic: &Arc<TopicName>, id: QueueId, list: FileList) -> Self {
        let (root, topic) = (Arc::clone(root), Arc::clone(topic));
        Self { root, topic, id, new_entries: false, noted: Noted::default(), list, open: Vec::new() }
    }

    pub(crate) fn units_per_file(&self) -> i64 {
        self.root.file_bytes / self.root.unit_bytes
    }

    pub(crate) fn list(&self) -> FileList {
        self.list
    }

    /// The same queue's files in another root, where it has none yet.
    pub(crate) fn moved(&self, root: &Arc<QueueRoot>, list: FileList) -> Self {
        Self::new(root, &self.topic, self.id, list)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.dir_of(&self.topic, self.id)
    }

    fn path(&self, start: i64) -> PathBuf {
        segments::path_of(&self.dir(), start)
    }

    fn end(&self) -> i64 {
        self.list.start + i64::from(self.list.count) * self.root.file_bytes
    }

    /// First byte of the first file, and one behind the last byte of the last.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        (self.list.count > 0).then(|| (self.list.start, self.end()))
    }

    /// Where the file starts that holds byte `at`.
    fn start_of(&self, at: i64) -> Option<i64> {
        let (first, end) = self.span()?;
        (first..end).contains(&at).then(|| at - (at - first) % self.root.file_bytes)
    }

    fn open_part(&self, start: i64) -> io::Result<Arc<OpenFile>> {
        Ok(self.root.open.add(OpenOptions::new().read(true).write(true).open(self.path(start))?))
    }

    /// The file that starts at `start`, open until it is synced.
    fn part(&mut self, start: i64) -> io::Result<&mut OpenPart> {
        let place = match self.open.iter().position(|part| part.start == start) {
            Some(place) => place,
            None => self.keep_open(start, self.open_part(start)?),
        };
        Ok(&mut self.open[place])
    }

    fn keep_open(&mut self, start: i64, file: Arc<OpenFile>) -> usize {
        // Most queues have one file.
        self.open.reserve_exact(1);
        self.open.push(OpenPart { start, file, dirty: false });
        self.open.len() - 1
    }

    /// The file that holds byte `at`, where `at` lies in it, and how many bytes it has from there on.
    pub(crate) fn locate(&mut self, at: i64) -> io::Result<(Arc<OpenFile>, u64, usize)> {
        let start = self.start_of(at).ok_or(io::ErrorKind::NotFound)?;
        let file = match self.opened(start) {
            Some(file) => file,
            None => {
                let keep = !self.root.open.are_many();
                let file = self.open_part(start)?;
                if keep {
                    self.keep_open(start, Arc::clone(&file));
                }
                file
            }
        };
        Ok(self.within(file, start, at))
    }

    /// As [`Self::locate`], without waiting for the disk.
    ///
    /// # Errors
    /// `WouldBlock`: the file is not open.
    pub(crate) fn locate_now(&self, at: i64) -> io::Result<(Arc<OpenFile>, u64, usize)> {
        let start = self.start_of(at).ok_or(io::ErrorKind::NotFound)?;
        let file = self.opened(start).ok_or(io::ErrorKind::WouldBlock)?;
        Ok(self.within(file, start, at))
    }

    fn opened(&self, start: i64) -> Option<Arc<OpenFile>> {
        self.open.iter().find(|part| part.start == start).map(|part| Arc::clone(&part.file))
    }

    fn within(&self, file: Arc<OpenFile>, start: i64, at: i64) -> (Arc<OpenFile>, u64, usize) {
        let within = at - start;
        (file, within as u64, (self.root.file_bytes - within) as usize)
    }

    /// Writes at byte `at`, creating the files that are missing behind the last one, or the first one around `at`.
    pub(crate) fn write(&mut self, files: &dyn Files, mut at: i64, mut bytes: &[u8]) -> io::Result<()> {
        self.root.diary.note(&mut self.noted, &self.topic)?;
        while !bytes.is_empty() {
            while self.span().is_none_or(|(_, end)| end <= at) {
                self.create_next(files, at)?;
            }
            let start = self.start_of(at).ok_or(io::ErrorKind::NotFound)?;
            let within = at - start;
            // Open until it is synced: only this descriptor is sure to tell of a write that failed later.
            let room = (self.root.file_bytes - within) as usize;
            let part = self.part(start)?;
            let (now, later) = bytes.split_at(bytes.len().min(room));
            files.write_at(&part.file, now, within as u64)?;
            part.dirty = true;
            at += now.len() as i64;
            bytes = later;
        }
        Ok(())
    }

    fn create_next(&mut self, files: &dyn Files, at: i64) -> io::Result<()> {
        let file_bytes = self.root.file_bytes;
        let start = self.span().map_or(at - at.rem_euclid(file_bytes), |(_, end)| end);
        let dir = self.dir();
        fs::create_dir_all(&dir)?;
        let file = files.create_sized(&segments::path_of(&dir, start), file_bytes as u64, false)?;
        let file = self.root.open.add(file);
        self.keep_open(start, file);
        if self.list.count == 0 {
            self.list.start = start;
        }
        self.list.count += 1;
        self.new_entries = true;
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.list.count) * self.root.file_bytes as u64
    }

    /// Removes the files that lie wholly before byte `at`, but never the last; returns how many.
    ///
    /// # Errors
    /// A file could not be removed; it and those behind it stay.
    pub(crate) fn remove_before(&mut self, files: &dyn Files, at: i64) -> io::Result<usize> {
        let mut removed = 0;
        while self.list.count > 1 && self.list.start + self.root.file_bytes <= at {
            // Names go from disk in order: a gap would keep the store from opening.
            if removed > 0 {
                files.sync_dir(&self.dir())?;
            }
            self.root.diary.note(&mut self.noted, &self.topic)?;
            let start = self.list.start;
            files.remove_file(&self.path(start))?;
            self.open.retain(|part| part.start != start);
            self.list.start += self.root.file_bytes;
            self.list.count -= 1;
            removed += 1;
        }
        Ok(removed)
    }

    /// Closes the files that need no sync; they are opened again when they are used.
    pub(crate) fn close(&mut self) {
        self.open.retain(|part| part.dirty);
        self.open.shrink_to_fit();
    }

    /// What a sync has to call `fdatasync` on; the caller does that without holding the files.
    pub(crate) fn take_dirty(&mut self) -> (Vec<Arc<OpenFile>>, Option<PathBuf>) {
        let take = |part: &mut OpenPart| std::mem::take(&mut part.dirty).then(|| Arc::clone(&part.file));
        let dirty = self.open.iter_mut().filter_map(take).collect();
        let new_entries = std::mem::take(&mut self.new_entries).then(|| self.dir());
        (dirty, new_entries)
    }

    /// Puts back what [`Self::take_dirty`] gave after a sync that failed.
    pub(crate) fn all_dirty(&mut self) {
        for part in &mut self.open {
            part.dirty = true;
        }
        self.new_entries = true;
    }

    /// Removes files wholly behind byte `at` and zeroes the rest of the one that holds it.
    ///
    /// Java leaves the old units in place, where a later recovery takes them for entries.
    pub(crate) fn truncate(&mut self, files: &dyn Files, at: i64) -> io::Result<()> {
        let file_bytes = self.root.file_bytes;
        while let Some((_, end)) = self.span().filter(|(_, end)| end - file_bytes >= at) {
            self.root.diary.note(&mut self.noted, &self.topic)?;
            let start = end - file_bytes;
            files.remove_file(&self.path(start))?;
            self.open.retain(|part| part.start != start);
            self.list.count -= 1;
            self.new_entries = true;
        }
        if let Some(start) = self.start_of(at) {
            let from = (at - start) as u64;
            if !disk::is_zero_behind(&self.part(start)?.file, from, file_bytes as u64)? {
                self.root.diary.note(&mut self.noted, &self.topic)?;
                let part = self.part(start)?;
                files.zero_range(&part.file, from, file_bytes as u64)?;
                part.dirty = true;
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

/// As [`read_exact`], without waiting for the disk where the file system can tell.
///
/// # Errors
/// `WouldBlock`: not all of it is in the page cache; the system may read it meanwhile.
pub(crate) fn read_exact_now(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    let mut read = 0;
    while read < buffer.len() {
        let (from, rest) = (at + read as u64, &mut buffer[read..]);
        match preadv2(file, &mut [IoSliceMut::new(rest)], from, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return read_exact(file, rest, from),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::RealFiles;
    use crate::mmap::Writer;

    #[test]
    fn who_must_not_wait_is_refused_what_is_on_disk_only() {
        const BYTES: usize = 1 << 20;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("0");
        let file = disk::create_sized(&path, BYTES as u64, true).expect("a file");
        let mut writer = Writer::new(&path, 0, file, 0).expect("mapped");
        writer.write(&RealFiles, &[7; BYTES]).expect("written");
        let file = writer.file().file();
        let mut buffer = [0; 4096];
        read_exact_now(file, &mut buffer, 8192).expect("just written");
        assert_eq!(buffer, [7; 4096]);
        let behind = read_exact_now(file, &mut buffer, BYTES as u64 - 1).expect_err("behind the end");
        assert_eq!(behind.kind(), io::ErrorKind::UnexpectedEof);

        file.sync_all().expect("synced");
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).expect("dropped");
        if writer.file().is_resident(0..BYTES) {
            // A file system without a disk, or one that keeps its pages: there is nothing to see.
            return;
        }
        let read = read_exact_now(file, &mut buffer, 0).map_err(|error| error.kind());
        let told = preadv2(file, &mut [IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::NOWAIT);
        let expect = if told == Err(Errno::OPNOTSUPP) { Ok(()) } else { Err(io::ErrorKind::WouldBlock) };
        assert_eq!(read, expect);
        read_exact(file, &mut buffer, 0).expect("who waits gets it");
        read_exact_now(file, &mut buffer, 0).expect("and then everybody");
    }

    #[test]
    fn readers_keep_no_more_files_open_than_allowed_and_a_dirty_one_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = OpenFiles::at_most(2);
        let root = QueueRoot {
            dir: dir.path().to_owned(),
            file_bytes: 20,
            unit_bytes: 20,
            open: Arc::clone(&open),
            diary: Arc::default(),
        };
        let topic = Arc::new(TopicName::new("T"));
        let mut files = QueueFiles::new(&Arc::new(root), &topic, QueueId(0), FileList::default());
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
