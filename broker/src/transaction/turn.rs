//! Some half messages of a look: read and judged, and what is to be stored for them.

use std::sync::LazyLock;

use bytes::Bytes;
use remoting::types::{QueueOffset, Timestamp, TopicName};
use store::{AppendBatch, Entry, Position, Store};

use super::QUEUE;
use super::check::Look;
use super::half::{Half, half_topic};
use super::judge::{Verdict, judge};
use crate::topic::validate;

/// Most bytes stored in one go: half a millisecond's work.
const BYTES_MAX: usize = 256 << 10;

/// Where half messages go that were asked about too often. Java: `TopicValidator.RMQ_SYS_TRANS_CHECK_MAX_TIME_TOPIC`.
pub(super) fn given_up_topic() -> &'static TopicName {
    static TOPIC: LazyLock<TopicName> = LazyLock::new(|| TopicName::new(validate::CHECK_MAX_TIME_TOPIC));
    &TOPIC
}

/// What becomes of a half message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is stored again with these properties, and asked about.
    Again { properties: String },
    /// It is stored again, and will be asked about later.
    Moved,
    /// It is asked about where it lies, as it has grown too large to be stored again.
    AsItIs { position: Position },
    /// It is stored where those go that were given up.
    GivenUp,
}

pub(super) struct Turn {
    /// Copies of all that are not left where they lie, in the same order.
    pub(super) batch: AppendBatch,
    pub(super) looked_at: Vec<(Bytes, Fate)>,
    /// In doubt no more once the copies are stored.
    pub(super) replaced: Vec<QueueOffset>,
    /// Their messages are not there any more.
    pub(super) gone: Vec<QueueOffset>,
    pub(super) read: u64,
    pub(super) read_bytes: u64,
    /// Half messages from here on are left for the next turn.
    pub(super) stopped_at: Option<QueueOffset>,
    /// Those behind came so lately that this look ends.
    pub(super) over: bool,
}

impl Turn {
    /// Whether reading these half messages waits for no disk.
    pub(super) fn is_in_memory(store: &Store, halves: &[QueueOffset]) -> bool {
        let first = halves.first().map(|first| store.entries(half_topic(), QUEUE, *first, 1));
        first.is_none_or(|found| found.iter().all(|entry| store.in_memory(entry.physical_offset)))
    }

    /// Reads these half messages, ascending, up to a moderate number of bytes.
    pub(super) fn of(store: &Store, look: &Look, now: Timestamp, halves: &[QueueOffset]) -> Self {
        let mut turn = Self {
            batch: store.batch(),
            looked_at: Vec::new(),
            replaced: Vec::new(),
            gone: Vec::new(),
            read: 0,
            read_bytes: 0,
            stopped_at: None,
            over: false,
        };
        let min = store.min_offset(half_topic(), QUEUE).unwrap_or_default();
        let mut entries = Entries::default();
        for (at, half) in halves.iter().enumerate() {
            if turn.batch.bytes() >= BYTES_MAX {
                turn.stopped_at = Some(*half);
                break;
            }
            let entry = entries.find(store, &halves[at..]);
            match entry.and_then(|entry| store.record_at(entry.physical_offset)) {
                Some(record) => turn.take(look, now, *half, record),
                // Its file was deleted.
                None if *half < min || entry.is_some() => turn.gone.push(*half),
                // It is not confirmed yet.
                None => turn.over = true,
            }
            if turn.over {
                break;
            }
        }
        turn
    }

    fn take(&mut self, look: &Look, now: Timestamp, offset: QueueOffset, record: Bytes) {
        let Some(half) = Half::parse(&record) else { return self.gone.push(offset) };
        self.read += 1;
        self.read_bytes += record.len() as u64;
        let fate = match judge(&half, look.began, now, &look.settings) {
            Verdict::Fresh => {
                self.over = true;
                return;
            }
            Verdict::Immune if !look.gather => return,
            Verdict::Immune => match self.push(&half, half_topic(), half.stored.properties) {
                true => Fate::Moved,
                false => return,
            },
            Verdict::Ask { times } => {
                let properties = half.checked_properties(times);
                match self.push(&half, half_topic(), &properties) {
                    true => Fate::Again { properties },
                    false => Fate::AsItIs { position: position_of(&half) },
                }
            }
            Verdict::GiveUp { times } => {
                let properties = half.checked_properties(times);
                let pushed = self.push(&half, given_up_topic(), &properties)
                    || self.push(&half, given_up_topic(), half.stored.properties);
                if !pushed {
                    tracing::error!(offset = %half.stored.physical_offset, "a half message is too large to be given up");
                    return;
                }
                Fate::GivenUp
            }
        };
        if !matches!(fate, Fate::AsItIs { .. }) {
            self.replaced.push(offset);
        }
        self.looked_at.push((record, fate));
    }

    /// False if it can never be stored.
    fn push(&mut self, half: &Half<'_>, topic: &TopicName, properties: &str) -> bool {
        self.batch.push(&half.message(topic, QUEUE, properties)).is_ok()
    }
}

fn position_of(half: &Half<'_>) -> Position {
    let stored = &half.stored;
    Position {
        physical_offset: stored.physical_offset,
        queue_offset: stored.queue_offset,
        store_timestamp: stored.store_timestamp,
        size: stored.size,
    }
}

/// Queue entries, read as many at once as are neighbours.
#[derive(Default)]
pub(super) struct Entries {
    read: Vec<Entry>,
}

impl Entries {
    /// The entry of the first of these half messages.
    pub(super) fn find(&mut self, store: &Store, halves: &[QueueOffset]) -> Option<Entry> {
        let wanted = *halves.first()?;
        let at = |entries: &[Entry]| entries.binary_search_by_key(&wanted, |entry| entry.queue_offset).ok();
        if at(&self.read).is_none() {
            let neighbours = halves.iter().zip(wanted.0..).take_while(|(half, offset)| half.0 == *offset).count();
            self.read = store.entries(half_topic(), QUEUE, wanted, neighbours);
        }
        at(&self.read).map(|at| self.read[at])
    }
}
