//! Index files, entry by entry.
//!
//! A header of 40 bytes, slots of 4, entries of 20: `[key hash: i32][physical offset: i64][seconds since the first: i32][entry
//! before it in the slot: i32]`. How many slots there are is not written anywhere: it is where the entries begin.
//!
//! Java: `IndexFile`, `IndexHeader`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Problem;
use super::files;
use crate::message::properties::name;
use crate::message::{StoredMessage, java_hash};

const HEADER_BYTES: usize = 40;
const SLOT_BYTES: usize = 4;
const ENTRY_BYTES: usize = 20;
/// The slots of a stock broker; others are searched for.
const USUAL_SLOTS: usize = 5_000_000;

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
    pub entries: u64,
    /// `None`: no place was found where the entries could begin.
    pub slots: Option<u64>,
    pub(super) path: PathBuf,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) hash: i32,
    pub(super) physical: i64,
    pub(super) seconds: i32,
    /// Entry before it in the slot; 0: none.
    pub(super) previous: i32,
}

pub(super) fn find(dir: &Path, problems: &mut Vec<Problem>) -> io::Result<Vec<IndexSummary>> {
    let mut found = Vec::new();
    for path in files::entries(dir)?.into_iter().filter(|path| path.is_file()) {
        let bytes = fs::read(&path)?;
        let Some(summary) = summarize(&path, &bytes) else {
            problems.push(Problem::new(path.display(), "the file is too short for an index"));
            continue;
        };
        if summary.slots.is_none() && summary.entries > 0 {
            problems.push(Problem::new(path.display(), "the header does not go with any entry of the file"));
        }
        found.push(summary);
    }
    Ok(found)
}

/// Reads the header of the index file in `bytes`, and where its entries begin.
pub(super) fn summarize(path: &Path, bytes: &[u8]) -> Option<IndexSummary> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let long = |at: usize| header[at..].first_chunk().map(|field| i64::from_be_bytes(*field));
    // The count starts at 1.
    let count = header[36..].first_chunk().map(|field| i32::from_be_bytes(*field))?;
    let mut summary = IndexSummary {
        file: files::name(path).to_owned(),
        bytes: bytes.len() as u64,
        begin_time: long(0)?,
        end_time: long(8)?,
        begin_offset: long(16)?,
        end_offset: long(24)?,
        entries: u64::try_from(i64::from(count) - 1).unwrap_or(0),
        slots: None,
        path: path.to_owned(),
    };
    if summary.entries > 0 {
        let most = (bytes.len() - HEADER_BYTES) / SLOT_BYTES;
        let usual = Some(USUAL_SLOTS).filter(|slots| fits(bytes, *slots, &summary));
        summary.slots =
            usual.or_else(|| (1..most).find(|slots| fits(bytes, *slots, &summary))).map(|slots| slots as u64);
    }
    Some(summary)
}

/// Whether entries could begin behind so many slots: all lie in the file, the first is the one that the header tells of, and
/// every one is in the slot of its key.
fn fits(bytes: &[u8], slots: usize, summary: &IndexSummary) -> bool {
    let Some(first) = entry(bytes, slots, 1) else { return false };
    let last = usize::try_from(summary.entries).ok().and_then(|last| entry(bytes, slots, last));
    let whole =
        (bytes.len() - HEADER_BYTES).checked_sub(slots * SLOT_BYTES).is_some_and(|rest| rest % ENTRY_BYTES == 0);
    whole
        && first.physical == summary.begin_offset
        && first.previous == 0
        && first.seconds == 0
        && slot(bytes, slots, first.hash) > 0
        && last.is_some_and(|last| i64::try_from(last.number) == Ok(slot(bytes, slots, last.hash).into()))
}

fn entry(bytes: &[u8], slots: usize, number: usize) -> Option<Entry> {
    let at = HEADER_BYTES + slots * SLOT_BYTES + number * ENTRY_BYTES;
    let (hash, rest) = bytes.get(at..at + ENTRY_BYTES)?.split_first_chunk()?;
    let (physical, rest) = rest.split_first_chunk()?;
    let (seconds, rest) = rest.split_first_chunk()?;
    let previous = rest.first_chunk()?;
    Some(Entry {
        number: number as u64,
        hash: i32::from_be_bytes(*hash),
        physical: i64::from_be_bytes(*physical),
        seconds: i32::from_be_bytes(*seconds),
        previous: i32::from_be_bytes(*previous),
    })
}

/// Number of the newest entry with this hash, or of another of its slot.
fn slot(bytes: &[u8], slots: usize, hash: i32) -> i32 {
    let at = HEADER_BYTES + usize::try_from(hash).unwrap_or(0) % slots * SLOT_BYTES;
    bytes.get(at..).and_then(|field| field.first_chunk()).map_or(0, |field| i32::from_be_bytes(*field))
}

impl IndexSummary {
    /// Every entry, oldest first, and whether it can be found from its slot.
    pub(super) fn read(&self, mut each: impl FnMut(Entry, bool)) -> io::Result<()> {
        let Some(slots) = self.slots.and_then(|slots| usize::try_from(slots).ok()) else { return Ok(()) };
        let bytes = fs::read(&self.path)?;
        let count = usize::try_from(self.entries).unwrap_or(usize::MAX);
        // An entry can be found if its slot, or a younger entry that can, points at it.
        let mut reachable = vec![false; count.min(bytes.len() / ENTRY_BYTES) + 1];
        for number in (1..reachable.len()).rev() {
            let Some(entry) = entry(&bytes, slots, number) else { break };
            if usize::try_from(slot(&bytes, slots, entry.hash)) == Ok(number) {
                reachable[number] = true;
            }
            let previous = usize::try_from(entry.previous).unwrap_or(0);
            if reachable[number] && previous < number {
                reachable[previous] = true;
            }
        }
        for (number, reachable) in reachable.into_iter().enumerate().skip(1) {
            if let Some(entry) = entry(&bytes, slots, number) {
                each(entry, reachable);
            }
        }
        Ok(())
    }
}

/// Whether an entry with this hash belongs to a message. Java: `IndexService.buildIndex`.
pub(super) fn is_key_of(hash: i32, message: &StoredMessage<'_>) -> bool {
    let is = |key: &str| key_hash(&format!("{}#{key}", message.topic)) == hash;
    let keys = message.property(name::KEYS).into_iter().flat_map(|keys| keys.split(' '));
    message.property(name::UNIQ_KEY).is_some_and(is)
        || keys.into_iter().any(is)
        || message.property(name::TAGS).is_some_and(|tags| is(&format!("T#{tags}")))
}

/// Java: `IndexFile.indexKeyHashMethod`.
fn key_hash(text: &str) -> i32 {
    java_hash(text).checked_abs().unwrap_or(0)
}
