//! Where one group stands in the queues of one topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use remoting::types::{QueueId, QueueOffset};

use super::places::Places;

/// Offsets by queue; locked for a moment at each access, and shared by all who pull for the group.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    queues: Mutex<Queues>,
    era: Arc<Era>,
}

#[derive(Debug, Default)]
struct Queues {
    places: Places<Place>,
    /// The era in which a committed offset last changed.
    changed: u64,
}

/// Counts how often somebody has asked what changed; all offsets share it. What changes from then on is of the next era, so
/// that the next one who asks need not be told what has not.
#[derive(Debug, Default)]
pub(super) struct Era(AtomicU64);

impl Era {
    /// Begins the next one.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// To be read under the lock of what changes: whoever asks next locks it after beginning an era.
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Next message to consume, as the group said. Survives a restart; the others do not.
    committed: Option<QueueOffset>,
    /// Next message to pull.
    pulled: Option<QueueOffset>,
    /// Where an administrator has put the group, until a pull takes it there.
    reset: Option<QueueOffset>,
    /// What the last pull found, or what comes behind it, was not in memory.
    cold: bool,
    /// A pop reads the queue; others leave it alone.
    popping: bool,
    /// One did so since.
    turned_away: bool,
}

/// Whether a pop may read a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Another one is at it.
    Busy,
    /// Until [`Progress::end_pop`].
    Ours { committed: Option<QueueOffset> },
}

/// What a pull has to know before it reads; so has a pop, once it is its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Where to send the group instead: a reset, which ends by being told.
    pub(crate) reset: Option<QueueOffset>,
    /// The next messages are probably not in memory.
    pub(crate) cold: bool,
}

/// Queues of one topic that a group can have offsets of; commits beyond are refused. Java has no bound, and like Java we
/// do not check that a committed queue exists.
const QUEUES_MAX: usize = 100_000;

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    Done,
    /// A reset waits for its pull, and a group that does not know of it yet must not undo it.
    ResetPending,
    /// More is committed already; of [`Progress::commit_forward`] only.
    Behind,
    TooManyQueues,
}

impl Progress {
    pub(super) fn new(era: &Arc<Era>) -> Self {
        Self { queues: Mutex::default(), era: Arc::clone(era) }
    }

    /// What is committed, if it changed in this era or a later one.
    pub(super) fn changed_since(&self, era: u64) -> Option<Vec<(QueueId, QueueOffset)>> {
        let queues = self.queues.lock();
        (queues.changed >= era).then(|| queues.committed())
    }

    /// Where the group goes on: the pending reset, or else what it committed.
    pub(crate) fn get(&self, queue: QueueId) -> Option<QueueOffset> {
        let place = self.place(queue);
        place.reset.or(place.committed)
    }

    /// The next message to pull; what [`Progress::get`] says if none was pulled since the start.
    pub(crate) fn pulled(&self, queue: QueueId) -> Option<QueueOffset> {
        let place = self.place(queue);
        place.pulled.or(place.reset).or(place.committed)
    }

    /// Offsets by queue as committed, without resets.
    pub(crate) fn committed(&self) -> Vec<(QueueId, QueueOffset)> {
        self.queues.lock().committed()
    }

    /// Takes an offset as it is, also one ahead of the queue.
    pub(crate) fn commit(&self, queue: QueueId, offset: QueueOffset) -> Commit {
        self.change(queue, |place| {
            if place.reset.is_some() {
                return Commit::ResetPending;
            }
            place.committed = Some(offset);
            Commit::Done
        })
    }

    /// After a pull: where the next one will start, what the group commits along with it, and whether it read messages
    /// that are no longer in memory.
    pub(crate) fn pull(&self, queue: QueueId, next: QueueOffset, commit: Option<QueueOffset>, cold: bool) -> Commit {
        self.change(queue, |place| {
            place.pulled = Some(next);
            place.cold = cold;
            place.committed = commit.or(place.committed);
            Commit::Done
        })
    }

    /// Puts the group elsewhere; the next pull of the queue is told.
    pub(crate) fn reset(&self, queue: QueueId, to: QueueOffset) -> Commit {
        self.change(queue, |place| {
            place.reset = Some(to);
            place.committed = Some(to);
            Commit::Done
        })
    }

    /// As [`Progress::commit`], unless more is committed already.
    pub(super) fn commit_forward(&self, queue: QueueId, offset: QueueOffset) -> Commit {
        self.change(queue, |place| {
            if place.reset.is_some() {
                return Commit::ResetPending;
            }
            if place.committed > Some(offset) {
                return Commit::Behind;
            }
            place.committed = Some(offset);
            Commit::Done
        })
    }

    /// Takes an offset as another broker has it, whatever it was before.
    pub(super) fn copy(&self, queue: QueueId, offset: QueueOffset) {
        self.change(queue, |place| {
            place.committed = Some(offset);
            Commit::Done
        });
    }

    /// Before messages are read.
    pub(crate) fn begin(&self, queue: QueueId) -> Start {
        let mut queues = self.queues.lock();
        let place = queues.places.get_mut(queue);
        place.map_or_else(Start::default, |place| Start { reset: place.reset.take(), cold: place.cold })
    }

    /// Before a pop, whose queue exists and so has a place here whatever else is committed.
    pub(crate) fn begin_pop(&self, queue: QueueId) -> Turn {
        let mut queues = self.queues.lock();
        let place = queues.places.get_or_default(queue);
        if place.popping {
            place.turned_away = true;
            return Turn::Busy;
        }
        place.popping = true;
        Turn::Ours { committed: place.committed }
    }

    /// After a pop; true if another one was turned away meanwhile.
    pub(crate) fn end_pop(&self, queue: QueueId) -> bool {
        let mut queues = self.queues.lock();
        let Some(place) = queues.places.get_mut(queue) else { return false };
        place.popping = false;
        std::mem::take(&mut place.turned_away)
    }

    /// Whether a pop reads the queue just now.
    pub(crate) fn is_popping(&self, queue: QueueId) -> bool {
        self.place(queue).popping
    }

    /// Commits an offset that is known not to be lower than it was, whatever else is committed meanwhile.
    pub(crate) fn advance(&self, queue: QueueId, to: QueueOffset) {
        self.change(queue, |place| {
            place.committed = place.committed.max(Some(to));
            Commit::Done
        });
    }

    /// Replaces what is committed by what another group has committed.
    pub(crate) fn copy_from(&self, other: &Self) {
        let committed = other.committed();
        let mut queues = self.queues.lock();
        queues.places.values_mut().for_each(|place| place.committed = None);
        for (queue, offset) in committed {
            queues.places.get_or_default(queue).committed = Some(offset);
        }
        queues.changed = self.era.now();
    }

    fn place(&self, queue: QueueId) -> Place {
        self.queues.lock().places.get(queue).copied().unwrap_or_default()
    }

    fn change(&self, queue: QueueId, change: impl FnOnce(&mut Place) -> Commit) -> Commit {
        let mut queues = self.queues.lock();
        let Queues { places, changed } = &mut *queues;
        let full = places.len() >= QUEUES_MAX;
        let place = match places.get(queue) {
            None if full => return Commit::TooManyQueues,
            _ => places.get_or_default(queue),
        };
        let before = place.committed;
        let outcome = change(place);
        if place.committed != before {
            *changed = self.era.now();
        }
        outcome
    }
}

impl Queues {
    fn committed(&self) -> Vec<(QueueId, QueueOffset)> {
        self.places.iter().filter_map(|(queue, place)| Some((queue, place.committed?))).collect()
    }
}
