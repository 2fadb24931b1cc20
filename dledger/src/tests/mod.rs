//! Groups of members in one process, on real stores, over a network that can be cut.

mod crashed;
mod filled;
mod lead;
mod wiped;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, RaftNetworkV2, Snapshot};
use parking_lot::Mutex;
use remoting::types::{Clock, Host, PhysicalOffset, QueueId, QueueOffset, TopicName};
use serde::{Deserialize, Serialize};
use store::message::{Message, StoredMessage};
use store::testing::SlowDisk;
use store::{AppendError, Confirmation, Everything, FlushMode, RaftLog, ReadRequest, Store, StoreConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::types::{Leader, Vote};

const FILE_BYTES: u64 = 64 << 10;
/// Longest wait for what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is reached by whom.
#[derive(Clone, Default)]
struct Network {
    members: Arc<Mutex<BTreeMap<u64, Guard>>>,
    /// From, to.
    cuts: Arc<Mutex<HashSet<(u64, u64)>>>,
}

impl Network {
    fn peer(&self, from: u64, to: u64) -> Option<Guard> {
        let is_cut = self.cuts.lock().contains(&(from, to));
        self.members.lock().get(&to).filter(|_| !is_cut).cloned()
    }
}

/// The way from one member to another.
struct Way {
    network: Network,
    from: u64,
    to: u64,
}

impl Way {
    fn peer(&self) -> Result<Guard, Unreachable<Types>> {
        self.network.peer(self.from, self.to).ok_or_else(|| Unreachable::new(&AnyError::error("cut off")))
    }

    /// An answer that comes back only if its way is open, too.
    fn answer<T>(&self, answer: T) -> Result<T, RPCError<Types>> {
        let is_cut = self.network.cuts.lock().contains(&(self.to, self.from));
        if is_cut { Err(gone(AnyError::error("cut off"))) } else { Ok(answer) }
    }
}

fn gone(error: AnyError) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&error))
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = Supply;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.peer()?.append_entries(request).await.map_err(|error| gone(AnyError::new(&error)))?;
        self.answer(answer)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.peer()?.vote(request).await.map_err(|error| gone(AnyError::new(&error)))?;
        self.answer(answer)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.peer()?.pre_vote(request).await.map_err(|error| gone(AnyError::new(&error)))?;
        self.answer(answer)
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let answer = self.peer()?.handle_transfer_leader(request).await.map_err(|error| gone(AnyError::new(&error)))?;
        self.answer(answer)
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot<Leader, u64, Member, Supply>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::new(&AnyError::error("files take the wire"))))
    }
}

/// The ways from one member.
#[derive(Clone)]
struct Ways {
    network: Network,
    from: u64,
}

impl RaftNetworkFactory<Types> for Ways {
    type Network = Way;

    async fn new_client(&mut self, to: u64, _: &Member) -> Way {
        Way { network: self.network.clone(), from: self.from, to }
    }
}

impl Inquiry for Ways {
    async fn stand(&self, number: u64, _: &Member) -> io::Result<Stand> {
        let peer = self.network.peer(self.from, number).ok_or(io::ErrorKind::NotConnected)?;
        let stand = peer.stand().await?;
        let is_cut = self.network.cuts.lock().contains(&(number, self.from));
        if is_cut { Err(io::ErrorKind::NotConnected.into()) } else { Ok(stand) }
    }

    fn leave_behind(&self, _: u64) {}
}

/// State as it is tried here: the last change of each name. In a file is what the log may lack, or another member has sent.
struct Map(Mutex<Changed>, PathBuf);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Changed {
    next: u64,
    values: BTreeMap<String, String>,
}

impl Map {
    fn open(root: &Path) -> Self {
        let file = root.join("config/map.json");
        let changed = std::fs::read(&file).map(|text| serde_json::from_slice(&text).unwrap());
        Self(Mutex::new(changed.unwrap_or_default()), file)
    }
}

impl State for Map {
    fn next(&self) -> u64 {
        self.0.lock().next
    }

    fn apply(&self, index: u64, change: &[u8]) -> io::Result<()> {
        let mut changed = self.0.lock();
        assert!(index >= changed.next, "change {index} comes again, or late");
        let text = std::str::from_utf8(change).unwrap();
        let (name, value) = text.split_once('=').ok_or_else(|| io::Error::other("no change"))?;
        changed.next = index + 1;
        changed.values.insert(name.into(), value.into());
        Ok(())
    }

    fn keep(&self, next: u64) -> io::Result<()> {
        let mut changed = self.0.lock();
        changed.next = changed.next.max(next);
        std::fs::create_dir_all(self.1.parent().unwrap())?;
        std::fs::write(&self.1, serde_json::to_vec(&*changed)?)
    }

    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        Ok(vec![("config/map.json".into(), serde_json::to_vec(&*self.0.lock())?)])
    }
}

struct Running {
    group: Group,
    store: Arc<Store>,
    log: RaftLog,
    state: Arc<Map>,
    /// Answers the others, where they ask by TCP.
    server: Option<(CancellationToken, JoinHandle<()>)>,
}

/// How members reach each other.
enum Wires {
    Process,
    Tcp(BTreeMap<u64, SocketAddr>),
}

/// Three members, some of which run.
struct Three {
    flush: FlushMode,
    timing: Timing,
    wires: Wires,
    network: Network,
    folders: BTreeMap<u64, TempDir>,
    /// Where one is to be slow.
    disks: BTreeMap<u64, SlowDisk>,
    /// What members that do not run have kept of the state.
    states: BTreeMap<u64, Arc<Map>>,
    running: BTreeMap<u64, Running>,
}

impl Three {
    async fn found(flush: FlushMode, wires: Wires) -> Self {
        Self::found_with(flush, timing(200), wires).await
    }

    async fn found_with(flush: FlushMode, timing: Timing, wires: Wires) -> Self {
        let mut three = Self::new(flush, timing, wires);
        for number in 1..=3 {
            three.start(number).await;
        }
        three.running[&1].group.found(three.founders()).await.unwrap();
        three
    }

    fn founders(&self) -> BTreeMap<u64, Member> {
        let member = |number: u64| {
            let address = match &self.wires {
                Wires::Process => String::new(),
                Wires::Tcp(addresses) => addresses[&number].to_string(),
            };
            (number, Member { address })
        };
        (1..=3).map(member).collect()
    }

    /// None of them runs yet.
    fn new(flush: FlushMode, timing: Timing, wires: Wires) -> Self {
        let folders = (1..=3).map(|number| (number, tempfile::tempdir().unwrap())).collect();
        let (network, disks) = (Network::default(), BTreeMap::new());
        Self { flush, timing, wires, network, folders, disks, states: BTreeMap::new(), running: BTreeMap::new() }
    }

    async fn start(&mut self, number: u64) {
        let root = self.folders[&number].path();
        let disk = self.disks.get(&number).cloned().unwrap_or_default();
        let (store, log, _) = disk.open_raft(config(root, self.flush), Clock::system()).unwrap();
        let timing = self.timing;
        let dir = root.join("raft");
        let state = self.states.remove(&number).unwrap_or_else(|| Arc::new(Map::open(root)));
        let told = Arc::clone(&state);
        let (group, server) = match &self.wires {
            Wires::Process => {
                let ways = Ways { network: self.network.clone(), from: number };
                let group = Group::start(number, &dir, log.clone(), timing, ways, told).await.unwrap();
                self.network.members.lock().insert(number, group.guard().clone());
                (group, None)
            }
            Wires::Tcp(addresses) => {
                let network = crate::Network::new("g".into(), number);
                let group = Group::start(number, &dir, log.clone(), timing, network, told).await.unwrap();
                let listener = TcpListener::bind(addresses[&number]).await.unwrap();
                let stopping = CancellationToken::new();
                let serving = serve(listener, group.guard().clone(), "g".into(), stopping.clone());
                (group, Some((stopping, tokio::spawn(serving))))
            }
        };
        // The first one makes the group.
        if number <= 3 {
            tokio::spawn(group.found_after(PATIENCE, self.founders()));
        }
        self.running.insert(number, Running { group, store, log, state, server });
    }

    async fn stop(&mut self, number: u64) {
        self.network.members.lock().remove(&number);
        let Running { group, store, server, .. } = self.running.remove(&number).unwrap();
        if let Some((stopping, serving)) = server {
            stopping.cancel();
            serving.await.unwrap();
        }
        group.stop().await;
        store.close().unwrap();
    }

    /// Cuts a member off from the others, both ways.
    fn cut_off(&self, number: u64) {
        let others = (1..=3).filter(|other| *other != number);
        self.network.cuts.lock().extend(others.flat_map(|other| [(number, other), (other, number)]));
    }

    fn heal(&self) {
        self.network.cuts.lock().clear();
    }

    /// Who leads, of those who can be reached.
    async fn leader(&self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for (number, running) in &self.running {
                let is_alone = self.network.cuts.lock().iter().any(|(from, _)| from == number)
                    && self.network.cuts.lock().iter().filter(|(from, _)| from == number).count() == 2;
                if !is_alone && matches!(*running.group.role().borrow(), Role::Leader { .. }) {
                    return *number;
                }
            }
            assert!(Instant::now() < deadline, "nobody leads");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends through a member; whether the group has agreed on it.
    async fn send(&self, number: u64, body: &str) -> bool {
        let store = &self.running[&number].store;
        let mut batch = store.batch();
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        match store.append_and_confirm(&mut batch).await {
            Ok((_, confirmation)) => confirmation == Confirmation::Confirmed,
            Err(_) => false,
        }
    }

    /// Changes the state through a member; whether the group has agreed on it.
    async fn change(&self, number: u64, change: &str) -> bool {
        let log = &self.running[&number].log;
        match log.append_state(change.as_bytes()) {
            Ok(end) => log.agreed(end).await == Confirmation::Confirmed,
            Err(_) => false,
        }
    }

    /// The state, once all members have agreed on the same log.
    async fn state(&self) -> BTreeMap<String, String> {
        self.converge().await;
        let of = |running: &Running| running.state.0.lock().clone();
        let leaders = of(&self.running[&self.leader().await]);
        self.running.values().for_each(|running| assert_eq!(of(running), leaders));
        leaders.values
    }

    /// Returns once all members have agreed on the same log; that, and what readers see of it.
    async fn converge(&self) -> (Vec<u8>, Vec<String>) {
        let leader = self.leader().await;
        let deadline = Instant::now() + PATIENCE;
        let ends = |of: fn(&Store) -> PhysicalOffset| -> HashSet<_> {
            self.running.values().map(|running| of(&running.store)).collect()
        };
        loop {
            let (ends, confirmed) = (ends(Store::max_physical_offset), ends(Store::confirmed));
            if ends.len() == 1 && ends == confirmed {
                break;
            }
            assert!(Instant::now() < deadline, "ends {ends:?}, confirmed {confirmed:?}");
            sleep(Duration::from_millis(10)).await;
        }
        // Members may have lost their old files.
        let min = self.running.values().map(|running| running.store.min_physical_offset()).max().unwrap();
        let first = self.running.values().map(|running| first_offset(&running.store)).max().unwrap();
        let of = |number: &u64| {
            let store = &self.running[number].store;
            (bytes(self.folders[number].path(), store, min), seen_from(store, first))
        };
        let leaders = of(&leader);
        for number in self.running.keys() {
            let members = of(number);
            assert!(members.0 == leaders.0, "the bytes of member {number} are others");
            assert_eq!(members.1, leaders.1, "member {number}");
        }
        leaders
    }

    async fn end(mut self) {
        for number in self.running.keys().copied().collect::<Vec<_>>() {
            self.stop(number).await;
        }
    }
}

fn timing(election_ms: u64) -> Timing {
    Timing {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(election_ms),
        election_max: Duration::from_millis(2 * election_ms),
    }
}

/// Addresses of members that nobody else listens at.
async fn addresses(members: u64) -> BTreeMap<u64, SocketAddr> {
    let mut addresses = BTreeMap::new();
    let mut listeners = Vec::new();
    for number in 1..=members {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        addresses.insert(number, listener.local_addr().unwrap());
        listeners.push(listener);
    }
    addresses
}

fn config(root: &Path, flush: FlushMode) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = FILE_BYTES;
    config.consume_queue_file_bytes = 2000;
    (config.index.slots, config.index.entries) = (100, 200);
    config.flush = flush;
    config.sync_flush_timeout = Duration::from_secs(2);
    config
}

fn topic() -> TopicName {
    TopicName::new("T")
}

fn host() -> Host {
    Host { ip: [127, 0, 0, 1].into(), port: 1 }
}

fn bytes(root: &Path, store: &Store, from: PhysicalOffset) -> Vec<u8> {
    let (from, end) = (from.0 as u64, store.max_physical_offset().0 as u64);
    let file = |start: u64| std::fs::read(root.join(format!("commitlog/{start:020}"))).unwrap();
    let mut bytes: Vec<u8> = (from..end).step_by(FILE_BYTES as usize).flat_map(file).collect();
    bytes.truncate((end - from) as usize);
    bytes
}

fn first_offset(store: &Store) -> i64 {
    store.min_offset(&topic(), QueueId(0)).map_or(0, |first| first.0)
}

fn seen(store: &Store) -> Vec<String> {
    seen_from(store, 0)
}

fn seen_from(store: &Store, first: i64) -> Vec<String> {
    let topic = topic();
    let mut bodies = Vec::new();
    loop {
        let offset = QueueOffset(first + bodies.len() as i64);
        let request = ReadRequest { topic: &topic, queue_id: QueueId(0), offset, max_messages: 32, max_bytes: 1 << 20 };
        let outcome = store.read(&request, &Everything);
        if outcome.count == 0 {
            return bodies;
        }
        for chunk in outcome.messages {
            let mut rest = &chunk[..];
            while let Ok(message) = StoredMessage::parse(rest) {
                assert_eq!(message.queue_offset.0, first + bodies.len() as i64, "without gaps");
                bodies.push(String::from_utf8(message.body.to_vec()).unwrap());
                rest = &rest[message.size..];
            }
        }
    }
}

/// Whether all of `wanted` are in `found`, in this order.
fn holds(found: &[String], wanted: &[String]) -> bool {
    let mut found = found.iter();
    wanted.iter().all(|wanted| found.any(|found| found == wanted))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_have_one_log() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        // A disk that takes its time does not cost the lead.
        let three = Three::found_with(flush, timing(3000), Wires::Process).await;
        let leader = three.leader().await;
        let sent: Vec<String> = (0..200).map(|number| format!("{number}-{}", "x".repeat(number * 5))).collect();
        for body in &sent {
            assert!(three.send(leader, body).await, "{body}");
        }
        for follower in (1..=3).filter(|number| *number != leader) {
            assert!(!three.send(follower, "no").await, "only the leader's store takes messages");
        }
        let (log, seen) = three.converge().await;
        assert!(log.len() > FILE_BYTES as usize, "several files");
        assert_eq!(seen, sent);
        three.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_confirms_nothing_and_takes_back_what_it_wrote_alone() {
    let three = Three::found(FlushMode::Async, Wires::Process).await;
    let old = three.leader().await;
    assert!(three.send(old, "before").await);
    three.cut_off(old);
    assert!(!three.send(old, "alone").await, "without the others it cannot be agreed on");
    let new = three.leader().await;
    assert_ne!(new, old);
    assert!(three.send(new, "after").await);
    assert!(!three.send(old, "alone again").await);
    three.heal();
    let (_, seen) = three.converge().await;
    assert_eq!(seen, ["before", "after"]);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_were_stopped_go_on_where_they_were() {
    stops(Wires::Process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_reach_each_other_by_tcp_do_as_well() {
    stops(Wires::Tcp(addresses(3).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_process_ends_is_missed_at_once() {
    // Longer than the test may take: nobody is elected because of a time that is over.
    let timing = timing(600_000);
    let mut three = Three::found_with(FlushMode::Async, timing, Wires::Tcp(addresses(3).await)).await;
    let mut sent = Vec::new();
    for round in 0..3 {
        let leader = three.leader().await;
        sent.push(format!("{round}-three"));
        assert!(three.send(leader, &sent[sent.len() - 1]).await);
        three.converge().await;
        three.stop(leader).await;
        let next = three.leader().await;
        sent.push(format!("{round}-two"));
        assert!(three.send(next, &sent[sent.len() - 1]).await);
        three.start(leader).await;
    }
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_nobody_answers_does_not_lead_until_they_do() {
    let three = Three::found_with(FlushMode::Async, timing(1500), Wires::Process).await;
    let leader = three.leader().await;
    let mut role = three.running[&leader].group.role();
    let Role::Leader { term } = *role.borrow_and_update() else { panic!("it leads") };
    assert!(three.send(leader, "before").await);
    // It is heard, so nobody else is elected, but hears nothing.
    let others = (1..=3).filter(|other| *other != leader);
    three.network.cuts.lock().extend(others.map(|other| (other, leader)));
    // One after the other, so that some are written when openraft takes nothing any more, and this member does not know yet.
    sleep(three.timing.election_max - Duration::from_millis(150)).await;
    let store = Arc::clone(&three.running[&leader].store);
    let mut written = 0;
    loop {
        let mut batch = store.batch();
        let body = format!("alone-{written}");
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        match store.append(&mut batch) {
            Ok(_) => written += 1,
            Err(AppendError::NotLeader) => break,
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    role.wait_for(|role| *role == Role::Follower { leader: None }).await.unwrap();
    three.heal();
    let leads = |role: &Role| !matches!(role, Role::Follower { leader: None });
    assert_eq!(*role.wait_for(leads).await.unwrap(), Role::Leader { term }, "in the same term");
    assert!(three.send(leader, "after").await);
    let alone = (0..written).map(|number| format!("alone-{number}"));
    let expected: Vec<String> = ["before".into()].into_iter().chain(alone).chain(["after".into()]).collect();
    assert_eq!(three.converge().await.1, expected);
    three.end().await;
}

async fn stops(wires: Wires) {
    let mut three = Three::found(FlushMode::Async, wires).await;
    let mut sent = Vec::new();
    for round in 0..4 {
        let leader = three.leader().await;
        for number in 0..20 {
            let body = format!("{round}-{number}");
            assert!(three.send(leader, &body).await);
            sent.push(body);
        }
        three.stop(leader).await;
        let next = three.leader().await;
        sent.push(format!("{round}-two"));
        assert!(three.send(next, &sent[sent.len() - 1]).await, "two are a majority");
        three.start(leader).await;
    }
    // All at once.
    for number in 1..=3 {
        three.stop(number).await;
    }
    for number in 1..=3 {
        three.start(number).await;
    }
    let (_, seen) = three.converge().await;
    assert_eq!(seen, sent);
    three.end().await;
}

fn map<const N: usize>(values: [(&str, &str); N]) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_changes_on_all_members_by_what_was_agreed_on_alone() {
    let three = Three::found(FlushMode::Async, Wires::Process).await;
    let old = three.leader().await;
    for number in 0..20 {
        assert!(three.send(old, &format!("{number}-{}", "x".repeat(number * 300))).await);
        assert!(three.change(old, &format!("count={number}")).await);
        let value = three.running[&old].state.0.lock().values["count"].clone();
        assert_eq!(value, number.to_string(), "it was changed before anybody heard that it was agreed on");
    }
    let follower = (1..=3).find(|number| *number != old).unwrap();
    let refused = three.running[&follower].log.append_state(b"count=no");
    assert!(matches!(refused, Err(AppendError::NotLeader)));
    assert_eq!(three.state().await, map([("count", "19")]));
    three.cut_off(old);
    assert!(!three.change(old, "count=alone").await, "without the others it cannot be agreed on");
    assert_eq!(three.running[&old].state.0.lock().values, map([("count", "19")]));
    let new = three.leader().await;
    assert!(three.change(new, "who=new").await);
    three.heal();
    assert_eq!(three.state().await, map([("count", "19"), ("who", "new")]));
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_starts_takes_the_changes_that_its_state_lacks() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    for round in 0..4 {
        let leader = three.leader().await;
        assert!(three.change(leader, &format!("round={round}")).await);
        assert!(three.send(leader, &format!("{round}-{}", "x".repeat(2000))).await);
        assert!(three.change(leader, &format!("{round}={round}")).await);
        // In some rounds the state outlives the member.
        if round % 2 == 0 {
            three.states.insert(leader, Arc::clone(&three.running[&leader].state));
        }
        three.stop(leader).await;
        let next = three.leader().await;
        assert!(three.change(next, &format!("next={round}")).await, "two are a majority");
        three.start(leader).await;
    }
    let expected = map([("round", "3"), ("next", "3"), ("0", "0"), ("1", "1"), ("2", "2"), ("3", "3")]);
    assert_eq!(three.state().await, expected);
    // All at once: nothing of the state is left but what the log holds.
    for number in 1..=3 {
        three.stop(number).await;
    }
    for number in 1..=3 {
        three.start(number).await;
        let values = three.running[&number].state.0.lock().values.clone();
        assert_eq!(values["round"], "3", "what lies before messages that readers see is there before the group is");
    }
    assert_eq!(three.state().await, expected);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_state_cannot_take_a_change_stops() {
    let three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    assert!(!three.change(leader, "nothing").await);
    let mut role = three.running[&leader].group.role();
    while role.changed().await.is_ok() {}
    assert!(matches!(*role.borrow(), Role::Follower { leader: None }));
    assert!(!three.send(leader, "late").await);
    three.end().await;
}

/// Sends through a store while it takes messages; what the group has agreed on, once `stopping` is.
async fn send_on(store: Arc<Store>, stopping: CancellationToken) -> Vec<String> {
    let mut confirmed = Vec::new();
    let mut number = 0;
    while !stopping.is_cancelled() {
        let body = format!("{number}-{}", "x".repeat(number % 500));
        let mut batch = store.batch();
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        match store.append_and_confirm(&mut batch).await {
            Ok((_, Confirmation::Confirmed)) => confirmed.push(body),
            _ => sleep(Duration::from_millis(1)).await,
        }
        number += 1;
    }
    confirmed
}

/// Returns once the group has agreed on 100 entries more.
async fn goes_on(group: &Group) {
    let (before, deadline) = (group.figures().agreed, Instant::now() + PATIENCE);
    while group.figures().agreed < before + 100 {
        assert!(Instant::now() < deadline, "nothing is agreed on any more: {:?}", group.figures());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_while_messages_are_sent() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let stopping = CancellationToken::new();
    let store = Arc::clone(&three.running[&leader].store);
    // Many at a time, so that some are always on their way when a change of members comes between them.
    let senders: Vec<_> = (0..8).map(|_| tokio::spawn(send_on(Arc::clone(&store), stopping.clone()))).collect();
    three.folders.insert(4, tempfile::tempdir().unwrap());
    three.start(4).await;
    let of_leader = &three.running[&leader].group;
    goes_on(of_leader).await;
    let unknown = of_leader.promote(4).await;
    assert!(matches!(unknown, Err(GroupError::Unknown { number: 4, .. })), "{unknown:?}");
    of_leader.add_learner(4, "d:4").await.unwrap();
    let other = of_leader.add_learner(4, "e:5").await;
    assert!(matches!(other, Err(GroupError::OtherAddress { number: 4, .. })), "{other:?}");
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = of_leader.promote(4).await {
        assert!(matches!(error, GroupError::Behind { .. }) && Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(10)).await;
    }
    let voters = |group: &Group| -> Vec<u64> {
        group.members().into_iter().filter(|member| member.is_voter).map(|member| member.number).collect()
    };
    assert_eq!(voters(of_leader), [1, 2, 3, 4]);
    goes_on(of_leader).await;
    let gone = (1..=3).find(|number| *number != leader).unwrap();
    let refused = three.running[&gone].group.remove(4).await;
    assert!(matches!(refused, Err(GroupError::NotLeader { leader: Some(knows) }) if knows == leader), "{refused:?}");
    let itself = of_leader.remove(leader).await;
    assert!(matches!(itself, Err(GroupError::Leads { number }) if number == leader), "{itself:?}");
    of_leader.remove(gone).await.unwrap();
    assert!(!of_leader.is_changing());
    goes_on(of_leader).await;
    assert_eq!(voters(of_leader), (1..=4).filter(|number| *number != gone).collect::<Vec<_>>());
    let figures = of_leader.figures();
    assert!(
        figures.applied <= figures.agreed && figures.agreed <= figures.entries && figures.agreed > 0,
        "{figures:?}"
    );
    stopping.cancel();
    three.stop(gone).await;
    let (_, seen) = three.converge().await;
    for sender in senders {
        let confirmed = sender.await.unwrap();
        assert!(confirmed.len() > 10, "{} confirmed", confirmed.len());
        assert!(holds(&seen, &confirmed));
    }
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_make_a_group_once_all_are_there_and_one_that_comes_later_makes_none() {
    let addresses = addresses(4).await;
    let mut three = Three::new(FlushMode::Async, timing(500), Wires::Tcp(addresses.clone()));
    three.folders.insert(4, tempfile::tempdir().unwrap());
    // As a broker does with its settings, which name so many members.
    let founding = |three: &Three, number: u64, members: u64| {
        let member = |number| (number, Member { address: addresses[&number].to_string() });
        let members = (1..=members).map(member).collect();
        tokio::spawn(three.running[&number].group.found_after(Duration::from_secs(3), members))
    };
    for number in 1..=2 {
        three.start(number).await;
    }
    let made: Vec<_> = (1..=2).map(|number| founding(&three, number, 3)).collect();
    // Long enough for many looks.
    sleep(Duration::from_secs(1)).await;
    let knows_members = |three: &Three, number: u64| !three.running[&number].group.members().is_empty();
    assert!((1..=2).all(|number| !knows_members(&three, number)), "two have made a group of three");
    three.start(3).await;
    for made in made {
        made.await.unwrap().unwrap();
    }
    founding(&three, 3, 3).await.unwrap().unwrap();
    let leader = three.leader().await;
    assert!(three.send(leader, "before").await);

    three.start(4).await;
    let fourth = founding(&three, 4, 4);
    sleep(Duration::from_secs(1)).await;
    assert!(!knows_members(&three, 4), "it has made a group of its own");
    three.stop(4).await;
    three.running[&leader].group.add_learner(4, &addresses[&4].to_string()).await.unwrap();
    let absent = three.running[&leader].group.promote(4).await;
    assert!(matches!(absent, Err(GroupError::Behind { number: 4, .. })), "{absent:?}");
    three.running[&leader].group.remove(4).await.unwrap();
    drop(fourth);
    three.start(4).await;
    let fourth = founding(&three, 4, 4);
    // The others are away for a while: still no reason to make one.
    for number in 1..=3 {
        three.stop(number).await;
    }
    sleep(Duration::from_secs(1)).await;
    assert!(!knows_members(&three, 4), "it has made a group of its own");
    for number in 1..=3 {
        three.start(number).await;
    }
    let leader = three.leader().await;
    three.running[&leader].group.add_learner(4, &addresses[&4].to_string()).await.unwrap();
    fourth.await.unwrap().unwrap();
    assert!(three.send(leader, "after").await);
    assert_eq!(three.converge().await.1, ["before", "after"]);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_while_messages_are_sent() {
    // Nobody is elected but by being handed the lead.
    let three = Three::found_with(FlushMode::Async, timing(600_000), Wires::Process).await;
    let mut leader = three.leader().await;
    let mut confirmed = Vec::new();
    for _ in 0..4 {
        let next = leader % 3 + 1;
        let stopping = CancellationToken::new();
        let sender = tokio::spawn(send_on(Arc::clone(&three.running[&leader].store), stopping.clone()));
        sleep(Duration::from_millis(50)).await;
        three.running[&leader].group.transfer(next).await.unwrap();
        stopping.cancel();
        confirmed.push(sender.await.unwrap());
        assert_eq!(three.leader().await, next);
        assert!(three.send(next, "first").await);
        leader = next;
    }
    assert_eq!(three.running[&leader].group.figures().elections, 5);
    let nobody = three.running[&leader].group.transfer(7).await;
    assert!(matches!(nobody, Err(GroupError::Unknown { number: 7, .. })), "{nobody:?}");
    let (_, seen) = three.converge().await;
    for confirmed in confirmed {
        assert!(!confirmed.is_empty() && holds(&seen, &confirmed));
    }
    three.end().await;
}

/// Cuts and stops, as chance has it, while somebody sends: what was confirmed is there, in its order, on all members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_confirmed_is_lost() {
    let seed = std::env::var("RAFT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("RAFT_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let (mut confirmed, mut changed) = (Vec::new(), BTreeMap::new());
    for round in 0..15 {
        let leader = three.leader().await;
        for number in 0..chance.usize(1..20) {
            let body = format!("{round}-{number}-{}", "x".repeat(chance.usize(0..3000)));
            if !three.send(leader, &body).await {
                break;
            }
            confirmed.push(body);
            let change = format!("{round}={number}");
            if three.change(leader, &change).await {
                changed.insert(round.to_string(), number);
            }
        }
        // One thing at a time: there is always a majority that can agree.
        three.heal();
        let one = chance.u64(1..=3);
        match chance.u8(0..5) {
            4 => three.wipe_and_fill(one).await,
            0 => three.cut_off(one),
            1 => {
                three.stop(one).await;
                three.start(one).await;
            }
            2 => {
                let other = (1..=3).find(|other| *other != one).unwrap();
                three.network.cuts.lock().insert((one, other));
            }
            _ => three.heal(),
        }
        // Somebody sends to whoever led, who may not know yet that that is over.
        let body = format!("{round}-late");
        if three.send(leader, &body).await {
            confirmed.push(body);
        }
        if chance.bool() {
            three.heal();
        }
    }
    three.heal();
    let (_, seen) = three.converge().await;
    assert!(holds(&seen, &confirmed), "seed {seed}: {} confirmed, {} seen", confirmed.len(), seen.len());
    let state = three.state().await;
    for (round, number) in changed {
        let found = state.get(&round).and_then(|found| found.parse::<usize>().ok());
        // The last change of a round may be there without that anybody was told so.
        assert!(found.is_some_and(|found| found >= number), "seed {seed}: {round} is {found:?}, and was {number}");
    }
    assert!(confirmed.len() > 15, "seed {seed}: only {} were confirmed", confirmed.len());
    three.end().await;
}
