//! Entries on their way into a file: gathered, then written with a few calls for many.
//!
//! Every entry needs the old value of its slot and changes it, and slots are hit at random. So a batch is put into the order
//! of the slots' blocks: each block is read once and written once, however many entries fall into it.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::file::IndexFile;
use super::layout::{ENTRY_BYTES, Entry, HEADER_BYTES, Header, Layout, SLOT_BYTES};
use crate::io::Files;

/// Entries gathered before they are written, about 3.5 MiB with what sorts them. The more there are, the fewer calls each
/// one takes; beyond this it is little.
const ENTRIES_MAX: usize = 128 << 10;
/// Slots are read and written by pages of the file.
const BLOCK_BYTES: u64 = 4096;
/// Entries written by one call.
const ENTRIES_PER_WRITE: usize = 4096;

/// Entries for one file; made again from its header when that file is known.
#[derive(Debug)]
pub(super) struct Batch {
    /// As the file's will be when the batch is written.
    header: Header,
    /// Number of the first entry.
    first: u32,
    entries: Vec<Entry>,
    /// The slots were asked for what was there before. Then they must not be asked again: a write that failed may have
    /// changed some of them.
    linked: bool,
    /// Indices into `entries` by block of their slots, and within a block by age.
    order: Vec<u32>,
    /// Of each block that is touched: its number and its part of `order`.
    blocks: Vec<(u64, Range<usize>)>,
}

impl Batch {
    pub(super) fn new(header: Header) -> Self {
        Self { header, first: header.count, entries: Vec::new(), linked: false, order: Vec::new(), blocks: Vec::new() }
    }

    /// Starts afresh behind what `header` counts.
    pub(super) fn restart(&mut self, header: Header) {
        self.header = header;
        self.first = header.count;
        self.entries.clear();
        self.linked = false;
    }

    /// Gives the memory back until there is more to do.
    pub(super) fn shrink(&mut self) {
        if self.entries.is_empty() {
            (self.entries, self.order, self.blocks) = (Vec::new(), Vec::new(), Vec::new());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it has to be written before the next entry comes.
    pub(super) fn is_due(&self, layout: Layout) -> bool {
        self.linked || self.entries.len() >= ENTRIES_MAX || self.header.is_full(layout)
    }

    /// Adds an entry. The batch is not due.
    pub(super) fn push(&mut self, hash: u32, offset: i64, time: i64) {
        let seconds = self.header.add(offset, time);
        self.entries.push(Entry { hash, offset, seconds, older: 0 });
    }

    /// Writes everything: the entries first, then the slots that point at them, then the header that counts them.
    ///
    /// # Errors
    /// The disk failed. The batch is kept, and this may be tried again; until then some slots may point at entries that the
    /// header does not count.
    pub(super) fn write(&mut self, file: &mut IndexFile, disk: &dyn Files) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        if !self.linked {
            self.sort(file.layout);
            self.link(file)?;
        }
        self.write_entries(file, disk)?;
        self.write_slots(file, disk)?;
        disk.write_at(&file.file, &self.header.encode(), 0)?;
        file.header = self.header;
        self.restart(self.header);
        Ok(())
    }

    /// Orders the entries by block, by counting.
    fn sort(&mut self, layout: Layout) {
        let block_of = |entry: &Entry| layout.slot_at(layout.slot_of(entry.hash)) / BLOCK_BYTES;
        let block_count = (layout.slot_at(layout.slots) / BLOCK_BYTES + 1) as usize;
        self.order.clear();
        self.order.resize(self.entries.len(), 0);
        self.blocks.clear();
        if self.entries.len() < block_count / 8 {
            // Too few to look at every block.
            (0..).zip(&mut self.order).for_each(|(at, place)| *place = at);
            let entries = &self.entries;
            self.order.sort_unstable_by_key(|at| (block_of(&entries[*at as usize]), *at));
        } else {
            let mut starts = vec![0u32; block_count + 1];
            for entry in &self.entries {
                starts[block_of(entry) as usize + 1] += 1;
            }
            (1..=block_count).for_each(|block| starts[block] += starts[block - 1]);
            for (at, entry) in (0..).zip(&self.entries) {
                let place = &mut starts[block_of(entry) as usize];
                self.order[*place as usize] = at;
                *place += 1;
            }
        }
        let mut start = 0;
        let entries = &self.entries;
        for run in self.order.chunk_by(|a, b| block_of(&entries[*a as usize]) == block_of(&entries[*b as usize])) {
            self.blocks.push((block_of(&entries[run[0] as usize]), start..start + run.len()));
            start += run.len();
        }
    }

    /// Gives every entry the number of the one before it in its slot.
    fn link(&mut self, file: &IndexFile) -> io::Result<()> {
        let mut slots_used = 0;
        let mut bytes = Vec::new();
        for (block, run) in &self.blocks {
            let start = read_block(file, *block, &mut bytes)?;
            for at in &self.order[run.clone()] {
                let entry = &mut self.entries[*at as usize];
                let slot = slot_in(&mut bytes, start, file.layout, entry.hash);
                let number = self.first + at;
                // As in Java, a slot that cannot be right counts as empty.
                entry.older =
                    u32::try_from(i32::from_be_bytes(*slot)).ok().filter(|older| *older < number).unwrap_or(0);
                slots_used += u32::from(entry.older == 0);
                *slot = number.to_be_bytes();
            }
        }
        // A damaged header could have counted more than there are.
        self.header.slots_used = self.header.slots_used.saturating_add(slots_used).min(file.layout.slots);
        self.linked = true;
        Ok(())
    }

    fn write_entries(&self, file: &IndexFile, disk: &dyn Files) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(ENTRIES_PER_WRITE.min(self.entries.len()) * ENTRY_BYTES);
        let mut number = self.first;
        for entries in self.entries.chunks(ENTRIES_PER_WRITE) {
            bytes.clear();
            entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.encode()));
            disk.write_at(&file.file, &bytes, file.layout.entry_at(number))?;
            number += entries.len() as u32;
        }
        Ok(())
    }

    fn write_slots(&self, file: &IndexFile, disk: &dyn Files) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (block, run) in &self.blocks {
            if let [at] = self.order[run.clone()] {
                let slot = file.layout.slot_of(self.entries[at as usize].hash);
                disk.write_at(&file.file, &(self.first + at).to_be_bytes(), file.layout.slot_at(slot))?;
                continue;
            }
            let start = read_block(file, *block, &mut bytes)?;
            for at in &self.order[run.clone()] {
                let hash = self.entries[*at as usize].hash;
                *slot_in(&mut bytes, start, file.layout, hash) = (self.first + at).to_be_bytes();
            }
            disk.write_at(&file.file, &bytes, start)?;
        }
        Ok(())
    }
}

/// Reads the slots of a block; returns where in the file they begin.
fn read_block(file: &IndexFile, block: u64, bytes: &mut Vec<u8>) -> io::Result<u64> {
    let start = (block * BLOCK_BYTES).max(HEADER_BYTES as u64);
    let end = ((block + 1) * BLOCK_BYTES).min(file.layout.slot_at(file.layout.slots));
    bytes.resize((end - start) as usize, 0);
    file.file.read_exact_at(bytes, start)?;
    Ok(start)
}

/// The slot of `hash` in a block that begins at `start`.
fn slot_in(bytes: &mut [u8], start: u64, layout: Layout, hash: u32) -> &mut [u8; SLOT_BYTES] {
    let at = (layout.slot_at(layout.slot_of(hash)) - start) as usize;
    bytes[at..].first_chunk_mut().expect("a block holds whole slots, and the entry was put into this one")
}
