//! The real process is killed over and over under load, and forgets nothing that it acknowledged.
//!
//! Producers send numbered messages, each once; a consumer follows and commits. After each kill -9 and restart: every
//! acknowledged message lies where the acknowledgement said, offsets have no gap, no number appears twice, and the group's
//! offsets are not older than those that were on disk.
//!
//! `KILL_ROUNDS` asks for more than the usual few rounds.

mod common;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::ports::free_port;
use common::{Process, client, processes, pull_message, send_message};
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::protocol::offset::{QueryConsumerOffset, UpdateConsumerOffset};
use remoting::protocol::pull::PullMessage;
use remoting::types::{QueueId, QueueOffset};
use store::message::StoredMessage;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const TOPIC: &str = "killed";
const GROUP: &str = "follower";
const QUEUES: i32 = 4;
const PRODUCERS: usize = 3;
const IN_FLIGHT: usize = 16;
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// What the clients know.
#[derive(Default)]
struct Known {
    next_number: u64,
    /// Number of each acknowledged message by its place.
    acknowledged: HashMap<(i32, i64), u64>,
    /// Newest offset whose commit was acknowledged, by queue.
    committed: HashMap<i32, i64>,
}

struct Field {
    folder: PathBuf,
    port: u16,
    flush: &'static str,
    known: Arc<Mutex<Known>>,
}

impl Field {
    fn start(&self) -> Process {
        let settings = format!(
            "brokerName=victim\nbrokerIP1=127.0.0.1\nlistenPort={}\nstorePathRootDir={}\nflushDiskType={}\n\
             mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=6000\nmaxMessageSize=65536\nflushConsumerOffsetInterval=100\n",
            self.port,
            self.store().display(),
            self.flush
        );
        processes::start("broker", &self.folder, &settings, Some("warn"))
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        processes::log_of(&self.folder)
    }

    async fn until_up(&self, client: &Client) {
        processes::until_up(client, &self.addr(), (TOPIC, QUEUES), ANSWER_MAX, || self.log()).await;
    }
}

/// Sends until the broker is gone.
async fn produce(addr: String, known: Arc<Mutex<Known>>) {
    let client = Arc::new(client());
    loop {
        let mut sends = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let number = {
                let mut known = known.lock().await;
                known.next_number += 1;
                known.next_number
            };
            let (client, addr, known) = (Arc::clone(&client), addr.clone(), Arc::clone(&known));
            sends.spawn(async move { send(&client, &addr, number, &known).await });
        }
        while let Some(alive) = sends.join_next().await {
            if !alive.expect("no panic") {
                return;
            }
        }
    }
}

/// False: the broker did not answer.
async fn send(client: &Client, addr: &str, number: u64, known: &Mutex<Known>) -> bool {
    let header = send_message(TOPIC, QUEUES, number);
    let mut body = number.to_string().into_bytes();
    // Some are large, so that files of the log end now and then.
    body.resize(body.len().max(if number.is_multiple_of(50) { 20_000 } else { 300 }), b' ');
    let Ok(answer) = client.call(addr, &header, body.into(), ANSWER_MAX).await else { return false };
    assert_eq!(answer.code(), ResponseCode::SUCCESS, "{answer:?}");
    let (reply, _) = answer.success::<remoting::protocol::send::SendMessageReply>().expect("a reply");
    let before = known.lock().await.acknowledged.insert((reply.queue_id.0, reply.queue_offset.0), number);
    assert_eq!(before, None, "{number} got a place that was given away: {reply:?}");
    true
}

/// Follows one queue and commits what it has seen, until the broker is gone.
async fn follow(addr: String, queue: i32, known: Arc<Mutex<Known>>) {
    let client = client();
    let mut next = QueueOffset(known.lock().await.committed.get(&queue).copied().unwrap_or(0));
    loop {
        let Ok(answer) = client.call(&addr, &pull(queue, next, 1000), Bytes::new(), ANSWER_MAX).await else { return };
        if answer.code() == ResponseCode::SUCCESS {
            let (reply, _) = answer.success::<remoting::protocol::pull::PullMessageReply>().expect("a reply");
            next = reply.next_begin_offset;
            let commit = UpdateConsumerOffset {
                consumer_group: GROUP.into(),
                topic: TOPIC.into(),
                queue_id: QueueId(queue),
                commit_offset: next,
                forward: None,
            };
            match client.call(&addr, &commit, Bytes::new(), ANSWER_MAX).await {
                Ok(answer) => assert_eq!(answer.code(), ResponseCode::SUCCESS),
                Err(_) => return,
            }
            known.lock().await.committed.insert(queue, next.0);
        }
    }
}

fn pull(queue: i32, from: QueueOffset, patience: i64) -> PullMessage {
    pull_message(TOPIC, GROUP, queue, from, patience)
}

/// Reads everything from `checked` on and compares it with what is known.
async fn check(client: &Client, field: &Field, checked: &mut [i64], numbers: &mut HashSet<u64>) {
    let known = field.known.lock().await;
    for queue in 0..QUEUES {
        let mut next = checked[queue as usize];
        loop {
            let answer = client.call(&field.addr(), &pull(queue, QueueOffset(next), 0), Bytes::new(), ANSWER_MAX).await;
            let answer = answer.expect("an answer");
            if answer.code() != ResponseCode::SUCCESS {
                assert_eq!(answer.code(), ResponseCode::PULL_NOT_FOUND, "queue {queue} at {next}: {answer:?}");
                break;
            }
            let mut bytes = &answer.0.body[..];
            while !bytes.is_empty() {
                let message = StoredMessage::parse(bytes).expect("a record");
                message.check_crc().expect("whole");
                assert_eq!(message.queue_offset.0, next, "queue {queue} has a gap");
                let number = String::from_utf8_lossy(message.body).trim().parse().expect("a number");
                assert!(numbers.insert(number), "{number} is there twice");
                if let Some(expected) = known.acknowledged.get(&(queue, next)) {
                    assert_eq!(number, *expected, "queue {queue} at {next}");
                }
                next += 1;
                bytes = &bytes[message.size..];
            }
        }
        let acknowledged = known.acknowledged.keys().filter(|place| place.0 == queue).map(|place| place.1).max();
        assert!(
            acknowledged.is_none_or(|last| last < next),
            "queue {queue} ends at {next}, {acknowledged:?} was promised"
        );
        checked[queue as usize] = next;
    }
}

/// The group's offsets on disk, by queue.
fn saved_offsets(store: &Path) -> HashMap<i32, i64> {
    let text = fs::read_to_string(store.join("config/consumerOffset.json")).unwrap_or_default();
    let Some((_, rest)) = text.split_once(&format!("\"{TOPIC}@{GROUP}\"")) else { return HashMap::new() };
    let object = rest.split(['{', '}']).nth(1).unwrap_or_default();
    let pairs = object.split(',').filter_map(|pair| pair.split_once(':'));
    pairs
        .map(|(queue, offset)| {
            let number = |text: &str| text.trim().trim_matches('"').parse::<i64>().expect("a number");
            (number(queue) as i32, number(offset))
        })
        .collect()
}

async fn check_offsets(client: &Client, field: &Field, saved: &HashMap<i32, i64>) {
    let known = field.known.lock().await;
    for queue in 0..QUEUES {
        let header = QueryConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(queue),
            set_zero_if_not_found: Some(false),
        };
        let answer = client.call(&field.addr(), &header, Bytes::new(), ANSWER_MAX).await.expect("an answer");
        let offset = answer.success::<remoting::protocol::offset::OffsetReply>().ok().map(|(reply, _)| reply.offset.0);
        let least = saved.get(&queue).copied();
        assert!(offset >= least, "queue {queue}: {least:?} was saved, {offset:?} is known");
        assert!(offset.is_none_or(|offset| offset <= known.committed.get(&queue).copied().unwrap_or(0) + 32));
    }
}

async fn rounds(flush: &'static str) {
    let count: u32 = std::env::var("KILL_ROUNDS").map_or(4, |rounds| rounds.parse().expect("KILL_ROUNDS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let field = Field { folder: folder.path().to_owned(), port, flush, known: Arc::default() };
    let (mut checked, mut numbers) = ([0; QUEUES as usize], HashSet::new());
    let mut saved = HashMap::new();
    for round in 0..count {
        let mut broker = field.start();
        let client = client();
        field.until_up(&client).await;
        check_offsets(&client, &field, &saved).await;
        check(&client, &field, &mut checked, &mut numbers).await;
        let mut load = JoinSet::new();
        for _ in 0..PRODUCERS {
            load.spawn(produce(field.addr(), Arc::clone(&field.known)));
        }
        for queue in 0..QUEUES {
            load.spawn(follow(field.addr(), queue, Arc::clone(&field.known)));
        }
        // From hardly begun to several files.
        tokio::time::sleep(Duration::from_millis(u64::from(round * 131 % 600))).await;
        saved = saved_offsets(&field.store());
        broker.kill();
        while let Some(ended) = load.join_next().await {
            ended.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", field.log()));
        }
    }
    let _broker = field.start();
    let client = client();
    field.until_up(&client).await;
    check_offsets(&client, &field, &saved).await;
    check(&client, &field, &mut checked, &mut numbers).await;
    assert!(!numbers.is_empty() && (count < 4 || !saved.is_empty()), "the load was none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_with_async_flush() {
    rounds("ASYNC_FLUSH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9_with_sync_flush() {
    rounds("SYNC_FLUSH").await;
}
