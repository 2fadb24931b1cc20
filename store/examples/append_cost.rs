//! What one message costs the store: `append_cost [<folder>]`, on an otherwise idle machine, in release mode.
//!
//! Bodies of 1 KiB, `ASYNC_FLUSH`, queues of eight; one producer thread, then two. Encoding is part of it: the time is from
//! the caller's message to the answer that it is stored and in its queue.
#![expect(clippy::print_stdout, reason = "prints its figures")]

mod common;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{QUEUES, TOPIC, cpu_of, produce};
use remoting::types::{Clock, QueueId, QueueOffset, TopicName};
use store::{Everything, ReadRequest, ReadStatus, Store, StoreConfig};

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
                let producer = || cpu_of(|| produce(&store, batch, |sent| sent < MESSAGES / threads)).1;
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

fn consume(store: &Store) -> usize {
    let topic = TopicName::new(TOPIC);
    let mut read = 0;
    for queue_id in (0..QUEUES).map(QueueId) {
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
