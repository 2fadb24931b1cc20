//! What many queues cost: `cargo run --release -p store --example many_queues -- [<folder> [<topics>]]`, eight queues a
//! topic, on an otherwise idle machine. A queue takes about 9 KiB of the disk.
//!
//! Each queue gets one message; then the store is closed and opened again: after a clean stop, whose roster tells of all
//! queues; after kill -9 of a process that had used it, beside a diary; as after a clean stop of Java's, without a roster; as
//! after a crash that nothing was noted for and that the checkpoint had kept up with; and as after one without a checkpoint,
//! which makes every queue again. The folder is kept, so that a second run only opens.
#![expect(clippy::print_stdout, reason = "prints its figures")]

mod common;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::resident_kib;
use remoting::types::{Clock, Host, QueueId, TopicName};
use store::message::Message;
use store::{Store, StoreConfig};

const QUEUES: i32 = 8;
const TOPICS: usize = 100_000;

/// First argument of the process that is to be killed.
const USE: &str = "--use";
/// Topics that it sends to.
const USED_TOPICS: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|arg| arg == USE).is_some() {
        return use_until_killed(Path::new(&args.next().ok_or("no folder")?));
    }
    let root = args.next().map_or_else(|| std::env::temp_dir().join("ferromq-many-queues"), PathBuf::from);
    let topics = args.next().map_or(Ok(TOPICS), |count| count.parse())?;
    println!("{topics} topics of {QUEUES} queues in {}", root.display());
    if !root.exists() {
        let store = timed("open, empty", || open(&root))?;
        timed("one message to each queue", || fill(&store, topics))?;
        timed("close", || store.close())?;
    }
    // As the last run left it, whichever that was.
    let store = timed("open", || open(&root))?;
    timed("close", || store.close())?;
    drop(store);
    let store = timed("open after a clean stop", || open(&root))?;
    timed("close", || store.close())?;
    drop(store);
    kill_a_user(&root)?;
    let store = timed("open after kill -9", || open(&root))?;
    timed("close", || store.close())?;
    drop(store);
    fs::remove_file(root.join("ferromq.queues"))?;
    let store = timed("open as after a clean stop of Java's", || open(&root))?;
    timed("close", || store.close())?;
    drop(store);
    fs::write(root.join("abort"), "")?;
    let store = timed("open as after a crash", || open(&root))?;
    timed("close", || store.close())?;
    drop(store);
    fs::write(root.join("abort"), "")?;
    fs::remove_file(root.join("checkpoint"))?;
    let store = timed("open as after a crash, without a checkpoint", || open(&root))?;
    timed("close", || store.close())?;
    Ok(())
}

fn open(root: &Path) -> Result<Arc<Store>, Box<dyn Error>> {
    let (store, report) = Store::open(StoreConfig::new(root), Clock::system())?;
    let how = if report.queues_noted { "noted by the stop" } else { "listed" };
    let (records, entries) = (report.scanned_records, report.rebuilt_entries);
    println!(
        "  {} queues {how}, {records} records walked, {entries} entries made again, {:?}",
        report.queues, report.took
    );
    Ok(store)
}

fn timed<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    let done = work()?;
    let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    println!("{what}: {:.2?}, resident {} MiB, {files} descriptors", began.elapsed(), resident_kib() / 1024);
    Ok(done)
}

/// Has another process open the store and send to some topics, and kills it.
fn kill_a_user(root: &Path) -> Result<(), Box<dyn Error>> {
    let mut user = Command::new(std::env::current_exe()?).arg(USE).arg(root).stdout(Stdio::piped()).spawn()?;
    // It says so when it has sent.
    let said = BufReader::new(user.stdout.take().ok_or("no output")?).lines().last();
    user.wait()?;
    said.ok_or("it has sent nothing")??;
    Ok(())
}

fn use_until_killed(root: &Path) -> Result<(), Box<dyn Error>> {
    let store = open(root)?;
    fill(&store, USED_TOPICS)?;
    // Until units and checkpoint are written.
    std::thread::park_timeout(Duration::from_secs(5));
    println!("sent");
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    Ok(())
}

fn fill(store: &Store, topics: usize) -> Result<(), Box<dyn Error>> {
    let host = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
    let mut batch = store.batch();
    for number in 0..topics {
        let topic = TopicName::new(format!("topic-{number:06}-of-many"));
        for queue in 0..QUEUES {
            batch.push(&Message::new(&topic, QueueId(queue), b"one", host))?;
        }
        store.append(&mut batch)?;
    }
    Ok(())
}
