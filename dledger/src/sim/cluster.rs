//! The members of a group, each on a machine of its own: a disk that forgets, a clock that jumps, a life that can end at
//! any time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use remoting::types::{Clock, Timestamp};
use store::testing::{ByHand, Fault, Lie, LossyDisk};
use store::{FlushMode, RaftLog, Store, StoreConfig};
use tokio::time::{sleep, timeout};

use super::invariants::{Invariants, Offsets, Seen, Standing, Table};
use super::network::Net;
use super::runtime::Life;
use super::world::{World, note};
use crate::group::{Group, Role, Timing};
use crate::state::State;
use crate::types::Member;

/// The wall clock at the beginning.
const BEGAN: Timestamp = Timestamp(1_700_000_000_000);
/// Members of a new group wait so long for being taken into one.
const FOUNDING: Duration = Duration::from_secs(1);
/// Longest wait for a member to stop.
const STOPPING: Duration = Duration::from_secs(4);
const FILE_BYTES: u64 = 16 << 10;

/// What ends the life of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// Of its process: what it wrote is there.
    Kill,
    /// Of its machine: what was not synced may be lost.
    PowerCut,
    /// Of its files, too.
    Wipe,
}

/// What a running member is.
pub(super) struct Running {
    pub(super) life: Arc<Life>,
    pub(super) store: Arc<Store>,
    pub(super) log: RaftLog,
    pub(super) group: Group,
    pub(super) state: Arc<Kept>,
    disk: Arc<LossyDisk>,
    hand: ByHand,
    seen: Mutex<Seen>,
    /// Its disk fails, or has failed: it may give up.
    is_sick: AtomicBool,
    is_stopping: AtomicBool,
}

impl Running {
    pub(super) fn leads(&self) -> bool {
        matches!(*self.group.role().borrow(), Role::Leader { .. })
    }
}

/// The state of a member: offsets that consumers have committed.
pub(super) struct Kept {
    member: u64,
    world: Arc<World>,
    saved: Mutex<Saved>,
}

#[derive(Clone, Default)]
struct Saved {
    next: u64,
    table: Table,
}

impl Kept {
    pub(super) fn table(&self) -> Table {
        self.saved.lock().table.clone()
    }
}

impl State for Kept {
    fn next(&self) -> u64 {
        self.saved.lock().next
    }

    fn apply(&self, index: u64, change: &[u8]) -> io::Result<()> {
        let mut saved = self.saved.lock();
        if index < saved.next {
            self.world.wrong(format!("member {} takes change {index} again, or late", self.member));
        }
        let text = String::from_utf8_lossy(change);
        let change = text.split_once('=').and_then(|(name, offset)| Some((name, offset.parse().ok()?)));
        let (name, offset) = change.ok_or_else(|| io::Error::other("no change"))?;
        self.world.check(Offsets::change(self.member, &saved.table, name, offset));
        saved.next = index + 1;
        saved.table.insert(name.into(), offset);
        Ok(())
    }

    /// Logs are kept whole here: no retention runs.
    fn keep(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A machine that a member runs on.
struct Host {
    folder: PathBuf,
    /// The store's folder is another one after each power cut.
    lives: u32,
    clock: Clock,
    dials: Arc<Dials>,
    /// What is kept of the state beside the log.
    saved: Arc<Mutex<Saved>>,
    running: Option<Arc<Running>>,
    is_starting: bool,
    /// It has no files, and was not seen to vote since.
    is_wiped: bool,
    /// It was let go.
    is_gone: bool,
}

impl Host {
    fn root(&self) -> PathBuf {
        self.folder.join(self.lives.to_string())
    }
}

/// What faults turn on a machine.
pub(super) struct Dials {
    /// A write is on disk after so long.
    disk_ms: Mutex<(u64, u64)>,
    skew_ms: AtomicI64,
}

pub(super) struct Cluster {
    pub(super) world: Arc<World>,
    pub(super) net: Net,
    pub(super) flush: FlushMode,
    pub(super) invariants: Mutex<Invariants>,
    founders: Vec<u64>,
    home: PathBuf,
    chance: Mutex<Rng>,
    hosts: Mutex<BTreeMap<u64, Host>>,
}

impl Cluster {
    pub(super) fn new(home: &Path, members: u64, flush: FlushMode, world: &Arc<World>, chance: &mut Rng) -> Arc<Self> {
        let cluster = Self {
            world: Arc::clone(world),
            net: Net::new(chance.fork()),
            flush,
            invariants: Mutex::default(),
            founders: (1..=members).collect(),
            home: home.to_owned(),
            chance: Mutex::new(chance.fork()),
            hosts: Mutex::default(),
        };
        (1..=members).for_each(|member| cluster.add_host(member));
        Arc::new(cluster)
    }

    /// A new machine for a member.
    pub(super) fn add_host(&self, member: u64) {
        let dials = Dials { disk_ms: Mutex::new(self.usual_disk_ms()), skew_ms: AtomicI64::new(0) };
        let host = Host {
            folder: self.home.join(member.to_string()),
            lives: 0,
            clock: Clock::fixed(BEGAN),
            dials: Arc::new(dials),
            saved: Arc::default(),
            running: None,
            is_starting: false,
            is_wiped: true,
            is_gone: false,
        };
        self.hosts.lock().insert(member, host);
    }

    pub(super) fn usual_disk_ms(&self) -> (u64, u64) {
        match self.flush {
            FlushMode::Sync => (1, 8),
            FlushMode::Async => (20, 200),
        }
    }

    /// Starts a member, unless it runs.
    pub(super) async fn start(self: &Arc<Self>, member: u64) {
        let (root, folder, clock, dials, saved) = {
            let mut hosts = self.hosts.lock();
            let Some(host) = hosts.get_mut(&member) else { return };
            if host.running.is_some() || host.is_starting || host.is_gone {
                return;
            }
            host.is_starting = true;
            (host.root(), host.folder.clone(), host.clock.clone(), Arc::clone(&host.dials), Arc::clone(&host.saved))
        };
        let started = self.try_start(member, &root, &folder, clock, dials, saved).await;
        let mut hosts = self.hosts.lock();
        let Some(host) = hosts.get_mut(&member) else { return };
        host.is_starting = false;
        match started {
            Ok(running) => {
                self.net.join(&running.life, running.group.guard());
                tokio::spawn(watch(Arc::clone(self), Arc::clone(&running)));
                host.running = Some(running);
            }
            Err(error) => self.world.wrong(format!("member {member} does not start: {error}")),
        }
    }

    async fn try_start(
        &self,
        member: u64,
        root: &Path,
        folder: &Path,
        clock: Clock,
        dials: Arc<Dials>,
        saved: Arc<Mutex<Saved>>,
    ) -> Result<Arc<Running>, Box<dyn std::error::Error + Send + Sync>> {
        let (seed, chance) = {
            let mut chance = self.chance.lock();
            (chance.u64(..), chance.fork())
        };
        let disk = Arc::new(LossyDisk::new(root, Lie::None, seed));
        let (store, log, report) = disk.open_raft(config(root, self.flush), clock.clone())?;
        note!(self.world, "member {member} starts, its log ends with {:?} at {}", log.last(), report.end);
        let hand = ByHand::new(&store);
        let life = Life::new(member, &self.world);
        let state = Kept { member, world: Arc::clone(&self.world), saved: Mutex::new(saved.lock().clone()) };
        let state = Arc::new(state);
        let disk_work = DiskWork { hand: hand.clone(), dials, clock, world: Arc::clone(&self.world), chance };
        life.spawn(disk_work.run(Arc::clone(&state), saved));
        let (ways, told) = (self.net.from(member), Arc::clone(&state));
        let dir = folder.join("raft");
        let group = life.hold(Group::start_on(member, &dir, log.clone(), Timing::default(), ways, told)).await?;
        let founders = self.founders.iter().copied().chain([member]);
        let founders = founders.map(|member| (member, Member { address: address(member) })).collect();
        life.spawn(group.found_after(FOUNDING, founders));
        let (is_sick, is_stopping, seen) = Default::default();
        Ok(Arc::new(Running { life, store, log, group, state, disk, hand, seen, is_sick, is_stopping }))
    }

    /// Stops a member as a broker that is told to.
    pub(super) async fn stop(&self, member: u64) {
        let Some(running) = self.running(member) else { return };
        note!(self.world, "member {member} is stopped");
        running.is_stopping.store(true, Ordering::Release);
        self.net.leave(member);
        let stopped = timeout(STOPPING, running.life.hold(running.group.stop())).await;
        if stopped.is_ok()
            && !running.life.is_dead()
            && let Err(error) = running.store.close()
        {
            self.world.wrong(format!("member {member} does not close its store: {error}"));
        }
        self.end(member, Death::Kill);
    }

    /// Ends the life of a member at once; whether there was one.
    pub(super) fn end(&self, member: u64, death: Death) -> bool {
        let mut hosts = self.hosts.lock();
        let Some(host) = hosts.get_mut(&member) else { return false };
        let Some(running) = host.running.take() else { return false };
        note!(self.world, "member {member} ends: {death:?}");
        self.net.leave(member);
        running.life.kill();
        running.hand.abandon();
        match death {
            Death::Kill => {}
            Death::PowerCut => {
                let before = host.root();
                host.lives += 1;
                running.disk.crash(&host.root());
                remove(&before);
            }
            Death::Wipe => {
                remove(&host.folder);
                host.lives += 1;
                *host.saved.lock() = Saved::default();
                host.is_wiped = true;
            }
        }
        true
    }

    /// Lets a member go for good.
    pub(super) fn let_go(&self, member: u64) {
        self.end(member, Death::Kill);
        if let Some(host) = self.hosts.lock().get_mut(&member) {
            host.is_gone = true;
        }
    }

    pub(super) fn running(&self, member: u64) -> Option<Arc<Running>> {
        self.hosts.lock().get(&member)?.running.clone()
    }

    pub(super) fn all_running(&self) -> Vec<Arc<Running>> {
        self.hosts.lock().values().filter_map(|host| host.running.clone()).collect()
    }

    /// Members that were not let go.
    pub(super) fn members(&self) -> Vec<u64> {
        self.hosts.lock().iter().filter(|(_, host)| !host.is_gone).map(|(member, _)| *member).collect()
    }

    /// The highest number that was ever given.
    pub(super) fn newest(&self) -> u64 {
        self.hosts.lock().keys().last().copied().unwrap_or(0)
    }

    /// Somebody whose store takes messages; there may be others who do not know yet that they are deposed.
    pub(super) fn leader(&self) -> Option<Arc<Running>> {
        self.all_running().into_iter().find(|running| running.leads())
    }

    /// Whether a member that had no files has not been seen to vote since.
    pub(super) fn is_anybody_wiped(&self) -> bool {
        self.hosts.lock().values_mut().filter(|host| !host.is_gone).any(|host| {
            if let Some(running) = &host.running {
                host.is_wiped = running.group.is_quarantined();
            }
            host.is_wiped
        })
    }

    /// Whether all members have begun to work: one that has nothing on disk yet would count as wiped.
    pub(super) fn is_founded(&self) -> bool {
        let has_begun = |running: &Arc<Running>| {
            running.log.last().is_some_and(|last| last.index > 0) && !running.hand.has_unflushed()
        };
        self.leader().is_some() && self.all_running().iter().all(has_begun)
    }

    pub(super) fn dial(&self, member: u64) -> Option<Arc<Dials>> {
        self.hosts.lock().get(&member).map(|host| Arc::clone(&host.dials))
    }

    /// Has the disk of a member fail from now on.
    pub(super) fn sicken(&self, member: u64, fault: Fault) {
        if let Some(running) = self.running(member) {
            note!(self.world, "the disk of member {member} fails: {fault:?}");
            running.is_sick.store(true, Ordering::Release);
            running.disk.fail(Some((fault, 0)));
        }
    }

    /// Everything is well from now on; whoever does not run, or whose disk failed, starts.
    pub(super) async fn heal(self: &Arc<Self>) {
        note!(self.world, "all is well again");
        self.net.heal();
        for member in self.members() {
            if let Some(dials) = self.dial(member) {
                dials.set_disk_ms(self.usual_disk_ms());
            }
            if let Some(running) = self.running(member) {
                running.life.resume();
                if running.is_sick.load(Ordering::Acquire) {
                    self.end(member, Death::Kill);
                }
            }
            self.start(member).await;
        }
    }

    /// Looks at what a member shows.
    pub(super) fn look(&self, running: &Running) {
        let mut seen = running.seen.lock();
        let looked = self.invariants.lock().look(running.life.member, &running.store, &running.log, &mut seen);
        self.world.check(looked);
    }

    /// Where everybody is who belongs to the group, as its leader knows; whoever does not run is not there.
    pub(super) fn standings(&self) -> Option<(usize, Vec<Standing>)> {
        let members = self.leader()?.group.members();
        let of = |member: u64| {
            let running = self.running(member)?;
            Some(Standing {
                member,
                last: running.log.last(),
                end: running.log.end(),
                confirmed: running.store.confirmed(),
                leads: running.leads(),
                is_quarantined: running.group.is_quarantined(),
            })
        };
        Some((members.len(), members.iter().filter_map(|member| of(member.number)).collect()))
    }
}

impl Dials {
    pub(super) fn set_disk_ms(&self, range: (u64, u64)) {
        *self.disk_ms.lock() = range;
    }

    pub(super) fn set_skew_ms(&self, skew: i64) {
        self.skew_ms.store(skew, Ordering::Relaxed);
    }
}

/// What happens on the machine of a member by itself.
struct DiskWork {
    hand: ByHand,
    dials: Arc<Dials>,
    clock: Clock,
    world: Arc<World>,
    chance: Rng,
}

impl DiskWork {
    async fn run(mut self, state: Arc<Kept>, saved: Arc<Mutex<Saved>>) {
        loop {
            let (from, to) = *self.dials.disk_ms.lock();
            sleep(Duration::from_millis(self.chance.u64(from..=to))).await;
            let now = BEGAN.0 + self.world.time().as_millis() as i64 + self.dials.skew_ms.load(Ordering::Relaxed);
            self.clock.set(Timestamp(now));
            if self.hand.has_unflushed() {
                self.hand.flush();
            }
            match self.chance.u8(0..40) {
                0..4 => self.hand.allocate(),
                4 => self.hand.keep(),
                5 => *saved.lock() = state.saved.lock().clone(),
                _ => {}
            }
        }
    }
}

/// Follows what a member is until it ends.
async fn watch(cluster: Arc<Cluster>, running: Arc<Running>) {
    let member = running.life.member;
    let mut role = running.group.role();
    loop {
        let now = *role.borrow_and_update();
        note!(cluster.world, "member {member} is {now:?}");
        if let Role::Leader { term } = now {
            let mut invariants = cluster.invariants.lock();
            cluster.world.check(invariants.leaders.leads(member, term));
            cluster.world.check(invariants.offsets.check(member, &running.state.table()));
        }
        if role.changed().await.is_err() {
            break;
        }
    }
    let may_end = running.life.is_dead() || running.is_stopping.load(Ordering::Acquire);
    if !may_end && !running.is_sick.load(Ordering::Acquire) {
        cluster.world.wrong(format!("member {member} gave up though its disk is well"));
    }
}

fn address(member: u64) -> String {
    format!("member-{member}")
}

fn remove(folder: &Path) {
    fs::remove_dir_all(folder).expect("the folder of a member");
}

fn config(root: &Path, flush: FlushMode) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = FILE_BYTES;
    config.consume_queue_file_bytes = 400;
    config.index.enable = false;
    (config.index.slots, config.index.entries) = (10, 20);
    config.flush = flush;
    // Whatever the machine's own clock says.
    config.consume_queue_flush_interval = Duration::ZERO;
    config.sync_flush_timeout = Duration::from_secs(3600);
    config
}
