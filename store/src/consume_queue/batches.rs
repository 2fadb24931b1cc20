//! Units of a queue that takes inner batches: one for each record, which holds many messages.
//!
//! In memory such a queue looks like any other: a 20-byte unit for each message, those of one record alike. Its files, in a
//! folder of their own, have one unit for each record, and are searched by the offset of its first message.
//!
//! Java: `BatchConsumeQueue`.

use remoting::types::Timestamp;

use super::entry::Unit;

/// Bytes of a unit. Java: `BatchConsumeQueue.CQ_STORE_UNIT_SIZE`.
pub(crate) const BATCH_UNIT_BYTES: usize = 46;

/// A unit: `[physical offset: i64][record size in bytes: i32][tags code: i64][store time: i64][queue offset of the first
/// message: i64][messages: i16][compacted offset: i32, -1][reserved: i32, 0]`, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchUnit {
    pub(crate) unit: Unit,
    pub(crate) stored: Timestamp,
    pub(crate) base: i64,
    pub(crate) count: i16,
}

impl BatchUnit {
    pub(crate) fn decode(bytes: &[u8; BATCH_UNIT_BYTES]) -> Self {
        let (unit, rest) = bytes.split_first_chunk().expect("46 bytes hold a unit");
        let (stored, rest) = rest.split_first_chunk().expect("26 bytes hold an i64");
        let (base, rest) = rest.split_first_chunk().expect("18 bytes hold an i64");
        let (count, _) = rest.split_first_chunk().expect("10 bytes hold an i16");
        Self {
            unit: Unit::decode(unit),
            stored: Timestamp(i64::from_be_bytes(*stored)),
            base: i64::from_be_bytes(*base),
            count: i16::from_be_bytes(*count),
        }
    }

    pub(crate) fn encode(self) -> [u8; BATCH_UNIT_BYTES] {
        let mut bytes = [0; BATCH_UNIT_BYTES];
        bytes[..20].copy_from_slice(&self.unit.encode());
        bytes[20..28].copy_from_slice(&self.stored.0.to_be_bytes());
        bytes[28..36].copy_from_slice(&self.base.to_be_bytes());
        bytes[36..38].copy_from_slice(&self.count.to_be_bytes());
        bytes[38..42].copy_from_slice(&(-1_i32).to_be_bytes());
        bytes
    }

    pub(crate) fn is_written(self) -> bool {
        self.unit.is_written() && self.base >= 0 && self.count > 0
    }

    /// Queue offset behind its last message.
    pub(crate) fn end(self) -> i64 {
        self.base.saturating_add(i64::from(self.count))
    }
}

/// What the tail of a queue of batches has more than that of another.
#[derive(Clone, Debug, Default)]
pub(super) struct BatchTail {
    /// Units that are not in the files yet.
    pub(super) unwritten: Vec<BatchUnit>,
    /// Units in the files, and those that once were before them: the number of the next one.
    pub(super) written: i64,
}

impl BatchTail {
    /// Notes one more message of the record that `unit` points at, at `offset`; `continues` the record before it.
    pub(super) fn push(&mut self, offset: i64, unit: Unit, stored: Timestamp, continues: bool) {
        match self.unwritten.last_mut() {
            Some(last) if continues => last.count += 1,
            _ => self.unwritten.push(BatchUnit { unit, stored, base: offset, count: 1 }),
        }
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        self.unwritten.iter().flat_map(|unit| unit.encode()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second unit of `FixBcq` in the store that Java 5.5.0 wrote.
    const JAVAS: [u8; BATCH_UNIT_BYTES] = [
        0, 0, 0, 0, 0, 0x15, 0x66, 0xA0, 0, 0, 0x02, 0xA4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xA1, 0xFD, 0x8F, 0x78,
        0x2F, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0,
    ];

    #[test]
    fn units_have_javas_layout() {
        let unit = BatchUnit::decode(&JAVAS);
        let expected = BatchUnit {
            unit: Unit { physical: 0x1566A0, size: 676, code: 0 },
            stored: Timestamp(1_795_255_400_495),
            base: 3,
            count: 4,
        };
        assert_eq!(unit, expected);
        assert_eq!(unit.encode(), JAVAS);
        assert!(unit.is_written() && !BatchUnit::decode(&[0; BATCH_UNIT_BYTES]).is_written());
    }
}
