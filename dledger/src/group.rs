//! A member of a group.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::network::{NetSnapshot, RaftNetworkFactory};
use openraft::{Config, ConfigError, SnapshotPolicy};
use parking_lot::Mutex;
use remoting::types::MemberNumber;
use store::RaftLog;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tracing::error;

use crate::files::Files;
use crate::guard::Guard;
use crate::machine::Machine;
use crate::quarantine::{Inquiry, Quarantine};
use crate::reign;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{Member, Raft, Types};

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
    /// Also a leader that most of the others have not answered for as long as it takes to elect another one. It leads again
    /// when they do, if they have not elected one.
    Follower {
        /// As far as is known.
        leader: Option<u64>,
    },
}

#[derive(Debug, Error)]
pub enum GroupError {
    #[error("member {} has a number that is too large: n4294967294 is the last one", MemberNumber(*.0))]
    Number(u64),
    #[error("files of the group: {0}")]
    Files(#[from] io::Error),
    #[error("timing of the group: {0}")]
    Timing(#[from] ConfigError),
    #[error("this member does not lead; as far as it knows, {} does", who(*leader))]
    NotLeader { leader: Option<u64> },
    #[error("the group has no {what} {}", MemberNumber(*number))]
    Unknown { what: &'static str, number: u64 },
    #[error("member {} is found at {address} already", MemberNumber(*number))]
    OtherAddress { number: u64, address: String },
    #[error("member {} lacks {entries} entries: let it catch up first", MemberNumber(*number))]
    Behind { number: u64, entries: u64 },
    #[error("member {} leads the group: give the lead to another one first", MemberNumber(*number))]
    Leads { number: u64 },
    #[error(
        "the log begins with {bytes} bytes of messages from before the group, which a new member does not get yet: this group \
         stays one of a single member"
    )]
    Older { bytes: i64 },
    #[error("member {} did not take the lead in time", MemberNumber(*number))]
    NotTaken { number: u64 },
    #[error("most of the members have not agreed in time, and may do so later: are they there?")]
    NotAgreed,
    #[error("the group: {0}")]
    Raft(String),
}

/// A running member.
pub struct Group {
    pub(crate) raft: Raft,
    pub(crate) log: RaftLog,
    role: watch::Receiver<Role>,
    pub(crate) timing: Timing,
    /// Whether the store takes no messages though this member leads, as it gives that up. `None` once it has stopped.
    yields: Mutex<Option<watch::Sender<bool>>>,
    pub(crate) elections: Arc<AtomicU64>,
    quarantine: Arc<Quarantine>,
    guard: Guard,
    pub(crate) tasks: Mutex<JoinSet<()>>,
    /// Of the quarantine, which asks others that may not answer.
    asking: AbortHandle,
}

impl Group {
    /// Starts member `number` with its files in `dir`. A new one is a follower that knows nobody, until the group is
    /// [founded](Self::found) or takes it in. So is one that lost its files, which is filled again: it does not count for an
    /// election before that.
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
        N: RaftNetworkFactory<Types> + Inquiry,
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
            // Of a member that lost its files, which the quarantine makes harmless.
            allow_log_reversion: Some(true),
            // The log is kept whole.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            ..Config::default()
        };
        let (storage, machine, quarantine) = {
            let (dir, log) = (dir.to_owned(), log.clone());
            // The state may have to read much of the log.
            let open = move || -> io::Result<(Storage, Machine, Quarantine)> {
                let files = Arc::new(Files::open(&dir)?);
                let quarantine = Quarantine::open(Arc::clone(&files), log.clone(), timing.election_min / 2)?;
                Ok((Storage::new(log.clone(), Arc::clone(&files)), Machine::open(log, files, state)?, quarantine))
            };
            spawn_blocking(open).await.map_err(io::Error::from)??
        };
        let config = Arc::new(Config { enable_elect: quarantine.is_over(), ..config }.validate()?);
        let (known, kept) = (storage.clone(), log.clone());
        let raft = Raft::new(number, config, network.clone(), storage, machine).await;
        let raft = raft.map_err(|fatal| GroupError::Raft(fatal.to_string()))?;
        let (written, from_store) = mpsc::unbounded_channel();
        let (tell, role) = watch::channel(Role::Follower { leader: None });
        let mut tasks = JoinSet::new();
        let (yields, to_leader) = watch::channel(false);
        tasks.spawn(reign::propose(raft.clone(), log.clone(), known, timing, from_store));
        tasks.spawn(reign::follow_role(raft.clone(), log, node, timing, written, to_leader, tell));
        let elections = Arc::new(AtomicU64::new(0));
        tasks.spawn(count_leaders(raft.clone(), Arc::clone(&elections)));
        let quarantine = Arc::new(quarantine);
        let asking = tasks.spawn(Arc::clone(&quarantine).sit_out(raft.clone(), network));
        let guard = Guard::new(raft.clone(), Arc::clone(&quarantine));
        let (yields, tasks) = (Mutex::new(Some(yields)), Mutex::new(tasks));
        Ok(Self { raft, log: kept, role, timing, yields, elections, quarantine, guard, tasks, asking })
    }

    /// Makes these the members of a new group, once all of them are there and have no log either. Asked of one of them, and
    /// of the others, too, or [`Group::found_after`].
    ///
    /// # Errors
    /// This member belongs to a group already, or is not among them.
    pub async fn found(&self, members: BTreeMap<u64, Member>) -> Result<(), GroupError> {
        self.quarantine.tell_founders(&members);
        self.quarantine.over().await;
        founded(&self.raft, members).await
    }

    /// [`Group::found`], unless this member is taken into a group within `patience` after all are there.
    ///
    /// # Errors
    /// Those, when the time is over.
    pub fn found_after(
        &self,
        patience: Duration,
        members: BTreeMap<u64, Member>,
    ) -> impl Future<Output = Result<(), GroupError>> + Send + 'static {
        let (raft, quarantine) = (self.raft.clone(), Arc::clone(&self.quarantine));
        quarantine.tell_founders(&members);
        async move {
            tokio::select! {
                () = quarantine.over() => {}
                taken_in = taken_in(&raft) => return taken_in,
            }
            match timeout(patience, taken_in(&raft)).await {
                Ok(taken_in) => taken_in,
                Err(_) => founded(&raft, members).await,
            }
        }
    }

    /// What this member is; changes are seen at once.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// For those who bring it the requests of other members.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether this member lost its log and may not vote yet.
    pub fn is_quarantined(&self) -> bool {
        !self.quarantine.is_over()
    }

    /// Has the store take no messages though this member leads, or take them again.
    pub(crate) fn set_yields(&self, yields: bool) {
        if let Some(told) = &*self.yields.lock() {
            told.send_replace(yields);
        }
    }

    /// Leaves the others alone; the store takes no more messages. Whoever still asks something of it is refused.
    pub async fn stop(&self) {
        // What it has to keep is on disk.
        self.asking.abort();
        if self.raft.shutdown().await.is_err() {
            error!("the task of the group had panicked");
        }
        drop(self.yields.lock().take());
        // Their channels are closed now.
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

/// Returns once this member knows of others.
async fn taken_in(raft: &Raft) -> Result<(), GroupError> {
    let mut metrics = raft.server_metrics();
    while metrics.borrow_and_update().membership_config.nodes().next().is_none() {
        metrics.changed().await.map_err(|_| GroupError::Raft("the member stops".into()))?;
    }
    Ok(())
}

async fn founded(raft: &Raft, members: BTreeMap<u64, Member>) -> Result<(), GroupError> {
    raft.initialize(members).await.map_err(|error| GroupError::Raft(error.to_string()))
}

fn who(leader: Option<u64>) -> String {
    leader.map_or_else(|| "nobody".to_owned(), |number| format!("member {}", MemberNumber(number)))
}

async fn count_leaders(raft: Raft, count: Arc<AtomicU64>) {
    let mut metrics = raft.server_metrics();
    let mut seen = None;
    loop {
        let vote = metrics.borrow_and_update().vote;
        if vote.is_committed() && seen.replace(*vote.leader_id()) != Some(*vote.leader_id()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
