//! What a slave makes of what a master says.

use std::convert::Infallible;
use std::net::TcpListener;

use remoting::body::{KvTable, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::admin::GetBrokerRuntimeInfo;
use remoting::protocol::query::ViewMessageById;
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};
use remoting::server::{Server, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::*;

/// The port for clients of a master with this store, as far as slaves ask there.
struct Desk(Arc<Store>);

#[derive(Debug, thiserror::Error)]
#[error("can not find message by the offset, {0}")]
struct NoMessage(PhysicalOffset);

impl IntoResponse for NoMessage {
    fn code(&self) -> ResponseCode {
        ResponseCode::SYSTEM_ERROR
    }
}

impl Handle<ViewMessageById> for Desk {
    type Error = NoMessage;

    async fn handle(&self, call: Call<ViewMessageById>) -> Result<Reply<NoHeader>, NoMessage> {
        let record = self.0.record_at(call.header.offset).ok_or(NoMessage(call.header.offset))?;
        Ok(Reply::done().body(record))
    }
}

impl Handle<GetBrokerRuntimeInfo> for Desk {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetBrokerRuntimeInfo>) -> Result<Reply<NoHeader>, Infallible> {
        let bounds = [
            ("commitLogMinOffset", self.0.min_physical_offset()),
            ("commitLogMaxOffset", self.0.max_physical_offset()),
        ];
        let table = bounds.map(|(key, offset)| (key.to_owned(), offset.to_string())).into();
        Ok(Reply::done().body(fastjson::write(&KvTable { table })))
    }
}

/// Serves until the guard goes.
fn serve(store: &Arc<Store>) -> (String, tokio_util::sync::DropGuard) {
    let desk = Arc::new(Desk(Arc::clone(store)));
    let mut router = Router::default();
    router.on::<ViewMessageById>(&desk).on::<GetBrokerRuntimeInfo>(&desk);
    let server = Server::bind(ServerConfig::listening(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
    let addr = server.local_addr().unwrap().to_string();
    let stopping = CancellationToken::new();
    tokio::spawn(server.run(Arc::new(router), Arc::new(()), stopping.clone()));
    (addr, stopping.drop_guard())
}

/// A slave, which can be told of another master.
struct Slave {
    follower: Arc<Follower>,
    master: watch::Sender<Option<MasterAt>>,
    /// Settings stay as long as there is who could change them.
    _settings: watch::Sender<Arc<BrokerConfig>>,
}

impl Slave {
    fn of(log: &Log, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let settings = settings(change);
        let master = watch::Sender::new(None);
        let clock = Clock::fixed(Timestamp(1_700_000_000_000));
        let follower = Follower::start(&log.store, settings.subscribe(), clock, master.subscribe()).unwrap();
        Self { follower, master, _settings: settings }
    }

    fn follows(&self, ha_addr: impl ToString, addr: Option<&str>) {
        self.master.send_replace(Some(MasterAt { ha_addr: ha_addr.to_string(), addr: addr.map(str::to_owned) }));
    }

    async fn has(&self, log: &Log, end: PhysicalOffset) {
        let all = async {
            while log.end() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .unwrap_or_else(|_| panic!("the log ends at {} and not at {end}: {:?}", log.end(), self.follower.status()));
    }

    async fn is_refused(&self) -> String {
        let mut changes = self.follower.changes();
        let refused = changes.wait_for(|state| matches!(state, Following::Refused { .. }));
        let refused = tokio::time::timeout(PATIENCE, refused).await.expect("it is refused").unwrap();
        let Following::Refused { why } = &*refused else { unreachable!() };
        why.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_has_all_of_the_log_and_what_comes_byte_for_byte() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..150);
    let master = Master::of(&theirs, |_| {});
    let (addr, _serving) = serve(&theirs.store);
    let slave = Slave::of(&ours, |_| {});
    assert_eq!(slave.follower.status().state, Following::NoMaster);
    slave.follows(master.addr, Some(&addr));
    caught_up(&slave.follower).await;
    slave.has(&ours, theirs.end()).await;
    assert_eq!(ours.files(), theirs.files(), "from the first message on, though it is not in the last file");
    theirs.append(150..200);
    slave.has(&ours, theirs.end()).await;
    assert_eq!(ours.files(), theirs.files());
    for queue in 0..4 {
        assert_eq!(ours.store.max_offset("T", QueueId(queue)), Some(remoting::types::QueueOffset(50)));
    }
    within_a_while(|| master.feeder.slaves().pop().filter(|slave| slave.behind == 0));
    slave.follower.stop();
    assert_eq!(slave.follower.status().state, Following::Stopped);
    let mut batch = ours.store.batch();
    batch.push(&message(&"T".into(), 0, b"mine")).unwrap();
    ours.store.append(&mut batch).expect("who follows nobody stores messages again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_goes_on_where_it_was_with_the_same_master_and_the_next() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..30);
    let (addr, _serving) = serve(&theirs.store);
    let slave = Slave::of(&ours, |_| {});
    let first = Master::of(&theirs, |_| {});
    slave.follows(first.addr, Some(&addr));
    slave.has(&ours, theirs.end()).await;
    first.feeder.stop();
    theirs.append(30..60);
    let second = Master::of(&theirs, |_| {});
    slave.follows(second.addr, Some(&addr));
    slave.has(&ours, theirs.end()).await;
    assert_eq!(ours.files(), theirs.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_may_begin_with_the_last_file() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..150);
    let master = Master::of(&theirs, |_| {});
    let (addr, _serving) = serve(&theirs.store);
    let slave = Slave::of(&ours, |settings| settings.sync_from_last_file = true);
    slave.follows(master.addr, Some(&addr));
    slave.has(&ours, theirs.end()).await;
    assert_eq!(ours.store.min_physical_offset(), theirs.store.last_file_start());
    assert_eq!(ours.files()[..], theirs.files()[theirs.files().len() - 1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_parted_from_the_masters_is_refused_with_words_and_left_alone() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..5);
    ours.append(0..3);
    // The same length at the same place, other bytes.
    let mut batch = ours.store.batch();
    batch.push(&message(&"T".into(), 3, &[b'x'; 1024])).unwrap();
    let at = ours.end();
    ours.store.append(&mut batch).unwrap();
    let (before, end) = (ours.files(), ours.end());
    let master = Master::of(&theirs, |_| {});
    let (addr, _serving) = serve(&theirs.store);
    let slave = Slave::of(&ours, |_| {});
    slave.follows(master.addr, Some(&addr));
    let why = slave.is_refused().await;
    let words = format!("another record at {at} than this slave");
    assert!(why.contains(&words) && why.contains("Nothing is cut of either log"), "{why}");
    assert_eq!((ours.files(), ours.end()), (before, end));
    slave.follower.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_is_ahead_is_refused() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..3);
    ours.append(0..4);
    let master = Master::of(&theirs, |_| {});
    let (addr, _serving) = serve(&theirs.store);
    let slave = Slave::of(&ours, |_| {});
    slave.follows(master.addr, Some(&addr));
    let why = slave.is_refused().await;
    let words = format!("has none there: its log reaches from 0 to {}", theirs.end());
    assert!(why.contains(&words), "{why}");
    // As soon as there is one with the same log, it is followed.
    let other = Log::new();
    other.append(0..9);
    let master = Master::of(&other, |_| {});
    let (addr, _serving) = serve(&other.store);
    slave.follows(master.addr, Some(&addr));
    slave.has(&ours, other.end()).await;
    assert_eq!(ours.files(), other.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_whom_only_the_port_for_slaves_is_known_is_followed() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..9);
    let master = Master::of(&theirs, |_| {});
    let slave = Slave::of(&ours, |settings| settings.ha_master_address = Some(master.addr.to_string()));
    slave.has(&ours, theirs.end()).await;
    assert_eq!(ours.files(), theirs.files());
    assert_eq!(slave.follower.status().master.unwrap().ha_addr, master.addr.to_string());
}

/// What Java's masters do that ours do not: pieces cut anywhere, several at once, heartbeats in between.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_may_be_cut_anywhere() {
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..70);
    let end = theirs.end().0 as usize;
    let all: Vec<u8> = theirs.files().into_iter().flat_map(|(_, bytes)| bytes).take(end).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let slave = Slave::of(&ours, |_| {});
    slave.follows(listener.local_addr().unwrap(), None);
    let speaking = tokio::task::spawn_blocking(move || {
        let (mut master, _) = listener.accept().unwrap();
        let mut says = [0; 8];
        master.read_exact(&mut says).unwrap();
        assert_eq!(i64::from_be_bytes(says), 0);
        let (mut at, mut stream) = (0, Vec::new());
        for len in (1..).map(|step| step * 7919 % 3001) {
            let len = len.min(all.len() - at).min(FILE_BYTES - at % FILE_BYTES);
            stream.extend(Header { at: PhysicalOffset(at as i64), len }.encode());
            stream.extend(&all[at..at + len]);
            at += len;
            if at == all.len() {
                break;
            }
        }
        stream.chunks(1013).for_each(|some| master.write_all(some).unwrap());
        // It says how far it has come, and nothing else.
        while i64::from_be_bytes(says) < all.len() as i64 {
            master.read_exact(&mut says).unwrap();
        }
        // What does not go on there is not taken.
        let elsewhere = Header { at: PhysicalOffset(end as i64 + 1), len: 1 };
        master.write_all(&elsewhere.encode()).unwrap();
        assert_eq!(master.read(&mut says).unwrap_or(0), 0, "it hangs up");
    });
    slave.has(&ours, theirs.end()).await;
    assert_eq!(ours.files(), theirs.files());
    speaking.await.unwrap();
}
