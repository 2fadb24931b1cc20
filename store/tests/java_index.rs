//! Index files of the stores that Java wrote: every message is found through Java's own, and through those made again.

mod common;
#[path = "common/javas.rs"]
mod javas;

use std::fs;

use common::*;
use javas::{JavaStore, files};
use remoting::types::{PhysicalOffset, Timestamp};
use store::message::StoredMessage;
use store::{KeyKind, Query, Store};

fn is_found(store: &Store, topic: &str, key: &str, kind: KeyKind, record: &[u8]) -> bool {
    let query = Query {
        topic,
        key,
        kind,
        begin: Timestamp(0),
        end: Timestamp(i64::MAX),
        max_messages: usize::MAX,
        max_bytes: usize::MAX,
    };
    store.query(&query).messages.iter().any(|found| found == record)
}

/// Looks up every message of the manifest by each of its keys; how often one was found by a key, and by its tags.
fn look_up(store: &Store, java: &JavaStore) -> (usize, usize) {
    let (mut by_key, mut by_tags) = (0, 0);
    // Of inner batches only the record around them is in the index; compacted messages lie in files of their own.
    let is_here = |message: &&serde_json::Value| message["innerBatch"] != true && message["fromCompactionLog"] != true;
    for message in java.messages().iter().filter(is_here) {
        let offset = PhysicalOffset(message["physicalOffset"].as_i64().expect("an offset"));
        let record = store.record_at(offset).expect("a record");
        let topic = StoredMessage::parse(&record).expect("a record").topic;
        let properties = &message["properties"];
        let words = ["UNIQ_KEY", "KEYS"].iter().filter_map(|name| properties[name].as_str());
        for key in words.flat_map(|text| text.split(' ')).filter(|key| !key.is_empty()) {
            assert!(is_found(store, topic, key, KeyKind::Key, &record), "{topic} {offset} by {key}");
            by_key += 1;
        }
        if let Some(tags) = properties["TAGS"].as_str() {
            by_tags += usize::from(is_found(store, topic, tags, KeyKind::Tags, &record));
        }
    }
    (by_key, by_tags)
}

/// How often messages are found through Java's index files, and through those made from the log without them; and
/// whether these have the bytes of Java's.
fn check(name: &str) -> ((usize, usize), (usize, usize), bool) {
    let java = JavaStore::unpack(name);
    let mut config = java.config();
    // After a crash, the newest file is not believed.
    fs::remove_file(java.root().join("abort")).ok();
    config.index.enable = false;
    let (store, _) = open(config.clone());
    let through_javas = look_up(&store, &java);
    store.close().expect("closed");
    drop(store);

    let contents = || files(&java.root().join("index"), &|_| true).into_iter().map(|(_, bytes)| bytes);
    let javas: Vec<_> = contents().collect();
    assert!(!javas.is_empty());
    fs::remove_dir_all(java.root().join("index")).expect("removed");
    config.index.enable = true;
    let (store, _) = open(config);
    let through_ours = look_up(&store, &java);
    store.close().expect("closed");
    (through_javas, through_ours, contents().eq(javas))
}

#[test]
fn messages_of_java_5_5_are_found_and_its_index_is_made_again_byte_by_byte() {
    assert_eq!(check("java-5.5.0-store"), ((1303, 623), (1303, 623), true));
}

#[test]
fn messages_of_java_4_9_are_found_and_by_tags_when_its_index_is_made_again() {
    assert_eq!(check("java-4.9.7-store"), ((1040, 0), (1040, 462), false));
}

#[test]
fn messages_of_a_java_that_was_killed_are_found() {
    let (through_javas, through_ours, _) = check("java-5.5.0-crash");
    assert_eq!((through_javas, through_ours), ((96, 43), (96, 43)));
}

#[test]
fn after_a_crash_the_index_of_java_is_made_again() {
    let java = JavaStore::unpack("java-5.5.0-crash");
    let javas = files(&java.root().join("index"), &|_| true);
    let (store, report) = open(java.config());
    assert!(!report.clean);
    assert_eq!(look_up(&store, &java), (96, 43));
    store.close().expect("closed");
    let ours = files(&java.root().join("index"), &|_| true);
    assert!(ours.len() == 1 && ours[0].0 != javas[0].0, "another file");
    assert!(ours[0].1 == javas[0].1, "with the same bytes");
}
