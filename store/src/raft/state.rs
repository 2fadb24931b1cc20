//! What a store that is a Raft log knows of its entries, beside the bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};
use remoting::types::{PhysicalOffset, Timestamp};
use tokio::sync::watch;

use super::control::{Control, EntryId, EntryKind};
use super::places::{Found, Place, Places};
use super::recover;
use crate::commit_log::Snapshot;
use crate::error::AppendError;
use crate::watermark::Lost;

pub(crate) struct RaftState {
    /// Changed under the append lock only.
    head: Mutex<Head>,
    places: RwLock<Places>,
    committed_at_open: Option<EntryId>,
    /// The store was closed before it was opened.
    was_closed: bool,
    /// Retention may delete files that end before this.
    released: AtomicI64,
    pins: Mutex<Pins>,
    expendable: watch::Sender<Option<Expendable>>,
    /// Control records end with a checksum over all of them.
    record_crc: bool,
    lost: Arc<Lost>,
}

/// What retention would delete of the log, if the group needed it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expendable {
    /// The first entry that stays; a file of the log begins with it.
    pub first_kept: u64,
    /// The disk is nearly full.
    pub at_once: bool,
}

/// From where on each of those that read whole files wants the log kept.
#[derive(Debug, Default)]
struct Pins {
    number: u64,
    from: BTreeMap<u64, i64>,
}

/// Who may append.
#[derive(Default)]
struct Head {
    last: Option<EntryId>,
    reign: Option<Reign>,
}

/// Is told of every entry, in order, while the append lock is held.
pub(crate) type Tell = Box<dyn Fn(EntryId) + Send>;

/// While this broker leads, it makes entries of what is appended.
struct Reign {
    term: u64,
    node: u32,
    tell: Tell,
}

impl std::fmt::Debug for RaftState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftState").field("last", &self.head.lock().last).finish_non_exhaustive()
    }
}

impl RaftState {
    /// `committed`: what lies before was committed.
    pub(crate) fn new(places: Places, committed: i64, was_closed: bool, record_crc: bool, lost: Arc<Lost>) -> Self {
        let last = places.last().map(|place| place.id);
        let committed_at_open = recover::last_before(&places, committed);
        Self {
            head: Mutex::new(Head { last, reign: None }),
            places: RwLock::new(places),
            committed_at_open,
            was_closed,
            released: AtomicI64::new(0),
            pins: Mutex::default(),
            expendable: watch::Sender::new(None),
            record_crc,
            lost,
        }
    }

    pub(crate) fn committed_at_open(&self) -> Option<EntryId> {
        self.committed_at_open
    }

    pub(crate) fn was_closed(&self) -> bool {
        self.was_closed
    }

    pub(crate) fn last(&self) -> Option<EntryId> {
        self.head.lock().last
    }

    pub(crate) fn first_index(&self) -> Option<u64> {
        self.places.read().first_index()
    }

    /// The place of entry `index`, looked up in the log if it is an old one.
    pub(crate) fn place(&self, log: &Snapshot, index: u64) -> Option<Place> {
        let found = self.places.read().find(index);
        let mut at = match found {
            Found::Place(place) => return Some(place),
            Found::Before(at) => at,
            Found::Nothing => return None,
        };
        loop {
            let place = Place::find(log, at)?;
            if place.id.index >= index {
                return (place.id.index == index).then_some(place);
            }
            at = place.end();
        }
    }

    /// Whether no file lies before this entry that holds entries.
    pub(crate) fn is_in_first_file(&self, log: &Snapshot, place: &Place) -> bool {
        let begin = self.places.read().begin();
        begin.and_then(|begin| log.end_of_file(begin)).is_some_and(|end| place.at < end)
    }

    /// The entry behind this one.
    pub(crate) fn place_after(&self, log: &Snapshot, place: &Place) -> Option<Place> {
        match self.places.read().find(place.id.index + 1) {
            Found::Place(next) => Some(next),
            Found::Before(_) => Place::find(log, place.end()),
            Found::Nothing => None,
        }
    }

    /// Begins a reign: from now on appends make entries, the first of them behind `last`.
    ///
    /// # Errors
    /// The log ends with another entry: it was written to since.
    pub(crate) fn lead(&self, last: EntryId, term: u64, node: u32, tell: Tell) -> Result<(), Option<EntryId>> {
        let mut head = self.head.lock();
        if head.last != Some(last) {
            return Err(head.last);
        }
        head.reign = Some(Reign { term, node, tell });
        Ok(())
    }

    /// Ends the reign, if there is one: appends are refused, and what lies behind `confirmed` is given up.
    pub(crate) fn follow(&self, confirmed: i64) {
        self.head.lock().reign = None;
        self.lost.add(self.places.read().ends_behind(confirmed));
    }

    pub(crate) fn leads(&self) -> bool {
        self.head.lock().reign.is_some()
    }

    /// For the appender, who holds the append lock.
    ///
    /// # Errors
    /// This broker does not lead.
    pub(crate) fn seal(&self) -> Result<Sealing<'_>, AppendError> {
        let head = self.head.lock();
        if head.reign.is_none() {
            return Err(AppendError::NotLeader);
        }
        Ok(Sealing { state: self, head, made: Vec::new(), control: Vec::new() })
    }

    pub(crate) fn control_bytes(&self) -> usize {
        Control::len(self.record_crc)
    }

    pub(crate) fn record_crc(&self) -> bool {
        self.record_crc
    }

    /// Notes entries of the group that were written, under the append lock. A reign ends with them: it has not made them, and what
    /// it made next would not be the entries that the group expects.
    pub(crate) fn note(&self, made: &[(Place, bool)]) {
        self.places.write().push_all(made);
        if let Some((place, _)) = made.last() {
            *self.head.lock() = Head { last: Some(place.id), reign: None };
        }
    }

    /// Forgets the entries from `index` on, under the append lock. `log` still has those before it.
    ///
    /// # Errors
    /// The log has no entry where one was marked.
    pub(crate) fn cut(&self, log: &Snapshot, index: u64) -> io::Result<()> {
        let mut places = self.places.write();
        places.cut(index);
        if places.last().is_none()
            && let Some(mut at) = places.last_mark()
        {
            // Nothing of the newest is left: those before them are the newest now.
            loop {
                let place = Place::find(log, at).ok_or_else(|| io::Error::other("an entry of the Raft log is gone"))?;
                at = place.end();
                let is_last = place.id.index + 1 == index;
                places.know(place);
                if is_last {
                    break;
                }
            }
        }
        let last = places.last().map(|place| place.id);
        let mut head = self.head.lock();
        (head.last, head.reign) = (last, None);
        Ok(())
    }

    /// Up to where nobody needs anything of the log any more.
    pub(crate) fn released(&self) -> i64 {
        self.released.load(Ordering::Acquire).min(self.pinned_from())
    }

    /// From where on somebody wants the log kept.
    pub(crate) fn pinned_from(&self) -> i64 {
        self.pins.lock().from.values().copied().min().unwrap_or(i64::MAX)
    }

    /// Keeps the log from `from` on until [`Self::unpin`].
    pub(crate) fn pin(&self, from: i64) -> u64 {
        let mut pins = self.pins.lock();
        pins.number += 1;
        let number = pins.number;
        pins.from.insert(number, from);
        number
    }

    /// Lets go what lies before `from`.
    pub(crate) fn move_pin(&self, pin: u64, from: i64) {
        if let Some(pinned) = self.pins.lock().from.get_mut(&pin) {
            *pinned = from.max(*pinned);
        }
    }

    pub(crate) fn unpin(&self, pin: u64) {
        self.pins.lock().from.remove(&pin);
    }

    /// Tells the group that files which end by `before`, where a file begins, would go. The log is on disk up to `flushed`.
    pub(crate) fn offer(&self, log: &Snapshot, before: i64, flushed: i64, at_once: bool) {
        let begin = self.places.read().begin();
        match Place::at(log, before) {
            // A crash of the machine must leave an entry, or nobody could tell where the log goes on.
            Some(first) if first.end() > flushed => {}
            // What lies before is older than the group, which knows nothing of it.
            _ if begin.is_none_or(|begin| before <= begin) => self.release(before),
            Some(first) => {
                self.expendable.send_replace(Some(Expendable { first_kept: first.id.index, at_once }));
            }
            None => {}
        }
    }

    /// What was offered last, and what will be.
    pub(crate) fn expendable(&self) -> watch::Receiver<Option<Expendable>> {
        self.expendable.subscribe()
    }

    pub(crate) fn release(&self, before: i64) {
        self.released.fetch_max(before, Ordering::AcqRel);
    }

    /// Forgets what lay before `at`: its files are gone.
    pub(crate) fn purge(&self, at: i64) {
        self.places.write().purge(at);
    }
}

/// Entries being made of one batch, or of a change of state.
pub(crate) struct Sealing<'a> {
    state: &'a RaftState,
    head: MutexGuard<'a, Head>,
    made: Vec<(Place, bool)>,
    /// The control record of the next entry.
    control: Vec<u8>,
}

impl Sealing<'_> {
    /// Bytes before the messages of each entry.
    pub(crate) fn control_bytes(&self) -> usize {
        self.state.control_bytes()
    }

    /// What the next entry is called.
    pub(crate) fn next_id(&self) -> EntryId {
        let reign = self.head.reign.as_ref().expect("only who leads seals");
        let before = self.made.last().map(|(place, _)| place.id).or(self.head.last);
        EntryId { index: before.map_or(0, |last| last.index + 1), term: reign.term, node: reign.node }
    }

    /// Takes an entry that was written under the [next name](Self::next_id), and whether it starts a file.
    pub(crate) fn add(&mut self, made: (Place, bool)) {
        self.made.push(made);
    }

    /// The control record of an entry with these records, which lies at `at`.
    pub(crate) fn seal(&mut self, at: i64, records: &[u8], count: usize, now: Timestamp, starts_file: bool) -> &[u8] {
        let id = self.next_id();
        self.control.clear();
        Control::before(id, records, count).encode(&mut self.control, PhysicalOffset(at), now, self.state.record_crc);
        let bytes = self.control.len() + records.len();
        self.made.push((Place { id, kind: EntryKind::Messages, at, bytes }, starts_file));
        &self.control
    }

    /// They are written: notes them, and tells.
    pub(crate) fn publish(mut self) {
        self.state.places.write().push_all(&self.made);
        self.head.last = self.made.last().map(|(place, _)| place.id).or(self.head.last);
        let reign = self.head.reign.as_ref().expect("only who leads seals");
        for (place, _) in &self.made {
            self.state.lost.remove(place.end());
            (reign.tell)(place.id);
        }
    }
}
