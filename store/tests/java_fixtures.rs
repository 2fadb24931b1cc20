//! Stores that Java 5.5.0 and 4.9.7 wrote: every message that the Java client read from them is served here.

mod common;
#[path = "common/javas.rs"]
mod javas;

use std::fs;

use common::*;
use javas::{JavaStore, files};
use remoting::types::{Clock, PhysicalOffset, QueueId, QueueOffset, TopicName};
use serde_json::Value;
use store::message::{StoredMessage, batch_elements, java_hash, properties};
use store::{Everything, ReadStatus, Store, StoreConfig, StoreError};

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// What has to be as the manifest says, for the record of a message.
fn check_record(record: &StoredMessage<'_>, expected: &Value) {
    record.check_crc().expect("the body as it was sent");
    for (key, ours) in [
        ("storeSize", record.size as i64),
        ("bodyCRC", record.body_crc.into()),
        ("flag", record.flag.into()),
        ("reconsumeTimes", record.reconsume_times.into()),
        ("preparedTransactionOffset", record.prepared_transaction_offset),
        ("bornTimestamp", record.born_timestamp.0),
        ("storeTimestamp", record.store_timestamp.0),
    ] {
        let javas = expected[key].as_i64();
        assert!(javas.is_none_or(|javas| javas == ours), "{key} is {ours} in {expected}");
    }
    let topic = expected["recordTopic"].as_str().unwrap_or_else(|| text(expected, "topic"));
    assert_eq!(record.topic, topic);
    check_properties(record.properties, expected);
}

fn check_properties(ours: &str, expected: &Value) {
    for (name, value) in expected["properties"].as_object().expect("properties") {
        assert_eq!(properties::get(ours, name), value.as_str(), "{name} in {expected}");
    }
}

/// Reads the message by its place in the queue, and its record by the offset in its id.
fn check_message(store: &Store, expected: &Value) {
    let topic = TopicName::new(text(expected, "topic"));
    // Light queues point at records of other topics, which have offsets there.
    let offset = expected["lmqOffset"].as_i64().unwrap_or_else(|| number(expected, "queueOffset"));
    let outcome = read_some(store, &topic, number(expected, "queueId") as i32, offset, 1, &Everything);
    assert_eq!(outcome.status, ReadStatus::Found, "{expected}");
    let record = StoredMessage::parse(&outcome.messages[0]).expect("a record");
    let by_id = store.record_at(record.physical_offset).expect("a record at the offset that it names");
    assert_eq!(by_id[..], outcome.messages[0][..record.size]);
    if expected["innerBatch"] == true {
        assert_eq!(record.physical_offset.0, number(expected, "physicalOffset"));
        record.check_crc().expect("the body as it was sent");
        let index = offset - record.queue_offset.0;
        let element = batch_elements(record.body).nth(index as usize).expect("in the batch").expect("an element");
        assert_eq!(element.body.len() as i64, number(expected, "bodyLen"));
        check_properties(element.properties, expected);
        return;
    }
    // Java answers such topics from the compaction's own files, and so with places in those.
    if expected["fromCompactionLog"] != true {
        assert_eq!(record.physical_offset.0, number(expected, "physicalOffset"));
    }
    assert_eq!(record.queue_offset.0, number(expected, "queueOffset"));
    check_record(&record, expected);
}

/// What a broker that has no timer, no compaction and no use for the rest leaves as it found it.
fn is_foreign(name: &str) -> bool {
    let ours = [
        "commitlog/",
        "consumequeue/",
        "batchconsumequeue/",
        "index/",
        "checkpoint",
        "lock",
        "abort",
        "ferromq.queues",
    ];
    !ours.iter().any(|ours| name.starts_with(ours)) || name == "abort.bak"
}

/// Opens the store, serves all messages, goes on at the next offsets, and does both again after a restart.
fn check(name: &str, messages: usize, clean: bool) {
    let java = JavaStore::unpack(name);
    assert_eq!(java.messages().len(), messages);
    let foreign = files(&java.root(), &is_foreign);
    let (store, report) = open(java.config());
    assert_eq!((report.clean, report.cut_bytes), (clean, 0));
    let serve_all = |store: &Store| java.messages().iter().for_each(|message| check_message(store, message));
    serve_all(&store);
    let mut next = Vec::new();
    for queue in java.queues().iter().filter(|queue| number(queue, "maxOffset") > 0) {
        let (topic, id) = (TopicName::new(text(queue, "topic")), QueueId(number(queue, "queueId") as i32));
        let (min, max) = (store.min_offset(&topic, id), store.max_offset(&topic, id).expect("a queue"));
        assert_eq!(min, Some(QueueOffset(number(queue, "minOffset"))), "{queue}");
        // The Java broker went on writing to some of its own topics after the manifest was taken.
        assert!(max.0 >= number(queue, "maxOffset"), "{queue}");
        next.push((topic, id, max));
    }
    for (topic, id, max) in next.iter().filter(|(topic, ..)| topic.starts_with("Fix") && &**topic != "FixBcq") {
        assert_eq!(put(&store, topic, id.0, b"ours", "").queue_offset, *max, "{topic}");
    }
    store.close().expect("closed");
    drop(store);
    let (store, report) = open(java.config());
    assert!(report.clean && report.queues_noted && report.rebuilt_entries == 0);
    serve_all(&store);
    drop(store);
    assert!(files(&java.root(), &is_foreign) == foreign, "files of others have changed");
}

#[test]
fn java_5_5_store_is_served_whole_and_goes_on() {
    check("java-5.5.0-store", 702, true);
}

#[test]
fn java_4_9_store_is_served_whole_and_goes_on() {
    check("java-4.9.7-store", 504, true);
}

#[test]
fn java_store_after_kill_9_is_served_whole_and_goes_on() {
    check("java-5.5.0-crash", 63, false);
}

#[test]
fn java_store_with_queue_extensions_is_served_whole_and_goes_on() {
    check("java-5.5.0-cqext", 124, true);
}

#[test]
fn entries_with_an_extension_show_the_hash_of_their_tags() {
    let java = JavaStore::unpack("java-5.5.0-cqext");
    let (store, _) = open(java.config());
    for message in java.messages() {
        let id = QueueId(number(message, "queueId") as i32);
        let entry = store.entries("FixExt", id, QueueOffset(number(message, "queueOffset")), 1)[0];
        let hash = message["tags"].as_str().map_or(0, java_hash);
        assert_eq!(entry.tags_code, i64::from(hash), "{message}");
        assert_eq!(entry.physical_offset, PhysicalOffset(number(message, "physicalOffset")));
    }
}

#[test]
fn stores_of_other_kinds_are_refused_with_what_to_do() {
    for (name, folder, advice) in [
        ("java-5.5.0-rocksdbcq", "consumequeue", "rocksdbCQDoubleWriteEnable=true"),
        ("java-5.5.0-dledger", "dledger-n0", "ferromq store import"),
    ] {
        let java = JavaStore::unpack(name);
        let all = files(&java.root(), &|name| name != "lock");
        let error = Store::open(java.config(), Clock::fixed(NOW)).expect_err("refused");
        assert!(matches!(&error, StoreError::OtherKind { path, .. } if path.ends_with(folder)), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
        assert!(files(&java.root(), &|name| name != "lock") == all, "a refused store stays as it is");
    }
}

/// Java's records say which light queues they are in, and where: those are made again like all others.
#[test]
fn light_queues_of_java_are_made_again_from_its_log() {
    let java = JavaStore::unpack("java-5.5.0-store");
    let is_light = |value: &&Value| text(value, "topic").starts_with("%LMQ%");
    for folder in fs::read_dir(java.root().join("consumequeue")).expect("a folder").map(|entry| entry.expect("one")) {
        if folder.file_name().to_string_lossy().starts_with("%LMQ%") {
            fs::remove_dir_all(folder.path()).expect("removed");
        }
    }
    fs::write(java.root().join("abort"), "").expect("written");
    fs::remove_file(java.root().join("checkpoint")).expect("removed");
    let (store, _) = open(StoreConfig { light_queues: true, ..java.config() });
    let light: Vec<_> = java.messages().iter().filter(is_light).collect();
    assert_eq!(light.len(), 15);
    light.into_iter().for_each(|message| check_message(&store, message));
    for queue in java.queues().iter().filter(is_light) {
        let max = store.max_offset(text(queue, "topic"), QueueId(0));
        assert_eq!(max, Some(QueueOffset(number(queue, "maxOffset"))), "{queue}");
    }
}
