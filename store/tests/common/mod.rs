//! Small stores and messages for tests.
#![allow(dead_code, unreachable_pub, reason = "every test file uses another part")]

use std::path::Path;
use std::sync::Arc;

use remoting::types::{Clock, Host, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use store::message::{Message, StoredMessage};
use store::{
    AppendBatch, AppendError, EntryFilter, Everything, IndexConfig, Position, ReadOutcome, ReadRequest, RecoveryReport,
    Store, StoreConfig,
};

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub fn host() -> Host {
    Host { ip: [127, 0, 0, 1].into(), port: 10911 }
}

/// Files so small that tests roll them: 64 KiB of log, 10 queue entries, 59 index entries.
pub fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = 64 << 10;
    config.consume_queue_file_bytes = 200;
    config.index = IndexConfig { slots: 40, entries: 60, ..IndexConfig::default() };
    config
}

pub fn open(config: StoreConfig) -> (Arc<Store>, RecoveryReport) {
    Store::open(config, Clock::fixed(NOW)).expect("the store opens")
}

pub fn topic() -> TopicName {
    TopicName::new("Topic")
}

pub fn message<'a>(topic: &'a TopicName, queue_id: i32, body: &'a [u8], properties: &'a str) -> Message<'a> {
    Message { born_timestamp: NOW, properties, ..Message::new(topic, QueueId(queue_id), body, host()) }
}

/// Appends one message and returns its position.
pub fn put(store: &Store, topic: &TopicName, queue_id: i32, body: &[u8], properties: &str) -> Position {
    let mut batch = store.batch();
    batch.push(&message(topic, queue_id, body, properties)).expect("a legal message");
    store.append(&mut batch).expect("stored").positions[0]
}

/// Appends many messages of one queue as one batch.
pub fn put_all(store: &Store, queue_id: i32, bodies: impl IntoIterator<Item = Vec<u8>>) -> Result<(), AppendError> {
    let mut batch = store.batch();
    push_all(&mut batch, queue_id, bodies);
    store.append(&mut batch).map(|_| ())
}

pub fn push_all(batch: &mut AppendBatch, queue_id: i32, bodies: impl IntoIterator<Item = Vec<u8>>) {
    for body in bodies {
        batch.push(&message(&topic(), queue_id, &body, "")).expect("a legal message");
    }
}

pub fn read(store: &Store, topic: &TopicName, queue_id: i32, offset: i64) -> ReadOutcome {
    read_some(store, topic, queue_id, offset, 32, &Everything)
}

pub fn read_some(
    store: &Store,
    topic: &TopicName,
    queue_id: i32,
    offset: i64,
    max_messages: usize,
    filter: &dyn EntryFilter,
) -> ReadOutcome {
    let request = ReadRequest {
        topic,
        queue_id: QueueId(queue_id),
        offset: QueueOffset(offset),
        max_messages,
        max_bytes: usize::MAX,
    };
    store.read(&request, filter)
}

/// A message as a reader got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub queue_offset: i64,
    pub physical_offset: i64,
    pub body: Vec<u8>,
}

pub fn messages(read: &ReadOutcome) -> Vec<Got> {
    let mut found = Vec::new();
    for mut bytes in read.messages.iter().map(|run| &run[..]) {
        while !bytes.is_empty() {
            let message = StoredMessage::parse(bytes).expect("a whole record");
            message.check_crc().expect("the body as it was sent");
            found.push(Got {
                queue_offset: message.queue_offset.0,
                physical_offset: message.physical_offset.0,
                body: message.body.to_vec(),
            });
            bytes = &bytes[message.size..];
        }
    }
    assert_eq!(found.len(), read.count);
    found
}

/// Everything in a queue from its minimum on.
pub fn drain(store: &Store, topic: &TopicName, queue_id: i32) -> Vec<Got> {
    let mut found = Vec::new();
    let mut offset = store.min_offset(topic, QueueId(queue_id)).unwrap_or_default();
    loop {
        let outcome = read(store, topic, queue_id, offset.0);
        found.extend(messages(&outcome));
        if outcome.next_offset <= offset {
            return found;
        }
        offset = outcome.next_offset;
    }
}

pub fn bodies(got: &[Got]) -> Vec<Vec<u8>> {
    got.iter().map(|got| got.body.clone()).collect()
}

/// Copies a folder as a crash of the process would leave it: what was written is there, the rest is not.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            // The keeper may remove or create files meanwhile; one that is gone is not in the copy.
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}

pub fn end_of(position: &Position) -> PhysicalOffset {
    position.physical_offset.after(position.size)
}
