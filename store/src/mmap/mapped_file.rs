//! A file, its mapping, and how much of it may be read.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions, UncheckedAdvice};
use rustix::fs::{Advice, fadvise};

use crate::io::Files;

/// One file of fixed size, readable up to what was published.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    /// Offset of the first byte in the log.
    start: i64,
    file: File,
    map: Mmap,
    /// Bytes from the beginning that may be read; they never change again.
    readable: AtomicUsize,
}

/// The only one who writes a file; there is one per file, and it is not cloned.
#[derive(Debug)]
pub(crate) struct Writer {
    file: Arc<MappedFile>,
    /// Where the next write goes; what lies between `readable` and here can still be taken back.
    position: usize,
}

impl MappedFile {
    /// Opens a file that is complete: all of it may be read, nothing is written any more.
    ///
    /// The caller holds the store's lock file and has no [`Writer`] for this path.
    pub(crate) fn open(path: &Path, start: i64) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let map = map(&file)?;
        let readable = AtomicUsize::new(map.len());
        Ok(Arc::new(Self { path: path.to_owned(), start, file, map, readable }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// What may be read, from the first byte on.
    pub(crate) fn readable(&self) -> &[u8] {
        &self.map[..self.readable.load(Ordering::Acquire)]
    }

    /// When the file was last written to, in milliseconds since 1970.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub(crate) fn written_at(&self) -> io::Result<i64> {
        let metadata = self.file.metadata()?;
        Ok(metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000)
    }

    /// Takes the mapping away and leaves the file, once nobody else has either.
    ///
    /// # Errors
    /// Somebody has: a reader's slices keep it alive.
    pub(crate) fn unmap(this: Arc<Self>) -> Result<File, Arc<Self>> {
        Arc::try_unwrap(this).map(|whole| whole.file)
    }

    /// Whether reading `range` waits for nothing: all of it is in the page cache. True where the system does not tell.
    pub(crate) fn is_resident(&self, range: Range<usize>) -> bool {
        const PAGES: usize = 256;
        let page_bytes = rustix::param::page_size();
        let mut at = range.start / page_bytes * page_bytes;
        let end = range.end.min(self.map.len());
        let mut pages = [0_u8; PAGES];
        while at < end {
            let bytes = (end - at).min(PAGES * page_bytes);
            // SAFETY: `at` is the start of a page of the mapping and `bytes` do not reach behind its end; the array has a
            // byte for each of these pages, which is all that the call writes to.
            let told = unsafe { libc::mincore(self.map.as_ptr().add(at).cast_mut().cast(), bytes, pages.as_mut_ptr()) };
            if told == 0 && pages[..bytes.div_ceil(page_bytes)].iter().any(|page| page & 1 == 0) {
                return false;
            }
            at += bytes;
        }
        true
    }

    /// Has the system read `range` from disk meanwhile, as far as it is not in the page cache.
    ///
    /// # Errors
    /// Failing `fadvise`; nothing has changed.
    pub(crate) fn read_ahead(&self, range: Range<usize>) -> io::Result<()> {
        let length = std::num::NonZeroU64::new(range.len() as u64);
        // Without a length it would be the whole rest of the file.
        length.map_or(Ok(()), |length| Ok(fadvise(&self.file, range.start as u64, Some(length), Advice::WillNeed)?))
    }

    /// Has the system keep `range` in memory no longer.
    ///
    /// # Errors
    /// Failing `madvise` or `fadvise`.
    pub(crate) fn forget(&self, range: Range<usize>) -> io::Result<()> {
        let length = std::num::NonZeroU64::new(range.len() as u64);
        // Pages that are mapped stay.
        // SAFETY: as in `release_pages`.
        unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len())? };
        length.map_or(Ok(()), |length| Ok(fadvise(&self.file, range.start as u64, Some(length), Advice::DontNeed)?))
    }

    /// Lets go of the pages that reads have mapped into the process; the page cache keeps them.
    ///
    /// # Errors
    /// Failing `madvise`; nothing has changed.
    pub(crate) fn release_pages(&self) -> io::Result<()> {
        // SAFETY: The mapping is shared and of a file: what is read next, through slices that exist already too, comes
        // from the same pages of the page cache again.
        unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) }
    }
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: The mapping belongs to the `MappedFile`, which outlives every slice of it (`pages` holds an `Arc`). Slices
    // end at `readable`, and the file's only `Writer` writes behind it. Other processes are kept out by the lock file of
    // the store, and nothing in this process truncates a mapped file.
    unsafe { MmapOptions::new().map(file) }
}

impl Writer {
    /// Takes over `file`, of which the first `written` bytes hold data and stay as they are.
    pub(crate) fn new(path: &Path, start: i64, file: File, written: usize) -> io::Result<Self> {
        let map = map(&file)?;
        let readable = AtomicUsize::new(written.min(map.len()));
        let position = readable.load(Ordering::Relaxed);
        Ok(Self { file: Arc::new(MappedFile { path: path.to_owned(), start, file, map, readable }), position })
    }

    /// Goes back to `position` in a file that was written to already. What lies behind it must never have been confirmed: only
    /// who brings it to other brokers can have slices of it, and they find out by its checksum that it has changed.
    pub(crate) fn resume(file: Arc<MappedFile>, position: usize) -> Self {
        file.readable.store(position, Ordering::Release);
        Self { file, position }
    }

    pub(crate) fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }

    /// Offset in the log of the next byte written.
    pub(crate) fn end(&self) -> i64 {
        self.file.start + self.position as i64
    }

    /// Where the next write goes, in the file.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Bytes left in the file.
    pub(crate) fn left(&self) -> usize {
        self.file.len() - self.position
    }

    /// Writes behind what was written so far. Nobody sees it before [`Self::publish`].
    ///
    /// # Errors
    /// Failing I/O, or more bytes than are left; the position has not moved.
    pub(crate) fn write(&mut self, files: &dyn Files, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.left() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        files.write_at(&self.file.file, bytes, self.position as u64)?;
        self.position += bytes.len();
        Ok(())
    }

    /// As [`Self::write`], of two parts that lie one behind the other.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub(crate) fn write_parts(&mut self, files: &dyn Files, parts: [&[u8]; 2]) -> io::Result<()> {
        let bytes = parts[0].len() + parts[1].len();
        if bytes > self.left() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        files.write_parts_at(&self.file.file, parts, self.position as u64)?;
        self.position += bytes;
        Ok(())
    }

    /// Lets readers see what was written.
    pub(crate) fn publish(&mut self) {
        self.file.readable.store(self.position, Ordering::Release);
    }

    /// Lets readers see the whole file, to which nothing more is written.
    pub(crate) fn finish(self) {
        self.file.readable.store(self.file.len(), Ordering::Release);
    }

    /// Takes back what was written since the last [`Self::publish`].
    pub(crate) fn take_back(&mut self) {
        self.position = self.file.readable.load(Ordering::Relaxed);
    }
}
