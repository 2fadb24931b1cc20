//! openraft's state machine: what the group has agreed on, readers may see.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta};
use store::RaftLog;

use crate::files::{Files, nobody};
use crate::types::{Entry, Id, Leader, Member, StoredMembers, Types, log_id};

/// Confirms entries, and notes the members.
#[derive(Debug)]
pub struct Machine {
    log: RaftLog,
    files: Arc<Files>,
    applied: Option<Id>,
    members: StoredMembers,
}

impl Machine {
    /// # Errors
    /// The file of members cannot be read.
    pub(crate) fn open(log: RaftLog, files: Arc<Files>) -> io::Result<Self> {
        let members = files.members()?.unwrap_or_else(nobody);
        // What the queues showed was agreed on, and so were the members.
        let applied = log.committed_at_open().map(log_id).max(*members.log_id());
        if let Some(applied) = applied {
            log.confirm(applied.index);
        }
        Ok(Self { log, files, applied, members })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = NoSnapshot;

    async fn applied_state(&mut self) -> Result<(Option<Id>, StoredMembers), io::Error> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut responders = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let Entry { id, .. } = entry;
            if let Some(members) = entry.get_membership() {
                self.files.save_members(&id, &members)?;
                self.members = StoredMembers::new(Some(id), members);
            }
            self.applied = Some(id);
            responders.extend(responder);
        }
        if let Some(applied) = self.applied {
            self.log.confirm(applied.index);
        }
        responders.into_iter().for_each(|responder| responder.send(()));
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshot {
        NoSnapshot
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta<Leader, u64, Member>,
        _: Self::SnapshotData,
    ) -> Result<(), io::Error> {
        Err(unsupported())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Leader, u64, Member, ()>>, io::Error> {
        Ok(None)
    }
}

/// The log is kept whole, so members are filled from it and not from snapshots.
#[derive(Debug)]
pub struct NoSnapshot;

impl RaftSnapshotBuilder<Types> for NoSnapshot {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<Snapshot<Leader, u64, Member, ()>, io::Error> {
        Err(unsupported())
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "members are filled from the log, there are no snapshots")
}
