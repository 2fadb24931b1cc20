//! A member of a group: its role, and the way of its messages into the log of all.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::network::{NetSnapshot, RaftNetworkFactory};
use openraft::{Config, ConfigError, ServerState, SnapshotPolicy};
use store::{EntryId, RaftLog};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{error, info};

use crate::files::Files;
use crate::machine::Machine;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{Leader, Member, Raft, Types, Written};

/// How soon a leader is missed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two signs of life of the leader.
    pub heartbeat: Duration,
    /// A member that has heard nothing for a random time between these asks to be elected.
    pub election_min: Duration,
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
        }
    }
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its store takes messages, and shows all that was agreed on before.
    Leader { term: u64 },
    Follower {
        /// As far as is known.
        leader: Option<u64>,
    },
}

#[derive(Debug, Error)]
pub enum GroupError {
    #[error("member number {0} is larger than 4294967295")]
    Number(u64),
    #[error("files of the group: {0}")]
    Files(#[from] io::Error),
    #[error("timing of the group: {0}")]
    Timing(#[from] ConfigError),
    #[error("the group: {0}")]
    Raft(String),
}

/// A running member.
pub struct Group {
    raft: Raft,
    role: watch::Receiver<Role>,
    tasks: JoinSet<()>,
}

impl Group {
    /// Starts member `number` with its files in `dir`. A new one is a follower that knows nobody, until the group is
    /// [founded](Self::found) or takes it in.
    ///
    /// # Errors
    /// The files cannot be used, the state cannot be brought to where the log is, or the timing makes no sense.
    pub async fn start<N>(
        number: u64,
        dir: &Path,
        log: RaftLog,
        timing: Timing,
        network: N,
        state: Arc<dyn State>,
    ) -> Result<Self, GroupError>
    where
        N: RaftNetworkFactory<Types>,
        N::Network: NetSnapshot<Types, SnapshotData = ()>,
    {
        let node = u32::try_from(number).map_err(|_| GroupError::Number(number))?;
        let config = Config {
            cluster_name: "ferromq".into(),
            heartbeat_interval: millis(timing.heartbeat),
            election_timeout_min: millis(timing.election_min),
            election_timeout_max: millis(timing.election_max),
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            quorum_loss_probe_interval: Some(2 * millis(timing.election_max)),
            // The log is kept whole.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            ..Config::default()
        };
        let config = Arc::new(config.validate()?);
        let (storage, machine) = {
            let (dir, log) = (dir.to_owned(), log.clone());
            // The state may have to read much of the log.
            let open = move || -> io::Result<(Storage, Machine)> {
                let files = Arc::new(Files::open(&dir)?);
                Ok((Storage::new(log.clone(), Arc::clone(&files)), Machine::open(log, files, state)?))
            };
            spawn_blocking(open).await.map_err(io::Error::from)??
        };
        let raft = Raft::new(number, config, network, storage, machine).await;
        let raft = raft.map_err(|fatal| GroupError::Raft(fatal.to_string()))?;
        let (written, from_store) = mpsc::unbounded_channel();
        let (tell, role) = watch::channel(Role::Follower { leader: None });
        let mut tasks = JoinSet::new();
        tasks.spawn(propose(raft.clone(), from_store));
        tasks.spawn(follow_role(raft.clone(), log, node, written, tell));
        Ok(Self { raft, role, tasks })
    }

    /// Makes these the members of a new group. Asked of one of them, or of all with the same members.
    ///
    /// # Errors
    /// This member belongs to a group already, or is not among them.
    pub async fn found(&self, members: BTreeMap<u64, Member>) -> Result<(), GroupError> {
        self.raft.initialize(members).await.map_err(|error| GroupError::Raft(error.to_string()))
    }

    /// What this member is; changes are seen at once.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// For those who bring it the requests of other members.
    pub fn raft(&self) -> &openraft::Raft<Types, Machine> {
        &self.raft
    }

    /// Leaves the others alone; the store takes no more messages.
    pub async fn stop(mut self) {
        if self.raft.shutdown().await.is_err() {
            error!("the task of the group had panicked");
        }
        // Their channels are closed now.
        while self.tasks.join_next().await.is_some() {}
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Has the group agree on what the store has written, in that order.
async fn propose(raft: Raft, mut from_store: mpsc::UnboundedReceiver<EntryId>) {
    while let Some(entry) = from_store.recv().await {
        let leader = Leader { term: entry.term, node_id: entry.node.into() };
        // Once the reign is over this is turned away, and the entry taken back.
        if raft.write(Written(entry)).with_leader(leader).await.is_err() {
            return;
        }
    }
}

/// Has the store take messages while this member leads, and shows everything that was agreed on before.
async fn follow_role(
    raft: Raft,
    log: RaftLog,
    node: u32,
    written: mpsc::UnboundedSender<EntryId>,
    tell: watch::Sender<Role>,
) {
    let mut metrics = raft.metrics();
    let mut reign = None;
    loop {
        let (running, state, vote, leader, applied) = {
            let now = metrics.borrow_and_update();
            (now.running_state.clone(), now.state, now.vote, now.current_leader, now.last_applied)
        };
        if let Err(fatal) = running {
            error!(%fatal, "the member takes no more part in its group");
            break;
        }
        let term = vote.leader_id().term;
        let leads = state == ServerState::Leader && vote.is_committed();
        if reign.is_some_and(|begun| !leads || begun != term || !log.leads()) {
            log.follow();
            reign = None;
        }
        // The first entry of a reign is its own, so all before it is agreed on, too.
        let is_own = |id: &crate::types::Id| id.leader_id == Leader { term, node_id: node.into() };
        if leads && reign.is_none() && applied.as_ref().is_some_and(is_own) {
            let written = written.clone();
            let to_group = move |entry| {
                // It ends with the member.
                let _ = written.send(entry);
            };
            let own = log.last().filter(|last| (last.term, last.node) == (term, node));
            match own.map(|own| log.lead(own, term, node, to_group)) {
                Some(Ok(())) => {
                    info!(term, "leads the group");
                    reign = Some(term);
                }
                // The next change of the log is looked at again.
                other => error!(term, ?other, "the log ends with something else than an entry of this reign"),
            }
        }
        let role = match reign {
            Some(term) => Role::Leader { term },
            None => Role::Follower { leader: leader.filter(|_| !leads) },
        };
        tell.send_if_modified(|told| std::mem::replace(told, role) != role);
        if metrics.changed().await.is_err() {
            break;
        }
    }
    log.follow();
    tell.send_if_modified(|told| {
        let role = Role::Follower { leader: None };
        std::mem::replace(told, role) != role
    });
}
