//! A member of a group.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{InitializeError, RaftError};
use openraft::network::{NetSnapshot, RaftNetworkFactory};
use openraft::{Config, ConfigError, SnapshotPolicy};
use parking_lot::Mutex;
use remoting::types::MemberNumber;
use store::RaftLog;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::disk::Disk;
use crate::files::Files;
use crate::fill::{Fills, Receiver, Supply, Tasks};
use crate::guard::Guard;
use crate::lead::{Health, Lead, Wishes};
use crate::machine::Machine;
use crate::net::Network;
use crate::purge::purge;
use crate::quarantine::{Inquiry, Quarantine};
use crate::reign::{self, Following};
use crate::runtime;
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
    #[error("member {} is in quarantine, as it lost what it may have had: let it be filled first", MemberNumber(*number))]
    Quarantined { number: u64 },
    #[error("member {} leads the group: give the lead to another one first", MemberNumber(*number))]
    Leads { number: u64 },
    #[error("member {} cannot lead at the moment, as it {health}: choose another one, or try again later", MemberNumber(*number))]
    Unfit { number: u64, health: Health },
    #[error("this member is not ready yet to hand over the messages from before the group: try again in a moment")]
    Older,
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
    pub(crate) lead: Arc<Lead>,
    pub(crate) seen: Arc<Seen>,
    quarantine: Arc<Quarantine>,
    guard: Guard,
    pub(crate) fills: Arc<Fills>,
    /// This member ends, to start anew with what it was sent.
    ending: CancellationToken,
    /// It has ended.
    filled: CancellationToken,
    pub(crate) tasks: Tasks,
    /// Of the tasks that ask others, who may not answer: of the quarantine, of the lead, and of what has old entries go.
    helpers: [AbortHandle; 3],
}

impl Group {
    /// Starts member `number` with its files in `dir`. A new one is a follower that knows nobody, until the group is
    /// [founded](Self::found) or takes it in. So is one that lost its files, which is filled again: it does not count for an
    /// election before that.
    ///
    /// Boxed, as openraft is then compiled here, and not once more wherever there is a member.
    ///
    /// # Errors
    /// The files cannot be used, the state cannot be brought to where the log is, or the timing makes no sense.
    pub fn start(
        number: u64,
        dir: PathBuf,
        log: RaftLog,
        timing: Timing,
        network: Network,
        state: Arc<dyn State>,
    ) -> BoxFuture<'static, Result<Self, GroupError>> {
        Box::pin(async move { Self::start_on(number, &dir, log, timing, network, state).await })
    }

    /// [`Self::start`], on any network.
    pub(crate) async fn start_on<N>(
        number: u64,
        dir: &Path,
        log: RaftLog,
        timing: Timing,
        network: N,
        state: Arc<dyn State>,
    ) -> Result<Self, GroupError>
    where
        N: RaftNetworkFactory<Types> + Inquiry,
        N::Network: NetSnapshot<Types, SnapshotData = Supply>,
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
            // Retention asks for what has to go.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            ..Config::default()
        };
        let (storage, machine, quarantine, supply) = {
            let (dir, log) = (dir.to_owned(), log.clone());
            // The state may have to read much of the log.
            let open = move || -> io::Result<(Storage, Machine, Quarantine, Supply)> {
                let files = Arc::new(Files::open(&dir)?);
                let quarantine = Quarantine::open(Arc::clone(&files), log.clone(), timing.election_min / 2)?;
                let fills = Arc::default();
                let storage = Storage::open(log.clone(), Arc::clone(&files), Arc::clone(&fills))?;
                let supply = Supply { log, files, state, fills };
                Ok((storage, Machine::open(supply.clone())?, quarantine, supply))
            };
            runtime::blocking(open).await??
        };
        let config = Arc::new(Config { enable_elect: quarantine.is_over(), ..config }.validate()?);
        let known = storage.clone();
        let raft = Raft::new(number, config, network.clone(), storage, machine).await;
        let raft = raft.map_err(|fatal| GroupError::Raft(fatal.to_string()))?;
        let (written, from_store) = mpsc::unbounded_channel();
        let (tell, role) = watch::channel(Role::Follower { leader: None });
        let mut tasks = JoinSet::new();
        let (yields, to_leader) = watch::channel(false);
        let disk = Arc::new(Disk::new(log.clone()));
        runtime::spawn(&mut tasks, reign::propose(raft.clone(), log.clone(), known, timing, from_store));
        let ending = CancellationToken::new();
        let following = Following { raft: raft.clone(), log: log.clone(), node, timing, ending: ending.clone() };
        runtime::spawn(&mut tasks, following.follow_role(written, to_leader, tell));
        let seen = Arc::new(Seen::default());
        runtime::spawn(&mut tasks, count_leaders(raft.clone(), Arc::clone(&seen)));
        let quarantine = Arc::new(quarantine);
        let purging = runtime::spawn(&mut tasks, purge(raft.clone(), supply.clone(), network.clone()));
        let asking = runtime::spawn(&mut tasks, Arc::clone(&quarantine).sit_out(raft.clone(), network.clone()));
        let lead =
            Lead::new(raft.clone(), role.clone(), timing, yields, network, Arc::clone(&disk), Arc::clone(&quarantine));
        let minding = runtime::spawn(&mut tasks, Arc::clone(&lead).mind());
        let Supply { files, fills, .. } = supply;
        let tasks = Arc::new(Mutex::new(tasks));
        let (of_fills, of_tasks) = (Arc::clone(&fills), Arc::clone(&tasks));
        let receiver =
            Receiver::new(raft.clone(), log.clone(), files, of_fills, of_tasks, asking.clone(), ending.clone());
        let filled = receiver.filled.clone();
        let guard = Guard::new(raft.clone(), Arc::clone(&quarantine), timing, disk, Arc::new(receiver));
        let helpers = [asking, minding, purging];
        Ok(Self { raft, role, lead, seen, log, quarantine, guard, fills, ending, filled, tasks, helpers })
    }

    /// Makes these the members of a new group, once all of them are there and have no log either. Asked of one of them, and
    /// of the others, too, or [`Group::found_after`].
    ///
    /// # Errors
    /// This member belongs to a group already, or is not among them.
    pub async fn found(&self, members: BTreeMap<u64, Member>) -> Result<(), GroupError> {
        self.quarantine.tell_founders(&members);
        self.quarantine.over().await;
        self.raft.initialize(members).await.map_err(|error| GroupError::Raft(error.to_string()))
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
                biased;
                () = quarantine.over() => {}
                taken_in = taken_in(&raft) => return taken_in,
            }
            match timeout(patience, taken_in(&raft)).await {
                Ok(taken_in) => taken_in,
                Err(_) => match raft.initialize(members).await {
                    // Another one makes it at the same time, and was the first.
                    Err(RaftError::APIError(InitializeError::NotAllowed(_))) => taken_in(&raft).await,
                    made => made.map_err(|error| GroupError::Raft(error.to_string())),
                },
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

    /// Of this member.
    pub fn number(&self) -> u64 {
        *self.raft.node_id()
    }

    /// Bytes of the log behind the first so many entries; `None` if those are not kept.
    pub fn bytes_behind(&self, entries: u64) -> Option<u64> {
        let at = match entries.checked_sub(1) {
            Some(last) => self.log.end_of(last)?.0,
            None => 0,
        };
        Some(u64::try_from(self.log.end().0 - at).unwrap_or(0))
    }

    /// Whether this member is filled: with files, or as it is in quarantine and knows how far that has to go.
    pub fn is_filling(&self) -> bool {
        self.quarantine.is_filling() || self.filled_by().is_some()
    }

    /// Whether this member lost its log and may not vote yet.
    pub fn is_quarantined(&self) -> bool {
        !self.quarantine.is_over()
    }

    /// Returns once this member has ended, as the group has filled it: it is to be stopped, its store closed and opened again.
    /// Cancel-safe.
    pub async fn filled(&self) {
        self.filled.cancelled().await;
    }

    /// Whether this member ends, as the group has filled it.
    pub fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Bytes per second that this member sends to those that it fills, all together; 0: as many as it can.
    pub fn set_fill_rate(&self, rate: u64) {
        self.fills.set_rate(rate);
    }

    /// Whether the disk keeps this member waiting, so that it does not want the lead.
    pub fn disk_is_slow(&self) -> bool {
        self.lead.own_health() == Health::SlowDisk
    }

    /// What is wanted of who leads, from now on; at first, nothing.
    pub fn set_wishes(&self, wishes: Wishes) {
        self.lead.set_wishes(wishes);
    }

    /// Leaves the others alone; the store takes no more messages. Whoever still asks something of it is refused.
    pub async fn stop(&self) {
        // What they have to keep is on disk.
        self.helpers.iter().for_each(AbortHandle::abort);
        if self.raft.shutdown().await.is_err() {
            error!("the task of the group had panicked");
        }
        self.lead.end();
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

fn who(leader: Option<u64>) -> String {
    leader.map_or_else(|| "nobody".to_owned(), |number| format!("member {}", MemberNumber(number)))
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Leaders that were elected.
    pub(crate) elections: AtomicU64,
    /// Of them, this member.
    pub(crate) reigns: AtomicU64,
}

async fn count_leaders(raft: Raft, count: Arc<Seen>) {
    let own = *raft.node_id();
    let mut metrics = raft.server_metrics();
    let mut seen = None;
    loop {
        let vote = metrics.borrow_and_update().vote;
        if vote.is_committed() && seen.replace(*vote.leader_id()) != Some(*vote.leader_id()) {
            count.elections.fetch_add(1, Ordering::Relaxed);
            if vote.leader_id().node_id == own {
                count.reigns.fetch_add(1, Ordering::Relaxed);
            }
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
