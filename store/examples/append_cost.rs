//! What one message costs the store: `append_cost [<folder>]`, on an otherwise idle machine, in release mode.
//!
//! Bodies of 1 KiB, `ASYNC_FLUSH`, queues of eight; one producer thread, then two. Encoding is part of it: the time is from
//! the caller's message to the answer that it is stored and in its queue.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use remoting::types::{Clock, Host, QueueId, QueueOffset, Timestamp, TopicName};
use store::message::Message;
use store::{Everything, ReadRequest, ReadStatus, Store, StoreConfig};

const BODY_BYTES: usize = 1024;
const MESSAGES: usize = 400_000;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("ferromq-append-cost"), PathBuf::from);
    for threads in [1, 2] {
        for batch in [1, 16, 64] {
            // A store of its own, so that no run writes over the pages of another.
            let _ = std::fs::remove_dir_all(&root);
            let (store, _) = Store::open(StoreConfig::new(&root), Clock::system())?;
            let began = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| produce(&store, batch, MESSAGES / threads));
                }
            });
            report(&format!("append, {threads} threads, batches of {batch}"), began.elapsed());
            if threads == 1 && batch == 64 {
                let began = Instant::now();
                let read = consume(&store)?;
                report(&format!("read {read} messages, 32 at a time"), began.elapsed());
            }
            store.close()?;
        }
    }
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

fn report(what: &str, took: Duration) {
    println!("{what:40} {:7.0} ns per message", took.as_nanos() as f64 / MESSAGES as f64);
}

fn produce(store: &Store, in_batch: usize, messages: usize) {
    let topic = TopicName::new("BenchmarkTest");
    let host = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
    let body = vec![b'x'; BODY_BYTES];
    let properties = "UNIQ_KEY\u{1}7F0000017FD25FFD2B27692766850000\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagA\u{2}";
    let mut batch = store.batch();
    for first in (0..messages).step_by(in_batch) {
        for number in first..first + in_batch {
            let message = Message {
                topic: &topic,
                queue_id: QueueId((number % 8) as i32),
                flag: 0,
                sys_flag: 0,
                born_timestamp: Timestamp(0),
                born_host: host,
                store_host: host,
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: &body,
                properties,
            };
            batch.push(&message).expect("a legal message");
        }
        store.append(&mut batch).expect("a healthy disk");
    }
}

fn consume(store: &Store) -> Result<usize, Box<dyn Error>> {
    let topic = TopicName::new("BenchmarkTest");
    let mut read = 0;
    for queue_id in (0..8).map(QueueId) {
        let mut offset = QueueOffset(0);
        loop {
            let request = ReadRequest { topic: &topic, queue_id, offset, max_messages: 32, max_bytes: usize::MAX };
            let outcome = store.read(&request, &Everything);
            if outcome.status != ReadStatus::Found {
                break;
            }
            read += outcome.count;
            offset = outcome.next_offset;
        }
    }
    Ok(read)
}
