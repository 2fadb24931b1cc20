//! Index files, entry by entry.
//!
//! How many slots there are is not written anywhere in a file: it is where the entries begin.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Problem;
use super::files;
use crate::index::keys::Hasher;
use crate::index::layout::{ENTRY_BYTES, Entry, Header, Layout, SLOT_BYTES};
use crate::message::StoredMessage;

/// The slots of a stock broker; others are searched for.
const USUAL_SLOTS: u32 = 5_000_000;
const USUAL_ENTRIES: u32 = 20_000_000;

/// One index file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSummary {
    pub file: String,
    pub bytes: u64,
    /// Times in milliseconds since 1970, and physical offsets, of the first and the last entry.
    pub begin_time: i64,
    pub end_time: i64,
    pub begin_offset: i64,
    pub end_offset: i64,
    pub entries: u32,
    /// `None`: no place was found where the entries could begin.
    pub slots: Option<u32>,
    pub(super) path: PathBuf,
}

/// What lies in the place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) number: u32,
    /// `None`: a field is negative.
    pub(super) entry: Option<Entry>,
    /// Its slot leads to it.
    pub(super) reachable: bool,
}

pub(super) fn find(dir: &Path, problems: &mut Vec<Problem>) -> io::Result<Vec<IndexSummary>> {
    let mut found = Vec::new();
    for path in files::entries(dir)?.into_iter().filter(|path| path.is_file()) {
        let bytes = fs::read(&path)?;
        match summarize(&path, &bytes) {
            Ok(summary) => {
                if summary.slots.is_none() && summary.entries > 0 {
                    problems.push(Problem::new(path.display(), "the header does not go with any entry of the file"));
                }
                found.push(summary);
            }
            Err(what) => problems.push(Problem::new(path.display(), what)),
        }
    }
    Ok(found)
}

/// How many slots and entries the files of a folder have; `None`: that cannot be told, or there are none with entries.
pub(crate) fn layout(dir: &Path) -> io::Result<Option<Layout>> {
    let usual = Layout { slots: USUAL_SLOTS, entries: USUAL_ENTRIES };
    for path in files::entries(dir)?.into_iter().filter(|path| path.is_file()) {
        if fs::metadata(&path)?.len() == usual.file_bytes() {
            return Ok(Some(usual));
        }
        let bytes = fs::read(&path)?;
        let slots = summarize(&path, &bytes).ok().and_then(|summary| summary.slots);
        if let Some(layout) = slots.and_then(|slots| layout_of(&bytes, slots)) {
            return Ok(Some(layout));
        }
    }
    Ok(None)
}

/// Reads the header of the index file in `bytes`, and finds where its entries begin.
fn summarize(path: &Path, bytes: &[u8]) -> Result<IndexSummary, &'static str> {
    let header = bytes.first_chunk().ok_or("the file is too short for an index")?;
    let header = Header::decode(header).ok_or("the header counts slots or entries below zero")?;
    let fits = |slots: &u32| layout_of(bytes, *slots).is_some_and(|layout| fits(bytes, layout, &header));
    let most = u32::try_from(bytes.len() / SLOT_BYTES).unwrap_or(u32::MAX);
    let slots = || Some(USUAL_SLOTS).filter(fits).or_else(|| (1..most).find(fits));
    Ok(IndexSummary {
        file: files::name(path).to_owned(),
        bytes: bytes.len() as u64,
        begin_time: header.begin_time,
        end_time: header.end_time,
        begin_offset: header.begin,
        end_offset: header.end,
        entries: header.count - 1,
        slots: if header.is_empty() { None } else { slots() },
        path: path.to_owned(),
    })
}

/// The layout of a file with so many slots; `None`: whole entries do not fill the rest of it.
fn layout_of(bytes: &[u8], slots: u32) -> Option<Layout> {
    let len = bytes.len() as u64;
    let rest = len.checked_sub(Layout { slots, entries: 0 }.file_bytes())?;
    let layout = Layout { slots, entries: u32::try_from(rest / ENTRY_BYTES as u64).ok()? };
    (layout.file_bytes() == len).then_some(layout)
}

/// Whether this may be the layout: the first entry is the one that the header tells of, and the last is the newest of its
/// slot.
fn fits(bytes: &[u8], layout: Layout, header: &Header) -> bool {
    let last = header.count - 1;
    let is_first = |first: Entry| {
        first.offset == header.begin && first.older == 0 && newest(bytes, layout, first.hash).is_some_and(|it| it > 0)
    };
    header.is_possible(layout)
        && entry(bytes, layout, 1).is_some_and(is_first)
        && entry(bytes, layout, last).is_some_and(|entry| newest(bytes, layout, entry.hash) == Some(last))
}

/// `None`: a field of it is negative, or it is not in the file.
fn entry(bytes: &[u8], layout: Layout, number: u32) -> Option<Entry> {
    bytes.get(layout.entry_at(number) as usize..)?.first_chunk().and_then(Entry::decode)
}

/// Number of the newest entry with this hash, or of another of its slot; 0: there is none. `None`: it is negative.
fn newest(bytes: &[u8], layout: Layout, hash: u32) -> Option<u32> {
    let slot = bytes.get(layout.slot_at(layout.slot_of(hash)) as usize..)?.first_chunk()?;
    u32::try_from(i32::from_be_bytes(*slot)).ok()
}

impl IndexSummary {
    /// Every entry, oldest first. None if the number of slots is not known.
    pub(super) fn read(&self, mut each: impl FnMut(Found)) -> io::Result<()> {
        let Some(slots) = self.slots else { return Ok(()) };
        let bytes = fs::read(&self.path)?;
        let Some(layout) = layout_of(&bytes, slots) else { return Ok(()) };
        // An entry can be found if its slot, or a younger entry that can, points at it.
        let mut reachable = vec![false; self.entries as usize + 1];
        for number in (1..=self.entries).rev() {
            let Some(entry) = entry(&bytes, layout, number) else { continue };
            let is_newest = newest(&bytes, layout, entry.hash) == Some(number);
            reachable[number as usize] |= is_newest;
            if reachable[number as usize] && entry.older < number {
                reachable[entry.older as usize] = true;
            }
        }
        for number in 1..=self.entries {
            let entry = entry(&bytes, layout, number);
            each(Found { number, entry, reachable: reachable[number as usize] });
        }
        Ok(())
    }
}

/// Whether an entry with this hash belongs to a message.
pub(super) fn is_key_of(hash: u32, message: &StoredMessage<'_>) -> bool {
    let mut is_key = false;
    Hasher::default().hashes(message, |key| is_key |= key == hash);
    is_key
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { slots: 7, entries: 6 };

    /// Four entries, the second and the fourth of one slot.
    fn file() -> Vec<u8> {
        let mut header = Header::following(0, 0);
        let mut bytes = vec![0; LAYOUT.file_bytes() as usize];
        let mut put = |at: u64, part: &[u8]| bytes[at as usize..][..part.len()].copy_from_slice(part);
        for (number, hash, older) in [(1, 8, 0), (2, 9, 0), (3, 10, 0), (4, 16, 2)] {
            let seconds = header.add(i64::from(number) * 100, 1_000_000 + i64::from(number) * 1000);
            let entry = Entry { hash, offset: header.end, seconds, older };
            put(LAYOUT.entry_at(number), &entry.encode());
            put(LAYOUT.slot_at(LAYOUT.slot_of(hash)), &number.to_be_bytes());
        }
        header.slots_used = 3;
        put(0, &header.encode());
        bytes
    }

    fn look(bytes: &[u8]) -> (Option<u32>, Vec<Found>, Vec<Problem>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1"), bytes).unwrap();
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        let summaries = find(dir.path(), &mut problems).unwrap();
        summaries.iter().for_each(|summary| summary.read(|found| entries.push(found)).unwrap());
        (summaries.first().and_then(|summary| summary.slots), entries, problems)
    }

    #[test]
    fn the_slots_are_counted_by_where_the_entries_begin() {
        let (slots, entries, problems) = look(&file());
        assert_eq!((slots, problems), (Some(7), Vec::new()));
        assert!(entries.iter().all(|found| found.reachable));
        assert_eq!(entries.iter().map(|found| found.entry.unwrap().offset).collect::<Vec<_>>(), [100, 200, 300, 400]);
    }

    #[test]
    fn an_entry_with_a_negative_field_is_told_from_the_others() {
        for field in [0, 4, 12, 16] {
            let mut bytes = file();
            bytes[LAYOUT.entry_at(3) as usize + field] = 0xFF;
            let (slots, entries, problems) = look(&bytes);
            assert_eq!((slots, problems), (Some(7), Vec::new()));
            let impossible = |found: &&Found| found.entry.is_none();
            assert_eq!(entries.iter().filter(impossible).map(|found| found.number).collect::<Vec<_>>(), [3], "{field}");
            assert!([0, 1, 3].iter().all(|at| entries[*at].reachable), "the others");
        }
    }

    #[test]
    fn a_file_whose_slots_cannot_be_counted_is_a_problem() {
        for (at, value) in [(36, 0xFF), (32, 0x01), (23, 0x01), (LAYOUT.entry_at(1) as usize, 0xFF)] {
            let mut bytes = file();
            bytes[at] = value;
            let (slots, entries, problems) = look(&bytes);
            assert_eq!((slots, entries.len(), problems.len()), (None, 0, 1), "{at}");
        }
        assert_eq!(look(&[0; 39]).2.len(), 1, "too short");
        assert_eq!(look(&vec![0; LAYOUT.file_bytes() as usize]).2, [], "empty");
    }
}
