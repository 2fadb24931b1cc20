//! Queues of inner batches: one record, one unit in the files, many messages.

mod common;

use std::fs;

use common::*;
use remoting::types::{QueueId, QueueOffset, TopicName};
use store::message::{StoredMessage, batch_elements};
use store::{AppendError, Boundary, Everything, ReadStatus, Store, StoreConfig};

/// A client batch of `count` messages.
fn batch_body(name: &str, count: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for index in 0..count {
        let text = format!("{name}-{index}");
        let total = 4 + 4 + 4 + 4 + 4 + text.len() + 2;
        for field in [total as i32, 0, 0, 0, text.len() as i32] {
            body.extend(field.to_be_bytes());
        }
        body.extend(text.as_bytes());
        body.extend(0_i16.to_be_bytes());
    }
    body
}

fn put_batch(store: &Store, topic: &TopicName, name: &str, count: usize) -> i64 {
    let mut batch = store.batch();
    let body = batch_body(name, count);
    let pushed = batch.push_inner_batch(&message(topic, 0, &body, "UNIQ_KEY\u{1}K\u{2}")).expect("a legal batch");
    assert_eq!(pushed, count);
    store.append(&mut batch).expect("stored").positions[0].queue_offset.0
}

/// Offset and body of every message from `from` on, unwrapped as clients do; and how many reads that took.
fn unwrap_from(store: &Store, topic: &TopicName, from: i64) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let mut offset = from;
    loop {
        let outcome = read_some(store, topic, 0, offset, 2, &Everything);
        if outcome.status != ReadStatus::Found {
            return found;
        }
        for mut bytes in outcome.messages.iter().map(|run| &run[..]) {
            while !bytes.is_empty() {
                let record = StoredMessage::parse(bytes).expect("a record");
                bytes = &bytes[record.size..];
                assert_eq!(record.sys_flag & 0xC0, 0xC0);
                let base: i64 = record.property("INNER_BASE").expect("a base").parse().expect("a number");
                assert_eq!(base, record.queue_offset.0);
                let elements = batch_elements(record.body).map(|element| element.expect("an element"));
                let texts = elements.map(|element| String::from_utf8(element.body.to_vec()).expect("text"));
                found.extend((base..).zip(texts));
            }
        }
        offset = outcome.next_offset.0;
    }
}

fn small(root: &std::path::Path) -> StoreConfig {
    let mut config = config(root);
    // Three units in each file.
    config.batch_consume_queue_file_bytes = 3 * 46;
    config
}

#[test]
fn batches_keep_their_offsets_through_restart_crash_and_rebuild() {
    let dir = tempfile::tempdir().expect("a folder");
    let topic = TopicName::new("Batches");
    let mut expected = Vec::new();
    let (store, _) = open(small(dir.path()));
    for (number, count) in [3, 1, 400, 2, 7, 1, 1, 90].into_iter().enumerate() {
        let name = format!("b{number}");
        assert_eq!(put_batch(&store, &topic, &name, count), expected.len() as i64);
        expected.extend((expected.len() as i64..).zip((0..count).map(|index| format!("{name}-{index}"))).take(count));
    }
    let check = |store: &Store, expected: &[(i64, String)]| {
        assert_eq!(unwrap_from(store, &topic, 0), expected);
        let ids = (store.min_offset(&topic, QueueId(0)), store.max_offset(&topic, QueueId(0)));
        assert_eq!(ids, (Some(QueueOffset(0)), Some(QueueOffset(expected.len() as i64))));
        // From the middle of a record: all of that record comes, as from Java, and clients skip what they had.
        assert_eq!(unwrap_from(store, &topic, 200), expected[4..]);
        assert_eq!(store.offset_by_time(&topic, QueueId(0), NOW, Boundary::Lower), QueueOffset(0));
    };
    check(&store, &expected);
    store.close().expect("closed");
    drop(store);
    let files = fs::read_dir(dir.path().join("batchconsumequeue/Batches/0")).expect("a folder").count();
    assert_eq!(files, 3, "8 units of 3 in a file");
    assert!(!dir.path().join("consumequeue/Batches").exists());

    let (store, report) = open(small(dir.path()));
    assert!(report.clean && report.rebuilt_entries == 0);
    check(&store, &expected);
    assert_eq!(put_batch(&store, &topic, "after", 5), expected.len() as i64);
    expected.extend((expected.len() as i64..).zip((0..5).map(|index| format!("after-{index}"))).take(5));
    check(&store, &expected);

    let crashed = tempfile::tempdir().expect("a folder");
    copy(dir.path(), crashed.path());
    let (again, report) = open(small(crashed.path()));
    assert!(!report.clean);
    check(&again, &expected);
    again.close().expect("closed");
    drop(again);
    let unit_bytes = |root: &std::path::Path| {
        let mut files: Vec<_> = fs::read_dir(root.join("batchconsumequeue/Batches/0")).expect("a folder").collect();
        files.sort_by_key(|file| file.as_ref().expect("an entry").file_name());
        files.into_iter().flat_map(|file| fs::read(file.expect("an entry").path()).expect("a file")).collect::<Vec<_>>()
    };
    let before = unit_bytes(crashed.path());
    fs::remove_dir_all(crashed.path().join("batchconsumequeue")).expect("removed");
    fs::write(crashed.path().join("abort"), "1").expect("a file");
    let (again, _) = open(small(crashed.path()));
    check(&again, &expected);
    again.close().expect("closed");
    assert!(unit_bytes(crashed.path()) == before, "made again to the same bytes");

    assert!(store.delete_topic(&topic).expect("deleted"));
    assert!(!dir.path().join("batchconsumequeue/Batches").exists());
    assert_eq!(put_batch(&store, &topic, "new life", 2), 0);
}

#[test]
fn a_reader_that_waits_first_does_not_decide_the_kind_of_a_queue() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(small(dir.path()));
    let topic = TopicName::new("Later");
    let _arrivals = store.arrivals(&topic, QueueId(0));
    assert_eq!(put_batch(&store, &topic, "b", 3), 0);
    assert_eq!(unwrap_from(&store, &topic, 0).len(), 3);
}

#[test]
fn an_inner_batch_is_refused_by_a_queue_of_single_messages() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(small(dir.path()));
    let topic = TopicName::new("Single");
    put(&store, &topic, 0, b"one", "");
    let mut batch = store.batch();
    batch.push_inner_batch(&message(&topic, 0, &batch_body("b", 2), "")).expect("a legal batch");
    assert!(matches!(store.append(&mut batch), Err(AppendError::QueueKind { .. })));
    assert_eq!(store.figures().put_failed, 1, "it counts as every refused batch");
    assert!(store.batch().push_inner_batch(&message(&topic, 0, b"", "")).is_err());
    assert!(store.batch().push_inner_batch(&message(&topic, 0, b"no batch", "")).is_err());
}
