//! One queue entry, 20 bytes on disk.

use remoting::types::{PhysicalOffset, QueueOffset};

/// Bytes of a unit. Java: `ConsumeQueue.CQ_STORE_UNIT_SIZE`.
pub(crate) const UNIT_BYTES: usize = 20;

/// An entry of a queue as readers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub queue_offset: QueueOffset,
    pub physical_offset: PhysicalOffset,
    /// Bytes of the record.
    pub size: usize,
    /// Tag hash; deliver time in the schedule topic.
    pub tags_code: i64,
}

/// A unit: `[physical offset: i64][record size in bytes: i32][tags code: i64]`, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) physical: i64,
    pub(crate) size: i32,
    pub(crate) code: i64,
}

impl Unit {
    /// Fills places that never had an entry. Java: `ConsumeQueue.fillPreBlank`.
    pub(crate) const BLANK: Self = Self { physical: 0, size: i32::MAX, code: 0 };

    pub(crate) fn decode(bytes: &[u8; UNIT_BYTES]) -> Self {
        let (physical, rest) = bytes.split_first_chunk().expect("20 bytes hold an i64");
        let (size, rest) = rest.split_first_chunk().expect("12 bytes hold an i32");
        let (code, _) = rest.split_first_chunk().expect("8 bytes hold an i64");
        Self {
            physical: i64::from_be_bytes(*physical),
            size: i32::from_be_bytes(*size),
            code: i64::from_be_bytes(*code),
        }
    }

    pub(crate) fn encode(self) -> [u8; UNIT_BYTES] {
        let mut bytes = [0; UNIT_BYTES];
        bytes[..8].copy_from_slice(&self.physical.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.size.to_be_bytes());
        bytes[12..].copy_from_slice(&self.code.to_be_bytes());
        bytes
    }

    /// Something was written here: an entry or a blank.
    pub(crate) fn is_written(self) -> bool {
        self.physical >= 0 && self.size > 0
    }

    pub(crate) fn is_blank(self) -> bool {
        self.physical == 0 && self.size == i32::MAX
    }

    /// Where the record ends in the log.
    pub(crate) fn end(self) -> i64 {
        self.physical + i64::from(self.size)
    }
}

/// Codes up to here are addresses in the queue's extension file, not codes. Java: `ConsumeQueueExt.MAX_ADDR`.
pub(crate) const EXTENSION_ADDRESS_MAX: i64 = i32::MIN as i64 - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_javas_layout() {
        let unit = Unit { physical: 0x0102_0304_0506_0708, size: 0x090A_0B0C, code: -1 };
        let bytes = unit.encode();
        assert_eq!(bytes[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(bytes[12..], [0xFF; 8]);
        assert_eq!(Unit::decode(&bytes), unit);
        assert!(unit.is_written() && !unit.is_blank());
        assert!(Unit::BLANK.is_written() && Unit::BLANK.is_blank());
        assert!(!Unit::decode(&[0; UNIT_BYTES]).is_written());
    }
}
