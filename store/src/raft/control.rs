//! The control record: what stands before the messages of an entry, or alone, and says which entry it is.
//!
//! It is a valid record of RocketMQ's, of a topic that nobody can send to, and marked as the end of a transaction that was
//! rolled back: neither Java's dispatchers nor ours show it to anybody.
//!
//! ```text
//! flag: version 1 │ queue offset: index │ prepared transaction offset: term │ reconsume times: node
//! body: 0 bytes behind this record u32 │ 4 records in them u16 │ 6 kind u16 │ 8 their CRC-32 u32 │ 12 0 u32 │ 16 data
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use remoting::types::{Host, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use thiserror::Error;

use crate::message::{Message, StoredMessage, Trailer, encode, sys_flag};

pub(crate) const TOPIC: &str = "rmq_sys_raft";
const VERSION: i32 = 1;
/// Fixed part of the body.
const HEAD_BYTES: usize = 16;

/// Names one entry of a Raft log: two logs that both have it are equal up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// From 0 on, without gaps.
    pub index: u64,
    /// The reign in which it was made.
    pub term: u64,
    /// Who made it.
    pub node: u32,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Nothing: the first of a reign.
    Blank,
    /// Messages.
    Messages,
    /// Who belongs to the group.
    Membership,
    /// A change of what is kept beside the messages.
    State,
}

/// A control record, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    pub(crate) id: EntryId,
    pub(crate) kind: EntryKind,
    /// Bytes of the messages behind it.
    pub(crate) payload: usize,
    /// CRC-32 of these.
    pub(crate) crc: u32,
    /// Number of records in these; 65,535 also if there are more.
    pub(crate) count: u16,
    pub(crate) data: &'a [u8],
}

/// A record of the control topic that is no control record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadControl {
    #[error("version {0} of the control record is not known")]
    Version(i32),
    #[error("kind {0} of entry is not known")]
    Kind(u16),
    #[error("a field is out of range")]
    Field,
    #[error("the body has {0} bytes, fewer than its fixed part")]
    Short(usize),
}

impl EntryKind {
    fn number(self) -> u16 {
        match self {
            Self::Blank => 0,
            Self::Messages => 1,
            Self::Membership => 2,
            Self::State => 3,
        }
    }

    fn from_number(number: u16) -> Result<Self, BadControl> {
        [Self::Blank, Self::Messages, Self::Membership, Self::State]
            .into_iter()
            .find(|kind| kind.number() == number)
            .ok_or(BadControl::Kind(number))
    }
}

impl<'a> Control<'a> {
    /// An entry that is a control record and nothing else.
    pub(crate) fn alone(id: EntryId, kind: EntryKind, data: &'a [u8]) -> Self {
        Self { id, kind, payload: 0, crc: crc32fast::hash(&[]), count: 0, data }
    }

    /// Of an entry with these records.
    pub(crate) fn before(id: EntryId, records: &[u8], count: usize) -> Self {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        Self { id, kind: EntryKind::Messages, payload: records.len(), crc: crc32fast::hash(records), count, data: &[] }
    }

    /// Appends the record as it lies at `at`. With `record_crc` it ends with the checksum over all of it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, at: PhysicalOffset, stored: Timestamp, record_crc: bool) {
        let mut body = Vec::with_capacity(HEAD_BYTES + self.data.len());
        body.extend((self.payload as u32).to_be_bytes());
        body.extend(self.count.to_be_bytes());
        body.extend(self.kind.number().to_be_bytes());
        body.extend(self.crc.to_be_bytes());
        body.extend([0; 4]);
        body.extend(self.data);
        let message = Message {
            flag: VERSION,
            sys_flag: sys_flag::TRANSACTION_ROLLBACK,
            born_timestamp: stored,
            reconsume_times: self.id.node as i32,
            prepared_transaction_offset: self.id.term as i64,
            ..Message::new(topic(), QueueId(0), &body, nowhere())
        };
        let start = out.len();
        let patch = encode(out, &message, Trailer { inner_batch: None, crc: record_crc });
        patch.apply(&mut out[start..], QueueOffset(self.id.index as i64), at, stored);
    }

    /// Bytes of a control record without data.
    pub(crate) fn len(record_crc: bool) -> usize {
        let lens = LazyLock::force(&LENS);
        if record_crc { lens.1 } else { lens.0 }
    }

    /// `None`: the record is none.
    ///
    /// # Errors
    /// It claims to be one.
    pub(crate) fn of(message: &StoredMessage<'a>) -> Option<Result<Self, BadControl>> {
        (message.topic == TOPIC).then(|| Self::parse(message))
    }

    fn parse(message: &StoredMessage<'a>) -> Result<Self, BadControl> {
        if message.flag != VERSION {
            return Err(BadControl::Version(message.flag));
        }
        let short = BadControl::Short(message.body.len());
        let (head, data) = message.body.split_first_chunk::<HEAD_BYTES>().ok_or(short)?;
        let long = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let field = |value: i64| u64::try_from(value).map_err(|_| BadControl::Field);
        let id = EntryId {
            index: field(message.queue_offset.0)?,
            term: field(message.prepared_transaction_offset)?,
            node: message.reconsume_times as u32,
        };
        let kind = EntryKind::from_number(word(6))?;
        Ok(Self { id, kind, payload: long(0) as usize, crc: long(8), count: word(4), data })
    }
}

/// Lengths of a control record without data, without and with a checksum over all of it.
static LENS: LazyLock<(usize, usize)> = LazyLock::new(|| {
    let len = |record_crc| {
        let mut out = Vec::new();
        let id = EntryId::default();
        Control::alone(id, EntryKind::Blank, &[]).encode(&mut out, PhysicalOffset(0), Timestamp(0), record_crc);
        out.len()
    };
    (len(false), len(true))
});

fn topic() -> &'static TopicName {
    static NAME: LazyLock<TopicName> = LazyLock::new(|| TopicName::new(TOPIC));
    &NAME
}

/// Nobody sent it.
fn nowhere() -> Host {
    Host { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_record_comes_back_as_it_was() {
        let id = EntryId { index: 7, term: 3, node: u32::MAX };
        for record_crc in [false, true] {
            let data = [1, 2, 3];
            let control =
                Control { payload: 4711, crc: 0xDEAD_BEEF, count: 9, ..Control::alone(id, EntryKind::State, &data) };
            let mut out = b"before".to_vec();
            control.encode(&mut out, PhysicalOffset(1000), Timestamp(99), record_crc);
            assert_eq!(out.len() - 6, Control::len(record_crc) + data.len());
            let stored = StoredMessage::parse(&out[6..]).unwrap();
            stored.check_crc().unwrap();
            assert_eq!(Control::of(&stored), Some(Ok(control)));
            assert_eq!((stored.physical_offset, stored.store_timestamp), (PhysicalOffset(1000), Timestamp(99)));
            assert!(!sys_flag::takes_queue_offset(stored.sys_flag), "no dispatcher shows it");
        }
    }

    #[test]
    fn what_is_no_control_record_is_told_apart() {
        let mut out = Vec::new();
        let control = Control::alone(EntryId::default(), EntryKind::Blank, &[]);
        control.encode(&mut out, PhysicalOffset(0), Timestamp(0), false);
        let stored = StoredMessage::parse(&out).unwrap();
        assert_eq!(Control::of(&StoredMessage { topic: "T", ..stored }), None);
        assert_eq!(Control::of(&StoredMessage { flag: 2, ..stored }), Some(Err(BadControl::Version(2))));
        assert_eq!(Control::of(&StoredMessage { body: &[0; 15], ..stored }), Some(Err(BadControl::Short(15))));
        let body = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Control::of(&StoredMessage { body: &body, ..stored }), Some(Err(BadControl::Kind(9))));
    }
}
