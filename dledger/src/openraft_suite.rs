//! openraft's own tests of storages, on ours.
//!
//! Left out are those that hand a snapshot over in memory: ours is the files of the log.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::entry::RaftEntry as _;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, RaftLogReader, StorageError};
use remoting::types::Clock;
use store::{FlushMode, Store, StoreConfig};
use tempfile::TempDir;

use crate::files::Files;
use crate::fill::Supply;
use crate::machine::Machine;
use crate::storage::Storage;
use crate::types::{Body, Entry, Id, Types, Vote, log_id};

/// The suite begins some of its logs amid nowhere, as after a purge. Ours begin with entry 0: blank ones come before.
#[derive(Clone)]
struct Whole {
    log: store::RaftLog,
    storage: Storage,
}

impl RaftLogReader<Types> for Whole {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.storage.try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.storage.read_vote().await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.storage.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<Types> for Whole {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        self.storage.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.storage.save_vote(vote).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let first = entries.first().map_or(0, |entry| entry.id.index);
        let next = self.log.last().map_or(0, |last| last.index + 1);
        let before = (next..first).map(|index| {
            let id = self.log.last().unwrap_or_default();
            Entry::new(log_id(store::EntryId { index, ..id }), Body::Blank)
        });
        let entries: Vec<Entry> = before.chain(entries).collect();
        self.storage.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<Id>) -> Result<(), io::Error> {
        self.storage.truncate_after(last).await
    }

    async fn purge(&mut self, id: Id) -> Result<(), io::Error> {
        self.storage.purge(id).await
    }
}

struct Builder(FlushMode);

impl StoreBuilder<Types, Whole, Machine, (TempDir, Arc<Store>)> for Builder {
    async fn build(&self) -> Result<((TempDir, Arc<Store>), Whole, Machine), StorageError<Types>> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::new(folder.path());
        config.commit_log_file_bytes = 64 << 10;
        config.index.enable = false;
        config.flush = self.0;
        let (store, log, _) = Store::open_raft(config, Clock::system()).unwrap();
        let files = Arc::new(Files::open(&folder.path().join("raft")).unwrap());
        let storage = Storage::open(log.clone(), Arc::clone(&files), Arc::default()).unwrap();
        let supply = Supply { log: log.clone(), files, state: Arc::new(()), fills: Arc::default() };
        let machine = Machine::open(supply).unwrap();
        Ok(((folder, store), Whole { log, storage }, machine))
    }
}

type Tests = Suite<Types, Whole, Machine, Builder, (TempDir, Arc<Store>)>;

/// Each test of the suite on a store of its own, of both kinds of flushing.
macro_rules! suite {
    ($($test:ident)*) => {$(
        #[tokio::test]
        async fn $test() {
            for flush in [FlushMode::Async, FlushMode::Sync] {
                let (_guard, storage, machine) = Builder(flush).build().await.unwrap();
                Tests::$test(storage, machine).await.unwrap();
            }
        }
    )*};
}

suite! {
    last_membership_in_log_initial
    last_membership_in_log
    last_membership_in_log_multi_step
    get_membership_initial
    get_membership_from_log_and_empty_sm
    get_membership_from_empty_log_and_sm
    get_membership_from_log_le_sm_last_applied
    get_membership_from_log_gt_sm_last_applied_1
    get_membership_from_log_gt_sm_last_applied_2
    get_initial_state_without_init
    get_initial_state_with_state
    get_initial_state_last_log_gt_sm
    get_initial_state_inverted_log_order
    get_initial_state_conflict_at_same_index
    save_vote
    get_log_entries
    limited_get_log_entries
    leader_bounded_stream
    entries_stream
    log_reader_reads_new_entries
    initial_logs
    last_applied_state
    delete_logs_after_11
    delete_logs_after_5
    delete_logs_after_0
    delete_logs_after_none
    snapshot_meta_optional
    apply_single
    apply_multiple
}
