//! Three members in one process, on real stores, over a network that can be cut, or over TCP.

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
use store::{Confirmation, Everything, FlushMode, RaftLog, ReadRequest, Store, StoreConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::types::{Leader, Vote};
use crate::{Group, Guard, Inquiry, Member, Role, Stand, State, Supply, Timing, Types, serve};

pub(super) const FILE_BYTES: u64 = 64 << 10;
/// Longest wait for what has to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Who is reached by whom.
#[derive(Clone, Default)]
pub(super) struct Network {
    members: Arc<Mutex<BTreeMap<u64, Guard>>>,
    /// From, to.
    pub(super) cuts: Arc<Mutex<HashSet<(u64, u64)>>>,
}

impl Network {
    fn peer(&self, from: u64, to: u64) -> Option<Guard> {
        let is_cut = self.cuts.lock().contains(&(from, to));
        self.members.lock().get(&to).filter(|_| !is_cut).cloned()
    }
}

/// The way from one member to another.
pub(super) struct Way {
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
pub(super) struct Ways {
    pub(super) network: Network,
    pub(super) from: u64,
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
pub(super) struct Map(pub(super) Mutex<Changed>, PathBuf);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changed {
    next: u64,
    pub(super) values: BTreeMap<String, String>,
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

pub(super) struct Running {
    pub(super) group: Group,
    pub(super) store: Arc<Store>,
    pub(super) log: RaftLog,
    pub(super) state: Arc<Map>,
    /// Answers the others, where they ask by TCP.
    server: Option<(CancellationToken, JoinHandle<()>)>,
}

/// How members reach each other.
pub(super) enum Wires {
    Process,
    Tcp(BTreeMap<u64, SocketAddr>),
}

/// Three members, some of which run.
pub(super) struct Three {
    pub(super) flush: FlushMode,
    pub(super) timing: Timing,
    pub(super) wires: Wires,
    pub(super) network: Network,
    pub(super) folders: BTreeMap<u64, TempDir>,
    /// Where one is to be slow.
    pub(super) disks: BTreeMap<u64, SlowDisk>,
    /// What members that do not run have kept of the state.
    pub(super) states: BTreeMap<u64, Arc<Map>>,
    pub(super) running: BTreeMap<u64, Running>,
}

impl Three {
    pub(super) async fn found(flush: FlushMode, wires: Wires) -> Self {
        Self::found_with(flush, timing(200), wires).await
    }

    pub(super) async fn found_with(flush: FlushMode, timing: Timing, wires: Wires) -> Self {
        let mut three = Self::new(flush, timing, wires);
        for number in 1..=3 {
            three.start(number).await;
        }
        three.running[&1].group.found(three.founders()).await.unwrap();
        three
    }

    pub(super) fn founders(&self) -> BTreeMap<u64, Member> {
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
    pub(super) fn new(flush: FlushMode, timing: Timing, wires: Wires) -> Self {
        let folders = (1..=3).map(|number| (number, tempfile::tempdir().unwrap())).collect();
        let (network, disks) = (Network::default(), BTreeMap::new());
        Self { flush, timing, wires, network, folders, disks, states: BTreeMap::new(), running: BTreeMap::new() }
    }

    pub(super) async fn start(&mut self, number: u64) {
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
                let group = Group::start_on(number, &dir, log.clone(), timing, ways, told).await.unwrap();
                self.network.members.lock().insert(number, group.guard().clone());
                (group, None)
            }
            Wires::Tcp(addresses) => {
                let network = crate::Network::new("g".into(), number);
                let group = Group::start_on(number, &dir, log.clone(), timing, network, told).await.unwrap();
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

    pub(super) async fn stop(&mut self, number: u64) {
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
    pub(super) fn cut_off(&self, number: u64) {
        let others = (1..=3).filter(|other| *other != number);
        self.network.cuts.lock().extend(others.flat_map(|other| [(number, other), (other, number)]));
    }

    pub(super) fn heal(&self) {
        self.network.cuts.lock().clear();
    }

    /// Who leads, of those who can be reached.
    pub(super) async fn leader(&self) -> u64 {
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
    pub(super) async fn send(&self, number: u64, body: &str) -> bool {
        let store = &self.running[&number].store;
        let mut batch = store.batch();
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        match store.append_and_confirm(&mut batch).await {
            Ok((_, confirmation)) => confirmation == Confirmation::Confirmed,
            Err(_) => false,
        }
    }

    /// Changes the state through a member; whether the group has agreed on it.
    pub(super) async fn change(&self, number: u64, change: &str) -> bool {
        let log = &self.running[&number].log;
        match log.append_state(change.as_bytes()) {
            Ok(end) => log.agreed(end).await == Confirmation::Confirmed,
            Err(_) => false,
        }
    }

    /// The state, once all members have agreed on the same log.
    pub(super) async fn state(&self) -> BTreeMap<String, String> {
        self.converge().await;
        let of = |running: &Running| running.state.0.lock().clone();
        let leaders = of(&self.running[&self.leader().await]);
        self.running.values().for_each(|running| assert_eq!(of(running), leaders));
        leaders.values
    }

    /// Returns once all members have agreed on the same log; that, and what readers see of it.
    pub(super) async fn converge(&self) -> (Vec<u8>, Vec<String>) {
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

    pub(super) async fn end(mut self) {
        for number in self.running.keys().copied().collect::<Vec<_>>() {
            self.stop(number).await;
        }
    }
}

pub(super) fn timing(election_ms: u64) -> Timing {
    Timing {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(election_ms),
        election_max: Duration::from_millis(2 * election_ms),
    }
}

/// Addresses of members that nobody else listens at.
pub(super) async fn addresses(members: u64) -> BTreeMap<u64, SocketAddr> {
    let mut addresses = BTreeMap::new();
    let mut listeners = Vec::new();
    for number in 1..=members {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        addresses.insert(number, listener.local_addr().unwrap());
        listeners.push(listener);
    }
    addresses
}

pub(super) fn config(root: &Path, flush: FlushMode) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = FILE_BYTES;
    config.consume_queue_file_bytes = 2000;
    (config.index.slots, config.index.entries) = (100, 200);
    config.flush = flush;
    config.sync_flush_timeout = Duration::from_secs(2);
    config
}

pub(super) fn topic() -> TopicName {
    TopicName::new("T")
}

pub(super) fn host() -> Host {
    Host { ip: [127, 0, 0, 1].into(), port: 1 }
}

pub(super) fn bytes(root: &Path, store: &Store, from: PhysicalOffset) -> Vec<u8> {
    let (from, end) = (from.0 as u64, store.max_physical_offset().0 as u64);
    let file = |start: u64| std::fs::read(root.join(format!("commitlog/{start:020}"))).unwrap();
    let mut bytes: Vec<u8> = (from..end).step_by(FILE_BYTES as usize).flat_map(file).collect();
    bytes.truncate((end - from) as usize);
    bytes
}

pub(super) fn first_offset(store: &Store) -> i64 {
    store.min_offset(&topic(), QueueId(0)).map_or(0, |first| first.0)
}

pub(super) fn seen(store: &Store) -> Vec<String> {
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
pub(super) fn holds(found: &[String], wanted: &[String]) -> bool {
    let mut found = found.iter();
    wanted.iter().all(|wanted| found.any(|found| found == wanted))
}
