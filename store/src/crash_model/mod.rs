//! Random lives of a store on a disk that forgets, tears and fails, checked against a plain list of what was written.
//!
//! A seed decides everything but the timing of the store's own threads. After every power cut the store opens, holds a
//! prefix of what was written, and all that was flushed; its queues have no gap and no entry twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use fastrand::Rng;
use remoting::types::{Clock, Host, QueueId, QueueOffset, Timestamp, TopicName};

use crate::message::{Message, StoredMessage};
use crate::read::Everything;
use crate::testing::{Fault, Lie, LossyDisk};
use crate::{FlushMode, ReadRequest, ReadStatus, RecoveryReport, Store, StoreConfig};

const QUEUES: i32 = 3;

/// A message in the log.
#[derive(Clone, Debug)]
struct Written {
    queue_offset: i64,
    /// Where its record starts and ends in the log.
    start: i64,
    end: i64,
    body: Vec<u8>,
}

impl Written {
    /// Tells it apart from all others.
    fn number(&self) -> usize {
        let text = String::from_utf8_lossy(&self.body);
        text.split(':').next().and_then(|number| number.parse().ok()).expect("a body begins with its number")
    }
}

struct Life {
    folder: PathBuf,
    number: usize,
    flush: FlushMode,
    lie: Lie,
    rng: Rng,
    disk: Arc<LossyDisk>,
    store: Arc<Store>,
    /// What was stored, in log order.
    model: Vec<Written>,
    /// Messages whose append failed. Their bytes may be on disk all the same, and a power cut may bring them back.
    refused: HashSet<usize>,
    next_number: usize,
}

/// What went wrong with a seed.
type Wrong = String;

impl Life {
    fn begin(folder: &Path, seed: u64, lie: Lie) -> Result<Self, Wrong> {
        let mut rng = Rng::with_seed(seed);
        let flush = if rng.bool() { FlushMode::Sync } else { FlushMode::Async };
        let (disk, store, _) = open(&folder.join("0"), flush, lie, rng.u64(..))?;
        Ok(Self {
            folder: folder.to_owned(),
            number: 0,
            flush,
            lie,
            rng,
            disk,
            store,
            model: Vec::new(),
            refused: HashSet::new(),
            next_number: 0,
        })
    }

    fn step(&mut self) -> Result<(), Wrong> {
        match self.rng.u8(0..20) {
            0..=9 => self.append(),
            10..=11 => {
                self.store.shared.flush();
                Ok(())
            }
            12..=13 => {
                self.store.shared.keeper_signal.raise();
                std::thread::yield_now();
                Ok(())
            }
            14 => {
                let faults = [Fault::Full, Fault::Write, Fault::Sync];
                let fault = self.rng.choice(faults).map(|fault| (fault, self.rng.usize(0..4)));
                self.disk.fail(fault);
                let outcome = (0..self.rng.usize(1..4)).try_for_each(|_| self.append());
                self.disk.fail(None);
                outcome
            }
            15 => self.close_and_open(),
            _ => self.crash(),
        }
    }

    /// A batch of messages, which may be refused while the disk fails.
    fn append(&mut self) -> Result<(), Wrong> {
        let mut batch = self.store.batch();
        let topic = TopicName::new("T");
        let mut written = Vec::new();
        for _ in 0..self.rng.usize(1..12) {
            let len = if self.rng.u8(0..8) == 0 { self.rng.usize(0..9000) } else { self.rng.usize(0..300) };
            let mut body = format!("{}:", self.next_number).into_bytes();
            self.next_number += 1;
            body.resize(body.len() + len, b'x');
            let queue = self.rng.i32(0..QUEUES);
            batch.push(&message(&topic, queue, &body)).map_err(|error| format!("a message is refused: {error}"))?;
            written.push(Written { queue_offset: 0, start: 0, end: 0, body });
        }
        let Ok(appended) = self.store.append(&mut batch) else {
            self.refused.extend(written.iter().map(Written::number));
            return Ok(());
        };
        for (written, position) in written.iter_mut().zip(appended.positions) {
            written.queue_offset = position.queue_offset.0;
            written.start = position.physical_offset.0;
            written.end = written.start + position.size as i64;
        }
        self.model.extend(written);
        Ok(())
    }

    /// A stop, a power cut right behind it, and the next start.
    fn close_and_open(&mut self) -> Result<(), Wrong> {
        self.store.close().map_err(|error| format!("close: {error}"))?;
        let clean = !self.root().join("abort").exists();
        self.restart(clean)
    }

    /// A power cut, and the next start.
    fn crash(&mut self) -> Result<(), Wrong> {
        if self.rng.bool() {
            self.settle();
        }
        self.restart(false)
    }

    /// Waits for what was appended to be flushed or refused, as a producer would.
    fn settle(&self) {
        let (sender, answer) = mpsc::channel();
        let end = self.store.max_physical_offset();
        self.store.when_confirmed(end, Box::new(move |_| sender.send(()).expect("somebody waits")));
        answer.recv_timeout(Duration::from_secs(20)).expect("every wait ends");
    }

    /// Opens what the disk has kept; after a clean stop that is everything.
    fn restart(&mut self, clean: bool) -> Result<(), Wrong> {
        let (durable, end) = (self.store.shared.log.flushed(), self.store.max_physical_offset());
        self.number += 1;
        let root = self.root();
        self.disk.crash(&root);
        let (disk, store, report) = open(&root, self.flush, self.lie, self.rng.u64(..))?;
        (self.disk, self.store) = (disk, store);
        self.check(durable, clean).map_err(|wrong| format!("{wrong}; {report:?}"))?;
        match (clean, report.clean, report.queues_noted) {
            (true, false, _) => Err(format!("a clean stop is taken for a crash: {report:?}")),
            // Records that were refused may have come back behind the end.
            (true, true, false) if report.end == end => {
                Err(format!("what a clean stop noted of the queues is not used: {report:?}"))
            }
            (false, _, true) => Err(format!("what was noted of the queues before a crash is used: {report:?}")),
            _ => Ok(()),
        }
    }

    /// Compares what the store holds with what was written to it before, and goes on from there.
    fn check(&mut self, durable: i64, clean: bool) -> Result<(), Wrong> {
        let mut found = Vec::new();
        for queue in 0..QUEUES {
            let of_queue = drain(&self.store, queue)?;
            if let Some((at, wrong)) = of_queue.iter().enumerate().find(|(at, found)| found.queue_offset != *at as i64)
            {
                return Err(format!("queue {queue} has {} at {at}", wrong.queue_offset));
            }
            found.extend(of_queue);
        }
        found.sort_by_key(|written| written.start);
        let before: Vec<_> = self.model.iter().map(Written::number).collect();
        let now: Vec<_> = found.iter().map(Written::number).collect();
        let same = before.iter().zip(&now).take_while(|(before, now)| before == now).count();
        let owed = if clean { before.len() } else { self.model.partition_point(|written| written.end <= durable) };
        if same < owed || now[same..].iter().any(|number| !self.refused.contains(number)) {
            return Err(format!("written {before:?}, of these {owed} for sure; found {now:?}"));
        }
        self.model = found;
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.folder.join(self.number.to_string())
    }
}

fn open(
    root: &Path,
    flush: FlushMode,
    lie: Lie,
    seed: u64,
) -> Result<(Arc<LossyDisk>, Arc<Store>, RecoveryReport), Wrong> {
    let disk = Arc::new(LossyDisk::new(root, lie, seed));
    let config = StoreConfig {
        commit_log_file_bytes: 16 << 10,
        consume_queue_file_bytes: 200,
        flush,
        flush_interval: Duration::from_millis(5),
        consume_queue_flush_interval: Duration::ZERO,
        sync_flush_timeout: Duration::from_secs(10),
        ..StoreConfig::new(root)
    };
    let (store, report) =
        Store::open_on(config, Clock::system(), Arc::clone(&disk) as _).map_err(|error| format!("open: {error}"))?;
    Ok((disk, store, report))
}

fn message<'a>(topic: &'a TopicName, queue: i32, body: &'a [u8]) -> Message<'a> {
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    Message { born_timestamp: Timestamp(1), ..Message::new(topic, QueueId(queue), body, host) }
}

/// All messages of a queue.
fn drain(store: &Store, queue: i32) -> Result<Vec<Written>, Wrong> {
    let topic = TopicName::new("T");
    let (mut found, mut offset) = (Vec::new(), QueueOffset(0));
    loop {
        let queue_id = QueueId(queue);
        let request = ReadRequest { topic: &topic, queue_id, offset, max_messages: 32, max_bytes: usize::MAX };
        let outcome = store.read(&request, &Everything);
        match outcome.status {
            ReadStatus::Found => {}
            ReadStatus::NoMatchedQueue | ReadStatus::NoMessageInQueue | ReadStatus::OffsetOverflowOne => {
                return Ok(found);
            }
            status => return Err(format!("queue {queue} at {offset}: {status:?}")),
        }
        for run in &outcome.messages {
            let mut bytes = &run[..];
            while !bytes.is_empty() {
                let message = StoredMessage::parse(bytes).map_err(|error| format!("queue {queue}: {error}"))?;
                let start = message.physical_offset.0;
                let (end, queue_offset) = (start + message.size as i64, message.queue_offset.0);
                found.push(Written { queue_offset, start, end, body: message.body.to_vec() });
                bytes = &bytes[message.size..];
            }
        }
        offset = outcome.next_offset;
    }
}

/// One random life; what it found wrong.
fn live(folder: &Path, seed: u64, lie: Lie) -> Result<(), Wrong> {
    let mut life = Life::begin(folder, seed, lie)?;
    for _ in 0..life.rng.usize(4..24) {
        life.step()?;
    }
    life.crash()
}

/// Runs lives of many seeds on all cores; the first that goes wrong.
fn run(seeds: std::ops::Range<u64>, lie: Lie) -> Option<(u64, Wrong)> {
    let next = AtomicU64::new(seeds.start);
    let wrong = parking_lot::Mutex::new(None);
    let base = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm").to_owned() } else { std::env::temp_dir() };
    std::thread::scope(|scope| {
        for _ in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || wrong.lock().is_some() {
                        return;
                    }
                    let folder = tempfile::tempdir_in(&base).expect("a folder");
                    if let Err(what) = live(folder.path(), seed, lie) {
                        wrong.lock().get_or_insert((seed, what));
                    }
                }
            });
        }
    });
    wrong.into_inner()
}

/// `CRASH_SEEDS=a..b` asks for others than the usual ten thousand.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("CRASH_SEEDS").ok();
    asked.map_or(0..10_000, |asked| {
        let (from, to) = asked.split_once("..").expect("CRASH_SEEDS=from..to");
        from.parse().expect("a number")..to.parse().expect("a number")
    })
}

#[test]
fn every_power_cut_leaves_a_prefix_with_all_that_was_flushed() {
    if let Some((seed, wrong)) = run(seeds(), Lie::None) {
        panic!("seed {seed} (CRASH_SEEDS={seed}..{}): {wrong}", seed + 1);
    }
}

/// Each lie is a bug put back in: a flush that does not flush, a folder that is not synced, an end that is not cleared.
#[test]
fn the_model_notices_a_store_that_does_not_sync_or_clear() {
    for lie in [Lie::DataSyncs, Lie::FolderSyncs, Lie::Zeroing] {
        assert!(run(0..20_000, lie).is_some(), "{lie:?} was not noticed");
    }
}
