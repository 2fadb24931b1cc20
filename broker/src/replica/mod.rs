//! A broker that belongs to a Raft group.
//!
//! ```text
//! dledger ─ role ─▶ this ─▶ features of a leader │ features of a follower ─▶ front
//!    ▲                                                    │ what is the leader's business
//!    └─ messages and changed tables, by the log           └─▶ forwarded to it
//! ```
//!
//! The group's log is the commit log, so all members have the same messages at the same places. The tables beside the messages
//! go through the log, too ([`state`]). Whoever leads is broker 0 of the set, as with Java's DLedger; the others have their
//! numbers. They read, and pass everything else on ([`forward`]).
//!
//! A change of role replaces all features ([`crate::features`]): those of the new leader find what the old one left just as a
//! broker does that starts after a crash, so no feature has a way of its own to take over.
//!
//! Java: `DLedgerCommitLog`, `DLedgerRoleChangeHandler`.

mod forward;
mod operate;
mod patch;
mod ready;
mod state;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dledger::{Group, Network, Timing, Wishes};
use remoting::protocol::RequestCode;
use remoting::types::{BrokerId, MemberNumber, PhysicalOffset};
use serde_json::json;
use store::RaftLog;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use self::forward::Forwarder;
pub(crate) use self::operate::OperateError;
use self::operate::Operator;
pub(crate) use self::patch::Patch;
use self::ready::Readiness;
pub(crate) use self::state::{GroupState, NotLeading};
use crate::assemble::StartError;
use crate::config::{BrokerConfig, Peers};
use crate::context::{Identity, Role};
use crate::features::{Features, Ground};
use crate::front::{Front, Listeners};
use crate::metrics::{Site, tell_group};
use crate::persist::Home;

/// Time between two writes of the tables to their files; what is younger is read from the log by a start.
const EXPORT_PERIOD: Duration = Duration::from_secs(5);
/// Of a member's files, in the store's.
const FOLDER: &str = "raft";
/// Where each member serves clients, by number: a table of the group like the others.
const BROKERS_FILE: &str = "groupBrokers.json";
const ADDRESSES: &str = "addresses";
/// Until features that could not be made are tried again: the role may be another one by then.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Until the next member makes the group, if the ones before it do not.
const FOUNDING_TURN: Duration = Duration::from_secs(1);
/// Threads of the group's own, so that no client keeps it from hearing the others.
const WORKERS: usize = 2;

/// Tables that a broker has before it belongs to a group, and takes along.
const FILES: [&str; 9] = [
    "topics.json",
    "subscriptionGroup.json",
    "consumerOffset.json",
    "delayOffset.json",
    "consumerFilter.json",
    "messageRequestMode.json",
    "consumerOrderInfo.json",
    "queueLocks.json",
    "timermetrics",
];

#[derive(Debug, Error)]
pub enum GroupError {
    #[error("read the tables of the group: {0}")]
    State(io::Error),
    #[error("start threads: {0}")]
    Runtime(io::Error),
    #[error(
        "the store has messages from before the group, up to {begin}, which other members would lack: first make the group of \
         this broker alone, dLegerPeers={own}, and then have each other one taken in, by `ferromq group add`"
    )]
    Older { begin: PhysicalOffset, own: String },
    #[error("listen for other members on {addr}: {cause}")]
    Listen { addr: SocketAddr, cause: io::Error },
    #[error(transparent)]
    Group(#[from] dledger::GroupError),
}

/// Why a broker should be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its log or its flushes fail, or differ from the group's.
    Failed,
    /// The group has filled it: it goes on with what it was sent once it is started again.
    Filled,
}

/// What a store is to its group when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Kept,
    /// This broker is to be its only member, and belongs to none. What its store holds is from before it.
    ToBeMade,
}

/// # Errors
/// The folder of the member's files cannot be read.
pub(crate) fn membership(peers: &Peers, root: &Path) -> Result<Membership, GroupError> {
    let is_member = dledger::is_of_member(&root.join(FOLDER)).map_err(GroupError::State)?;
    // Among others, one without its vote might have been a member before.
    Ok(if is_member || peers.members.len() > 1 { Membership::Kept } else { Membership::ToBeMade })
}

/// A broker's membership.
pub(crate) struct Member {
    group: Arc<Group>,
    state: Arc<GroupState>,
    forwarder: Arc<Forwarder>,
    stopping: CancellationToken,
    /// Cancelled when it takes no more part in the group.
    failed: CancellationToken,
    serving: JoinHandle<()>,
    exporting: JoinHandle<()>,
    pacing: JoinHandle<()>,
    wishing: JoinHandle<()>,
    following: JoinHandle<Features>,
    runtime: Runtime,
}

/// A member that serves as a follower until it hears otherwise.
pub(crate) struct Joined {
    pub(crate) member: Member,
    pub(crate) front: Front,
    /// The requests it answers on its listening port.
    pub(crate) answered: Vec<RequestCode>,
}

impl Member {
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub(crate) async fn join(
        ground: Ground,
        identity: Identity,
        peers: Peers,
        log: RaftLog,
        root: &Path,
        listeners: Listeners,
        site: Arc<Site>,
    ) -> Result<Joined, StartError> {
        let is_new = log.last().is_none_or(|last| last.index == 0 && last.term == 0);
        if is_new
            && peers.members.len() > 1
            && let Some(begin) = log.begin().filter(|begin| begin.0 > 0)
        {
            let own = format!("{}-{}", MemberNumber(peers.own), peers.members[&peers.own]);
            return Err(GroupError::Older { begin, own }.into());
        }
        let state = Arc::new(GroupState::open(root, log.clone()).map_err(GroupError::State)?);
        let runtime =
            Builder::new_multi_thread().worker_threads(WORKERS).thread_name("ferromq-raft").enable_all().build();
        let runtime = runtime.map_err(GroupError::Runtime)?;
        let joining = join(peers.clone(), ground.clone(), log, root.join(FOLDER), Arc::clone(&state));
        let (group, listener) = runtime.spawn(joining).await.expect("joining a group does not panic")?;
        let stopping = CancellationToken::new();
        let answering = dledger::serve(listener, group.guard().clone(), peers.group.clone(), stopping.clone());
        let serving = runtime.spawn(answering);
        if is_new {
            runtime.spawn(found(&peers, &group));
        }
        let group = Arc::new(group);
        let exporting = tokio::spawn(export(Arc::clone(&state), stopping.clone()));
        let pacing = tokio::spawn(pace(Arc::clone(&group), ground.settings.clone(), stopping.clone()));
        let wishing = tokio::spawn(follow_wishes(Arc::clone(&group), ground.settings.clone(), stopping.clone()));

        let (serves, leader) = watch::channel(None);
        let readiness = Readiness { group: Arc::clone(&group), leader: leader.clone() };
        let forwarder = Forwarder::new(leader);
        let own = Serving { number: peers.own, address: identity.addr() };
        let operator = Operator {
            group: Arc::clone(&group),
            name: peers.group,
            own: own.clone(),
            state: Arc::clone(&state),
            settings: ground.settings.clone(),
            readiness: readiness.clone(),
            clock: ground.clock.clone(),
        };
        let desk = Desk {
            ground,
            identity,
            own,
            state: Arc::clone(&state),
            forwarder: Arc::clone(&forwarder),
            operator: Arc::new(operator),
            site: Arc::clone(&site),
        };
        let features = desk.follower()?;
        let router = desk.follower_router(&features);
        let answered = router.codes();
        let front = listeners.serve(&features, router);
        features.start();
        desk.observe(&features);
        desk.show(&features);
        site.ask(Box::new(move || {
            let readiness = readiness.clone();
            Box::pin(async move { readiness.look().await })
        }));
        tracing::info!(role = ?Serves::Follower, "serves in its role");
        let role = group.role();
        let failed = CancellationToken::new();
        let following = {
            let following = desk.follow(features, front.clone(), role, serves, stopping.clone());
            let (failed, stopping, group) = (failed.clone(), stopping.clone(), Arc::clone(&group));
            tokio::spawn(async move {
                let features = following.await;
                if !stopping.is_cancelled() && !group.is_ending() {
                    failed.cancel();
                }
                features
            })
        };
        let member =
            Self { group, state, forwarder, stopping, failed, serving, exporting, pacing, wishing, following, runtime };
        Ok(Joined { member, front, answered })
    }

    /// Returns when this broker takes no more part in its group. Cancel-safe.
    pub(crate) async fn ended(&self) -> Ended {
        tokio::select! {
            biased;
            () = self.group.filled() => Ended::Filled,
            () = self.failed.cancelled() => Ended::Failed,
        }
    }

    /// Gives the lead to the member that is best given it, so that a planned stop is hardly felt.
    pub(crate) async fn give_lead_away(&self) {
        if !matches!(*self.group.role().borrow(), dledger::Role::Leader { .. }) {
            return;
        }
        if self.group.members().iter().filter(|member| member.is_voter).count() < 2 {
            return;
        }
        let Some(to) = self.group.heir().await else {
            tracing::warn!("no other member is well enough for the lead; the others miss this broker and elect");
            return;
        };
        match self.group.transfer(to).await {
            Ok(()) => tracing::info!(to, "the lead of the group is given away"),
            Err(err) => tracing::warn!(to, %err, "the lead is not taken; the others miss this broker and elect"),
        }
    }

    /// Leaves the others alone. The features that served last are given back, to be taken out of the routes.
    pub(crate) async fn stop(self) -> Features {
        let Self { group, state, forwarder, stopping, serving, exporting, pacing, wishing, following, runtime, .. } =
            self;
        stopping.cancel();
        let features = following.await.expect("following the role does not panic");
        features.stop().await;
        forwarder.close().await;
        let ended = runtime.spawn(async move {
            group.stop().await;
            serving.await
        });
        let _ = ended.await.expect("leaving a group does not panic");
        let _ = tokio::join!(exporting, pacing, wishing);
        let last = tokio::task::spawn_blocking(move || state.export()).await.expect("saving does not panic");
        if let Err(err) = last {
            tracing::error!(%err, "the tables of the group are not saved; the next start reads them from the log");
        }
        runtime.shutdown_background();
        features
    }
}

async fn join(
    peers: Peers,
    ground: Ground,
    log: RaftLog,
    folder: PathBuf,
    state: Arc<GroupState>,
) -> Result<(Group, TcpListener), GroupError> {
    let ip = ground.settings.borrow().bind_address.parse().expect("the settings are checked");
    let addr = SocketAddr::new(ip, peers.own_port());
    let listener = TcpListener::bind(addr).await.map_err(|cause| GroupError::Listen { addr, cause })?;
    let network = Network::new(peers.group.clone(), peers.own);
    let group = Group::start(peers.own, folder, log, Timing::default(), network, state).await?;
    Ok((group, listener))
}

/// Makes a new group of the members in the settings, unless it is there already and this broker is to be taken in. Members
/// do so in turn, as two who do at once compete for the lead.
fn found(peers: &Peers, group: &Group) -> impl Future<Output = ()> + Send + 'static {
    let before = peers.members.keys().filter(|number| **number < peers.own).count() as u32;
    let member = |(number, address): (&u64, &String)| (*number, dledger::Member { address: address.clone() });
    let founding = group.found_after(FOUNDING_TURN * before, peers.members.iter().map(member).collect());
    async {
        if let Err(err) = founding.await {
            tracing::debug!(%err, "this member does not make the group");
        }
    }
}

/// Has the group know what the settings want of its leader.
async fn follow_wishes(
    group: Arc<Group>,
    mut settings: watch::Receiver<Arc<BrokerConfig>>,
    stopping: CancellationToken,
) {
    loop {
        let now = Arc::clone(&settings.borrow_and_update());
        let slow_disk = Some(*now.slow_disk_millis).filter(|limit| !limit.is_zero());
        group.set_wishes(Wishes { preferred: preferred(&now), slow_disk });
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

/// A change whose values do not fit is refused before it comes here.
fn preferred(settings: &BrokerConfig) -> Vec<u64> {
    settings.preferred_leaders().unwrap_or_default()
}

async fn export(state: Arc<GroupState>, stopping: CancellationToken) {
    let mut ticks = interval(EXPORT_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let writing = Arc::clone(&state);
        match tokio::task::spawn_blocking(move || writing.export()).await {
            Ok(Ok(())) => {}
            Ok(Err(err)) => tracing::error!(%err, "the tables of the group are not saved; tried again"),
            Err(err) => tracing::error!(%err, "the tables of the group are not saved"),
        }
    }
}

/// Has fills go as fast as the settings say.
async fn pace(group: Arc<Group>, mut settings: watch::Receiver<Arc<BrokerConfig>>, stopping: CancellationToken) {
    loop {
        group.set_fill_rate(settings.borrow_and_update().max_raft_fill_byte_in_second);
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

/// Where a member serves clients.
#[derive(Clone)]
struct Serving {
    number: u64,
    address: String,
}

/// Where member `number` serves clients, if it is `own` or ever led.
fn serves_at(state: &GroupState, own: &Serving, number: u64) -> Option<String> {
    if number == own.number {
        return Some(own.address.clone());
    }
    let address = state.entry(BROKERS_FILE, ADDRESSES, &number.to_string())?;
    address.as_str().map(str::to_owned)
}

/// What the features are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Leader {
        term: u64,
    },
    Follower,
    /// The old features have ended, and there are no new ones yet.
    Nothing,
}

/// Makes features for roles.
#[derive(Clone)]
struct Desk {
    ground: Ground,
    identity: Identity,
    own: Serving,
    state: Arc<GroupState>,
    forwarder: Arc<Forwarder>,
    operator: Arc<Operator>,
    site: Arc<Site>,
}

impl Desk {
    fn features(&self, id: BrokerId, role: Role, term: Option<u64>) -> Result<Features, StartError> {
        let identity = Arc::new(Identity { id, ..self.identity.clone() });
        let home = Home::Group { state: Arc::clone(&self.state), term };
        Features::open(&self.ground, identity, role, &home)
    }

    fn follower(&self) -> Result<Features, StartError> {
        self.features(BrokerId(self.own.number as i64), Role::Slave, None)
    }

    fn follower_router(&self, features: &Features) -> remoting::router::Router {
        let mut router = features.router();
        router.instead(&forward::CODES, &self.forwarder);
        self.operator.routes(&mut router);
        self.forwarder.know(&features.offsets);
        router
    }

    fn leader_router(&self, features: &Features) -> remoting::router::Router {
        let mut router = features.router();
        self.operator.routes(&mut router);
        self.operator.routes_of_leader(&mut router);
        router
    }

    /// Has metrics be those of these features, and of the group.
    fn show(&self, features: &Features) {
        let mut registry = features.rooms().registry();
        let group = Arc::clone(&self.operator.group);
        registry.add(move |page| tell_group(&group, page));
        self.site.show(registry);
    }

    /// A follower's tables follow the group's.
    fn observe(&self, features: &Features) {
        let (topics, groups) = (Arc::clone(&features.topics), Arc::clone(&features.groups));
        let offsets = Arc::clone(&features.offsets);
        self.state.observe(Some(Arc::new(move |file, patch| {
            let absorbed = match file {
                crate::topic::FILE => topics.absorb(patch),
                crate::group::FILE => groups.absorb(patch),
                crate::offset::FILE => offsets.absorb(patch),
                _ => Ok(()),
            };
            if let Err(err) = absorbed {
                tracing::error!(file, %err, "a change of the group's tables cannot be read");
            }
        })));
    }

    /// Blocks.
    fn leader(&self, term: u64) -> Result<Features, StartError> {
        self.state.reign(term);
        self.take_along(term).map_err(GroupError::State)?;
        self.announce(term).map_err(GroupError::State)?;
        self.features(BrokerId::MASTER, Role::Master, Some(term))
    }

    /// The first leader of a group brings the tables that it had before.
    fn take_along(&self, term: u64) -> io::Result<()> {
        for file in FILES.into_iter().filter(|file| self.state.text(file).is_none()) {
            let table: Option<serde_json::Value> =
                Home::Folder(self.state.folder().to_owned()).load(file).map_err(io::Error::other)?;
            if let Some(table) = table {
                self.state.put(term, file, &table.to_string()).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// Tells the others where this broker serves clients.
    fn announce(&self, term: u64) -> io::Result<()> {
        let text = self.state.text(BROKERS_FILE).unwrap_or_else(|| json!({ ADDRESSES: {} }).to_string());
        let mut table: serde_json::Value = serde_json::from_str(&text)?;
        table[ADDRESSES][self.own.number.to_string()] = self.own.address.clone().into();
        self.state.put(term, BROKERS_FILE, &table.to_string()).map_err(io::Error::other)
    }

    /// Has the features follow the role until the broker stops; those that served last are given back.
    async fn follow(
        self,
        mut features: Features,
        front: Front,
        mut roles: watch::Receiver<dledger::Role>,
        serves: watch::Sender<Option<String>>,
        stopping: CancellationToken,
    ) -> Features {
        let mut now = Serves::Follower;
        let mut changes = self.state.applied();
        loop {
            let role = *roles.borrow_and_update();
            changes.borrow_and_update();
            let wanted = match role {
                dledger::Role::Leader { term } => Serves::Leader { term },
                dledger::Role::Follower { .. } => Serves::Follower,
            };
            if now != wanted {
                serves.send_replace(None);
                features.leave().await;
                now = match self.turn(&front, wanted).await {
                    Ok(new) => {
                        features = new;
                        wanted
                    }
                    Err(err) => {
                        tracing::warn!(%err, ?wanted, "cannot serve in its new role yet; tried again");
                        Serves::Nothing
                    }
                };
            }
            let leader = match (role, now) {
                (_, Serves::Nothing) => None,
                (dledger::Role::Leader { .. }, _) => Some(self.own.address.clone()),
                (dledger::Role::Follower { leader }, _) => {
                    let other = leader.filter(|leader| *leader != self.own.number);
                    other.and_then(|leader| serves_at(&self.state, &self.own, leader))
                }
            };
            serves.send_if_modified(|known| {
                let differs = *known != leader;
                *known = leader;
                differs
            });
            tokio::select! {
                () = stopping.cancelled() => return features,
                () = sleep(RETRY_PAUSE), if now == Serves::Nothing => {}
                changed = roles.changed() => if changed.is_err() { return features },
                changed = changes.changed() => if changed.is_err() { return features },
            }
        }
    }

    /// Has features for another role serve.
    async fn turn(&self, front: &Front, role: Serves) -> Result<Features, StartError> {
        let began = Instant::now();
        self.state.observe(None);
        let desk = self.clone();
        let opening = tokio::task::spawn_blocking(move || match role {
            Serves::Leader { term } => desk.leader(term),
            Serves::Follower | Serves::Nothing => desk.follower(),
        });
        let new = opening.await.expect("features are made without panic")?;
        if let Serves::Leader { .. } = role {
            front.replace(&new, self.leader_router(&new));
        } else {
            front.replace(&new, self.follower_router(&new));
            self.observe(&new);
        }
        new.start();
        self.show(&new);
        tracing::info!(?role, took = ?began.elapsed(), "serves in its role");
        Ok(new)
    }
}
