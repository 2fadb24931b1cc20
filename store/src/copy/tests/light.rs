//! Records that are in several queues.

use super::*;
use crate::message::encode_at;

const LIGHT: &str = "%LMQ%a";

/// Records of one queue, as a master would write them that names these light queues and offsets.
fn records(properties: &[String]) -> Vec<u8> {
    let (topic, mut bytes) = (TopicName::new("T"), Vec::new());
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    for (number, properties) in properties.iter().enumerate() {
        let message = Message { properties, ..Message::new(&topic, QueueId(0), b"body", host) };
        let at = PhysicalOffset(bytes.len() as i64);
        encode_at(&mut bytes, &message, QueueOffset(number as i64), at, Timestamp(1));
    }
    bytes
}

fn named(names: &str, offsets: &str) -> String {
    format!("INNER_MULTI_DISPATCH\u{1}{names}\u{2}INNER_MULTI_QUEUE_OFFSET\u{1}{offsets}\u{2}")
}

fn light_store(root: &Path) -> Arc<Store> {
    let config = StoreConfig { light_queues: true, ..config(root) };
    Store::open(config, Clock::system()).expect("a store").0
}

/// Offsets of the messages that a reader of the light queue gets.
fn light_offsets(store: &Store) -> Vec<i64> {
    let (topic, mut found) = (TopicName::new(LIGHT), Vec::new());
    let mut offset = store.min_offset(LIGHT, QueueId(0)).expect("the queue is there");
    loop {
        let request = ReadRequest { topic: &topic, queue_id: QueueId(0), offset, max_messages: 1, max_bytes: 1 << 20 };
        let outcome = store.read(&request, &Everything);
        if outcome.count == 0 {
            return found;
        }
        found.push(outcome.next_offset.0 - 1);
        offset = outcome.next_offset;
    }
}

#[test]
fn light_queues_get_what_they_have_on_the_master() {
    let (here, there) = (folder(), folder());
    let (master, slave) = (light_store(here.path()), light_store(there.path()));
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    let (topic, mut batch) = (TopicName::new("T"), master.batch());
    for number in 0..60 {
        let properties = format!("INNER_MULTI_DISPATCH\u{1}{LIGHT},%LMQ%{}\u{2}", number % 3);
        batch
            .push(&Message { properties: &properties, ..Message::new(&topic, QueueId(0), b"x", host) })
            .expect("legal");
        master.append(&mut batch).expect("appended");
    }
    copy_all(&master, &mut slave.copy(), || 333);
    assert_eq!(light_offsets(&slave), light_offsets(&master));
    master.close().expect("closed");
    slave.close().expect("closed");
    assert_same_files(here.path(), there.path(), "consumequeue");
}

#[test]
fn a_hole_that_java_left_is_one_here_and_nonsense_of_a_client_ends_nothing() {
    let there = folder();
    let slave = light_store(there.path());
    let twice = format!("{LIGHT},{LIGHT}");
    let all = records(&[
        named(LIGHT, "0"),
        named(&twice, "1,2"),
        named(LIGHT, "3"),
        named(LIGHT, "1000000000000"),
        named(LIGHT, "1"),
        named(LIGHT, "4"),
    ]);
    let mut copy = slave.copy();
    for (at, piece) in all.chunks(70).enumerate() {
        copy.write(PhysicalOffset(70 * at as i64), piece).expect("taken");
    }
    assert_eq!(light_offsets(&slave), [0, 1, 3, 4]);
    assert_eq!(seen_in(&slave, "T", 0), (0, vec![4; 6]));
}
