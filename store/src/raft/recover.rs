//! Finding the entries of a log that is opened.

use std::ops::ControlFlow;
use std::sync::Arc;

use tracing::warn;

use super::control::{Control, EntryId};
use super::places::{Place, Places};
use crate::error::StoreError;
use crate::message::StoredMessage;
use crate::mmap::MappedFile;
#[cfg(any(test, feature = "testing"))]
use crate::testing::Bug;

/// Goes along with a walk over the records of the log, from the start of a file on.
///
/// A log may have had several groups, one after the other, with the messages of a broker of its own before and between them. Each
/// begins with entry 0 in a new file. Only the entries of the last one are those of the log.
pub(crate) struct EntryWalk<'a> {
    log: &'a [Arc<MappedFile>],
    places: Places,
    /// What was committed before the last stop reaches at least this far.
    committed: i64,
    /// Nothing is known any more of the group whose entries these are.
    has_left: bool,
    current: Option<Place>,
    /// The first record behind the entries that is in none.
    stray: Option<i64>,
}

impl<'a> EntryWalk<'a> {
    /// A walk from the start of file `first` on. `committed`: an entry that begins before was committed.
    pub(crate) fn new(log: &'a [Arc<MappedFile>], first: usize, committed: i64, has_left: bool) -> Self {
        let mut places = Places::default();
        let mut stray = None;
        for file in &log[..first.min(log.len())] {
            let Ok(message) = StoredMessage::parse(file.readable()) else { continue };
            match Place::of(&message) {
                Some(place) => {
                    if place.id.index == 0 {
                        (places, stray) = (Places::default(), None);
                    }
                    places.mark(&place);
                }
                None if places.first_index().is_some() => stray = stray.or(Some(file.start())),
                None => {}
            }
        }
        Self { log, places, committed, has_left, current: None, stray }
    }

    /// Takes the next record; `Break`: the log ends before it.
    pub(crate) fn visit(&mut self, message: &StoredMessage<'_>) -> ControlFlow<()> {
        let at = message.physical_offset.0;
        if self.current.is_some_and(|current| at < current.end()) {
            return ControlFlow::Continue(());
        }
        let Some(control) = Control::of(message) else {
            // What was there before there was a group stays as it is.
            if self.places.first_index().is_some() {
                self.stray = self.stray.or(Some(at));
            }
            return ControlFlow::Continue(());
        };
        let Ok(control) = control else {
            warn!(at, "the Raft log ends in a control record that cannot be read: cut off");
            return ControlFlow::Break(());
        };
        let whole =
            self.payload(at, message.size, control.payload).is_some_and(|bytes| crc32fast::hash(bytes) == control.crc);
        #[cfg(any(test, feature = "testing"))]
        let whole = whole || Bug::KeepsTornEntry.is_in();
        if !whole {
            warn!(at, index = control.id.index, "the Raft log ends in an entry that is not whole: cut off");
            return ControlFlow::Break(());
        }
        if control.id.index == 0 && self.starts_file(at) {
            (self.places, self.current, self.stray) = (Places::default(), None, None);
        }
        let last = self.current.map(|place| place.id);
        if last.is_some_and(|last| last.index + 1 != control.id.index || last.term > control.id.term) {
            warn!(at, ?last, found = ?control.id, "the Raft log ends in an entry out of order: cut off");
            return ControlFlow::Break(());
        }
        let place = Place::with(message, &control);
        self.places.push(place, self.starts_file(at));
        self.current = Some(place);
        ControlFlow::Continue(())
    }

    /// Whether the record visited last is known to have been committed.
    pub(crate) fn is_committed(&self) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if Bug::TakesAllForAgreed.is_in() {
            return true;
        }
        // Nobody is left who could disagree.
        self.has_left || self.current.is_none_or(|current| current.at < self.committed)
    }

    /// All entries, now that the walk met its last record before `end`; and the end of the last entry that is whole.
    ///
    /// # Errors
    /// The log goes on with records that are in no entry.
    pub(crate) fn finish(mut self, end: i64) -> Result<(Places, i64), StoreError> {
        let mut end = end;
        #[cfg(any(test, feature = "testing"))]
        if Bug::KeepsTornEntry.is_in() {
            return Ok((self.places, end));
        }
        if let Some(torn) = self.current.filter(|current| current.end() > end) {
            warn!(at = torn.at, index = torn.id.index, "the Raft log ends amid an entry: cut off");
            self.places.cut(torn.id.index);
            end = torn.at;
        }
        match self.stray.filter(|stray| *stray < end) {
            // Who wrote them was a broker of its own, so the group is over.
            Some(_) if self.has_left => return Ok((Places::default(), end)),
            Some(at) => {
                let why = "records follow that are in no entry: another broker has written to this store meanwhile. Remove \
                           this folder and let the group fill the member anew. Or, if it was the only member, remove the \
                           folder raft in it, so that it makes a new group; or open it as a broker of its own";
                return Err(StoreError::RaftLog { at, why });
            }
            None => {}
        }
        // What filled its file up for an entry that is lost goes, too: the next one may fit there, and then others have it there.
        let last = self.places.last().map(|last| last.end());
        let end = last.map_or(end, |last| last.min(end));
        Ok((self.places, end))
    }

    fn starts_file(&self, at: i64) -> bool {
        self.log.binary_search_by_key(&at, |file| file.start()).is_ok()
    }

    fn payload(&self, at: i64, control: usize, len: usize) -> Option<&'a [u8]> {
        let file = &self.log[self.log.partition_point(|file| file.start() <= at).checked_sub(1)?];
        let within = usize::try_from(at - file.start()).ok()? + control;
        file.readable().get(within..)?.get(..len)
    }
}

/// The last entry that is known to be committed.
pub(crate) fn last_before(places: &Places, end: i64) -> Option<EntryId> {
    places.last_ending_by(end).map(|place| place.id)
}
