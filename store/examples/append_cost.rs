//! What one message costs the store: `append_cost [<folder>]`, on an otherwise idle machine, in release mode.
//!
//! Bodies of 1 KiB, `ASYNC_FLUSH`, queues of eight; one producer thread, then two. Encoding is part of it: the time is from
//! the caller's message to the answer that it is stored and in its queue.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use remoting::types::{Clock, Host, QueueId, QueueOffset, TopicName};
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
            let cpu = std::thread::scope(|scope| {
                let producer = || cpu_of(|| produce(&store, batch, MESSAGES / threads)).1;
                let producers: Vec<_> = (0..threads).map(|_| scope.spawn(producer)).collect();
                producers.into_iter().map(|producer| producer.join().expect("no panic")).sum()
            });
            report(&format!("append, {threads} threads, batches of {batch}"), began.elapsed(), cpu);
            if threads == 1 && batch == 64 {
                let began = Instant::now();
                let (read, cpu) = cpu_of(|| consume(&store));
                report(&format!("read {read} messages, 32 at a time"), began.elapsed(), cpu);
            }
            store.close()?;
        }
    }
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

fn report(what: &str, took: Duration, cpu: Duration) {
    let each = |time: Duration| time.as_nanos() as f64 / MESSAGES as f64;
    println!("{what:40} {:7.0} ns per message, {:7.0} ns on a CPU", each(took), each(cpu));
}

/// Runs `work` and tells the time that this thread was on a CPU meanwhile, which other programs do not lengthen as much.
fn cpu_of<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let on_cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
    };
    let before = on_cpu();
    let result = work();
    (result, on_cpu() - before)
}

fn produce(store: &Store, in_batch: usize, messages: usize) {
    let topic = TopicName::new("BenchmarkTest");
    let host = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
    let body = vec![b'x'; BODY_BYTES];
    let properties = "UNIQ_KEY\u{1}7F0000017FD25FFD2B27692766850000\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagA\u{2}";
    let mut batch = store.batch();
    for first in (0..messages).step_by(in_batch) {
        for number in first..first + in_batch {
            let queue_id = QueueId((number % 8) as i32);
            let message = Message { properties, ..Message::new(&topic, queue_id, &body, host) };
            batch.push(&message).expect("a legal message");
        }
        store.append(&mut batch).expect("a healthy disk");
    }
}

fn consume(store: &Store) -> usize {
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
    read
}
