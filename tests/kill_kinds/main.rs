//! The real process is killed over and over while messages of every kind are under way, and what its clients were told holds.
//!
//! Clients live as long as each life of the broker does: they send messages with a delay and with a time of their own, begin
//! transactions and end them or wait to be asked, pop messages and acknowledge some. A last life is left alone until all is
//! over. Then each kind's rules are checked against what the clients saw; see there.
//!
//! `KILL_ROUNDS` asks for more than the usual few rounds.

#[path = "../common/mod.rs"]
mod common;
mod delayed;
mod field;
mod popped;
mod transacted;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::types::{QueueOffset, Timestamp};
use store::message::StoredMessage;
use tokio::task::JoinSet;

use self::common::{client, pull_message};
use self::delayed::Delayed;
use self::field::{ANSWER_MAX, Field};
use self::popped::Popped;
use self::transacted::Transacted;

const TOPICS: [&str; 3] = [delayed::TOPIC, transacted::TOPIC, popped::TOPIC];
/// Until everything is over in the life that is left alone.
const OVER_MAX: Duration = Duration::from_secs(120);

/// A message that a consumer sees.
struct Seen {
    number: u64,
    stored: Timestamp,
}

/// All messages of a topic.
async fn all_of(client: &Client, field: &Field, topic: &str) -> Vec<Seen> {
    let (mut all, mut next) = (Vec::new(), QueueOffset(0));
    loop {
        let pull = pull_message(topic, "looker", 0, next, 0);
        let answer = client.call(&field.addr(), &pull, Bytes::new(), ANSWER_MAX).await.expect("an answer");
        if answer.code() != ResponseCode::SUCCESS {
            assert_eq!(answer.code(), ResponseCode::PULL_NOT_FOUND, "{topic} at {next}: {answer:?}");
            return all;
        }
        let mut bytes = &answer.0.body[..];
        while !bytes.is_empty() {
            let message = StoredMessage::parse(bytes).expect("a record");
            message.check_crc().expect("whole");
            all.push(Seen { number: number_of(message.body), stored: message.store_timestamp });
            next = message.queue_offset.after(1);
            bytes = &bytes[message.size..];
        }
    }
}

fn number_of(body: &[u8]) -> u64 {
    String::from_utf8_lossy(body).trim().parse().expect("a number")
}

/// Looks again until nothing is open.
async fn until_over(what: &str, mut open: impl AsyncFnMut() -> usize) {
    let begun = Instant::now();
    loop {
        let left = open().await;
        if left == 0 {
            return;
        }
        assert!(begun.elapsed() < OVER_MAX, "{left} {what} never came");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The clients of one life, which end with it.
fn load(field: &Field, delayed: &Arc<Delayed>, transacted: &Arc<Transacted>, popped: &Arc<Popped>) -> JoinSet<()> {
    let mut load = JoinSet::new();
    load.spawn(Arc::clone(delayed).send(field.addr()));
    load.spawn(Arc::clone(transacted).send(field.addr()));
    load.spawn(Arc::clone(popped).send(field.addr()));
    load.spawn(Arc::clone(popped).consume(field.addr(), popped::Acks::OfEvenNumbers));
    load
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_message_survives_kill_9() {
    let count: u64 = std::env::var("KILL_ROUNDS").map_or(5, |rounds| rounds.parse().expect("KILL_ROUNDS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!("{}{}reviveQueueNum=2\n", transacted::SETTINGS, delayed::SETTINGS);
    let field = Field::new(folder.path(), settings);
    let (delayed, transacted, popped) = (Arc::default(), Arc::default(), Arc::default());
    for round in 0..count {
        let mut broker = field.start();
        for topic in TOPICS {
            field.until_up(&client(), topic).await;
        }
        let mut load = load(&field, &delayed, &transacted, &popped);
        // From hardly begun to when the first messages have come that waited.
        tokio::time::sleep(Duration::from_millis(100 + round * 977 % 2500)).await;
        broker.kill();
        while let Some(ended) = load.join_next().await {
            ended.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", field.log()));
        }
    }
    let _broker = field.start();
    let looker = client();
    for topic in TOPICS {
        field.until_up(&looker, topic).await;
    }
    let producer = transacted.join(&field.addr()).await.expect("a producer");
    until_over("timed messages", async || delayed.missing(&all_of(&looker, &field, delayed::TOPIC).await)).await;
    until_over("transactions", async || transacted.open(&all_of(&looker, &field, transacted::TOPIC).await)).await;
    let consuming = tokio::spawn(Arc::clone(&popped).consume(field.addr(), popped::Acks::OfAll));
    until_over("popped messages", async || popped.open()).await;
    // Nothing more comes, though leases end and producers could be asked.
    tokio::time::sleep(2 * popped::LASTS).await;
    consuming.abort();
    drop(producer);
    delayed.check(&all_of(&looker, &field, delayed::TOPIC).await, count);
    transacted.check(&all_of(&looker, &field, transacted::TOPIC).await);
    popped.check();
}
