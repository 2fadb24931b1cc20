//! openraft's state machine: what the group has agreed on changes the state, and readers may see it.
//!
//! A snapshot is no copy of anything: it says up to where this member is, and gives a hand on [what it has](Supply).

use std::io;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta};
use store::{EntryKind, RaftLog};

use crate::files::{Files, nobody};
use crate::fill::Supply;
use crate::runtime;
#[cfg(test)]
use crate::sim::Bug;
use crate::state::State;
use crate::types::{Body, Entry, Id, Leader, Member, StoredMembers, Types, log_id};

/// Bytes of entries that are looked at together when the state catches up with the log.
const READ_BYTES_MAX: usize = 2 << 20;

/// Confirms entries, and notes the members.
pub struct Machine {
    log: RaftLog,
    files: Arc<Files>,
    state: Arc<dyn State>,
    /// Changes before this one are in the state.
    next_change: u64,
    applied: Option<Id>,
    members: StoredMembers,
    supply: Supply,
}

impl Machine {
    /// Brings the state to where the log is known to be agreed on.
    ///
    /// # Errors
    /// The file of members cannot be read, or the state cannot be brought there.
    pub(crate) fn open(supply: Supply) -> io::Result<Self> {
        let Supply { log, files, state, .. } = supply.clone();
        // Of a log that is lost, they prove nothing.
        let members = files.members()?.filter(|_| log.last().is_some()).unwrap_or_else(nobody);
        // What the queues showed was agreed on, and so were the members, and what is gone.
        let applied = log.committed_at_open().map(log_id).max(*members.log_id()).max(files.purged());
        let next_change = state.next();
        let mut machine = Self { log, files, state, next_change, applied, members, supply };
        if let Some(applied) = applied {
            machine.replay(applied.index + 1)?;
            machine.log.confirm(applied.index);
        }
        Ok(machine)
    }

    /// Hands the state what it lacks of the entries before `end`.
    fn replay(&mut self, end: u64) -> io::Result<()> {
        while self.next_change < end {
            let entries = self.log.read(self.next_change, end, READ_BYTES_MAX);
            if entries.is_empty() {
                let (next, first) = (self.next_change, self.log.first_index());
                let why = format!("the state lacks changes from entry {next} on, and the log begins with {first:?}");
                return Err(io::Error::other(why));
            }
            entries.iter().try_for_each(|entry| self.change(entry))?;
        }
        Ok(())
    }

    /// Where this member is.
    fn snapshot(&self) -> Snapshot<Leader, u64, Member, Supply> {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.members.clone() };
        Snapshot { meta, snapshot: self.supply.clone() }
    }

    /// Hands the state its change, if it is one and lacking.
    fn change(&mut self, entry: &store::RaftEntry) -> io::Result<()> {
        if entry.id.index < self.next_change {
            return Ok(());
        }
        if entry.kind == EntryKind::State {
            self.state.apply(entry.id.index, &entry.data())?;
        }
        self.next_change = entry.id.index + 1;
        Ok(())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Supply;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<Id>, StoredMembers), io::Error> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut responders = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let Entry { id, body } = &entry;
            match body {
                Body::Stored(stored) => self.change(stored)?,
                Body::Blank | Body::Membership(_) => self.next_change = self.next_change.max(id.index + 1),
                Body::Written => {
                    return Err(io::Error::other(format!("{entry} was agreed on, but not read from the log")));
                }
            }
            if let Some(members) = entry.get_membership() {
                // The others may have agreed on it before it is on disk here. What is noted beside the log must not know of
                // entries that a power cut takes away: the member would miss them at its next start.
                let (log, index) = (self.log.clone(), id.index);
                runtime::blocking(move || log.sync(index)).await??;
                self.files.save_members(id, &members)?;
                self.members = StoredMembers::new(Some(*id), members);
            }
            self.applied = Some(*id);
            responders.extend(responder);
        }
        #[cfg(test)]
        if let (true, Some(last)) = (Bug::ShowsMoreThanAgreed.is_in(), self.log.last()) {
            self.log.confirm(last.index);
        }
        if let Some(applied) = self.applied {
            self.log.confirm(applied.index);
        }
        responders.into_iter().for_each(|responder| responder.send(()));
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.snapshot())
    }

    /// Not asked for: a member that is filled starts anew.
    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<Leader, u64, Member>,
        _: Self::SnapshotData,
    ) -> Result<(), io::Error> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{meta} is not put in place of a log that is in use")))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Leader, u64, Member, Supply>>, io::Error> {
        Ok(self.applied.is_some().then(|| self.snapshot()))
    }
}

/// Builds nothing: the log and the state are all there is to a snapshot.
pub struct Builder(Snapshot<Leader, u64, Member, Supply>);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Supply;

    async fn build_snapshot(&mut self) -> Result<Snapshot<Leader, u64, Member, Supply>, io::Error> {
        Ok(self.0.clone())
    }
}
