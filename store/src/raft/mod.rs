//! A store whose log is a Raft log, as the crate sees it that has a group agree on it.
//!
//! ```text
//! entry = control record ─ messages …        (or a control record alone)
//!
//! leader:   append ─▶ entries at the end of the log ─ tell ─▶ the group
//! follower: the group ─ append_entries ─▶ the same bytes at the same places
//! both:     the group ─ confirm ─▶ watermark ─▶ queues, index, answers
//! ```
//!
//! One log, written once: entries are the records of an ordinary store, with a [control record](control) before those that
//! belong together, so a Java broker can open it, too. An entry never reaches across files. Whoever leads gives its messages
//! their offsets and its entries their index as it writes them, under the append lock; the group hears of them in that
//! order. What it does not agree on is taken back, on every member, before anything else is written there: nothing of it was
//! ever confirmed, so nobody has seen it.
//!
//! Opening the store finds the entries again: it walks over the last files and cuts an entry off that is not whole.
//! What the queues show was committed; later entries wait for the group.
//!
//! The messages of a broker that becomes the first member of a group stay where they are: its entries begin in the next file.
//!
//! Retention deletes nothing by itself: it tells what [would go](RaftLog::expendable), and the group [lets it go](RaftLog::release)
//! once nobody needs it. A log whose first files are gone begins with a later entry.

mod control;
mod places;
mod recover;
mod state;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use remoting::types::{PhysicalOffset, QueueId, TopicName};
use thiserror::Error;
use tokio::sync::watch;

pub(crate) use self::control::Control;
pub use self::control::{BadControl, EntryId, EntryKind};
pub(crate) use self::places::{Place, Places};
pub(crate) use self::recover::EntryWalk;
pub use self::state::Expendable;
pub(crate) use self::state::{RaftState, Sealing};
use crate::commit_log::{Flushes, Stamped};
use crate::config::FlushMode;
use crate::dispatch::QueueEntry;
use crate::error::AppendError;
use crate::message::{DecodeError, StoredMessage};
use crate::shared::Shared;
use crate::watermark::Confirmation;

/// The hand of the group on a store; see [`crate::Store::open_raft`].
#[derive(Clone, Debug)]
pub struct RaftLog {
    shared: Arc<Shared>,
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: EntryId,
    pub kind: EntryKind,
    /// As it lies in the log: a control record and what is behind it.
    pub bytes: Bytes,
}

/// An entry that was not written as it stands in another broker's log.
#[derive(Debug, Error)]
pub enum StampedError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("{entry:?} cannot follow {last:?}")]
    Order { entry: EntryId, last: Option<EntryId> },
    #[error(
        "the log of the group begins at {at}, behind messages from before the group, which this member lacks: its log ends at \
         {end}"
    )]
    Older { at: i64, end: i64 },
    #[error("{entry:?} lies at {at}, but this log ends at {end}: the logs are not the same")]
    Diverged { entry: EntryId, at: i64, end: i64 },
    #[error(
        "queue {queue_id} of topic {topic} would get offset {offset}, but its next one is {next}: the logs are not the same"
    )]
    Queue { topic: TopicName, queue_id: QueueId, offset: i64, next: i64 },
    #[error("it is no entry: {0}")]
    Record(#[from] DecodeError),
    #[error("it is no entry: {0}")]
    Control(#[from] BadControl),
    #[error("it is no entry: {0}")]
    Shape(&'static str),
}

impl From<io::Error> for StampedError {
    fn from(error: io::Error) -> Self {
        Self::Append(error.into())
    }
}

impl Entry {
    /// Takes an entry apart that came from another broker.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: Bytes) -> Result<Self, StampedError> {
        let (id, kind) = {
            let message = StoredMessage::parse(&bytes)?;
            let control = control_of(&message)?;
            (control.id, control.kind)
        };
        Ok(Self { id, kind, bytes })
    }

    /// What a control record without messages carries.
    pub fn data(&self) -> Bytes {
        let data =
            StoredMessage::parse(&self.bytes).ok().and_then(|message| Some(Control::of(&message)?.ok()?.data.to_vec()));
        data.unwrap_or_default().into()
    }
}

fn control_of<'a>(message: &StoredMessage<'a>) -> Result<Control<'a>, StampedError> {
    Ok(Control::of(message).ok_or(StampedError::Shape("its first record is of another topic"))??)
}

impl RaftLog {
    /// `shared.raft` is there.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn state(&self) -> &RaftState {
        self.shared.raft.as_ref().expect("only a store that is a Raft log gets this handle")
    }

    /// Index of the first entry that is kept.
    pub fn first_index(&self) -> Option<u64> {
        self.state().first_index()
    }

    pub fn last(&self) -> Option<EntryId> {
        self.state().last()
    }

    /// The entry with this index, if it is kept.
    pub fn id_of(&self, index: u64) -> Option<EntryId> {
        self.place(index).map(|place| place.id)
    }

    /// The end of entry `index` in the log.
    pub fn end_of(&self, index: u64) -> Option<PhysicalOffset> {
        self.place(index).map(|place| PhysicalOffset(place.end()))
    }

    /// Where entry `index` begins in the log.
    pub fn start_of(&self, index: u64) -> Option<PhysicalOffset> {
        self.place(index).map(|place| PhysicalOffset(place.at))
    }

    /// Where entry 0 begins, or will begin; `None`: it is not kept any more. What lies before is from before the group, and in no
    /// entry: who is to have this log needs it first.
    pub fn begin(&self) -> Option<PhysicalOffset> {
        match self.first_index() {
            Some(_) => self.place(0).map(|place| PhysicalOffset(place.at)),
            None => Some(self.end()),
        }
    }

    /// The end of the log.
    pub fn end(&self) -> PhysicalOffset {
        PhysicalOffset(self.shared.log.end())
    }

    /// The last entry that was known to be committed when the store was opened.
    pub fn committed_at_open(&self) -> Option<EntryId> {
        self.state().committed_at_open()
    }

    /// Whether the store was closed before it was opened now: all that it took was on disk then.
    pub fn was_closed(&self) -> bool {
        self.state().was_closed()
    }

    fn place(&self, index: u64) -> Option<Place> {
        self.state().place(&self.shared.log.snapshot(), index)
    }

    /// The entries from index `from` on and before `to`, as many as `max_bytes` allow, but at least one if there is one.
    pub fn read(&self, from: u64, to: u64, max_bytes: usize) -> Vec<Entry> {
        let log = self.shared.log.snapshot();
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = if from < to { self.state().place(&log, from) } else { None };
        while let Some(place) = next {
            bytes += place.bytes;
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            let slice = log.locate(place.at).and_then(|(file, within)| file.slice(within..within + place.bytes));
            let Some(slice) = slice else { break };
            entries.push(Entry { id: place.id, kind: place.kind, bytes: slice });
            let index = place.id.index + 1;
            next = if index < to { self.state().place_after(&log, &place) } else { None };
        }
        entries
    }

    /// Begins a reign behind `last`, the blank entry that the group has agreed on: from now on appends make entries of this
    /// term and node. `tell` hears of each, in order, under the append lock: it must be quick.
    ///
    /// # Errors
    /// The log ends with another entry, which is given back.
    pub fn lead(
        &self,
        last: EntryId,
        term: u64,
        node: u32,
        tell: impl Fn(EntryId) + Send + 'static,
    ) -> Result<(), Option<EntryId>> {
        let _appends = self.shared.log.lock();
        self.state().lead(last, term, node, Box::new(tell))
    }

    /// Ends the reign: appends are refused from now on. Whoever waits for a confirmation hears that there is none; what
    /// they wrote may be agreed on all the same.
    pub fn follow(&self) {
        #[cfg(any(test, feature = "testing"))]
        if crate::testing::Bug::EndsReignSilently.is_in() {
            return self.state().follow(i64::MAX);
        }
        {
            let _appends = self.shared.log.lock();
            self.state().follow(self.shared.watermark.confirmed().0);
        }
        self.shared.watermark.give_up();
    }

    /// Whether appends are taken.
    pub fn leads(&self) -> bool {
        self.state().leads()
    }

    /// Writes an entry without messages behind the last one; the end of the log then.
    ///
    /// # Errors
    /// It cannot follow the last one, or cannot be written; nothing has changed.
    pub fn append_alone(&self, id: EntryId, kind: EntryKind, data: &[u8]) -> Result<PhysicalOffset, StampedError> {
        let shared = &*self.shared;
        let control = Control::alone(id, kind, data);
        let end = shared.log.append_alone(&control, self.state(), &shared.clock, || shared.may_write())?;
        self.ask_for_flush();
        Ok(PhysicalOffset(end))
    }

    /// Makes an entry of a change of state, and tells the group of it as of messages; its end in the log.
    ///
    /// # Errors
    /// [`AppendError::NotLeader`], or it cannot be written; nothing has changed.
    pub fn append_state(&self, change: &[u8]) -> Result<PhysicalOffset, AppendError> {
        let shared = &*self.shared;
        let may_write = || shared.may_write();
        let end = shared.log.append_state(change, self.state(), &shared.config, &shared.clock, may_write);
        let end = end.map_err(|error| shared.note_refusal(error))?;
        self.ask_for_flush();
        Ok(PhysicalOffset(end))
    }

    /// Writes entries of another broker behind the last one; the end of the log then.
    ///
    /// # Errors
    /// They do not continue this log, or cannot be written; nothing has changed.
    pub fn append_entries(&self, entries: &[Entry]) -> Result<PhysicalOffset, StampedError> {
        let shared = &*self.shared;
        let stamped = entries.iter().map(stamped).collect::<Result<Vec<_>, _>>()?;
        let queue_entry = |message: &StoredMessage<'_>| QueueEntry::of(message, &shared.queues, &shared.config);
        let may_write = || shared.may_write();
        let end = shared.log.append_stamped(&stamped, self.state(), &shared.dispatch, queue_entry, may_write)?;
        self.ask_for_flush();
        Ok(PhysicalOffset(end))
    }

    fn ask_for_flush(&self) {
        if self.shared.config.flush == FlushMode::Sync {
            self.shared.flush_signal.raise();
        }
    }

    /// Takes the entries from `index` on back, none of which the group has agreed on. Ends the reign.
    ///
    /// # Errors
    /// Failing I/O: the store takes no more writes.
    pub fn truncate(&self, index: u64) -> io::Result<()> {
        self.follow();
        let Some(place) = self.place(index) else { return Ok(()) };
        let shared = &*self.shared;
        if shared.watermark.confirmed().0 > place.at {
            return Err(io::Error::other(format!("entry {index} was confirmed: it cannot be taken back")));
        }
        // With the blank that may stand before it: the next entry may fit where this one did not.
        let at = index.checked_sub(1).and_then(|before| self.place(before)).map_or(place.at, |before| before.end());
        let cut = shared.log.cut(at, index, &shared.queues, &shared.dispatch, self.state());
        if cut.is_err() {
            shared.poison();
        }
        cut
    }

    /// The group has agreed on entry `index` and those before it: readers see them, and who waits is answered.
    pub fn confirm(&self, index: u64) {
        if let Some(end) = self.end_of(index) {
            self.shared.confirm(end.0);
        }
    }

    /// What retention would delete of the log. It is told again from time to time, and deletes nothing before that is
    /// [released](Self::release).
    pub fn expendable(&self) -> watch::Receiver<Option<Expendable>> {
        self.state().expendable()
    }

    /// The group needs no entry before `index` any more: the files of the log before it are deleted, whatever else is kept. What is
    /// from before the group goes with the first file of entries, or before it as retention has it go.
    pub fn release(&self, index: u64) {
        let Some(place) = self.place(index) else { return };
        if !self.state().is_in_first_file(&self.shared.log.snapshot(), &place) {
            self.state().release(place.at);
            self.shared.cleaning.signal.raise();
        }
    }

    /// Brings the log to disk as far as entry `index`, if it is there. Blocks.
    ///
    /// # Errors
    /// The disk failed: the store takes no more writes.
    pub fn sync(&self, index: u64) -> io::Result<()> {
        let Some(end) = self.end_of(index) else { return Ok(()) };
        let log = &self.shared.log;
        if log.flushed() < end.0 {
            self.shared.flush();
        }
        if log.flushed() < end.0 { Err(io::Error::other("the log could not be flushed")) } else { Ok(()) }
    }

    /// Calls `then` once the log is on disk up to `end`, or will not be: from the thread that settles it, or at once.
    pub fn when_on_disk(&self, end: PhysicalOffset, then: Box<dyn FnOnce(Confirmation) + Send>) {
        self.shared.log.on_disk().when_confirmed(end.0, then);
    }

    /// [`Self::when_on_disk`] for those who wait.
    pub fn on_disk(&self, end: PhysicalOffset) -> impl Future<Output = Confirmation> + Send + use<> {
        self.shared.log.on_disk().confirmation(end.0)
    }

    /// Calls `then` once the group has agreed on the log up to `end`, or will not: from the thread that confirms, or at once.
    pub fn when_agreed(&self, end: PhysicalOffset, then: Box<dyn FnOnce(Confirmation) + Send>) {
        self.shared.watermark.when_confirmed(end.0, then);
    }

    /// [`Self::when_agreed`] for those who wait.
    pub fn agreed(&self, end: PhysicalOffset) -> impl Future<Output = Confirmation> + Send + use<> {
        self.shared.watermark.confirmation(end.0)
    }

    /// How long it takes to bring the log to disk.
    pub fn flushes(&self) -> Flushes {
        self.shared.log.flushes(self.shared.is_poisoned())
    }

    /// Whether somebody writes to the log at this moment.
    pub fn is_being_written(&self) -> bool {
        self.shared.log.is_being_written()
    }

    /// Whether entries count only once they are on disk.
    pub fn is_synchronous(&self) -> bool {
        self.shared.config.flush == FlushMode::Sync
    }
}

/// Takes an entry apart and checks that it is whole.
fn stamped(entry: &Entry) -> Result<Stamped<'_>, StampedError> {
    let message = StoredMessage::parse(&entry.bytes)?;
    let control = control_of(&message)?;
    let payload = &entry.bytes[message.size..];
    if payload.len() != control.payload {
        return Err(StampedError::Shape("its control record names another length"));
    }
    if crc32fast::hash(payload) != control.crc {
        return Err(StampedError::Shape("its checksum is wrong"));
    }
    let (at, mut within) = (message.physical_offset.0, message.size);
    let mut records = Vec::with_capacity(usize::from(control.count));
    while within < entry.bytes.len() {
        let record = StoredMessage::parse(&entry.bytes[within..])?;
        if record.physical_offset.0 != at + within as i64 {
            return Err(StampedError::Shape("a record of it belongs to another place"));
        }
        within += record.size;
        records.push(record);
    }
    let place = Place::with(&message, &control);
    Ok(Stamped { place, bytes: &entry.bytes, stored: message.store_timestamp, records })
}

#[cfg(test)]
mod tests;
