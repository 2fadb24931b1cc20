//! What a read promises: Java's statuses, limits and next offsets.

mod common;

use std::time::Duration;

use common::*;
use remoting::types::{Clock, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use store::message::java_hash;
use store::{Boundary, EntryFilter, Everything, ReadRequest, ReadStatus, Store};

struct ByTag(&'static str);

impl EntryFilter for ByTag {
    fn matches_code(&self, tags_code: i64) -> bool {
        tags_code == i64::from(java_hash(self.0))
    }
}

struct ByRecord(fn(&[u8]) -> bool);

impl EntryFilter for ByRecord {
    fn matches_record(&self, record: &[u8]) -> bool {
        self.0(record)
    }
}

#[test]
fn every_place_to_read_from_has_its_status_and_next_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    for number in 0..25 {
        put(&store, &topic(), 0, &[number], "TAGS\u{1}a\u{2}");
    }
    let check = |queue_id, offset, status, next, bounds: (i64, i64)| {
        let outcome = read(&store, &topic(), queue_id, offset);
        let found = (outcome.status, outcome.next_offset.0, (outcome.min_offset.0, outcome.max_offset.0));
        assert_eq!(found, (status, next, bounds), "queue {queue_id} at {offset}");
    };
    check(0, 0, ReadStatus::Found, 25, (0, 25));
    check(0, 24, ReadStatus::Found, 25, (0, 25));
    check(0, 25, ReadStatus::OffsetOverflowOne, 25, (0, 25));
    check(0, 26, ReadStatus::OffsetOverflowBadly, 25, (0, 25));
    check(0, -1, ReadStatus::OffsetTooSmall, 0, (0, 25));
    check(1, 0, ReadStatus::NoMatchedQueue, 0, (0, 0));
    check(1, 9, ReadStatus::NoMatchedQueue, 0, (0, 0));
    // A queue that somebody waits for is there, and empty.
    store.arrivals(&topic(), QueueId(2));
    check(2, 0, ReadStatus::NoMessageInQueue, 0, (0, 0));
    check(2, 9, ReadStatus::NoMessageInQueue, 0, (0, 0));
    let outcome = read_some(&store, &topic(), 0, 3, 32, &ByTag("b"));
    assert_eq!((outcome.status, outcome.next_offset.0, outcome.count), (ReadStatus::NoMatched, 25, 0));
}

#[test]
fn who_must_not_wait_reads_no_queue_file_that_has_yet_to_be_opened() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    put_all(&store, 0, (0..25).map(|number| vec![number])).expect("stored");
    store.close().expect("closed");
    let (store, _) = open(config(dir.path()));
    let topic = topic();
    let read_now = |offset| {
        let request = ReadRequest {
            topic: &topic,
            queue_id: QueueId(0),
            offset: QueueOffset(offset),
            max_messages: 32,
            max_bytes: usize::MAX,
        };
        store.read_now(&request, &Everything).map(|outcome| (outcome.status, outcome.count))
    };
    assert_eq!(read_now(25), Some((ReadStatus::OffsetOverflowOne, 0)), "there is nothing to be read");
    assert_eq!(read_now(0), None);
    put(&store, &topic, 0, b"new", "");
    assert_eq!(read_now(25), Some((ReadStatus::Found, 1)), "what is new is in memory");
    assert_eq!(read(&store, &topic, 0, 0).count, 26);
    assert_eq!(read_now(0), Some((ReadStatus::Found, 26)), "who may wait has opened it");
}

#[test]
fn records_whose_file_is_gone_are_being_removed_and_skipped() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    for number in 0..40 {
        put(&store, &topic(), 0, &[number; 3000], "");
    }
    store.close().expect("closed");
    drop(store);
    // As Java's cleaning leaves it: the first file of the log is removed, the queue still points at it.
    std::fs::remove_file(dir.path().join("commitlog/00000000000000000000")).expect("removed");
    let (store, _) = open(config(dir.path()));
    let min = store.min_offset("Topic", QueueId(0)).expect("a queue").0;
    assert!(min > 10 && store.min_physical_offset() == PhysicalOffset(64 << 10));
    let outcome = read(&store, &topic(), 0, min - 1);
    assert_eq!((outcome.status, outcome.next_offset.0), (ReadStatus::OffsetTooSmall, min));
    let got = drain(&store, &topic(), 0);
    assert_eq!(got.len() as i64, 40 - min);
    assert_eq!(got[0].body, vec![min as u8; 3000]);
}

#[test]
fn units_and_records_that_cannot_be_read_are_stepped_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let places: Vec<_> = (0..35).map(|number| put(&store, &topic(), 0, &[number; 3000], "").physical_offset).collect();
    store.close().expect("closed");
    drop(store);
    let (store, _) = open(config(dir.path()));
    // Something on the machine takes a queue file away and overwrites records in the second log file.
    std::fs::remove_file(dir.path().join("consumequeue/Topic/0/00000000000000000200")).expect("removed");
    let outcome = read(&store, &topic(), 0, 12);
    assert_eq!((outcome.status, outcome.next_offset.0), (ReadStatus::OffsetFoundNull, 20));
    let log = std::fs::OpenOptions::new().write(true).open(dir.path().join("commitlog/00000000000000065536"));
    let log = log.expect("the second file");
    for place in &places[22..] {
        std::os::unix::fs::FileExt::write_all_at(&log, &[0; 8], (place.0 - 65536) as u64).expect("overwritten");
    }
    let outcome = read(&store, &topic(), 0, 30);
    assert_eq!((outcome.status, outcome.next_offset.0), (ReadStatus::MessageWasRemoving, 35));
    let outcome = read(&store, &topic(), 0, 20);
    assert_eq!((outcome.status, outcome.count), (ReadStatus::Found, 2), "the ones before are served");
}

#[test]
fn neighbours_in_the_log_share_one_slice() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    put_all(&store, 0, (0..5).map(|number| vec![number; 10])).expect("stored");
    put_all(&store, 1, [vec![9; 10]]).expect("stored");
    put_all(&store, 0, (5..8).map(|number| vec![number; 10])).expect("stored");
    let outcome = read(&store, &topic(), 0, 0);
    assert_eq!((outcome.messages.len(), outcome.count), (2, 8));
    assert_eq!(outcome.bytes, outcome.messages.iter().map(|slice| slice.len()).sum::<usize>());
    drop(store);
    assert_eq!(bodies(&messages(&outcome)), (0..8).map(|number| vec![number; 10]).collect::<Vec<_>>());
}

#[test]
fn one_read_is_bounded_by_count_bytes_and_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut limited = config(dir.path());
    limited.transfer.count_in_memory = 20;
    limited.transfer.bytes_in_memory = 10_000;
    let (store, _) = open(limited.clone());
    let size = put(&store, &topic(), 0, &[0; 100], "").size;
    put_all(&store, 0, (1..60).map(|number| vec![number; 100])).expect("stored");
    put_all(&store, 1, (1..60).map(|number| vec![number; 1000])).expect("stored");
    let check = |queue_id, max_messages, max_bytes, count| {
        let request = store::ReadRequest {
            topic: &topic(),
            queue_id: QueueId(queue_id),
            offset: QueueOffset(0),
            max_messages,
            max_bytes,
        };
        let outcome = store.read(&request, &Everything);
        assert_eq!((outcome.count, outcome.next_offset.0), (count, count as i64), "{max_messages} {max_bytes}");
    };
    check(0, 5, usize::MAX, 5);
    check(0, 99, usize::MAX, 20);
    check(0, 99, size * 3, 3);
    check(0, 99, size * 4 - 1, 3);
    check(0, 99, 0, 1);
    check(1, 99, usize::MAX, 9);
    store.close().expect("closed");
    drop(store);
    // Nothing is taken to be in memory.
    limited.access_message_in_memory_max_ratio = 0;
    let (store, _) = open(limited);
    let outcome = read(&store, &topic(), 0, 0);
    assert_eq!((outcome.count, outcome.suggest_slave), (8, true));
    assert!(!store.in_memory(PhysicalOffset(0)));
}

#[test]
fn a_filter_skips_and_the_scan_is_bounded() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut small = config(dir.path());
    small.max_filter_message_size = 50 * 20;
    let (store, _) = open(small);
    for number in 0..120_u8 {
        put(
            &store,
            &topic(),
            0,
            &[number],
            if number % 40 == 39 { "TAGS\u{1}rare\u{2}" } else { "TAGS\u{1}often\u{2}" },
        );
    }
    let outcome = read_some(&store, &topic(), 0, 0, 32, &ByTag("rare"));
    assert_eq!((bodies(&messages(&outcome)), outcome.next_offset.0), (vec![vec![39]], 50));
    let outcome = read_some(&store, &topic(), 0, 80, 32, &ByTag("rare"));
    assert_eq!((bodies(&messages(&outcome)), outcome.next_offset.0), (vec![vec![119]], 120));
    let outcome = read_some(&store, &topic(), 0, 40, 4, &ByTag("never"));
    assert_eq!((outcome.status, outcome.next_offset.0), (ReadStatus::NoMatched, 90));
    let odd =
        ByRecord(|record| store::message::StoredMessage::parse(record).is_ok_and(|message| message.body[0] % 2 == 1));
    let outcome = read_some(&store, &topic(), 0, 0, 3, &odd);
    assert_eq!((bodies(&messages(&outcome)), outcome.next_offset.0), (vec![vec![1], vec![3], vec![5]], 6));
}

#[test]
fn a_place_in_time_is_found_from_both_sides() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::fixed(Timestamp(0));
    let (store, _) = Store::open(config(dir.path()), clock.clone()).expect("opened");
    // Times 100 100 100 300 300 500 …, over several files.
    for time in [100, 100, 100, 300, 300, 500, 500, 500, 500, 500, 500, 700, 700] {
        clock.set(Timestamp(time));
        put(&store, &topic(), 0, b"x", "");
    }
    let check = |at, lower, upper| {
        let find = |boundary| store.offset_by_time("Topic", QueueId(0), Timestamp(at), boundary).0;
        assert_eq!((find(Boundary::Lower), find(Boundary::Upper)), (lower, upper), "at {at}");
    };
    check(50, 0, 0);
    check(100, 0, 2);
    check(200, 3, 2);
    check(300, 3, 4);
    check(500, 5, 10);
    check(600, 11, 10);
    check(700, 11, 12);
    check(800, 13, 12);
    assert_eq!(store.offset_by_time("Topic", QueueId(7), Timestamp(100), Boundary::Lower).0, 0);
}

#[test]
fn a_record_is_found_only_where_one_starts() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let first = put(&store, &topic(), 0, b"first", "");
    // The body of the second holds the whole first record.
    let inner = store.record_at(first.physical_offset).expect("a record");
    let second = put(&store, &topic(), 0, &inner, "");
    assert_eq!(store.record_at(second.physical_offset).map(|record| record.len()), Some(second.size));
    for offset in [second.physical_offset.after(88), second.physical_offset.after(1), store.max_physical_offset()] {
        assert_eq!(store.record_at(offset), None, "{offset}");
    }
    assert_eq!(store.record_at(PhysicalOffset(-1)), None);
    assert_eq!(store.record_at(PhysicalOffset(i64::MAX)), None);
}

#[test]
fn topics_and_queues_are_listed_once_they_have_messages_and_forgotten_when_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let other = TopicName::new("Other");
    put(&store, &topic(), 2, b"a", "");
    put(&store, &topic(), 0, b"b", "");
    put(&store, &other, 0, b"c", "");
    store.arrivals(&TopicName::new("Waited for"), QueueId(0));
    let mut topics = store.topics();
    topics.sort();
    assert_eq!(topics, [other.clone(), topic()]);
    assert_eq!(store.queues("Topic"), [QueueId(0), QueueId(2)]);
    let mut batch = store.batch();
    push_all(&mut batch, 2, [b"old".to_vec()]);
    store.append(&mut batch).expect("stored");
    assert!(store.delete_topic("Topic").expect("deleted"));
    assert!(!store.delete_topic("Topic").expect("nothing to delete"));
    assert_eq!((store.topics(), store.queues("Topic")), (vec![other], vec![]));
    assert_eq!(read(&store, &topic(), 2, 0).status, ReadStatus::NoMatchedQueue);
    // The batch still knows the deleted queue.
    push_all(&mut batch, 2, [b"new".to_vec()]);
    assert_eq!(store.append(&mut batch).expect("stored").positions[0].queue_offset, QueueOffset(0));
    store.close().expect("closed");
    drop(store);
    let (store, _) = open(config(dir.path()));
    assert_eq!(bodies(&drain(&store, &topic(), 2)), [b"new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_when_the_queue_grows_past_the_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let arrivals = store.arrivals(&topic(), QueueId(0));
    let short = Duration::from_millis(30);
    assert!(tokio::time::timeout(short, arrivals.past(QueueOffset(0))).await.is_err(), "nothing there");
    put(&store, &topic(), 1, b"elsewhere", "");
    assert!(tokio::time::timeout(short, arrivals.past(QueueOffset(0))).await.is_err(), "another queue");
    let long = Duration::from_secs(20);
    for offset in 0..200 {
        let waiting = {
            let arrivals = arrivals.clone();
            tokio::spawn(async move { arrivals.past(QueueOffset(offset)).await })
        };
        put(&store, &topic(), 0, b"here", "");
        tokio::time::timeout(long, waiting).await.expect("woken").expect("no panic");
    }
    tokio::time::timeout(long, arrivals.past(QueueOffset(7))).await.expect("there already");
    let waiting = {
        let arrivals = arrivals.clone();
        tokio::spawn(async move { arrivals.past(QueueOffset(1000)).await })
    };
    store.delete_topic("Topic").expect("deleted");
    tokio::time::timeout(long, waiting).await.expect("woken by the deletion").expect("no panic");
}
