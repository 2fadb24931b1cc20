//! Where entries lie in the log: the newest one by one, older ones by marks from which a walk over control records leads on.

use std::collections::VecDeque;

use super::control::{Control, EntryId, EntryKind};
use crate::commit_log::Snapshot;
use crate::message::StoredMessage;

/// Entries of which the place is known without a look at the log.
const RECENT: usize = 64 << 10;
/// Of older entries, every so many is marked, besides the first of each file.
const BETWEEN_MARKS: u64 = 256;

/// An entry and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: EntryId,
    pub(crate) kind: EntryKind,
    /// Its first byte in the log.
    pub(crate) at: i64,
    /// The control record and the messages behind it.
    pub(crate) bytes: usize,
}

impl Place {
    pub(crate) fn end(&self) -> i64 {
        self.at + self.bytes as i64
    }

    /// The entry at `at`, or at the start of the next file if this one has nothing there but a blank.
    pub(crate) fn find(log: &Snapshot, at: i64) -> Option<Self> {
        Self::at(log, at).or_else(|| Self::at(log, log.end_of_file(at)?))
    }

    /// The entry at `at`.
    pub(crate) fn at(log: &Snapshot, at: i64) -> Option<Self> {
        let (file, within) = log.locate(at)?;
        let message = StoredMessage::parse(file.readable().get(within..)?).ok()?;
        if message.physical_offset.0 != at {
            return None;
        }
        Self::of(&message)
    }

    /// The entry that begins with this record, if one does.
    pub(crate) fn of(message: &StoredMessage<'_>) -> Option<Self> {
        Some(Self::with(message, &Control::of(message)?.ok()?))
    }

    /// The entry that begins with this control record.
    pub(crate) fn with(message: &StoredMessage<'_>, control: &Control<'_>) -> Self {
        let (at, bytes) = (message.physical_offset.0, message.size + control.payload);
        Self { id: control.id, kind: control.kind, at, bytes }
    }
}

/// All entries of the log.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Without gaps, ascending.
    recent: VecDeque<Place>,
    /// Index and place of some entries, ascending.
    marks: Vec<(u64, i64)>,
}

impl Places {
    /// Notes the entry behind the last one. `starts_file`: it is the first one of its file.
    pub(crate) fn push(&mut self, place: Place, starts_file: bool) {
        debug_assert!(self.last().is_none_or(|last| last.id.index + 1 == place.id.index && last.end() <= place.at));
        if starts_file || self.marks.is_empty() || place.id.index.is_multiple_of(BETWEEN_MARKS) {
            self.marks.push((place.id.index, place.at));
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(place);
    }

    /// As [`Self::push`], for entries that were written one behind the other.
    pub(crate) fn push_all(&mut self, made: &[(Place, bool)]) {
        made.iter().for_each(|(place, starts_file)| self.push(*place, *starts_file));
    }

    /// Notes an entry of which those behind it are not known yet.
    pub(crate) fn mark(&mut self, place: &Place) {
        self.marks.push((place.id.index, place.at));
    }

    /// Notes a place of an entry that was found again.
    pub(crate) fn know(&mut self, place: Place) {
        self.recent.push_back(place);
    }

    /// Where the last marked entry begins.
    pub(crate) fn last_mark(&self) -> Option<i64> {
        self.marks.last().map(|(_, at)| *at)
    }

    /// The last of the newest entries that ends by `end`.
    pub(crate) fn last_ending_by(&self, end: i64) -> Option<&Place> {
        self.recent.partition_point(|place| place.end() <= end).checked_sub(1).map(|at| &self.recent[at])
    }

    /// Ends of the newest entries, as far as they lie behind `from`.
    pub(crate) fn ends_behind(&self, from: i64) -> impl Iterator<Item = i64> {
        self.recent.iter().rev().map(Place::end).take_while(move |end| *end > from)
    }

    pub(crate) fn last(&self) -> Option<&Place> {
        self.recent.back()
    }

    /// Index of the first entry.
    pub(crate) fn first_index(&self) -> Option<u64> {
        self.marks.first().map(|(index, _)| *index)
    }

    /// Where the first entry begins.
    pub(crate) fn begin(&self) -> Option<i64> {
        self.marks.first().map(|(_, at)| *at)
    }

    /// The place of an entry, or the next one before it from which to walk on.
    pub(crate) fn find(&self, index: u64) -> Found {
        if let Some(first) = self.recent.front()
            && let Some(nth) = index.checked_sub(first.id.index)
        {
            let place = usize::try_from(nth).ok().and_then(|nth| self.recent.get(nth));
            return place.map_or(Found::Nothing, |place| Found::Place(*place));
        }
        let behind = self.marks.partition_point(|(marked, _)| *marked <= index);
        behind.checked_sub(1).map_or(Found::Nothing, |mark| Found::Before(self.marks[mark].1))
    }

    /// Forgets the entries from `index` on; those before it that are no longer known one by one are found by a walk.
    pub(crate) fn cut(&mut self, index: u64) {
        self.marks.truncate(self.marks.partition_point(|(marked, _)| *marked < index));
        let kept = self.recent.partition_point(|place| place.id.index < index);
        self.recent.truncate(kept);
    }

    /// Forgets the entries before `at`, whose files are gone.
    pub(crate) fn purge(&mut self, at: i64) {
        self.marks.drain(..self.marks.partition_point(|(_, marked)| *marked < at));
        self.recent.drain(..self.recent.partition_point(|place| place.at < at));
    }
}

/// What is known of an entry's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Place(Place),
    /// It lies behind the entry that begins here.
    Before(i64),
    Nothing,
}
