//! openraft's log storage on the store's commit log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use remoting::types::PhysicalOffset;
use store::{Confirmation, EntryId, EntryKind, RaftLog, StampedError};

use crate::files::Files;
use crate::fill::Fills;
use crate::membership;
use crate::runtime;
#[cfg(test)]
use crate::sim::Bug;
use crate::types::{Body, Entry, Id, Types, Vote, entry_id, log_id};

/// Bytes of entries in one answer to replication, but one entry at least.
const READ_BYTES_MAX: usize = 2 << 20;

/// Entries further behind the end of the log than so many bytes are old: whoever needs them is filled with them, at the pace of fills, and they
/// may have to be read from the disk.
const OLD_BYTES: i64 = 64 << 20;

/// The log as openraft's core writes it.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    log: RaftLog,
    files: Arc<Files>,
    /// One behind the last entry that openraft knows of. The leader's store may have written more that is on its way to it.
    known_end: Arc<AtomicU64>,
    fills: Arc<Fills>,
}

impl Storage {
    /// # Errors
    /// The log does not begin where it ought to, or failing I/O.
    pub(crate) fn open(log: RaftLog, files: Arc<Files>, fills: Arc<Fills>) -> io::Result<Self> {
        match (log.first_index(), files.purged()) {
            // What was in a log that is lost, others know.
            (None, _) => files.forget_purged()?,
            (Some(first), purged) if first > purged.map_or(0, |purged| purged.index + 1) => {
                let why = format!(
                    "the log begins with entry {first}, but what is noted of those before it in purged.json does not reach \
                     that far: empty the folder of this member and let the group fill it anew"
                );
                return Err(io::Error::other(why));
            }
            (Some(_), Some(purged)) => log.release(purged.index + 1),
            (Some(_), None) => {}
        }
        let end = log.last().map_or(0, |last| last.index + 1);
        Ok(Self { log, files, known_end: Arc::new(AtomicU64::new(end)), fills })
    }

    /// Writes entries of openraft's own, the first of which is `index`. What the store has written there gives way: openraft does not know of it
    /// and will not, as the reign is over. Until it is, the store may write one more at any moment.
    fn write_at(&self, index: u64, write: impl Fn() -> Result<PhysicalOffset, StampedError>) -> io::Result<()> {
        loop {
            if self.is_taken(index) {
                self.log.truncate(index)?;
            }
            match write() {
                Ok(_) => return Ok(()),
                Err(StampedError::Order { .. }) if self.is_taken(index) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn is_taken(&self, index: u64) -> bool {
        self.log.last().is_some_and(|last| last.index >= index)
    }

    fn append_stored(&self, run: &mut Vec<store::RaftEntry>) -> io::Result<()> {
        let Some(first) = run.first() else { return Ok(()) };
        self.write_at(first.id.index, || self.log.append_entries(run))?;
        run.clear();
        Ok(())
    }

    fn append_alone(&self, id: EntryId, kind: EntryKind, data: &[u8]) -> io::Result<()> {
        self.write_at(id.index, || self.log.append_alone(id, kind, data))
    }

    fn append_all(&self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let mut run = Vec::new();
        let mut end = None;
        for Entry { id, body } in entries {
            let entry = entry_id(&id);
            end = Some(entry.index + 1);
            match body {
                Body::Stored(stored) => {
                    run.push(stored);
                    continue;
                }
                Body::Written => {
                    self.append_stored(&mut run)?;
                    // What the store wrote may have had to give way to an entry of openraft's own: this one is empty then.
                    if self.log.id_of(entry.index) != Some(entry) {
                        self.append_alone(entry, EntryKind::Blank, &[])?;
                    }
                }
                Body::Blank => {
                    self.append_stored(&mut run)?;
                    self.append_alone(entry, EntryKind::Blank, &[])?;
                }
                Body::Membership(members) => {
                    self.append_stored(&mut run)?;
                    self.append_alone(entry, EntryKind::Membership, &membership::encode(&members))?;
                }
            }
        }
        self.append_stored(&mut run)?;
        if let Some(end) = end {
            self.known_end.store(end, Ordering::Release);
        }
        Ok(())
    }

    /// One behind the last entry that openraft knows of.
    pub(crate) fn known_end(&self) -> u64 {
        self.known_end.load(Ordering::Acquire)
    }

    fn is_old(&self, index: u64) -> bool {
        self.log.start_of(index).is_some_and(|start| start.0 + OLD_BYTES < self.log.end().0)
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Vec<Entry> {
        let to = to.min(self.known_end());
        self.log.read(from, to, bytes_max).into_iter().map(Entry::stored).collect()
    }
}

impl RaftLogReader<Types> for Storage {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        Ok(self.read(from, to, usize::MAX))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.files.vote())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        if !self.is_old(start) {
            return Ok(self.read(start, end, READ_BYTES_MAX));
        }
        let storage = self.clone();
        let entries = runtime::blocking(move || storage.read(start, end, READ_BYTES_MAX)).await?;
        let bytes = |entry: &Entry| match &entry.body {
            Body::Stored(stored) => stored.bytes.len() as u64,
            Body::Written | Body::Blank | Body::Membership(_) => 0,
        };
        self.fills.pace(entries.iter().map(bytes).sum()).await;
        Ok(entries)
    }
}

impl RaftLogStorage<Types> for Storage {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        Ok(LogState { last_purged_log_id: self.files.purged(), last_log_id: self.log.last().map(log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    /// The vote says that all entries before it are as safe as they ought to be: so they are first.
    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if self.log.is_synchronous() {
            on_disk(self.log.on_disk(self.log.end()).await)?;
        }
        self.files.save_vote(vote)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.append_all(entries)?;
        let waits = self.log.is_synchronous();
        #[cfg(test)]
        let waits = waits && !Bug::AcknowledgesBeforeDisk.is_in();
        if waits {
            let told = move |what| callback.io_completed(on_disk(what));
            self.log.when_on_disk(self.log.end(), Box::new(told));
        } else {
            callback.io_completed(Ok(()));
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<Id>) -> Result<(), io::Error> {
        let end = last.map_or(0, |last| last.index + 1);
        self.log.follow();
        self.log.truncate(end)?;
        self.known_end.store(end, Ordering::Release);
        Ok(())
    }

    /// Asked for by [`crate::purge`]: an entry behind this one is agreed on, so the log is never empty afterwards.
    async fn purge(&mut self, id: Id) -> Result<(), io::Error> {
        self.files.save_purged(&id)?;
        self.log.release(id.index + 1);
        Ok(())
    }
}

fn on_disk(what: Confirmation) -> io::Result<()> {
    match what {
        Confirmation::Confirmed => Ok(()),
        Confirmation::FlushTimeout | Confirmation::Failed => Err(io::Error::other("the log could not be flushed")),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use remoting::types::{Clock, Host, QueueId, TopicName};
    use store::message::Message;
    use store::{Store, StoreConfig};
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn an_entry_of_openrafts_own_gets_its_place_while_the_store_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log, _) = Store::open_raft(StoreConfig::new(folder.path()), Clock::system()).unwrap();
        let files = Arc::new(Files::open(&folder.path().join("raft")).unwrap());
        let storage = Storage::open(log.clone(), files, Arc::default()).unwrap();
        let id = |index| EntryId { index, term: 1, node: 1 };
        storage.append_alone(id(0), EntryKind::Blank, &[]).unwrap();
        let (topic, host) = (TopicName::new("T"), Host { ip: [127, 0, 0, 1].into(), port: 1 });
        let ends = CancellationToken::new();
        thread::scope(|scope| {
            let _ends = ends.clone().drop_guard();
            scope.spawn(|| {
                while !ends.is_cancelled() {
                    let mut batch = store.batch();
                    batch.push(&Message::new(&topic, QueueId(0), b"on its way", host)).unwrap();
                    // Refused between reigns.
                    let _ = store.append(&mut batch);
                }
            });
            for _ in 0..2000 {
                log.lead(log.last().unwrap(), 1, 1, |_| {}).unwrap();
                // openraft knows of all up to the one that it puts its own behind.
                let next = log.last().unwrap().index + 1;
                storage.append_alone(id(next), EntryKind::Blank, &[]).unwrap();
                assert_eq!(log.last(), Some(id(next)));
            }
        });
    }
}
