//! What a clean stop notes of the queues: the next start uses it, unless anything has changed since.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::*;
use remoting::types::{QueueId, TopicName};
use store::{Store, StoreConfig};

const BATCHES: &str = "Batches";

fn roster(root: &Path) -> PathBuf {
    root.join("ferromq.queues")
}

/// Three topics with queues of one and of many files, one of them of inner batches.
fn fill(store: &Store) {
    for (topic, queue, count) in [("Few", 0, 3), ("Few", 7, 1), ("Many", 2, 35)] {
        for number in 0..count {
            put(store, &TopicName::new(topic), queue, format!("{topic} {number}").as_bytes(), "");
        }
    }
    put_batch(store);
}

fn put_batch(store: &Store) {
    let body = [&22_i32.to_be_bytes()[..], &[0; 12], &0_i32.to_be_bytes(), &0_i16.to_be_bytes()].concat();
    let mut batch = store.batch();
    batch.push_inner_batch(&message(&TopicName::new(BATCHES), 0, &body, "UNIQ_KEY\u{1}K\u{2}")).expect("a legal batch");
    store.append(&mut batch).expect("stored");
}

type Queues = BTreeMap<(String, i32), (i64, i64, Vec<Vec<u8>>)>;

/// First and last offset of every queue, and the bodies in it.
fn queues(store: &Store) -> Queues {
    let of_topic = |topic: TopicName| {
        let queue = |id: QueueId| {
            let ends = (store.min_offset(&topic, id), store.max_offset(&topic, id));
            let (min, max) = (ends.0.expect("a queue").0, ends.1.expect("a queue").0);
            ((topic.to_string(), id.0), (min, max, bodies(&drain(store, &topic, id.0))))
        };
        store.queues(&topic).into_iter().map(queue).collect::<Vec<_>>()
    };
    store.topics().into_iter().flat_map(of_topic).collect()
}

/// A store that was filled and stopped, and what is in it.
fn stopped(root: &Path) -> Queues {
    let (store, report) = open(config(root));
    assert!(!report.queues_noted, "there is nothing yet");
    fill(&store);
    let found = queues(&store);
    assert_eq!(found.len(), 4);
    store.close().expect("closed");
    found
}

#[test]
fn after_a_clean_stop_the_queues_are_as_they_were_noted() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut before = stopped(dir.path());
    for round in 0..3 {
        let (store, report) = open(config(dir.path()));
        assert!(report.clean && report.queues_noted);
        assert_eq!(report.queues, 4);
        assert_eq!(queues(&store), before, "round {round}");
        fill(&store);
        let after = queues(&store);
        for ((queue, (min, max, _)), (_, was)) in after.iter().zip(&before) {
            assert_eq!((*min, *max - was.1), (was.0, was.1 / (round + 1)), "{queue:?} goes on where it was");
        }
        before = after;
        store.close().expect("closed");
    }
    fs::remove_file(roster(dir.path())).expect("removed");
    let (store, report) = open(config(dir.path()));
    assert!(!report.queues_noted);
    assert_eq!(queues(&store), before, "listing finds the same");
}

#[test]
fn it_is_gone_while_the_store_is_open_and_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = stopped(dir.path());
    let noted = fs::read(roster(dir.path())).expect("noted");
    let (store, report) = open(config(dir.path()));
    assert!(report.queues_noted && !roster(dir.path()).exists());
    // As a crash leaves the folder, even if the file had come back with it.
    let crashed = tempfile::tempdir().expect("a folder");
    copy(dir.path(), crashed.path());
    fs::write(roster(crashed.path()), noted).expect("put back");
    let (after, report) = open(config(crashed.path()));
    assert!(!report.clean && !report.queues_noted);
    assert_eq!(queues(&after), before);
    assert!(!roster(crashed.path()).exists());
    drop(store);
}

/// Stops a store, changes something, and expects the start to list the folders and to find the same queues as after a stop
/// without a roster.
fn check(what: &str, change: impl Fn(&Path)) {
    let dir = tempfile::tempdir().expect("a folder");
    stopped(dir.path());
    change(dir.path());
    let listed = tempfile::tempdir().expect("a folder");
    copy(dir.path(), listed.path());
    if roster(listed.path()).exists() {
        fs::remove_file(roster(listed.path())).expect("removed");
    }
    let (expected, _) = open(config(listed.path()));
    let (store, report) = open(config(dir.path()));
    assert!(report.clean && !report.queues_noted, "{what}");
    assert_eq!(queues(&store), queues(&expected), "{what}");
}

/// Writes the bytes of a file again, as they are.
fn touch(path: &Path) {
    let bytes = fs::read(path).expect("a file");
    let file = OpenOptions::new().write(true).open(path).expect("a file");
    file.write_all_at(&bytes, 0).expect("written");
}

#[test]
fn a_broker_of_javas_in_between_is_noticed_though_it_changed_nothing() {
    // At its start, and at its stop.
    check("lock", |root| touch(&root.join("lock")));
    check("checkpoint", |root| touch(&root.join("checkpoint")));
    check("a new lock", |root| {
        fs::remove_file(root.join("lock")).expect("removed");
        fs::write(root.join("lock"), "lock").expect("written");
    });
    check("no lock", |root| fs::remove_file(root.join("lock")).expect("removed"));
}

#[test]
fn a_checkpoint_that_says_something_else_is_noticed() {
    check("checkpoint", |root| {
        let file = OpenOptions::new().write(true).open(root.join("checkpoint")).expect("a file");
        file.write_all_at(&[0; 48], 0).expect("written");
    });
}

#[test]
fn a_file_or_folder_that_came_or_went_is_noticed() {
    check("a file more", |root| {
        let queue = root.join("consumequeue/Few/7");
        File::create(queue.join("00000000000000000200")).and_then(|file| file.set_len(200)).expect("a file");
    });
    check("a file less", |root| {
        fs::remove_file(root.join("consumequeue/Many/2/00000000000000000600")).expect("removed");
    });
    check("a queue less", |root| fs::remove_dir_all(root.join("consumequeue/Few/7")).expect("removed"));
    check("a queue more", |root| fs::create_dir(root.join("consumequeue/Few/8")).expect("a folder"));
    check("a topic less", |root| fs::remove_dir_all(root.join("consumequeue/Many")).expect("removed"));
    check("a topic more", |root| {
        copy(&root.join("consumequeue/Few"), &root.join("consumequeue/Other"));
    });
    check("another folder of a name", |root| {
        fs::rename(root.join("consumequeue/Few"), root.join("kept")).expect("renamed");
        copy(&root.join("kept"), &root.join("consumequeue/Few"));
    });
    check("batches less", |root| fs::remove_dir_all(root.join("batchconsumequeue/Batches/0")).expect("removed"));
}

#[test]
fn a_folder_without_files_is_watched_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    fill(&store);
    for empty in ["consumequeue/Few/3", "consumequeue/None"] {
        fs::create_dir_all(dir.path().join(empty)).expect("a folder");
    }
    // It has files only in memory, and a folder that somebody else made.
    store.arrivals(&TopicName::new("Few"), QueueId(3));
    store.close().expect("closed");
    drop(store);
    let (store, report) = open(config(dir.path()));
    assert!(report.queues_noted);
    store.close().expect("closed");
    drop(store);
    copy(&dir.path().join("consumequeue/Few/0"), &dir.path().join("consumequeue/None/0"));
    let (store, report) = open(config(dir.path()));
    assert!(!report.queues_noted);
    assert!(store.queues("None").contains(&QueueId(0)));
}

#[test]
fn another_log_is_noticed() {
    check("records more", |root| {
        // A copy of the last record behind it: it belongs to another place, and counts as a record all the same.
        let path = root.join("commitlog/00000000000000000000");
        let log = fs::read(&path).expect("a file");
        let end = log.iter().rposition(|byte| *byte != 0).expect("records") + 1;
        let size = i32::from_be_bytes(*log.first_chunk().expect("a record")) as usize;
        let file = OpenOptions::new().write(true).open(&path).expect("a file");
        file.write_all_at(&log[..size], end as u64).expect("written");
    });
    check("records less", |root| {
        let file = OpenOptions::new().write(true).open(root.join("commitlog/00000000000000000000")).expect("a file");
        file.write_all_at(&[0; 60_000], 1000).expect("written");
    });
}

#[test]
fn a_copy_of_the_store_is_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = stopped(dir.path());
    let copied = tempfile::tempdir().expect("a folder");
    copy(dir.path(), copied.path());
    assert!(roster(copied.path()).exists());
    let (store, report) = open(config(copied.path()));
    assert!(report.clean && !report.queues_noted);
    assert_eq!(queues(&store), before);
}

#[test]
fn one_of_an_earlier_stop_is_not_used() {
    let dir = tempfile::tempdir().expect("a folder");
    stopped(dir.path());
    let earlier = fs::read(roster(dir.path())).expect("noted");
    let (store, _) = open(config(dir.path()));
    fill(&store);
    let before = queues(&store);
    store.close().expect("closed");
    drop(store);
    fs::write(roster(dir.path()), earlier).expect("put back");
    let (store, report) = open(config(dir.path()));
    assert!(report.clean && !report.queues_noted);
    assert_eq!(queues(&store), before);
}

#[test]
fn a_torn_or_damaged_one_is_not_used() {
    check("torn", |root| {
        let file = OpenOptions::new().write(true).open(roster(root)).expect("noted");
        file.set_len(file.metadata().expect("a file").len() - 1).expect("cut");
    });
    check("not written", |root| {
        let bytes = fs::read(roster(root)).expect("noted");
        fs::write(roster(root), vec![0; bytes.len()]).expect("written");
    });
    check("a bit", |root| {
        let mut bytes = fs::read(roster(root)).expect("noted");
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        fs::write(roster(root), bytes).expect("written");
    });
}

#[test]
fn files_of_another_size_are_found_by_looking_at_them() {
    let dir = tempfile::tempdir().expect("a folder");
    stopped(dir.path());
    let other = StoreConfig { consume_queue_file_bytes: 400, ..config(dir.path()) };
    let error = Store::open(other, remoting::types::Clock::fixed(NOW)).expect_err("refused").to_string();
    assert!(error.contains("mappedFileSizeConsumeQueue"), "{error}");
}

#[test]
fn queues_that_follow_the_log_and_topics_that_go_are_noted_as_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    stopped(dir.path());
    let (store, report) = open(config(dir.path()));
    assert!(report.queues_noted);
    store.delete_topic("Few").expect("deleted");
    // What a deletion that was cut short leaves.
    fs::create_dir_all(dir.path().join("consumequeue/.deleted-0/3")).expect("a folder");
    let before = queues(&store);
    assert_eq!(before.len(), 2);
    store.close().expect("closed");
    drop(store);
    assert!(!dir.path().join("consumequeue/.deleted-0").exists());
    let (store, report) = open(config(dir.path()));
    assert!(report.queues_noted);
    assert_eq!(queues(&store), before);
    assert_eq!(put(&store, &TopicName::new("Few"), 0, b"again", "").queue_offset.0, 0);
}
