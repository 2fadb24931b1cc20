//! Where each record has moved to.

use std::io;

use super::ledger::{Found, HEAD_BYTES, Ledger};
use crate::message::BLANK_BYTES;

/// Bytes of the old log between two places that are noted; those between are found by a walk over the entries.
const BETWEEN_MARKS: i64 = 64 << 10;

/// The files of the new log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// First byte of the first file.
    pub(super) start: i64,
    pub(super) file_bytes: i64,
}

impl Layout {
    /// Where a record goes that follows what ends at `end`. Java: `CommitLog.DefaultAppendMessageCallback`.
    pub(super) fn place(&self, end: i64, bytes: usize) -> i64 {
        let left = self.left(end);
        if (bytes + BLANK_BYTES) as i64 > left { end + left } else { end }
    }

    /// Bytes from `end` to the end of the file that the next record goes to.
    pub(super) fn left(&self, end: i64) -> i64 {
        self.file_bytes - (end - self.start).rem_euclid(self.file_bytes)
    }
}

/// From the places of records in the old log to those in the new one. Takes 16 bytes of memory for each 64 KiB of the log.
#[derive(Debug)]
pub(super) struct Moves {
    layout: Layout,
    /// First byte of the entries; records before it stay where they are.
    divide: i64,
    /// An entry, and where the new log ends before it.
    marks: Vec<(i64, i64)>,
    /// Behind the last entry that was taken.
    end: i64,
    ledger: Ledger,
    /// Where the last walk came to.
    last: (i64, i64),
}

impl Moves {
    pub(super) fn new(layout: Layout, divide: i64, ledger: Ledger) -> Self {
        Self { layout, divide, marks: Vec::new(), end: divide, ledger, last: (i64::MAX, 0) }
    }

    /// Where a record goes that follows what ends at `end`.
    pub(super) fn place(&self, end: i64, bytes: usize) -> i64 {
        self.layout.place(end, bytes)
    }

    /// Notes that the entry at `at` was taken, which ends at `end`; the new log ended with `new_end` before it.
    pub(super) fn note(&mut self, at: i64, end: i64, new_end: i64) {
        if self.marks.last().is_none_or(|(marked, _)| at - marked >= BETWEEN_MARKS) {
            self.marks.push((at, new_end));
        }
        self.end = end;
    }

    /// Where the record lies now that lay at `old`; `None`: none did, or it was not taken.
    ///
    /// # Errors
    /// The old log cannot be read.
    pub(super) fn find(&mut self, old: i64) -> io::Result<Option<i64>> {
        if old < self.divide {
            return Ok(Some(old));
        }
        let entry = old - HEAD_BYTES as i64;
        let marked = self.marks.partition_point(|(at, _)| *at <= entry);
        let Some(mark) = marked.checked_sub(1).filter(|_| entry < self.end) else { return Ok(None) };
        // Lookups come in the order of the log, mostly.
        let (mut at, mut new_end) = self.marks[mark];
        if (at..=entry).contains(&self.last.0) {
            (at, new_end) = self.last;
        }
        while at <= entry {
            match self.ledger.head(at)? {
                Found::Blank(next) => at = next,
                Found::Nothing => return Ok(None),
                Found::Entry(head) if head.body == 0 => at = head.end(),
                Found::Entry(head) => {
                    let place = self.layout.place(new_end, head.body);
                    if at == entry {
                        self.last = (at, new_end);
                        return Ok(Some(place));
                    }
                    (at, new_end) = (head.end(), place + head.body as i64);
                }
            }
        }
        Ok(None)
    }
}
