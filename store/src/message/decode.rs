//! Reading records and the elements of client batches. Bytes come from disk or network: nothing here panics.

use std::net::IpAddr;

use remoting::types::{Host, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use thiserror::Error;

use crate::light;

use super::{
    BLANK_BYTES, BORN_HOST_AT, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, Message, QUEUE_OFFSET_AT, SYS_FLAG_AT, sys_flag,
};

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("{needed} bytes are needed, {left} are left")]
    Truncated { needed: usize, left: usize },
    #[error("{0:#010x} is no record magic")]
    Magic(i32),
    #[error("fields take {computed} bytes, but the record says {total}")]
    Length { total: usize, computed: usize },
    #[error("a length field is negative")]
    NegativeLength,
    #[error("topic or properties are not UTF-8")]
    Text,
    #[error("body CRC is {computed:#010x}, the record says {stored:#010x}")]
    Crc { stored: i32, computed: i32 },
}

/// What stands at a place in a commit log file.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    Message(StoredMessage<'a>),
    /// Nothing follows in this file.
    Blank {
        size: usize,
    },
}

/// A record, its variable parts borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMessage<'a> {
    /// Bytes of the whole record.
    pub size: usize,
    pub magic: i32,
    pub body_crc: i32,
    pub queue_id: QueueId,
    pub flag: i32,
    pub queue_offset: QueueOffset,
    pub physical_offset: PhysicalOffset,
    pub sys_flag: i32,
    pub born_timestamp: Timestamp,
    pub born_host: Host,
    pub store_timestamp: Timestamp,
    pub store_host: Host,
    pub reconsume_times: i32,
    pub prepared_transaction_offset: i64,
    pub body: &'a [u8],
    pub topic: &'a str,
    pub properties: &'a str,
}

/// What begins at a place in a commit log file, be it all there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Message {
        size: usize,
        magic: i32,
    },
    /// Nothing follows in this file.
    Blank {
        size: usize,
    },
}

impl Head {
    /// Reads the first [`BLANK_BYTES`] of what begins with `bytes`; `None`: they are not all there.
    ///
    /// # Errors
    /// No record begins so.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Result<Self, DecodeError>> {
        let mut head = Reader(bytes.get(..BLANK_BYTES)?);
        let mut read = || {
            let size = head.length()?;
            match head.i32()? {
                MAGIC_BLANK => Ok(Self::Blank { size }),
                magic @ (MAGIC_V1 | MAGIC_V2) if size > BLANK_BYTES => Ok(Self::Message { size, magic }),
                MAGIC_V1 | MAGIC_V2 => Err(DecodeError::Length { total: size, computed: BLANK_BYTES }),
                other => Err(DecodeError::Magic(other)),
            }
        };
        Some(read())
    }
}

impl<'a> StoredMessage<'a> {
    /// Reads the record at the start of `bytes`; what follows it is not looked at.
    ///
    /// The body CRC is not checked, see [`Self::check_crc`].
    ///
    /// # Errors
    /// Every way in which the bytes are not one whole record, blank records included.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match Record::parse(bytes)? {
            Record::Message(message) => Ok(message),
            Record::Blank { .. } => Err(DecodeError::Magic(MAGIC_BLANK)),
        }
    }

    /// Compares the stored CRC with the body. Java: `MessageDecoder`, `UtilAll.crc32`.
    ///
    /// # Errors
    /// [`DecodeError::Crc`].
    pub fn check_crc(&self) -> Result<(), DecodeError> {
        // Java writes 0 for an empty body, which is what CRC-32 of nothing gives.
        let computed = body_crc(self.body);
        if computed == self.body_crc { Ok(()) } else { Err(DecodeError::Crc { stored: self.body_crc, computed }) }
    }

    /// It once more, with other properties, in this queue. It is part of no transaction there.
    pub fn copy_to(&self, topic: &'a TopicName, queue_id: QueueId, properties: &'a str) -> Message<'a> {
        Message {
            topic,
            queue_id,
            flag: self.flag,
            sys_flag: self.sys_flag,
            born_timestamp: self.born_timestamp,
            born_host: self.born_host,
            store_host: self.store_host,
            reconsume_times: self.reconsume_times,
            prepared_transaction_offset: 0,
            body: self.body,
            properties,
        }
    }

    /// The value of a property; see [`super::properties::get`].
    pub fn property(&self, name: &str) -> Option<&'a str> {
        super::properties::get(self.properties, name)
    }
}

impl<'a> Record<'a> {
    /// Reads the record or blank at the start of `bytes`.
    ///
    /// # Errors
    /// As [`StoredMessage::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let lacks = |needed: usize| DecodeError::Truncated { needed, left: bytes.len() };
        let (total, magic) = match Head::parse(bytes).ok_or_else(|| lacks(BLANK_BYTES))?? {
            Head::Blank { size } => return Ok(Self::Blank { size }),
            Head::Message { size, magic } => (size, magic),
        };
        let mut at = Reader(bytes.get(BLANK_BYTES..total).ok_or_else(|| lacks(total))?);
        let fields = |at: &mut Reader<'a>| -> Result<StoredMessage<'a>, DecodeError> {
            let body_crc = at.i32()?;
            let queue_id = QueueId(at.i32()?);
            let flag = at.i32()?;
            let queue_offset = QueueOffset(at.i64()?);
            let physical_offset = PhysicalOffset(at.i64()?);
            let sys_flag = at.i32()?;
            let born_timestamp = Timestamp(at.i64()?);
            let born_host = at.host(sys_flag & sys_flag::BORN_HOST_V6 != 0)?;
            let store_timestamp = Timestamp(at.i64()?);
            let store_host = at.host(sys_flag & sys_flag::STORE_HOST_V6 != 0)?;
            let reconsume_times = at.i32()?;
            let prepared_transaction_offset = at.i64()?;
            let body = at.length().and_then(|len| at.take(len))?;
            let topic_len = if magic == MAGIC_V1 { usize::from(at.u8()?) } else { at.short_length()? };
            let topic = at.text(topic_len)?;
            let properties = at.short_length().and_then(|len| at.text(len))?;
            Ok(StoredMessage {
                size: total,
                magic,
                body_crc,
                queue_id,
                flag,
                queue_offset,
                physical_offset,
                sys_flag,
                born_timestamp,
                born_host,
                store_timestamp,
                store_host,
                reconsume_times,
                prepared_transaction_offset,
                body,
                topic,
                properties,
            })
        };
        let message = fields(&mut at)?;
        if at.0.is_empty() {
            Ok(Self::Message(message))
        } else {
            Err(DecodeError::Length { total, computed: total - at.0.len() })
        }
    }
}

/// CRC-32 (IEEE) without its top bit. Java: `UtilAll.crc32`.
pub(crate) fn body_crc(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

/// One message inside the body of a client batch.
///
/// `total i32 │ magic i32 │ CRC i32 │ flag i32 │ body length i32, body │ properties length i16, properties`; the first
/// three fields mean nothing. Java: `MessageDecoder.encodeMessage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchElement<'a> {
    pub flag: i32,
    pub body: &'a [u8],
    pub properties: &'a str,
}

/// The elements of a batch body in order; an error ends it.
pub fn batch_elements(body: &[u8]) -> impl Iterator<Item = Result<BatchElement<'_>, DecodeError>> {
    let mut at = Reader(body);
    std::iter::from_fn(move || {
        if at.0.is_empty() {
            return None;
        }
        let mut next = || -> Result<BatchElement<'_>, DecodeError> {
            at.take(12)?;
            let flag = at.i32()?;
            let body = at.length().and_then(|len| at.take(len))?;
            let properties = at.short_length().and_then(|len| at.text(len))?;
            Ok(BatchElement { flag, body, properties })
        };
        let element = next();
        if element.is_err() {
            at.0 = &[];
        }
        Some(element)
    })
}

/// Takes big-endian fields off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) =
            self.0.split_at_checked(len).ok_or(DecodeError::Truncated { needed: len, left: self.0.len() })?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) =
            self.0.split_first_chunk().ok_or(DecodeError::Truncated { needed: N, left: self.0.len() })?;
        self.0 = tail;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.i32()?).map_err(|_| DecodeError::NegativeLength)
    }

    fn short_length(&mut self) -> Result<usize, DecodeError> {
        let len = self.array().map(i16::from_be_bytes)?;
        usize::try_from(len).map_err(|_| DecodeError::NegativeLength)
    }

    fn host(&mut self, v6: bool) -> Result<Host, DecodeError> {
        let ip = if v6 { IpAddr::from(self.array::<16>()?) } else { IpAddr::from(self.array::<4>()?) };
        Ok(Host { ip, port: self.i32()? })
    }

    fn text(&mut self, len: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Text)
    }
}

impl StoredMessage<'_> {
    /// Its offset in the queue of `topic`: its own, or a light queue that it is in, too.
    pub fn offset_in(&self, topic: &str) -> QueueOffset {
        let light = || light::places(self).find_map(|(name, offset)| (name == topic).then_some(QueueOffset(offset)));
        if topic == self.topic { self.queue_offset } else { light().unwrap_or(self.queue_offset) }
    }
}

/// The queue offset of each record of a slice of the log, up to the first byte that is no whole record.
pub fn queue_offsets(mut records: &[u8]) -> impl Iterator<Item = QueueOffset> {
    std::iter::from_fn(move || {
        let size = records.first_chunk::<4>().map(|size| i32::from_be_bytes(*size))?;
        let size = usize::try_from(size).ok().filter(|size| *size > 0)?;
        let record = records.get(..size)?;
        let offset = record.get(QUEUE_OFFSET_AT..)?.first_chunk::<8>()?;
        records = &records[size..];
        Some(QueueOffset(i64::from_be_bytes(*offset)))
    })
}

/// Store time of a record, without reading the rest of it.
pub(crate) fn store_timestamp(record: &[u8]) -> Option<Timestamp> {
    let field = |at: usize| record.get(at..)?.first_chunk();
    let flags = record.get(SYS_FLAG_AT..)?.first_chunk().map(|flags| i32::from_be_bytes(*flags))?;
    let host_bytes = if flags & sys_flag::BORN_HOST_V6 != 0 { 20 } else { 8 };
    field(BORN_HOST_AT + host_bytes).map(|time| Timestamp(i64::from_be_bytes(*time)))
}
