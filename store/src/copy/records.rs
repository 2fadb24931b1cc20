//! What the queues get of records that come from another broker.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::types::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use tracing::warn;

use super::CopyError;
use crate::consume_queue::{Queue, Queues};
use crate::dispatch::QueueEntry;
use crate::error::AppendError;
use crate::message::{BLANK_BYTES, BadRecord, Check, Head, StoredMessage};
use crate::shared::Shared;

/// Longest hole in a light queue. Java leaves one where a message names a queue twice.
const HOLE_MAX: i64 = 1000;
/// Queues that are found without a look into the table of all.
const RECENT: usize = 512;

/// Whole records that lie side by side, on their way into the log. Used again and again.
#[derive(Debug, Default)]
pub(super) struct Records {
    places: Vec<Place>,
    recent: Recent,
    pub(super) count: usize,
    /// Time of the last one.
    pub(super) stored: Timestamp,
}

/// What one queue gets.
#[derive(Debug)]
struct Place {
    entry: QueueEntry,
    stored: Timestamp,
    /// The next offset of the queue before.
    before: i64,
    behind_hole: bool,
}

/// What ends a run of records.
#[derive(Debug)]
pub(super) enum Stop {
    /// The rest of the next one is still to come.
    Partial,
    /// A blank record, of so many bytes.
    Blank { size: usize },
    /// The next one begins this queue anew: the master has forgotten it, or there is nothing of it here.
    Anew(Arc<Queue>),
    /// The next one cannot be taken.
    Error(CopyError),
}

impl From<CopyError> for Stop {
    fn from(error: CopyError) -> Self {
        Self::Error(error)
    }
}

impl Records {
    /// Takes up the records at the start of `bytes`, which lie at `at` and end before `file_end`, and gives them their places in
    /// the queues; how many bytes they have, and what is behind them. The caller holds the append lock.
    pub(super) fn gather(&mut self, shared: &Shared, bytes: &[u8], at: i64, file_end: i64) -> (usize, Stop) {
        let check = shared.config.record_check();
        let mut within = 0;
        loop {
            match self.next(shared, check, &bytes[within..], at + within as i64, file_end) {
                Ok(size) => within += size,
                Err(stop) => return (within, stop),
            }
        }
    }

    /// Takes up one record; its size.
    fn next(&mut self, shared: &Shared, check: Check, bytes: &[u8], at: i64, file_end: i64) -> Result<usize, Stop> {
        if bytes.is_empty() {
            return Err(Stop::Partial);
        }
        let left = (file_end - at) as usize;
        let bad = |why| CopyError::Record { at: PhysicalOffset(at), why };
        let size = match Head::parse(bytes) {
            None if left >= BLANK_BYTES => return Err(Stop::Partial),
            None => return Err(CopyError::FileSize { at: PhysicalOffset(at), bytes: BLANK_BYTES, left }.into()),
            Some(Ok(Head::Blank { size })) if size == left => return Err(Stop::Blank { size }),
            Some(Ok(Head::Message { size, .. })) if size <= left => size,
            Some(Ok(Head::Blank { size } | Head::Message { size, .. })) => {
                return Err(CopyError::FileSize { at: PhysicalOffset(at), bytes: size, left }.into());
            }
            Some(Err(error)) => return Err(bad(error.into()).into()),
        };
        let Some(record) = bytes.get(..size) else { return Err(Stop::Partial) };
        let message = StoredMessage::parse(record).map_err(|error| bad(error.into()))?;
        if message.physical_offset.0 != at {
            let says = message.physical_offset;
            return Err(CopyError::NotContinuing { at: PhysicalOffset(at), says }.into());
        }
        check.pass(&message, record).map_err(|error: BadRecord| bad(error))?;
        self.place(shared, &message)?;
        self.count += 1;
        self.stored = message.store_timestamp;
        Ok(size)
    }

    /// Gives a record its places in the queues, or none of them.
    fn place(&mut self, shared: &Shared, message: &StoredMessage<'_>) -> Result<(), Stop> {
        let Self { places, recent, .. } = self;
        let (queues, config) = (&shared.queues, &shared.config);
        let first = places.len();
        let own = QueueEntry::with(message, config, |topic, id, batches| recent.find(queues, topic, id, batches));
        let stored = message.store_timestamp;
        let mut placed = own.map_or(Ok(()), |entry| take_place(places, entry, stored));
        if config.light_queues && placed.is_ok() {
            for entry in QueueEntry::light_of(message, queues, config) {
                // A queue that is named twice gets the message once.
                if !places[first..].iter().any(|place| Arc::ptr_eq(&place.entry.queue, &entry.queue)) {
                    placed = take_light_place(places, entry, stored);
                }
                if placed.is_err() {
                    break;
                }
            }
        }
        if placed.is_err() {
            give_back(places, first);
        }
        placed
    }

    /// Has queues that get their first entry begin where it is.
    ///
    /// # Errors
    /// Failing I/O; the records have to be [forgotten](Self::forget).
    pub(super) fn begin_queues(&self, shared: &Shared) -> Result<(), AppendError> {
        let begin = self.places.iter().filter(|place| place.before == 0 && place.entry.offset > 0);
        Ok(begin.into_iter().try_for_each(|place| place.entry.queue.begin(&*shared.disk, place.entry.offset))?)
    }

    /// Leaves what the queues get to the dispatch.
    pub(super) fn hand_over(&mut self, shared: &Shared) {
        shared.dispatch.hand_over(|work| {
            for place in &self.places {
                place.entry.push(work, place.stored);
                if place.behind_hole {
                    work.is_behind_hole();
                }
            }
        });
        self.places.clear();
        self.count = 0;
    }

    /// Gives all places back: the records are not written.
    pub(super) fn forget(&mut self) {
        give_back(&mut self.places, 0);
        self.count = 0;
    }
}

fn take_place(places: &mut Vec<Place>, entry: QueueEntry, stored: Timestamp) -> Result<(), Stop> {
    let before = entry.queue.next.load(Ordering::Relaxed);
    // A queue without entries begins wherever its first message of this log is: those before it are gone.
    let is_new = before == 0 && !entry.queue.exists();
    if before != entry.offset && !is_new {
        // As it does if nothing but blanks is left of it, or nothing that is still in the log.
        if entry.offset == 0 || entry.offset > before && entry.queue.holds_nothing(before) {
            return Err(Stop::Anew(entry.queue));
        }
        let (offset, next) = (QueueOffset(entry.offset), QueueOffset(before));
        let (topic, queue_id) = ((*entry.queue.topic).clone(), entry.queue.queue_id);
        return Err(CopyError::Queue { topic, queue_id, offset, next }.into());
    }
    put_place(places, entry, stored, before, false);
    Ok(())
}

/// As [`take_place`], of a light queue. Its offset is in a property, and a client may have sent that: it must not end the copying.
fn take_light_place(places: &mut Vec<Place>, entry: QueueEntry, stored: Timestamp) -> Result<(), Stop> {
    let before = entry.queue.next.load(Ordering::Relaxed);
    let hole = entry.offset - before;
    if before == 0 || entry.offset == 0 || hole == 0 {
        return take_place(places, entry, stored);
    } else if (0..=HOLE_MAX).contains(&hole) {
        put_place(places, entry, stored, before, true);
    } else {
        warn!(topic = %entry.queue.topic, offset = entry.offset, next = before, record = entry.unit.physical,
            "offset in a light queue that does not go on there, left out");
    }
    Ok(())
}

fn put_place(places: &mut Vec<Place>, entry: QueueEntry, stored: Timestamp, before: i64, behind_hole: bool) {
    entry.queue.next.store(entry.offset + entry.count as i64, Ordering::Relaxed);
    places.push(Place { entry, stored, before, behind_hole });
}

/// Gives back the places from the `first` on.
fn give_back(places: &mut Vec<Place>, first: usize) {
    for place in places.drain(first..).rev() {
        place.entry.queue.next.store(place.before, Ordering::Relaxed);
    }
}

/// Queues that records went to a moment ago, each where chance puts its name.
#[derive(Debug)]
struct Recent {
    slots: Vec<Option<(Arc<Queue>, bool)>>,
    hasher: RandomState,
}

impl Default for Recent {
    fn default() -> Self {
        Self { slots: vec![None; RECENT], hasher: RandomState::new() }
    }
}

impl Recent {
    fn find(&mut self, queues: &Queues, topic: &str, id: QueueId, batches: bool) -> Option<Arc<Queue>> {
        let slot = &mut self.slots[self.hasher.hash_one((topic, id.0)) as usize % RECENT];
        if let Some((queue, of_batches)) = slot
            && (queue.queue_id, *of_batches) == (id, batches)
            && **queue.topic == *topic
            && !queue.is_removed()
        {
            return Some(Arc::clone(queue));
        }
        let found = queues.of_record(topic, id, batches)?;
        *slot = Some((Arc::clone(&found), batches));
        Some(found)
    }
}
