//! One index file: opened, looked into, brought to disk.
//!
//! Read and written by `pread` and `pwrite`, never mapped: its slots are hit at random, so that a mapping would keep most of
//! them resident, and a full disk would show as a signal instead of an error.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::Advice;
use thiserror::Error;

use super::layout::{ENTRY_BYTES, Entry, HEADER_BYTES, Header, Layout, SLOT_BYTES};
use crate::io::Files;

/// Entries read at once on the way along a chain: those of one key often lie close together.
const ENTRIES_AT_ONCE: u32 = 200;

#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) path: PathBuf,
    /// The digits of its name.
    pub(super) name: u64,
    pub(super) file: File,
    pub(super) layout: Layout,
    pub(super) header: Header,
}

/// What no writer of index files leaves behind.
#[derive(Debug, Error)]
pub(super) enum Damage {
    #[error("it has {found} bytes, not the {expected} that maxHashSlotNum and maxIndexNum make")]
    Size { found: u64, expected: u64 },
    #[error("its header is impossible")]
    Header,
    #[error("entry {0} is impossible")]
    Entry(u32),
    #[error("slot {0} points outside")]
    Slot(u32),
    #[error("read it: {0}")]
    Io(#[from] io::Error),
}

impl IndexFile {
    pub(super) fn open(path: &Path, name: u64, layout: Layout) -> Result<Self, Damage> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (found, expected) = (file.metadata()?.len(), layout.file_bytes());
        if found != expected {
            return Err(Damage::Size { found, expected });
        }
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        let header = Header::decode(&bytes).filter(|header| header.is_possible(layout)).ok_or(Damage::Header)?;
        Ok(Self { path: path.to_owned(), name, file, layout, header })
    }

    /// Makes an empty file that begins with `header`.
    pub(super) fn create(path: &Path, name: u64, layout: Layout, header: Header, disk: &dyn Files) -> io::Result<Self> {
        let file = disk.create_sized(path, layout.file_bytes(), false)?;
        if let Some(dir) = path.parent() {
            disk.sync_dir(dir)?;
        }
        Ok(Self { path: path.to_owned(), name, file, layout, header })
    }

    pub(super) fn is_full(&self) -> bool {
        self.header.is_full(self.layout)
    }

    /// Gives `each` the physical offsets kept under `hash` whose time may lie from `begin` to `end`, in milliseconds, the
    /// newest first. Entries keep whole seconds, so that the time has to be looked at again.
    ///
    /// # Errors
    /// The file is damaged or cannot be read; what was found before that was given.
    ///
    /// Java: `IndexFile.selectPhyOffset`.
    pub(super) fn select(
        &self,
        hash: u32,
        (begin, end): (i64, i64),
        mut each: impl FnMut(i64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Damage> {
        let slot = self.layout.slot_of(hash);
        let mut bytes = [0; SLOT_BYTES];
        self.file.read_exact_at(&mut bytes, self.layout.slot_at(slot))?;
        // As in Java, what cannot be the number of an entry means that there is none.
        let Ok(mut number) = u32::try_from(i32::from_be_bytes(bytes)) else { return Ok(ControlFlow::Continue(())) };
        if number >= self.layout.entries {
            return Err(Damage::Slot(slot));
        }
        let mut entries = Entries { file: self, first: 0, bytes: Vec::new() };
        while number > 0 {
            let entry = entries.get(number)?.filter(|entry| self.layout.slot_of(entry.hash) == slot);
            // Entries only point at older ones, so this ends whatever the file holds.
            let entry = entry.filter(|entry| entry.older < number).ok_or(Damage::Entry(number))?;
            // The time of the first entry counts from somewhere else.
            let is_first = number == 1;
            let earliest = self.header.begin_time.saturating_add(i64::from(entry.seconds) * 1000);
            let latest = earliest.saturating_add(999);
            let in_time = is_first || (latest >= begin && earliest <= end);
            if entry.hash == hash && in_time && each(entry.offset).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if latest < begin && !is_first {
                break;
            }
            number = entry.older;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Brings all of the file to disk, and lets go of its pages: a full one is hardly read again.
    pub(super) fn finish(&self, disk: &dyn Files) -> io::Result<()> {
        disk.sync_data(&self.file)?;
        rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
        Ok(())
    }
}

/// Entries read with their neighbours.
struct Entries<'a> {
    file: &'a IndexFile,
    /// Number of the first one in `bytes`.
    first: u32,
    bytes: Vec<u8>,
}

impl Entries<'_> {
    fn get(&mut self, number: u32) -> io::Result<Option<Entry>> {
        let held = (self.bytes.len() / ENTRY_BYTES) as u32;
        if !(self.first..self.first + held).contains(&number) {
            // Chains lead to older entries, which lie before this one.
            self.first = number.saturating_sub(ENTRIES_AT_ONCE - 1);
            self.bytes.resize((number - self.first + 1) as usize * ENTRY_BYTES, 0);
            self.file.file.read_exact_at(&mut self.bytes, self.file.layout.entry_at(self.first))?;
        }
        let at = (number - self.first) as usize;
        Ok(self.bytes.as_chunks().0.get(at).and_then(Entry::decode))
    }
}
