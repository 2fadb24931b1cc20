//! Writing records: everything but the three fields that only the append knows.

use std::net::IpAddr;

use remoting::types::{Host, PhysicalOffset, QueueOffset, Timestamp};

use super::decode::body_crc;
use super::{BORN_HOST_AT, MAGIC_V1, MAGIC_V2, Message, PHYSICAL_OFFSET_AT, QUEUE_OFFSET_AT, sys_flag};

/// Longer topics make a V2 record.
const MAX_V1_TOPIC_BYTES: usize = 127;
/// Fixed part of a V1 record with IPv4 hosts.
const FIXED_BYTES: usize = 91;
/// What an IPv6 host takes more than an IPv4 one.
const EXTRA_V6_BYTES: usize = 12;

/// The length of a topic decides the version of its records. Java: `MessageVersion`, `autoMessageVersionOnTopicLen`.
fn magic(topic: &str) -> i32 {
    // Java counts characters; topic names are ASCII, and counting bytes keeps others readable as well.
    if topic.len() <= MAX_V1_TOPIC_BYTES { MAGIC_V1 } else { MAGIC_V2 }
}

/// Bytes of the record that [`encode`] appends.
pub(crate) fn record_len(message: &Message<'_>) -> usize {
    let v2 = usize::from(magic(message.topic) == MAGIC_V2);
    let v6 = usize::from(message.born_host.is_ipv6()) + usize::from(message.store_host.is_ipv6());
    FIXED_BYTES + v2 + v6 * EXTRA_V6_BYTES + message.topic.len() + message.properties.len() + message.body.len()
}

/// Appends the record of `message`, whose lengths were checked, and says how to complete it.
pub(crate) fn encode(out: &mut Vec<u8>, message: &Message<'_>) -> Patch {
    let start = out.len();
    let total = record_len(message);
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
    out.extend_from_slice(&(message.properties.len() as i16).to_be_bytes());
    out.extend_from_slice(message.properties.as_bytes());
    debug_assert_eq!(out.len() - start, total);
    Patch { store_timestamp_at: store_timestamp_at as u8 }
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
}

impl Patch {
    pub(crate) fn apply(self, record: &mut [u8], queue: QueueOffset, physical: PhysicalOffset, stored: Timestamp) {
        let mut put = |at: usize, value: i64| record[at..at + 8].copy_from_slice(&value.to_be_bytes());
        put(QUEUE_OFFSET_AT, queue.0);
        put(PHYSICAL_OFFSET_AT, physical.0);
        put(usize::from(self.store_timestamp_at), stored.0);
    }
}
