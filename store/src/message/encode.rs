//! Writing records: everything but the three fields that only the append knows.

use std::net::IpAddr;

use remoting::types::{Host, PhysicalOffset, QueueOffset, Timestamp};

use super::decode::body_crc;
use super::properties::{NAME_VALUE_SEPARATOR, SEPARATOR, name};
use super::{
    BORN_HOST_AT, MAGIC_V1, MAGIC_V2, Message, PHYSICAL_OFFSET_AT, PREPARED_OFFSET_AT, QUEUE_OFFSET_AT, sys_flag,
};

/// Longer topics make a V2 record.
const MAX_V1_TOPIC_BYTES: usize = 127;
/// Fixed part of a V1 record with IPv4 hosts.
const FIXED_BYTES: usize = 91;
/// What an IPv6 host takes more than an IPv4 one.
const EXTRA_V6_BYTES: usize = 12;
/// Bytes of the property that ends a record with a checksum: name, separator, ten digits, separator.
/// Java: `CommitLog.CRC32_RESERVED_LEN`.
const CRC_BYTES: usize = name::CRC32.len() + 1 + CRC_DIGITS + 1;
const CRC_DIGITS: usize = 10;
/// Digits kept free for a queue offset that only the append knows; an `i64` has no more.
const INNER_BASE_DIGITS: usize = 19;

/// The length of a topic decides the version of its records. Java: `MessageVersion`, `autoMessageVersionOnTopicLen`.
fn magic(topic: &str) -> i32 {
    // Java counts characters; topic names are ASCII, and counting bytes keeps others readable as well.
    if topic.len() <= MAX_V1_TOPIC_BYTES { MAGIC_V1 } else { MAGIC_V2 }
}

/// What a record has behind the properties of its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Messages in the body, if that is an inner batch.
    pub(crate) inner_batch: Option<u16>,
    /// A checksum over the whole record. Java: `enabledAppendPropCRC`.
    pub(crate) crc: bool,
}

impl Trailer {
    /// What is written behind `properties`: a separator they may lack, and properties of which some digits come later. Mostly
    /// nothing.
    fn text(self, properties: &str) -> String {
        let mut text = String::new();
        if self != Self::default() && !properties.is_empty() && !properties.ends_with(SEPARATOR) {
            text.push(SEPARATOR);
        }
        let mut push = |name: &str, value: &str| {
            text.push_str(name);
            text.push(NAME_VALUE_SEPARATOR);
            text.push_str(value);
            text.push(SEPARATOR);
        };
        if let Some(count) = self.inner_batch {
            push(name::INNER_NUM, &count.to_string());
            push(name::INNER_BASE, &"0".repeat(INNER_BASE_DIGITS));
        }
        if self.crc {
            push(name::CRC32, &"0".repeat(CRC_DIGITS));
        }
        text
    }

    /// Bytes that the record's properties have with this behind them.
    pub(crate) fn properties_len(self, properties: &str) -> usize {
        properties.len() + self.text(properties).len()
    }
}

/// Bytes of the record that [`encode`] appends.
fn record_len(message: &Message<'_>, properties_len: usize) -> usize {
    let v2 = usize::from(magic(message.topic) == MAGIC_V2);
    let v6 = usize::from(message.born_host.is_ipv6()) + usize::from(message.store_host.is_ipv6());
    FIXED_BYTES + v2 + v6 * EXTRA_V6_BYTES + message.topic.len() + properties_len + message.body.len()
}

/// Appends the record of `message`, whose lengths were checked, and says how to complete it.
pub(crate) fn encode(out: &mut Vec<u8>, message: &Message<'_>, trailer: Trailer) -> Patch {
    let start = out.len();
    let behind = trailer.text(message.properties);
    let properties_len = message.properties.len() + behind.len();
    let total = record_len(message, properties_len);
    out.reserve(total);
    let magic = magic(message.topic);
    let flags = host_flags(message);

    let mut head = [0; BORN_HOST_AT];
    head[0..4].copy_from_slice(&(total as i32).to_be_bytes());
    head[4..8].copy_from_slice(&magic.to_be_bytes());
    head[8..12].copy_from_slice(&body_crc(message.body).to_be_bytes());
    head[12..16].copy_from_slice(&message.queue_id.0.to_be_bytes());
    head[16..20].copy_from_slice(&message.flag.to_be_bytes());
    head[36..40].copy_from_slice(&flags.to_be_bytes());
    head[40..48].copy_from_slice(&message.born_timestamp.0.to_be_bytes());
    out.extend_from_slice(&head);
    push_host(out, message.born_host);
    let store_timestamp_at = out.len() - start;
    out.extend_from_slice(&[0; 8]);
    push_host(out, message.store_host);
    out.extend_from_slice(&message.reconsume_times.to_be_bytes());
    out.extend_from_slice(&message.prepared_transaction_offset.to_be_bytes());
    out.extend_from_slice(&(message.body.len() as i32).to_be_bytes());
    out.extend_from_slice(message.body);
    if magic == MAGIC_V1 {
        out.push(message.topic.len() as u8);
    } else {
        out.extend_from_slice(&(message.topic.len() as i16).to_be_bytes());
    }
    out.extend_from_slice(message.topic.as_bytes());
    out.extend_from_slice(&(properties_len as i16).to_be_bytes());
    out.extend_from_slice(message.properties.as_bytes());
    out.extend_from_slice(behind.as_bytes());
    debug_assert_eq!(out.len() - start, total);
    Patch { store_timestamp_at: store_timestamp_at as u8, inner_base: trailer.inner_batch.is_some(), crc: trailer.crc }
}

/// Appends the record of `message` as it would lie at this place, for a peer that reads messages in their stored form.
///
/// Its properties must not be longer than [`super::MAX_PROPERTIES_BYTES`].
pub fn encode_at(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    queue: QueueOffset,
    physical: PhysicalOffset,
    stored: Timestamp,
) {
    let start = out.len();
    encode(out, message, Trailer::default()).apply(&mut out[start..], queue, physical, stored);
}

fn host_flags(message: &Message<'_>) -> i32 {
    let flag = |host: Host, bit: i32| if host.is_ipv6() { bit } else { 0 };
    (message.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6))
        | flag(message.born_host, sys_flag::BORN_HOST_V6)
        | flag(message.store_host, sys_flag::STORE_HOST_V6)
}

fn push_host(out: &mut Vec<u8>, host: Host) {
    match host.ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&host.port.to_be_bytes());
}

/// Completes a record once its place in the log is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    /// 56, or 68 behind an IPv6 born host.
    store_timestamp_at: u8,
    /// The last property, or the last before the checksum, is the queue offset of an inner batch.
    inner_base: bool,
    /// The last property is the checksum.
    crc: bool,
}

impl Patch {
    pub(crate) fn apply(self, record: &mut [u8], queue: QueueOffset, physical: PhysicalOffset, stored: Timestamp) {
        let mut put = |at: usize, value: i64| record[at..at + 8].copy_from_slice(&value.to_be_bytes());
        put(QUEUE_OFFSET_AT, queue.0);
        put(PHYSICAL_OFFSET_AT, physical.0);
        put(usize::from(self.store_timestamp_at), stored.0);
        let checked = record.len() - if self.crc { CRC_BYTES } else { 0 };
        if self.inner_base {
            let end = checked - 1;
            put_digits(record[end - INNER_BASE_DIGITS..end].iter_mut().rev(), queue.0.unsigned_abs());
        }
        if self.crc {
            put_record_crc(record);
        }
    }
}

/// Has a whole record say that it lies at `physical`, and that the half message of its transaction lies at `prepared`. A
/// checksum over all of it that was right is right again.
pub(crate) fn relocate(record: &mut [u8], message_flags: i32, physical: PhysicalOffset, prepared: i64) {
    let has_crc = check_record_crc(record) == Some(true);
    let v6 =
        [sys_flag::BORN_HOST_V6, sys_flag::STORE_HOST_V6].iter().filter(|flag| message_flags & **flag != 0).count();
    let prepared_at = PREPARED_OFFSET_AT + v6 * EXTRA_V6_BYTES;
    record[PHYSICAL_OFFSET_AT..PHYSICAL_OFFSET_AT + 8].copy_from_slice(&physical.0.to_be_bytes());
    record[prepared_at..prepared_at + 8].copy_from_slice(&prepared.to_be_bytes());
    if has_crc {
        put_record_crc(record);
    }
}

/// Fills in the digits of the property that ends the record.
fn put_record_crc(record: &mut [u8]) {
    let checked = record.len() - CRC_BYTES;
    let crc = record_crc(&record[..checked]);
    let digits = checked + name::CRC32.len() + 1;
    // Java writes the lowest digit first.
    put_digits(record[digits..digits + CRC_DIGITS].iter_mut(), u64::from(crc.unsigned_abs()));
}

/// The checksum of a record without the property that holds it: CRC-32 without its top bit.
fn record_crc(checked: &[u8]) -> i32 {
    body_crc(checked)
}

/// Decimal digits, the lowest into the first byte.
fn put_digits<'a>(bytes: impl Iterator<Item = &'a mut u8>, mut value: u64) {
    for byte in bytes {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Whether the checksum that `record` ends with is right; `None` if it has none.
///
/// Java: `CommitLog.checkMessageAndReturnSize` under `forceVerifyPropCRC`.
pub(crate) fn check_record_crc(record: &[u8]) -> Option<bool> {
    let (checked, property) = record.split_at_checked(record.len().checked_sub(CRC_BYTES)?)?;
    let digits = property.strip_prefix(name::CRC32.as_bytes())?.strip_prefix(&[NAME_VALUE_SEPARATOR as u8])?;
    let digits = digits.strip_suffix(&[SEPARATOR as u8])?;
    let mut expected = [0; CRC_DIGITS];
    put_digits(expected.iter_mut(), u64::from(record_crc(checked).unsigned_abs()));
    Some(digits == expected)
}
