//! What a message is found by: `topic#key` for its unique key and each of its keys, `topic#T#tags` for its tags.
//!
//! Java: `IndexService.buildIndex`, `DefaultMessageStore.CommitLogDispatcherBuildIndex`.

use crate::message::properties::{self, name};
use crate::message::{StoredMessage, java_hash_from, sys_flag};

/// What a query goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// One of the words of the `KEYS` property, or the unique key: the index does not tell them apart.
    Key,
    /// The whole `TAGS` property. Java 5.5 and later write it.
    Tags,
}

/// The properties that the index knows.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    unique: Option<&'a str>,
    keys: Option<&'a str>,
    tags: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn of(message: &StoredMessage<'a>) -> Self {
        let mut found = Self::default();
        for (name, value) in properties::iter(message.properties) {
            match name {
                name::UNIQ_KEY => found.unique = Some(value),
                name::KEYS => found.keys = Some(value),
                name::TAGS => found.tags = Some(value),
                _ => {}
            }
        }
        found
    }

    fn words(self) -> impl Iterator<Item = &'a str> {
        self.unique.into_iter().chain(self.keys.unwrap_or_default().split(' ').filter(|word| !word.is_empty()))
    }
}

/// Hashes the texts of one message after the other.
#[derive(Debug, Default)]
pub(crate) struct Hasher {
    /// Messages that follow each other are mostly of one topic.
    topic: String,
    of_topic: i32,
}

impl Hasher {
    /// The hashes under which the message is to be found, in Java's order.
    pub(crate) fn hashes(&mut self, message: &StoredMessage<'_>, mut each: impl FnMut(u32)) {
        if message.sys_flag & sys_flag::TRANSACTION_MASK == sys_flag::TRANSACTION_ROLLBACK {
            return;
        }
        if self.topic != message.topic {
            self.topic.clear();
            self.topic.push_str(message.topic);
            self.of_topic = java_hash_from(java_hash_from(0, message.topic), "#");
        }
        let found = Found::of(message);
        for word in found.words() {
            each(index_hash(java_hash_from(self.of_topic, word)));
        }
        if let Some(tags) = found.tags {
            each(index_hash(java_hash_from(java_hash_from(self.of_topic, "T#"), tags)));
        }
    }
}

/// The hash under which messages of this topic and key are found.
pub(super) fn hash_of(topic: &str, key: &str, kind: KeyKind) -> u32 {
    let topic = java_hash_from(java_hash_from(0, topic), "#");
    index_hash(match kind {
        KeyKind::Key => java_hash_from(topic, key),
        KeyKind::Tags => java_hash_from(java_hash_from(topic, "T#"), key),
    })
}

/// Java: `IndexFile.indexKeyHashMethod`.
fn index_hash(hash: i32) -> u32 {
    hash.checked_abs().unwrap_or(0).unsigned_abs()
}

/// Whether it is this message that was asked for, and not one whose text has the same hash.
pub(super) fn is_asked_for(message: &StoredMessage<'_>, topic: &str, key: &str, kind: KeyKind) -> bool {
    let found = Found::of(message);
    let by_key = || match kind {
        KeyKind::Key => found.words().any(|word| word == key),
        KeyKind::Tags => found.tags == Some(key),
    };
    message.topic == topic && by_key()
}

#[cfg(test)]
mod tests {
    use remoting::types::{Host, PhysicalOffset, QueueId, QueueOffset, Timestamp};

    use super::*;
    use crate::message::{MAGIC_V1, java_hash};

    fn message<'a>(topic: &'a str, properties: &'a str) -> StoredMessage<'a> {
        let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
        StoredMessage {
            size: 0,
            magic: MAGIC_V1,
            body_crc: 0,
            queue_id: QueueId(0),
            flag: 0,
            queue_offset: QueueOffset(0),
            physical_offset: PhysicalOffset(0),
            sys_flag: 0,
            born_timestamp: Timestamp(0),
            born_host: host,
            store_timestamp: Timestamp(0),
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"",
            topic,
            properties,
        }
    }

    const PROPERTIES: &str = "KEYS\u{1} a  bc \u{2}UNIQ_KEY\u{1}U1\u{2}TAGS\u{1}x || y\u{2}";

    #[test]
    fn a_message_is_found_by_unique_key_words_and_tags() {
        let mut hashes = Vec::new();
        let mut hasher = Hasher::default();
        hasher.hashes(&message("other", "UNIQ_KEY\u{1}z\u{2}"), |_| {});
        hasher.hashes(&message("Top", PROPERTIES), |hash| hashes.push(hash));
        let texts = ["Top#U1", "Top#a", "Top#bc", "Top#T#x || y"];
        assert_eq!(hashes, texts.map(|text| java_hash(text).unsigned_abs()));
        let asked = [("U1", KeyKind::Key), ("a", KeyKind::Key), ("bc", KeyKind::Key), ("x || y", KeyKind::Tags)];
        assert_eq!(hashes, asked.map(|(key, kind)| hash_of("Top", key, kind)));
        for (key, kind) in asked {
            assert!(is_asked_for(&message("Top", PROPERTIES), "Top", key, kind));
            assert!(!is_asked_for(&message("Tip", PROPERTIES), "Top", key, kind));
        }
        for (key, kind) in [("", KeyKind::Key), ("a  bc", KeyKind::Key), ("x", KeyKind::Tags), ("U1", KeyKind::Tags)] {
            assert!(!is_asked_for(&message("Top", PROPERTIES), "Top", key, kind), "{key}");
        }
    }

    #[test]
    fn rolled_back_messages_are_not_found_half_ones_are() {
        for (flag, count) in [(0, 4), (sys_flag::TRANSACTION_PREPARED, 4), (sys_flag::TRANSACTION_ROLLBACK, 0)] {
            let mut hashes = 0;
            let message = StoredMessage { sys_flag: flag, ..message("Top", PROPERTIES) };
            Hasher::default().hashes(&message, |_| hashes += 1);
            assert_eq!(hashes, count, "{flag}");
        }
    }

    #[test]
    fn the_smallest_hash_counts_as_zero() {
        assert_eq!([index_hash(i32::MIN), index_hash(-7), index_hash(7)], [0, 7, 7]);
    }
}
