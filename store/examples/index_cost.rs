//! What finding messages by key costs: `index_cost [<folder>]`, on an otherwise idle machine, in release mode.
//!
//! Messages of 1 KiB with a unique key, a key and tags, so three entries each. They are stored without an index; then the
//! index is made of the whole log at once, and then while more are stored at an even rate.
#![expect(clippy::print_stdout, reason = "prints its figures")]

mod common;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::resident_kib;
use remoting::types::{Clock, Host, QueueId, Timestamp, TopicName};
use store::message::Message;
use store::{KeyKind, Query, Store, StoreConfig};

const BODY_BYTES: usize = 1024;
const MESSAGES: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("ferromq-index-cost"), PathBuf::from);
    let _ = fs::remove_dir_all(&root);
    let mut config = StoreConfig::new(&root);
    config.index.enable = false;
    let (store, _) = Store::open(config.clone(), Clock::system())?;
    produce(&store, 0, None)?;
    store.close()?;
    drop(store);

    config.index.enable = true;
    config.index.complete_at_open = true;
    let before = (cpu_of_process(), Instant::now());
    let (store, _) = Store::open(config, Clock::system())?;
    report("made of a whole log", (cpu_of_process() - before.0).as_nanos() as f64 / MESSAGES as f64);
    println!("in {:?}; resident {} KiB", before.1.elapsed(), resident_kib());

    // The thread that keeps the index has done nothing yet.
    produce(&store, MESSAGES, Some(Duration::from_micros(10)))?;
    let found = store.query(&Query {
        topic: "IndexCost",
        key: &unique_key(2 * MESSAGES - 1),
        kind: KeyKind::Key,
        begin: Timestamp(0),
        end: Timestamp(i64::MAX),
        max_messages: 10,
        max_bytes: usize::MAX,
    });
    println!("the last message is found {} times", found.messages.len());
    report("kept up at 100,000 a second", cpu_of_indexer()?.as_nanos() as f64 / MESSAGES as f64);
    println!("resident {} KiB", resident_kib());
    store.close()?;
    fs::remove_dir_all(&root)?;
    Ok(())
}

fn report(what: &str, nanos: f64) {
    println!("{what:40} {nanos:7.0} ns on a CPU per message");
}

fn unique_key(number: usize) -> String {
    format!("7F0000017FD25F{number:018X}")
}

/// Stores messages in batches of 64; with `every`, no faster than one in that time.
fn produce(store: &Store, first: usize, every: Option<Duration>) -> Result<(), Box<dyn Error>> {
    let topic = TopicName::new("IndexCost");
    let host = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
    let body = vec![b'x'; BODY_BYTES];
    let began = Instant::now();
    let mut batch = store.batch();
    for number in first..first + MESSAGES {
        let properties =
            format!("KEYS\u{1}key-{number}\u{2}UNIQ_KEY\u{1}{}\u{2}TAGS\u{1}the-tag\u{2}", unique_key(number));
        let queue_id = QueueId((number % 8) as i32);
        batch.push(&Message { properties: &properties, ..Message::new(&topic, queue_id, &body, host) })?;
        if batch.len() == 64 || number + 1 == first + MESSAGES {
            store.append(&mut batch)?;
            if let Some(every) = every {
                let due = every * (number - first) as u32;
                std::thread::park_timeout(due.saturating_sub(began.elapsed()));
            }
        }
    }
    Ok(())
}

/// User and system time of a `stat` file of `/proc`, whose clock ticks a hundred times a second.
fn ticks(path: &str) -> Result<Duration, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let (_, fields) = text.rsplit_once(')').ok_or("no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(10 * ticks))
}

fn cpu_of_process() -> Duration {
    ticks("/proc/self/stat").unwrap_or_default()
}

fn cpu_of_indexer() -> Result<Duration, Box<dyn Error>> {
    for thread in fs::read_dir("/proc/self/task")? {
        let path = thread?.path();
        if fs::read_to_string(path.join("comm"))?.trim() == "store-index" {
            return ticks(&path.join("stat").to_string_lossy());
        }
    }
    Err("no thread keeps the index".into())
}
