//! The files of a DLedger member: entries one behind the other, in equal-sized files.
//!
//! ```text
//! entry: 0 magic i32 │ 4 size i32 │ 8 index i64 │ 16 term i64 │ 24 its own place i64 │ 32 three zeros i32 │ 44 body size i32 │ body
//! blank: 0 −1 i32; nothing follows in this file
//! ```
//! A body is one record of RocketMQ, or nothing: newer members of DLedger begin a reign with an empty entry.
//!
//! Java: `DLedgerEntryCoder`, `DLedgerMmapFileStore.recover`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::inspect::files::{Segment, Segments};

/// Java: `DLedgerEntry.BODY_OFFSET`.
pub(super) const HEAD_BYTES: usize = 48;
const HEAD: i64 = HEAD_BYTES as i64;
/// Java: `MmapFileList.BLANK_MAGIC_CODE`.
const BLANK: i32 = -1;
/// Of messages and of the empty entry of newer members. Java: `DLedgerEntryType`.
const MAGICS: std::ops::RangeInclusive<i32> = 1..=2;

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) index: i64,
    pub(super) term: i64,
    /// Where the entry lies.
    pub(super) at: i64,
    /// Bytes of the body.
    pub(super) body: usize,
}

impl Head {
    /// Where the record lies that is its body.
    pub(super) fn record(&self) -> i64 {
        self.at + HEAD
    }

    pub(super) fn end(&self) -> i64 {
        self.record() + self.body as i64
    }
}

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Entry(Head),
    /// Nothing more in this file; where the next one begins.
    Blank(i64),
    /// No entry, and no blank.
    Nothing,
}

/// A cursor over the files.
#[derive(Debug)]
pub(super) struct Ledger {
    segments: Segments,
    /// Bytes read at once.
    chunk: usize,
    open: Option<(usize, File)>,
    known_from: i64,
    known: Vec<u8>,
}

impl Ledger {
    pub(super) fn new(segments: Segments, chunk: usize) -> Self {
        Self { segments, chunk, open: None, known_from: 0, known: Vec::new() }
    }

    /// The file that holds `at`.
    pub(super) fn segment(&self, at: i64) -> Option<&Segment> {
        self.number_of(at).map(|number| &self.segments.list[number])
    }

    fn number_of(&self, at: i64) -> Option<usize> {
        let number = self.segments.list.partition_point(|segment| segment.start <= at).checked_sub(1)?;
        (at < self.segments.list[number].end()).then_some(number)
    }

    /// What lies at `at`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn head(&mut self, at: i64) -> io::Result<Found> {
        let Some(file_end) = self.segment(at).map(Segment::end) else { return Ok(Found::Nothing) };
        match self.bytes(at, 4)? {
            // There is always room for a blank, but for one that was never written.
            None => return Ok(Found::Blank(file_end)),
            Some(magic) if magic == BLANK.to_be_bytes() => return Ok(Found::Blank(file_end)),
            Some(_) => {}
        }
        let Some(head) = self.bytes(at, HEAD_BYTES)? else { return Ok(Found::Nothing) };
        let (magic, size, body) = (int(head, 0), int(head, 4), int(head, 44));
        let (index, term, place) = (long(head, 8), long(head, 16), long(head, 24));
        let is_entry = MAGICS.contains(&magic)
            && place == at
            && index >= 0
            && term >= 0
            && body >= 0
            && i64::from(size) == HEAD + i64::from(body)
            && at + i64::from(size) <= file_end;
        Ok(if is_entry { Found::Entry(Head { index, term, at, body: body as usize }) } else { Found::Nothing })
    }

    /// The body behind this head.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn body(&mut self, head: &Head) -> io::Result<&[u8]> {
        let body = self.bytes(head.record(), head.body)?;
        body.ok_or_else(|| io::Error::other("an entry reaches over the end of its file"))
    }

    /// Whether the next bytes were never written.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn is_free(&mut self, at: i64) -> io::Result<bool> {
        let len = self.segment(at).map_or(0, |segment| (segment.end() - at).min(8) as usize);
        Ok(self.bytes(at, len)?.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0)))
    }

    /// So many bytes from `at` on; `None`: they are not in one file.
    fn bytes(&mut self, at: i64, len: usize) -> io::Result<Option<&[u8]>> {
        let Some(number) = self.number_of(at) else { return Ok(None) };
        let segment = &self.segments.list[number];
        let left = (segment.end() - at) as usize;
        if len > left {
            return Ok(None);
        }
        let is_known = self.known_from <= at && at + len as i64 <= self.known_from + self.known.len() as i64;
        if !is_known {
            if self.open.as_ref().is_none_or(|(opened, _)| *opened != number) {
                self.open = Some((number, File::open(&segment.path)?));
            }
            let (_, file) = self.open.as_ref().expect("it was opened above");
            self.known.resize(len.max(self.chunk).min(left), 0);
            self.known_from = at;
            let read = file.read_exact_at(&mut self.known, (at - segment.start) as u64);
            if read.is_err() {
                self.known.clear();
            }
            read?;
        }
        let within = (at - self.known_from) as usize;
        Ok(Some(&self.known[within..within + len]))
    }
}

fn int(bytes: &[u8], at: usize) -> i32 {
    bytes[at..].first_chunk().map_or(0, |field| i32::from_be_bytes(*field))
}

fn long(bytes: &[u8], at: usize) -> i64 {
    bytes[at..].first_chunk().map_or(0, |field| i64::from_be_bytes(*field))
}

/// What a member noted beside its entries, every few seconds and as it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// Index of the last entry that it knew to be agreed on. Java before dledger 0.4 only.
    pub(super) committed: Option<i64>,
    pub(super) term: Option<i64>,
    /// For whom it voted in that term.
    pub(super) voted_for: Option<String>,
}

impl Noted {
    /// Reads the notes in a member's folder.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        let [checkpoint, term] = [properties(&dir.join("checkpoint"))?, properties(&dir.join("currterm"))?];
        let number = |text: Option<&String>| text.and_then(|text| text.parse().ok()).filter(|number| *number >= 0);
        Ok(Self {
            committed: number(checkpoint.get("committedIndex")),
            term: number(term.get("currTerm")),
            voted_for: term.get("voteLeader").filter(|name| !name.is_empty()).cloned(),
        })
    }
}

/// `name=value` lines; none if there is no such file.
fn properties(path: &Path) -> io::Result<HashMap<String, String>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}
