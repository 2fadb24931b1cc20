//! The stored layout of a message; the only code that knows these bytes.
//!
//! A record is big-endian throughout. Offsets are for two IPv4 hosts; each IPv6 host adds 12 bytes.
//!
//! ```text
//!  0 total size i32 │ 4 magic i32 │ 8 body CRC i32 │ 12 queue id i32 │ 16 flag i32 │ 20 queue offset i64
//! 28 physical offset i64 │ 36 sys flag i32 │ 40 born timestamp i64 │ 48 born host 4+4 │ 56 store timestamp i64
//! 64 store host 4+4 │ 72 reconsume times i32 │ 76 prepared transaction offset i64 │ 84 body length i32, body
//!    topic length (V1 u8, V2 u16), topic │ properties length i16, properties
//! ```
//!
//! Java: `CommitLog`, `MessageExtEncoder`, `MessageDecoder`, `MessageVersion`.

mod check;
mod decode;
mod encode;
mod hash;
pub mod id;
pub mod properties;
pub mod sys_flag;

pub use check::BadRecord;
pub(crate) use check::Check;
pub use decode::{BatchElement, DecodeError, Record, StoredMessage, batch_elements, queue_offsets};
pub(crate) use decode::{Head, store_timestamp};
pub use encode::encode_at;
pub(crate) use encode::{Patch, Trailer, check_record_crc, encode, relocate};
pub use hash::java_hash;
pub(crate) use hash::{java_hash_from, tags_code};

use remoting::types::{Host, QueueId, Timestamp, TopicName};

/// Topics of at most 127 characters.
pub const MAGIC_V1: i32 = i32::from_be_bytes([0xDA, 0xA3, 0x20, 0xA7]);
/// Longer topics; unknown to Java before 5.1.
pub const MAGIC_V2: i32 = i32::from_be_bytes([0xDA, 0xA3, 0x20, 0xAB]);
/// Fills the end of a file that the next record did not fit into.
pub const MAGIC_BLANK: i32 = i32::from_be_bytes([0xCB, 0xD4, 0x31, 0x94]);

/// Size and magic of a blank record; what follows up to the end of the file means nothing.
pub(crate) const BLANK_BYTES: usize = 8;
/// The length field of properties is an `i16`.
pub const MAX_PROPERTIES_BYTES: usize = i16::MAX as usize;
/// `%RETRY%` and `%DLQ%` topics; others are limited to 127 by the broker. Java: `TopicValidator`.
pub const MAX_TOPIC_BYTES: usize = 255;

pub(crate) const QUEUE_OFFSET_AT: usize = 20;
pub(crate) const PHYSICAL_OFFSET_AT: usize = 28;
pub(crate) const SYS_FLAG_AT: usize = 36;
pub(crate) const BORN_HOST_AT: usize = 48;
/// Behind two IPv4 hosts.
const PREPARED_OFFSET_AT: usize = 76;

/// The topic that keeps delayed messages, one queue per level. Its queue units hold the deliver time instead of a tag hash.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";

/// A message about to be stored: all that the caller decides.
///
/// Physical offset, queue offset and store timestamp are filled in by the append. The IPv6 bits of `sys_flag` follow the
/// hosts, whatever the caller says.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a TopicName,
    pub queue_id: QueueId,
    /// The user's flag; any number.
    pub flag: i32,
    /// See [`sys_flag`].
    pub sys_flag: i32,
    pub born_timestamp: Timestamp,
    pub born_host: Host,
    /// The address in offset message ids: this broker as clients reach it.
    pub store_host: Host,
    pub reconsume_times: i32,
    /// Physical offset of the half message of a committed transaction, else 0.
    pub prepared_transaction_offset: i64,
    /// As the client sent it, compressed or not.
    pub body: &'a [u8],
    /// `name 0x01 value 0x02 …`; see [`properties`].
    pub properties: &'a str,
}

impl<'a> Message<'a> {
    /// A message without properties that was born on `host`, which also stores it, at the time 0, is sent for the first
    /// time and is part of no transaction.
    pub fn new(topic: &'a TopicName, queue_id: QueueId, body: &'a [u8], host: Host) -> Self {
        Self {
            topic,
            queue_id,
            flag: 0,
            sys_flag: 0,
            born_timestamp: Timestamp(0),
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: "",
        }
    }
}

/// Whether queues of a topic of this name can have a folder.
pub(crate) fn is_folder_name(topic: &str) -> bool {
    !topic.starts_with('.') && !topic.contains(['/', '\0'])
}

#[cfg(test)]
mod tests;
