use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use remoting::types::{Clock, Host, QueueOffset, Timestamp};

use super::*;
use crate::config::StoreConfig;
use crate::read::{Everything, ReadRequest};
use crate::store::Store;
use crate::testing::MortalDisk;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = 16 << 10;
    config.consume_queue_file_bytes = 200;
    (config.index.slots, config.index.entries) = (10, 20);
    config.light_queues = true;
    config
}

fn open(root: &Path) -> Arc<Store> {
    Store::open(config(root), Clock::fixed(NOW)).expect("the store opens").0
}

fn properties(names: &str) -> String {
    format!("KEYS\u{1}k\u{2}INNER_MULTI_DISPATCH\u{1}{names}\u{2}INNER_MULTI_QUEUE_OFFSET\u{1}forged\u{2}TAGS\u{1}t")
}

fn push(batch: &mut AppendBatch, topic: &str, names: &str, body: &str) -> Result<(), IllegalMessage> {
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    let topic = TopicName::new(topic);
    let properties = properties(names);
    batch.push(&Message { properties: &properties, ..Message::new(&topic, QueueId(1), body.as_bytes(), host) })
}

fn send(store: &Store, topic: &str, names: &str, body: &str) -> bool {
    let mut batch = store.batch();
    push(&mut batch, topic, names, body).expect("a legal message");
    store.append(&mut batch).is_ok()
}

/// Body and stored offsets of every message of a queue, from the first on.
fn all(store: &Store, topic: &str, queue_id: i32) -> Vec<(String, String)> {
    let topic = TopicName::new(topic);
    let mut found = Vec::new();
    let mut offset = store.min_offset(&topic, QueueId(queue_id)).unwrap_or_default();
    loop {
        let request =
            ReadRequest { topic: &topic, queue_id: QueueId(queue_id), offset, max_messages: 32, max_bytes: 1 << 20 };
        let outcome = store.read(&request, &Everything);
        for mut bytes in outcome.messages.iter().map(|run| &run[..]) {
            while !bytes.is_empty() {
                let record = StoredMessage::parse(bytes).expect("a whole record");
                let body = String::from_utf8(record.body.to_vec()).expect("text");
                let offsets = record.property(name::MULTI_QUEUE_OFFSET).unwrap_or("none");
                found.push((body, offsets.to_owned()));
                bytes = &bytes[record.size..];
            }
        }
        if outcome.next_offset <= offset {
            return found;
        }
        offset = outcome.next_offset;
    }
}

fn bodies(store: &Store, topic: &str, queue_id: i32) -> Vec<String> {
    all(store, topic, queue_id).into_iter().map(|(body, _)| body).collect()
}

#[test]
fn a_message_is_in_its_own_queue_and_in_each_that_it_names_with_offsets_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    for (names, body) in [("%LMQ%a", "0"), ("%LMQ%a,%LMQ%b", "1"), ("%LMQ%b,%LMQ%a,", "2"), ("other", "3")] {
        assert!(send(&store, "T", names, body));
    }
    assert_eq!(bodies(&store, "T", 1), ["0", "1", "2", "3"]);
    let expect = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(body, offsets)| (String::from(*body), String::from(*offsets))).collect()
    };
    assert_eq!(all(&store, "%LMQ%a", 0), expect(&[("0", "0"), ("1", "1,0"), ("2", "1,2")]));
    assert_eq!(all(&store, "%LMQ%b", 0), expect(&[("1", "1,0"), ("2", "1,2")]));
    // The tag's hash is in each unit, and the forged offsets are nowhere.
    assert_eq!(store.entries("%LMQ%b", LIGHT_QUEUE, QueueOffset(0), 1)[0].tags_code, i64::from(b't'));
    assert_eq!(all(&store, "T", 1)[3].1, "none");
    assert_eq!(store.topics().len(), 3);
}

#[test]
fn a_queue_that_is_named_twice_gets_the_message_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    assert!(send(&store, "T", "%LMQ%a,%LMQ%b,%LMQ%a", "0") && send(&store, "T", "%LMQ%a", "1"));
    let got = all(&store, "%LMQ%a", 0);
    assert_eq!(got, [("0".to_owned(), "0,0,0".to_owned()), ("1".to_owned(), "1".to_owned())]);
}

#[test]
fn names_that_no_queue_can_have_beside_light_ones_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut batch = open(folder.path()).batch();
    for (names, index) in [("%LMQ%a,b", 1), ("%LMQ%a/b", 0), ("%LMQ%a,,%LMQ%b", 1)] {
        assert_eq!(push(&mut batch, "T", names, "x"), Err(IllegalMessage::LightQueue { index }), "{names}");
    }
    let many = vec!["%LMQ%1234567"; 1500].join(",");
    assert!(matches!(push(&mut batch, "T", &many, "x"), Err(IllegalMessage::PropertiesTooLarge { .. })));
    assert!(batch.is_empty());
}

#[test]
fn messages_that_wait_or_come_again_go_into_no_light_queue() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let topics = ["%RETRY%g", "%DLQ%g", "SCHEDULE_TOPIC_XXXX", "rmq_sys_wheel_timer", "RMQ_SYS_TRANS_HALF_TOPIC"];
    for topic in topics {
        assert!(send(&store, topic, "%LMQ%a", "x"));
        assert_eq!(all(&store, topic, 1), [("x".to_owned(), "none".to_owned())], "{topic}");
    }
    assert_eq!(store.max_offset("%LMQ%a", LIGHT_QUEUE), None);
}

#[test]
fn offsets_of_any_length_fit_also_when_they_grow_within_a_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut number = 0;
    for messages in [7, 1, 60, 40, 1, 3] {
        let mut batch = store.batch();
        for _ in 0..messages {
            push(&mut batch, "T", "%LMQ%a", &number.to_string()).expect("legal");
            number += 1;
        }
        store.append(&mut batch).expect("stored");
    }
    let got = all(&store, "%LMQ%a", 0);
    assert_eq!(got.len(), number);
    for (at, (body, offsets)) in got.iter().enumerate() {
        assert_eq!((body.parse(), offsets.parse()), (Ok(at), Ok(at)));
    }
}

#[test]
fn senders_at_once_get_each_offset_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..60 {
                    let names = if number % 2 == 0 { "%LMQ%a,%LMQ%b" } else { "%LMQ%b,%LMQ%a" };
                    assert!(send(store, "T", names, &format!("{thread}-{number}")));
                }
            });
        }
    });
    for queue in ["%LMQ%a", "%LMQ%b"] {
        let got = all(&store, queue, 0);
        assert_eq!(got.len(), 240);
        for (at, (body, offsets)) in got.iter().enumerate() {
            let even =
                body.split_once('-').is_some_and(|(_, number)| number.parse::<i32>().is_ok_and(|at| at % 2 == 0));
            let mine = if (queue == "%LMQ%a") == even { 0 } else { 1 };
            assert_eq!(offsets.split(',').nth(mine).map(str::parse), Some(Ok(at)), "{queue}");
        }
    }
}

#[test]
fn records_with_a_checksum_over_all_of_them_have_it_over_the_offsets() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = || StoreConfig { append_record_crc: true, require_record_crc: true, ..config(folder.path()) };
    let (store, _) = Store::open(config(), Clock::fixed(NOW)).expect("opens");
    for number in 0..12 {
        assert!(send(&store, "T", "%LMQ%a,%LMQ%b", &number.to_string()));
    }
    MortalDisk::after(0).kill(store);
    fs::remove_dir_all(folder.path().join("consumequeue")).expect("removed");
    let (store, report) = Store::open(config(), Clock::fixed(NOW)).expect("opens");
    assert_eq!((report.cut_bytes, all(&store, "%LMQ%b", 0).len()), (0, 12));
}

#[test]
fn queues_that_are_lost_are_made_again_from_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    for number in 0..30 {
        assert!(send(&store, "T", if number % 3 == 0 { "%LMQ%a,%LMQ%b" } else { "%LMQ%b" }, &number.to_string()));
    }
    let before = ["%LMQ%a", "%LMQ%b"].map(|queue| all(&store, queue, 0));
    store.close().expect("closed");
    drop(store);
    fs::remove_dir_all(folder.path().join("consumequeue/%LMQ%a")).expect("removed");
    let store = open(folder.path());
    assert!(send(&store, "T", "%LMQ%b", "more"));
    MortalDisk::after(0).kill(store);
    for lost in ["consumequeue/%LMQ%b", "consumequeue"] {
        fs::remove_dir_all(folder.path().join(lost)).expect("removed");
        let store = open(folder.path());
        assert_eq!(all(&store, "%LMQ%a", 0), before[0], "{lost}");
        assert_eq!(all(&store, "%LMQ%b", 0)[..30], before[1]);
        MortalDisk::after(0).kill(store);
    }
}

/// Names of the queues of message `number`.
fn names(number: usize) -> String {
    let queues = (0..4).filter(|queue| number >> queue & 1 == 1);
    queues.map(|queue| format!("%LMQ%{queue}")).collect::<Vec<_>>().join(",")
}

/// What every queue holds once `stored` messages are.
fn expected(stored: usize) -> BTreeMap<String, Vec<String>> {
    let mut queues: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in 0..stored {
        for name in split(&names(number)).filter(|name| !name.is_empty()) {
            queues.entry(name.to_owned()).or_default().push(format!("{number}-"));
        }
    }
    queues
}

/// Sends messages on a disk that dies; opens the folder again, goes on, and compares. Says whether it died.
fn life(disk: &MortalDisk) -> bool {
    const MESSAGES: usize = 24;
    let folder = tempfile::tempdir().expect("a folder");
    let body = |number: usize| format!("{number}-{}", "x".repeat(200));
    let mut stored = 0;
    if let Ok((store, _)) = disk.open(config(folder.path()), Clock::fixed(NOW)) {
        stored = (0..MESSAGES).take_while(|number| send(&store, "T", &names(*number), &body(*number))).count();
        disk.kill(store);
    }
    let store = open(folder.path());
    let check = |stored: usize| {
        for (queue, bodies) in expected(stored) {
            let got = all(&store, &queue, 0);
            assert_eq!(got.len(), bodies.len(), "{queue} after {stored} messages");
            for (at, ((body, offsets), expected)) in got.iter().zip(&bodies).enumerate() {
                let number = expected.trim_end_matches('-').parse().expect("a number");
                let place = split(&names(number)).position(|name| name == queue).expect("named");
                let offset = offsets.split(',').nth(place).map(str::parse);
                assert!(body.starts_with(expected) && offset == Some(Ok(at)), "{queue}: {body} says {offsets}");
            }
        }
    };
    check(stored);
    for number in stored..MESSAGES + 10 {
        assert!(send(&store, "T", &names(number), &body(number)));
    }
    check(MESSAGES + 10);
    stored < MESSAGES
}

#[test]
fn a_kill_at_any_change_of_the_disk_leaves_each_queue_whole_and_its_offsets_without_a_gap() {
    for new in [MortalDisk::after, MortalDisk::amid] {
        let deaths = (0..).take_while(|changes| life(&new(*changes))).count();
        assert!(deaths > 20, "{deaths} places to die at");
    }
}
