//! Masters and slaves on stores in temporary folders, over real sockets.

mod feeding;
mod following;
mod status;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remoting::types::{Clock, PhysicalOffset, QueueId, Timestamp, TopicName};
use store::message::Message;
use store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::sync::watch;

use super::follower::Following;
use super::wire::{HEADER_BYTES, Header};
use super::*;
use crate::config::BrokerConfig;

const FILE_BYTES: usize = 64 << 10;
/// Longest wait for what other threads do.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store in a folder.
struct Log {
    store: Arc<Store>,
    folder: TempDir,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        Self { store, folder }
    }

    /// Stores messages; each takes a bit more than a kilobyte.
    fn append(&self, messages: std::ops::Range<usize>) {
        let topic = TopicName::from("T");
        for number in messages {
            let body = vec![b'a' + (number % 26) as u8; 1024];
            let mut batch = self.store.batch();
            batch.push(&message(&topic, number, &body)).unwrap();
            self.store.append(&mut batch).unwrap();
        }
    }

    fn end(&self) -> PhysicalOffset {
        self.store.max_physical_offset()
    }

    /// All of the log that is in files, by their names.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = fs::read_dir(self.folder.path().join("commitlog")).unwrap();
        let mut files: Vec<_> = files
            .map(|file| file.unwrap())
            .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
            // One that is made in advance holds nothing yet.
            .filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0))
            .collect();
        files.sort();
        files
    }
}

fn open(folder: &Path) -> Arc<Store> {
    let config = StoreConfig {
        commit_log_file_bytes: FILE_BYTES as u64,
        max_message_bytes: 16 << 10,
        ..StoreConfig::new(folder)
    };
    Store::open(config, Clock::fixed(Timestamp(1_700_000_000_000))).unwrap().0
}

fn message<'a>(topic: &'a TopicName, number: usize, body: &'a [u8]) -> Message<'a> {
    Message {
        topic,
        queue_id: QueueId((number % 4) as i32),
        flag: 0,
        sys_flag: 0,
        born_timestamp: Timestamp(number as i64),
        born_host: SocketAddr::from(([10, 0, 0, 7], 4567)).into(),
        store_host: SocketAddr::from(([10, 0, 0, 1], 10911)).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties: "",
    }
}

fn settings(change: impl FnOnce(&mut BrokerConfig)) -> watch::Sender<Arc<BrokerConfig>> {
    let mut settings = BrokerConfig { mapped_file_size_commit_log: FILE_BYTES as u64, ..BrokerConfig::default() };
    change(&mut settings);
    watch::Sender::new(Arc::new(settings))
}

/// A master, whose settings can be changed.
struct Master {
    feeder: Arc<Feeder>,
    addr: SocketAddr,
    acks: Arc<Acks>,
    settings: watch::Sender<Arc<BrokerConfig>>,
}

impl Master {
    fn of(log: &Log, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let settings = settings(change);
        let (port, addr) = FeederPort::anywhere();
        let acks = Acks::new(settings.subscribe());
        let feeder = Feeder::start(port, &log.store, settings.subscribe(), &acks).unwrap();
        Self { feeder, addr, acks, settings }
    }
}

/// Waits until `look` sees something.
fn within_a_while<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited too long");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The wire alone, of either side.
struct Wire(TcpStream);

impl Wire {
    fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).unwrap())
    }

    fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn report(&mut self, end: i64) {
        self.0.write_all(&end.to_be_bytes()).unwrap();
    }

    /// The next piece of the log; `None`: the other side has hung up.
    fn piece(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).ok()?;
        let header = Header::decode(&header).unwrap();
        let mut bytes = vec![0; header.len];
        self.0.read_exact(&mut bytes).unwrap();
        Some((header, bytes))
    }
}

/// Returns once it has all that the master had.
async fn caught_up(follower: &Follower) {
    let mut changes = follower.changes();
    let all = changes.wait_for(|state| *state == Following::CaughtUp);
    tokio::time::timeout(PATIENCE, all).await.expect("it catches up").unwrap();
}
