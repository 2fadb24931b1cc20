//! One entry of the timer log, 52 bytes, big-endian.
//!
//! ```text
//! [size = 52: i32][position of the unit before in the slot, −1 none: i64][marks: i32][enrolled at, ms: i64]
//! [slot − enrolled at, ms: i32][physical offset of the message: i64][its size: i32][hash of the real topic: i32]
//! [reserved: i64]
//! ```
//! Java writes 0 into the reserved field and never reads it. Here it says to the millisecond when the message is due, as the
//! slot says that by its precision only.
//!
//! Java: `TimerLog`, `TimerMessageStore.doEnqueue`.

use remoting::types::{PhysicalOffset, Timestamp};

/// Java: `TimerLog.UNIT_SIZE`.
pub(crate) const UNIT_BYTES: usize = 52;
/// Where a unit says where its message lies. Java: `TimerMessageStore.UNIT_PRE_SIZE_FOR_MSG`.
pub(crate) const MESSAGE_AT: usize = 28;
/// No unit before.
pub(super) const NONE: i64 = -1;
/// Java: `TimerMessageStore.MAGIC_DEFAULT`.
const MARK_ALWAYS: i32 = 1;
const MARK_ROLL: i32 = 1 << 1;
const MARK_CANCEL: i32 = 1 << 2;
/// Java: `TimerMessageStore.isMagicOK`.
const MARKS_MAX: i32 = 0xF;
/// What fills the end of a file. Java: `TimerLog.BLANK_MAGIC_CODE`.
const BLANK_MARK: i32 = 0xCBD4_3194_u32 as i32;
/// Java: `TimerLog.MIN_BLANK_LEN`.
pub(super) const BLANK_BYTES: usize = 16;

/// A message that waits in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Position of the unit that was in the slot before this one.
    pub(super) prev: i64,
    /// The message goes back to the timer topic, as its time lies behind the window of the wheel.
    pub roll: bool,
    /// The message is no message but cancels one.
    pub cancel: bool,
    pub enrolled_at: Timestamp,
    /// Begin of the slot.
    pub slot_time: Timestamp,
    /// Place in the commit log, and bytes there.
    pub message: PhysicalOffset,
    pub message_bytes: i32,
    /// `String.hashCode` of the topic the message is for.
    pub topic_hash: i32,
    /// When it is due; 0: a Java broker enrolled it, which does not say.
    pub deliver_at: Timestamp,
}

/// By what a message changes how many wait: one that cancels another is none, and takes that one away.
pub fn change_of(cancel: bool) -> i32 {
    if cancel { -1 } else { 1 }
}

/// What is at a place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Unit(Unit),
    /// The rest of the file is empty.
    Blank,
    /// Never written.
    Nothing,
}

impl Unit {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let roll = if self.roll { MARK_ROLL } else { 0 };
        let cancel = if self.cancel { MARK_CANCEL } else { 0 };
        // The window of a wheel is shorter than an i32 of milliseconds: at most 7 days.
        let delay = i32::try_from(self.slot_time.0 - self.enrolled_at.0).unwrap_or(i32::MAX);
        out.extend((UNIT_BYTES as i32).to_be_bytes());
        out.extend(self.prev.to_be_bytes());
        out.extend((MARK_ALWAYS | roll | cancel).to_be_bytes());
        out.extend(self.enrolled_at.0.to_be_bytes());
        out.extend(delay.to_be_bytes());
        out.extend(self.message.0.to_be_bytes());
        out.extend(self.message_bytes.to_be_bytes());
        out.extend(self.topic_hash.to_be_bytes());
        out.extend(self.deliver_at.0.to_be_bytes());
    }

    /// Reads what is at the start of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Found {
        let mut rest = bytes;
        let (Some(size), Some(prev), Some(marks)) = (int(&mut rest), long(&mut rest), int(&mut rest)) else {
            return Found::Nothing;
        };
        if marks == BLANK_MARK {
            return Found::Blank;
        }
        if size != UNIT_BYTES as i32 || marks | MARKS_MAX != MARKS_MAX {
            return Found::Nothing;
        }
        let mut unit = || {
            let enrolled_at = long(&mut rest)?;
            let slot_time = enrolled_at.checked_add(i64::from(int(&mut rest)?))?;
            Some(Self {
                prev,
                roll: marks & MARK_ROLL != 0,
                cancel: marks & MARK_CANCEL != 0,
                enrolled_at: Timestamp(enrolled_at),
                slot_time: Timestamp(slot_time),
                message: PhysicalOffset(long(&mut rest)?),
                message_bytes: int(&mut rest)?,
                topic_hash: int(&mut rest)?,
                deliver_at: Timestamp(long(&mut rest)?),
            })
        };
        // A unit that a crash cut short has no size of its message.
        unit().filter(|unit| unit.message_bytes > 0).map_or(Found::Nothing, Found::Unit)
    }
}

/// Fills `left` bytes up to the end of a file; only the first [`BLANK_BYTES`] are written.
pub(super) fn encode_blank(left: i64, out: &mut Vec<u8>) {
    out.extend(i32::try_from(left).unwrap_or(i32::MAX).to_be_bytes());
    out.extend(0_i64.to_be_bytes());
    out.extend(BLANK_MARK.to_be_bytes());
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i32::from_be_bytes(*bytes))
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a 5.5.0 broker: a message that waits, one that rolls, and one that cancels.
    #[test]
    fn javas_bytes_are_read_and_written_again() {
        let plain = Unit {
            prev: -1,
            roll: false,
            cancel: false,
            enrolled_at: Timestamp(1_795_255_400_000),
            slot_time: Timestamp(1_795_255_402_000),
            message: PhysicalOffset(1_396_876),
            message_bytes: 332,
            topic_hash: -342_412_208,
            deliver_at: Timestamp(0),
        };
        let roll = Unit { roll: true, slot_time: Timestamp(1_795_341_800_000), prev: 5, ..plain };
        for (unit, marks) in [(plain, 1), (roll, 3), (Unit { cancel: true, prev: 676, ..plain }, 5)] {
            let mut bytes = Vec::new();
            unit.encode(&mut bytes);
            assert_eq!(bytes.len(), UNIT_BYTES);
            assert_eq!(bytes[..4], 52_i32.to_be_bytes());
            assert_eq!(bytes[12..16], i32::to_be_bytes(marks));
            assert_eq!(bytes[28..36], 1_396_876_i64.to_be_bytes(), "Java: UNIT_PRE_SIZE_FOR_MSG");
            assert_eq!(bytes[40..44], (-342_412_208_i32).to_be_bytes(), "Java: UNIT_PRE_SIZE_FOR_METRIC");
            assert_eq!(Unit::decode(&bytes), Found::Unit(unit));
            for cut in 0..UNIT_BYTES {
                let mut torn = bytes[..cut].to_vec();
                assert_eq!(Unit::decode(&torn), Found::Nothing, "{cut} bytes");
                torn.resize(UNIT_BYTES, 0);
                if cut < 36 {
                    assert_eq!(Unit::decode(&torn), Found::Nothing, "{cut} bytes and zeros");
                }
            }
        }
    }

    #[test]
    fn what_is_no_unit_is_told_apart() {
        let mut blank = Vec::new();
        encode_blank(52, &mut blank);
        assert_eq!((blank.len(), Unit::decode(&blank)), (BLANK_BYTES, Found::Blank));
        assert_eq!(Unit::decode(&[0; UNIT_BYTES]), Found::Nothing);
        assert_eq!(Unit::decode(&[255; UNIT_BYTES]), Found::Nothing);
    }
}
