mod light;
mod lives;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use remoting::types::{Clock, Host, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use tempfile::TempDir;

use super::*;
use crate::message::{Message, StoredMessage};
use crate::read::{Everything, ReadRequest};
use crate::testing::MortalDisk;
use crate::{AppendError, Confirmation, FlushMode, Store, StoreConfig};

const TOPICS: [&str; 2] = ["T", "U"];
const QUEUES: i32 = 2;
const FILE_BYTES: u64 = 4096;
/// Of a queue's file.
const UNITS: i64 = 10;

fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = FILE_BYTES;
    config.consume_queue_file_bytes = 20 * UNITS as u64;
    config.consume_queue_flush_interval = Duration::ZERO;
    (config.index.slots, config.index.entries) = (10, 20);
    config
}

fn open(root: &Path) -> Arc<Store> {
    Store::open(config(root), Clock::fixed(Timestamp(1000))).expect("a store").0
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A message for a queue that chance chooses.
fn send(store: &Store, rng: &mut Rng) {
    let (topic, queue_id) = (TopicName::new(TOPICS[rng.usize(0..TOPICS.len())]), QueueId(rng.i32(0..QUEUES)));
    let len_max = if rng.u8(0..8) == 0 { 2000 } else { 200 };
    send_to(store, &topic, queue_id, rng.usize(0..len_max));
}

fn send_to(store: &Store, topic: &TopicName, queue_id: QueueId, len: usize) {
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    let body = vec![b'x'; len];
    let mut batch = store.batch();
    let message = Message { properties: "TAGS\u{1}a\u{2}", ..Message::new(topic, queue_id, &body, host) };
    batch.push(&message).expect("a legal message");
    store.append(&mut batch).expect("appended");
}

/// A master with so many messages.
fn master(root: &Path, messages: usize, seed: u64) -> Arc<Store> {
    let (store, mut rng) = (open(root), Rng::with_seed(seed));
    (0..messages).for_each(|_| send(&store, &mut rng));
    store
}

/// Copies all that the master has, in pieces of sizes that `size` chooses.
fn copy_all(master: &Store, copy: &mut LogCopy, mut size: impl FnMut() -> usize) {
    let mut at = copy.received();
    if copy.is_empty() {
        at = at.max(master.min_physical_offset());
    }
    while let Some(bytes) = master.log_bytes(at, size()).expect("it is in the log") {
        copy.write(at, bytes.as_slice()).expect("it continues the log");
        at = at.after(bytes.len());
        assert_eq!(copy.received(), at);
    }
    assert_eq!(copy.end(), master.max_physical_offset());
}

/// What is confirmed is in the queues soon: another thread may be at it.
fn await_queues(store: &Store) {
    while store.shared.dispatch_behind() > 0 {
        std::thread::yield_now();
    }
}

/// Lengths of the bodies of every queue, and the offset of the first.
type Seen = BTreeMap<(&'static str, i32), (i64, Vec<usize>)>;

fn seen(store: &Store) -> Seen {
    let queues = TOPICS.into_iter().flat_map(|topic| (0..QUEUES).map(move |queue| (topic, queue)));
    queues.map(|(topic, queue)| ((topic, queue), seen_in(store, topic, queue))).collect()
}

fn seen_in(store: &Store, topic: &str, queue: i32) -> (i64, Vec<usize>) {
    let (topic, queue_id, mut lens) = (TopicName::new(topic), QueueId(queue), Vec::new());
    let min = store.min_offset(&topic, queue_id).map_or(0, |min| min.0);
    loop {
        let offset = QueueOffset(min + lens.len() as i64);
        let request = ReadRequest { topic: &topic, queue_id, offset, max_messages: 32, max_bytes: 1 << 20 };
        let outcome = store.read(&request, &Everything);
        if outcome.count == 0 {
            assert_eq!(outcome.max_offset, offset, "{:?}", outcome.status);
            return (min, lens);
        }
        for run in outcome.messages {
            let mut rest = &run[..];
            while let Ok(message) = StoredMessage::parse(rest) {
                assert_eq!(message.queue_offset.0, min + lens.len() as i64, "without gaps");
                lens.push(message.body.len());
                rest = &rest[message.size..];
            }
        }
    }
}

/// What lies below a folder of a store, by path.
fn files(root: &Path, folder: &str) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&root.join(folder), &mut found);
    let name = |path: &Path| path.strip_prefix(root).expect("below").display().to_string();
    found.iter().map(|path| (name(path), fs::read(path).expect("a file"))).collect()
}

fn assert_same_files(master: &Path, slave: &Path, folder: &str) {
    let (expected, found) = (files(master, folder), files(slave, folder));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        let differs = bytes.iter().zip(&found[name]).position(|(expected, found)| expected != found);
        assert!(differs.is_none() && bytes.len() == found[name].len(), "{name} differs at {differs:?}");
    }
}

#[test]
fn bytes_cut_anywhere_become_the_same_files() {
    for sizes in [1..2, 7..8, 90..100, 1..9000, 4096..4097, 100_000..100_001] {
        let (here, there) = (folder(), folder());
        let (master, slave) = (master(here.path(), 150, 1), open(there.path()));
        assert!(master.max_physical_offset().0 > 3 * FILE_BYTES as i64, "several files");
        let (mut copy, mut rng) = (slave.copy(), Rng::with_seed(2));
        copy_all(&master, &mut copy, || rng.usize(sizes.clone()));
        assert_eq!(seen(&master), seen(&slave));
        assert_eq!(slave.confirmed(), master.confirmed());
        assert_eq!(slave.figures().put_messages, 150);
        drop(copy);
        master.close().expect("closed");
        slave.close().expect("closed");
        for folder in ["commitlog", "consumequeue"] {
            assert_same_files(here.path(), there.path(), folder);
        }
    }
}

#[test]
fn what_lies_behind_a_blank_is_copied_too() {
    let (here, there) = (folder(), folder());
    let end = {
        let store = master(here.path(), 0, 1);
        send_to(&store, &TopicName::new("T"), QueueId(0), 3000);
        let end = store.max_physical_offset().0;
        send_to(&store, &TopicName::new("T"), QueueId(0), 2000);
        store.close().expect("closed");
        end as usize
    };
    // Another broker may have left it there.
    let path = here.path().join("commitlog/00000000000000000000");
    let mut bytes = fs::read(&path).expect("a file");
    bytes[end + 20..end + 30].fill(7);
    fs::write(path, bytes).expect("a file");
    for size in [1, 50, 5000] {
        let (master, slave) = (open(here.path()), open(there.path()));
        copy_all(&master, &mut slave.copy(), || size);
        master.close().expect("closed");
        slave.close().expect("closed");
        assert_same_files(here.path(), there.path(), "commitlog");
        fs::remove_dir_all(there.path()).expect("removed");
    }
}

#[test]
fn a_slave_goes_on_after_a_stop_and_after_a_kill() {
    let (here, there) = (folder(), folder());
    let (master, mut rng) = (master(here.path(), 20, 3), Rng::with_seed(4));
    for round in 0..8 {
        let disk = MortalDisk::after(usize::MAX);
        let (slave, report) = disk.open(config(there.path()), Clock::system()).expect("opened");
        assert_eq!(report.end, slave.max_physical_offset());
        let mut copy = slave.copy();
        // The beginning of one more record came before, and went.
        copy_all(&master, &mut copy, || rng.usize(1..1000));
        (0..20).for_each(|_| send(&master, &mut rng));
        let more = master.log_bytes(copy.end(), 50).expect("in the log").expect("there is more");
        copy.write(copy.end(), more.as_slice()).expect("taken");
        assert!(copy.received() > copy.end());
        drop(copy);
        if round % 2 == 0 { slave.close().expect("closed") } else { disk.kill(slave) }
    }
    let slave = open(there.path());
    copy_all(&master, &mut slave.copy(), || 4096);
    assert_eq!(seen(&master), seen(&slave));
}

#[test]
fn an_empty_slave_begins_with_any_file_and_queues_with_what_is_there() {
    for kill in [false, true] {
        let (here, there) = (folder(), folder());
        let (master, mut rng) = (master(here.path(), 300, 5), Rng::with_seed(6));
        let first = master.last_file_start();
        assert!(first.0 > 5 * FILE_BYTES as i64 && first.0 % FILE_BYTES as i64 == 0);
        let disk = MortalDisk::after(usize::MAX);
        let (slave, _) = disk.open(config(there.path()), Clock::system()).expect("opened");
        let mut copy = slave.copy();
        assert!(copy.is_empty());
        let mut at = first;
        while let Some(bytes) = master.log_bytes(at, 33).expect("in the log") {
            copy.write(at, bytes.as_slice()).expect("taken");
            at = at.after(bytes.len());
        }
        (0..5).for_each(|_| send(&master, &mut rng));
        copy_all(&master, &mut copy, || 500);
        assert!(!copy.is_empty());
        assert_eq!(slave.min_physical_offset(), first);
        let check = |slave: &Store| {
            let (all, found) = (seen(&master), seen(slave));
            for (queue, (min, lens)) in found.iter().filter(|(_, (_, lens))| !lens.is_empty()) {
                assert!(*min > UNITS, "{queue:?} begins at {min}");
                assert_eq!(all[queue].1[*min as usize..], lens[..], "{queue:?}");
            }
        };
        check(&slave);
        drop(copy);
        if kill {
            disk.kill(slave)
        } else {
            slave.close().expect("closed")
        }
        let slave = open(there.path());
        assert_eq!((slave.min_physical_offset(), slave.max_physical_offset()), (first, master.max_physical_offset()));
        check(&slave);
        (0..50).for_each(|_| send(&master, &mut rng));
        copy_all(&master, &mut slave.copy(), || 500);
        check(&slave);
    }
}

#[test]
fn a_queue_that_the_master_forgot_begins_anew() {
    let (here, there) = (folder(), folder());
    let (master, slave) = (open(here.path()), open(there.path()));
    let (topic, mut copy) = (TopicName::new("T"), slave.copy());
    let grow = |count: usize| (0..count).for_each(|number| send_to(&master, &topic, QueueId(0), number));
    grow(25);
    copy_all(&master, &mut copy, || 300);
    master.delete_topic("T").expect("deleted");
    grow(13);
    send_to(&master, &TopicName::new("U"), QueueId(0), 1);
    copy_all(&master, &mut copy, || 300);
    assert_eq!(seen_in(&slave, "T", 0), (0, (0..13).collect()));
    // The record that begins it is the last one that came.
    master.delete_topic("T").expect("deleted");
    grow(1);
    copy_all(&master, &mut copy, || 4096);
    assert_eq!(seen(&master), seen(&slave));
    drop(copy);
    slave.close().expect("closed");
    let slave = open(there.path());
    assert_eq!(seen(&master), seen(&slave));
}

#[test]
fn what_is_flushed_only_then_confirmed_is_confirmed_of_copies_too() {
    let (here, there) = (folder(), folder());
    let master = master(here.path(), 30, 7);
    let config = StoreConfig { flush: FlushMode::Sync, ..config(there.path()) };
    let (slave, _) = Store::open(config, Clock::system()).expect("opened");
    copy_all(&master, &mut slave.copy(), || 1000);
    let (sender, answer) = std::sync::mpsc::channel();
    let told = move |what| sender.send(what).expect("somebody waits");
    slave.when_confirmed(master.max_physical_offset(), Box::new(told));
    assert_eq!(answer.recv_timeout(Duration::from_secs(20)), Ok(Confirmation::Confirmed));
    await_queues(&slave);
    assert_eq!(seen(&master), seen(&slave));
}

#[test]
fn bytes_are_given_from_anywhere_in_the_log() {
    let here = folder();
    let master = master(here.path(), 100, 8);
    let (min, end) = (master.min_physical_offset(), master.max_physical_offset());
    let file = fs::read(here.path().join("commitlog/00000000000000000000")).expect("a file");
    let all = master.log_bytes(min, usize::MAX).expect("in the log").expect("there");
    assert_eq!(all.as_slice(), file, "the whole file, but not two");
    let part = master.log_bytes(PhysicalOffset(4000), 1000).expect("in the log").expect("there");
    assert_eq!(part.as_slice(), &file[4000..]);
    assert!(master.log_bytes(end, 10).expect("the end is in the log").is_none());
    let out = OutOfLog { at: PhysicalOffset(end.0 + 1), min, end };
    assert_eq!(master.log_bytes(out.at, 10).expect_err("behind the end"), out);
    assert_eq!(master.last_file_start().0, end.0 - end.0 % FILE_BYTES as i64);
}

#[test]
fn bytes_are_given_up_to_the_end_while_it_moves() {
    let here = folder();
    let mut config = config(here.path());
    config.commit_log_file_bytes = 64 << 20;
    let store = Store::open(config, Clock::system()).expect("a store").0;
    let topic = TopicName::new("T");
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    let writer = || {
        for _ in 0..100 {
            let mut batch = store.batch();
            for _ in 0..1000 {
                batch.push(&Message::new(&topic, QueueId(0), b"x", host)).expect("a legal message");
            }
            store.append(&mut batch).expect("appended");
        }
    };
    std::thread::scope(|scope| {
        let writing = scope.spawn(writer);
        let mut at = PhysicalOffset(0);
        while !writing.is_finished() {
            if let Some(bytes) = store.log_bytes(at, 1 << 20).expect("it is in the log") {
                at = at.after(bytes.len());
            }
        }
    });
}

#[test]
fn who_waits_for_more_is_woken_by_an_append_and_by_the_stop() {
    let here = folder();
    let (store, hour) = (open(here.path()), Duration::from_secs(3600));
    let end = store.max_physical_offset();
    assert_eq!(store.wait_written(end, Duration::ZERO), end);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.wait_written(end, hour));
        send_to(&store, &TopicName::new("T"), QueueId(0), 10);
        let grown = waiter.join().expect("woken");
        assert_eq!(grown, store.max_physical_offset());
        let waiter = scope.spawn({
            let store = &store;
            move || store.wait_written(grown, hour)
        });
        store.close().expect("closed");
        assert_eq!(waiter.join().expect("woken"), grown);
    });
}

#[test]
fn the_last_record_is_found_behind_blanks_and_after_a_start() {
    let here = folder();
    let mut store = open(here.path());
    assert_eq!(store.last_record(), None);
    let topic = TopicName::new("T");
    for round in 0..30 {
        let at = {
            send_to(&store, &topic, QueueId(0), 700);
            let (at, record) = store.last_record().expect("one is there");
            assert_eq!(at.after(record.len()), store.max_physical_offset());
            assert_eq!(store.record_at(at), Some(record));
            at
        };
        if round % 5 == 0 {
            store.close().expect("closed");
            store = open(here.path());
            assert_eq!(store.last_record().map(|(at, _)| at), Some(at));
        }
    }
}
