//! What a crash must not undo: how far groups have popped.
//!
//! The file of offsets is a few seconds old when the broker is killed, and by it alone a group would be given again what it
//! has popped and acknowledged since. But each lease is in the log. So the file also says up to where the log's leases are
//! in it, as the offsets of a group that nobody else has; after a crash, those behind are read once more. What else is known
//! of leases, the book of ordered pops, is saved before the file says so.

use std::sync::{OnceLock, mpsc};

use parking_lot::{RwLock, RwLockReadGuard};
use remoting::config::SaveError;
use remoting::types::{GroupName, QueueId, QueueOffset, TopicName};

use super::Offsets;
use crate::context::Identity;
use crate::topic::{OwnTopics, TIMER_TOPIC};

/// Its offsets are the ends of the queues that leases go to, as of a moment before the table was saved.
const NOTES_GROUP: &str = "CID_RMQ_SYS_POPPED";

/// An end that the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) topic: TopicName,
    pub(crate) queue: QueueId,
    pub(crate) end: QueueOffset,
}

pub(super) struct Popped {
    group: GroupName,
    /// Where leases go: those of the timer, and the revive log, which gets the shortest ones directly.
    topics: [TopicName; 2],
    /// Held shared from the storing of a lease until its offset is in the table.
    leasing: RwLock<()>,
    /// There are pops; brokers without have no such notes. Set once the file has some.
    used: OnceLock<()>,
    save_book: OnceLock<SaveBook>,
}

type SaveBook = Box<dyn Fn() -> Result<(), SaveError> + Send + Sync>;

impl Popped {
    pub(super) fn new(identity: &Identity) -> Self {
        let topics = [TIMER_TOPIC.into(), OwnTopics::of(identity).revive];
        let (used, save_book) = (OnceLock::new(), OnceLock::new());
        Self { group: NOTES_GROUP.into(), topics, leasing: RwLock::new(()), used, save_book }
    }

    fn save_book(&self) -> Result<(), SaveError> {
        self.save_book.get().map_or(Ok(()), |save| save())
    }
}

impl Offsets {
    /// Has a book saved along. It must know of a lease before that is stored.
    pub(crate) fn save_book_first(&self, save: impl Fn() -> Result<(), SaveError> + Send + Sync + 'static) {
        self.popped.save_book.get_or_init(|| Box::new(save));
    }

    /// To be held from before a lease is stored until the group's offset is committed behind it. The first one ever saves
    /// the table before, as a crash would find no notes.
    pub(crate) fn leasing(&self) -> RwLockReadGuard<'_, ()> {
        self.popped.used.get_or_init(|| {
            self.note_lease_ends();
            self.file.changed();
            self.save_as("consumer offsets are not saved; what is popped now may come again after a crash");
        });
        self.popped.leasing.read()
    }

    /// The ends that were noted when the table was last saved; none if nobody ever popped.
    pub(crate) fn noted_leases(&self) -> Vec<Noted> {
        let mut noted = Vec::new();
        for topic in &self.popped.topics {
            let committed = self.table.find(&self.popped.group, topic).map(|progress| progress.committed());
            let ends = committed.unwrap_or_default().into_iter();
            noted.extend(ends.map(|(queue, end)| Noted { topic: topic.clone(), queue, end }));
        }
        if !noted.is_empty() {
            self.popped.used.get_or_init(|| ());
        }
        noted
    }

    /// Encodes the table with the ends of the queues of leases as they were before, and returns once the log holds all that
    /// the text says as surely as it can. Blocks.
    pub(super) fn with_pops(&self, encode: impl FnOnce() -> String) -> String {
        if self.popped.used.get().is_none() {
            return encode();
        }
        self.note_lease_ends();
        let text = encode();
        let (sender, receiver) = mpsc::channel();
        let told = move |outcome| {
            // The other end waits for this and nothing else.
            let _ = sender.send(outcome);
        };
        self.store.when_confirmed(self.store.max_physical_offset(), Box::new(told));
        if receiver.recv().is_err() {
            tracing::debug!("the store ended before it confirmed what was popped");
        }
        text
    }

    fn note_lease_ends(&self) {
        let ends = self.lease_ends();
        if let Err(err) = self.popped.save_book() {
            // The earlier notes are still true.
            tracing::error!(%err, "the book of ordered pops is not saved");
            return;
        }
        for Noted { topic, queue, end } in ends {
            // Replaced, not advanced: a queue that was deleted begins anew.
            self.table.progress(&self.popped.group, &topic).commit(queue, end);
        }
    }

    fn lease_ends(&self) -> Vec<Noted> {
        let _none_under_way = self.popped.leasing.write();
        let mut ends = Vec::new();
        for topic in &self.popped.topics {
            let queues = self.topics.get(topic).map_or(1, |config| config.read_queue_nums.max(1));
            for queue in (0..queues).map(QueueId) {
                let end = self.store.max_offset(topic, queue).unwrap_or_default();
                ends.push(Noted { topic: topic.clone(), queue, end });
            }
        }
        ends
    }
}
