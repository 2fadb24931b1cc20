//! What an append promises: order, places, all or nothing.

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::*;
use remoting::types::{Clock, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use store::message::{SCHEDULE_TOPIC, StoredMessage, java_hash, sys_flag};
use store::{AppendError, Confirmation, FlushMode, IllegalMessage, ReadStatus, Store};

#[test]
fn concurrent_appends_keep_log_order() {
    const THREADS: usize = 8;
    const BATCHES: usize = 60;
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    thread::scope(|scope| {
        for producer in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let mut batch = store.batch();
                let topic = topic();
                for number in 0..BATCHES {
                    for part in 0..=number % 5 {
                        let body = format!("{producer} {:04}", number * 5 + part);
                        batch.push(&message(&topic, (part % 3) as i32, body.as_bytes(), "")).expect("legal");
                    }
                    let appended = store.append(&mut batch).expect("stored");
                    let in_order =
                        appended.positions.windows(2).all(|two| two[0].physical_offset < two[1].physical_offset);
                    assert!(in_order && end_of(appended.positions.last().expect("one")) == appended.end);
                }
            });
        }
    });
    let total = THREADS * (0..BATCHES).map(|number| number % 5 + 1).sum::<usize>();
    let mut places = HashSet::new();
    for queue in 0..3 {
        let got = drain(&store, &topic(), queue);
        assert!(got.iter().enumerate().all(|(at, got)| got.queue_offset == at as i64), "offsets without gap");
        assert!(got.windows(2).all(|two| two[0].physical_offset < two[1].physical_offset), "queue order is log order");
        for producer in 0..THREADS {
            let own: Vec<_> =
                got.iter().filter(|got| got.body[0] == b'0' + producer as u8).map(|got| &got.body).collect();
            assert!(own.is_sorted(), "order of one producer");
        }
        places.extend(got.iter().map(|got| got.physical_offset));
    }
    assert_eq!(places.len(), total);
    assert_eq!(store.figures().put_messages, total as u64);
}

#[test]
fn files_roll_and_leave_nothing_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let sent: Vec<Vec<u8>> = (0..200).map(|number: u32| vec![number as u8; 2000 + number as usize * 7]).collect();
    for some in sent.chunks(30) {
        put_all(&store, 0, some.iter().cloned()).expect("stored");
    }
    assert_eq!(bodies(&drain(&store, &topic(), 0)), sent);
    store.close().expect("closed");
    let files: Vec<_> = std::fs::read_dir(dir.path().join("commitlog")).expect("a folder").collect();
    assert_eq!(files.len() as i64, store.max_physical_offset().0 / (64 << 10) + 1, "nothing made ahead is left");
    let (store, report) = open(config(dir.path()));
    assert!(report.clean && report.rebuilt_entries == 0 && report.cut_bytes == 0);
    assert_eq!(bodies(&drain(&store, &topic(), 0)), sent);
}

#[test]
fn a_record_never_ends_closer_than_eight_bytes_to_the_end_of_its_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut small = config(dir.path());
    small.commit_log_file_bytes = 1024;
    let (store, _) = open(small);
    let overhead = 91 + topic().len();
    // The first leaves exactly eight bytes, the second would leave seven.
    let first = put(&store, &topic(), 0, &vec![1; 1024 - 8 - overhead], "");
    assert_eq!(end_of(&first), PhysicalOffset(1016));
    let second = put(&store, &topic(), 0, &[2; 100], "");
    assert_eq!(second.physical_offset, PhysicalOffset(1024));
    let mut batch = store.batch();
    batch.push(&message(&topic(), 0, &vec![3; 1024 - 7 - overhead], "")).expect("legal");
    assert!(matches!(store.append(&mut batch), Err(AppendError::TooLargeForFile { bytes: 1017, file_bytes: 1024 })));
    assert_eq!(drain(&store, &topic(), 0).len(), 2);
    let log = std::fs::read(dir.path().join("commitlog/00000000000000000000")).expect("the first file");
    assert_eq!(log[1016..], [0, 0, 0, 8, 0xCB, 0xD4, 0x31, 0x94]);
}

fn element(body: &[u8], properties: &str) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend(7_i32.to_be_bytes());
    bytes.extend((body.len() as i32).to_be_bytes());
    bytes.extend(body);
    bytes.extend((properties.len() as i16).to_be_bytes());
    bytes.extend(properties.as_bytes());
    bytes
}

#[test]
fn a_client_batch_gets_consecutive_offsets_in_one_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    put(&store, &topic(), 1, &vec![0; 60_000], "");
    let body: Vec<u8> = (0..10).flat_map(|number| element(&[number; 1000], "TAGS\u{1}a\u{2}")).collect();
    let mut batch = store.batch();
    let topic = topic();
    let common = message(&topic, 1, &body, "WAIT\u{1}true\u{2}");
    assert_eq!(batch.push_client_batch(&common, &body), Ok(10));
    let appended = store.append(&mut batch).expect("stored");
    let offsets: Vec<_> = appended.positions.iter().map(|position| position.queue_offset.0).collect();
    assert_eq!(offsets, (1..11).collect::<Vec<_>>());
    assert_eq!(appended.positions[0].physical_offset, PhysicalOffset(64 << 10), "rolled as a whole");
    let record = store.record_at(appended.positions[3].physical_offset).expect("a record");
    let stored = StoredMessage::parse(&record).expect("a record");
    assert_eq!((stored.flag, stored.body, stored.properties), (7, &[3; 1000][..], "TAGS\u{1}a\u{2}"));
    assert_eq!(store.entries("Topic", QueueId(1), QueueOffset(4), 1)[0].tags_code, i64::from(java_hash("a")));
}

#[test]
fn illegal_messages_are_refused_and_leave_the_batch_as_it_was() {
    let mut batch = store::AppendBatch::new(100);
    let topic = topic();
    batch.push(&message(&topic, 0, b"fine", "")).expect("legal");
    let mut check = |topic: &str, queue_id, body: &[u8], properties: &str, expected| {
        let topic = TopicName::new(topic);
        assert_eq!(batch.push(&message(&topic, queue_id, body, properties)), Err(expected));
        assert_eq!(batch.len(), 1);
    };
    check("T", 0, &[0; 101], "", IllegalMessage::BodyTooLarge { bytes: 101, max: 100 });
    let long = "x".repeat(32_768);
    check("T", 0, b"", &long, IllegalMessage::PropertiesTooLarge { bytes: 32_768, max: 32_767 });
    check(&long[..256], 0, b"", "", IllegalMessage::TopicTooLong { bytes: 256, max: 255 });
    check("", 0, b"", "", IllegalMessage::TopicName);
    check("../up", 0, b"", "", IllegalMessage::TopicName);
    check("a/b", 0, b"", "", IllegalMessage::TopicName);
    check("T", -1, b"", "", IllegalMessage::QueueId(-1));
    let mut broken = [element(b"1", ""), element(b"2", "")].concat();
    broken.pop();
    let common = message(&topic, 0, b"", "");
    assert_eq!(batch.push_client_batch(&common, &broken), Err(IllegalMessage::BadBatch { index: 1 }));
    assert_eq!(batch.len(), 1);
}

#[test]
fn prepared_and_rolled_back_messages_take_no_place_in_their_queue() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let topic = topic();
    let mut batch = store.batch();
    for flags in [0, sys_flag::TRANSACTION_PREPARED, sys_flag::TRANSACTION_ROLLBACK, sys_flag::TRANSACTION_COMMIT] {
        batch.push(&store::message::Message { sys_flag: flags, ..message(&topic, 0, b"x", "") }).expect("legal");
    }
    let appended = store.append(&mut batch).expect("stored");
    assert_eq!(appended.positions.iter().map(|position| position.queue_offset.0).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_eq!(drain(&store, &topic, 0).len(), 2);
}

#[test]
fn an_empty_or_spent_batch_is_no_append() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let mut batch = store.batch();
    assert!(matches!(store.append(&mut batch), Err(AppendError::Empty)));
    push_all(&mut batch, 0, [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(store.append(&mut batch).expect("stored").positions.len(), 2);
    assert!(batch.is_empty() && batch.bytes() == 0);
    assert!(matches!(store.append(&mut batch), Err(AppendError::Empty)));
    push_all(&mut batch, 0, [b"c".to_vec()]);
    assert_eq!(store.append(&mut batch).expect("stored").positions[0].queue_offset, QueueOffset(2));
    store.close().expect("closed");
    push_all(&mut batch, 0, [b"d".to_vec()]);
    assert!(matches!(store.append(&mut batch), Err(AppendError::Closed)));
    assert_eq!(drain(&store, &topic(), 0).len(), 3, "what is there stays readable");
}

#[test]
fn a_batch_goes_to_the_store_it_is_appended_to() {
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let [(one, _), (two, _)] = dirs.each_ref().map(|dir| open(config(dir.path())));
    let mut batch = one.batch();
    for (store, body) in [(&one, "1"), (&two, "2"), (&one, "3")] {
        push_all(&mut batch, 0, [body.into()]);
        store.append(&mut batch).expect("stored");
    }
    assert_eq!(bodies(&drain(&one, &topic(), 0)), [b"1", b"3"]);
    assert_eq!(bodies(&drain(&two, &topic(), 0)), [b"2"]);
}

#[test]
fn the_schedule_topic_keeps_deliver_times() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let topic = TopicName::new(SCHEDULE_TOPIC);
    put(&store, &topic, 2, b"later", "DELAY\u{1}3\u{2}TAGS\u{1}a\u{2}");
    assert_eq!(store.entries(&topic, QueueId(2), QueueOffset(0), 9)[0].tags_code, NOW.0 + 10_000);
}

#[test]
fn sync_flush_confirms_after_the_flush_and_lets_nobody_read_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut sync = config(dir.path());
    sync.flush = FlushMode::Sync;
    let (store, _) = open(sync);
    let confirmed = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..50_u8 {
        let position = put(&store, &topic(), 0, &[number], "");
        let (sender, confirmed) = (sender.clone(), Arc::clone(&confirmed));
        let then = move |what| {
            assert_eq!(what, Confirmation::Confirmed);
            sender.send(confirmed.fetch_add(1, Ordering::SeqCst)).expect("the test waits");
        };
        store.when_confirmed(end_of(&position), Box::new(then));
        assert!(store.max_offset("Topic", QueueId(0)).unwrap_or_default().0 <= i64::from(number) + 1);
    }
    for _ in 0..50 {
        receiver.recv().expect("confirmed");
    }
    assert_eq!(store.confirmed(), store.max_physical_offset());
    assert_eq!(store.figures().flushed_offset, store.max_physical_offset());
    assert_eq!(drain(&store, &topic(), 0).len(), 50);
}

#[tokio::test]
async fn append_and_confirm_answers_in_both_modes() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = config(dir.path());
        config.flush = flush;
        let (store, _) = open(config);
        let mut batch = store.batch();
        push_all(&mut batch, 0, [b"a".to_vec()]);
        let (appended, confirmation) = store.append_and_confirm(&mut batch).await.expect("stored");
        assert_eq!((appended.positions[0].queue_offset, confirmation), (QueueOffset(0), Confirmation::Confirmed));
        assert_eq!(
            store
                .read(
                    &store::ReadRequest {
                        topic: &topic(),
                        queue_id: QueueId(0),
                        offset: QueueOffset(0),
                        max_messages: 1,
                        max_bytes: 100,
                    },
                    &store::Everything
                )
                .status,
            ReadStatus::Found
        );
    }
}

#[test]
fn store_times_come_from_the_clock_at_the_append() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::fixed(Timestamp(5000));
    let (store, _) = Store::open(config(dir.path()), clock.clone()).expect("opened");
    put(&store, &topic(), 0, b"a", "");
    clock.set(Timestamp(6000));
    put(&store, &topic(), 0, b"b", "");
    let time = |offset| store.store_time("Topic", QueueId(0), QueueOffset(offset));
    assert_eq!([time(0), time(1), time(2)], [Some(Timestamp(5000)), Some(Timestamp(6000)), None]);
    assert_eq!(store.earliest_store_time("Topic", QueueId(0)), Some(Timestamp(5000)));
    assert_eq!(store.earliest_store_time("Topic", QueueId(1)), None);
}
