//! The timer wheel: 1,209,600 slots of 32 bytes, big-endian, in one file; a slot is where the messages of one second wait.
//!
//! ```text
//! [slot number: i64][position of its first unit in the timer log: i64][of its last: i64][messages: i32][0: i32]
//! ```
//! The number is the time divided by the precision (1 s unless `timerPrecisionMs` says less). A slot lies at its number modulo
//! the slots there are, which is twice the 7 days that messages may wait in it: a number that is not the one looked for means
//! that nothing waits.
//!
//! Only slots that were changed lately are in memory. They are written when a flush is due, or when there are too many; a
//! crash in between loses them, and they are made again from the timer log.
//!
//! Java: `TimerWheel`, `Slot`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::unit::{NONE, change_of};
use crate::error::StoreError;
use crate::io::Files;

/// Java: `TimerMessageStore.TIMER_WHEEL_TTL_DAY`, in seconds; there are twice as many slots.
pub const WINDOW_SLOTS: i64 = 7 * 24 * 3600;
pub(super) const SLOTS: i64 = WINDOW_SLOTS * 2;
const SLOT_BYTES: usize = 32;
pub(super) const WHEEL_BYTES: u64 = SLOTS as u64 * SLOT_BYTES as u64;
/// Changed slots in memory, about 1 MiB; more are written at once.
const CHANGED_MAX: usize = 16_384;

/// The messages of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) number: i64,
    first: i64,
    pub(super) last: i64,
    /// Messages that wait, less those that cancel one.
    pub(super) count: i32,
    magic: i32,
}

impl Slot {
    pub(super) fn empty(number: i64) -> Self {
        Self { number, first: NONE, last: NONE, count: 0, magic: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last == NONE
    }

    /// With the unit at `position` as its last one.
    pub(super) fn with(self, position: i64, cancel: bool) -> Self {
        let first = if self.is_empty() { position } else { self.first };
        let count = self.count.saturating_add(change_of(cancel));
        Self { first, last: position, count, ..self }
    }

    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        // Java knows an empty slot by a number that is not the one looked for.
        let number = if self.is_empty() { NONE } else { self.number };
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.last.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.count.to_be_bytes());
        bytes[28..].copy_from_slice(&self.magic.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SLOT_BYTES]) -> Self {
        let longs: [i64; 3] = std::array::from_fn(|at| i64::from_be_bytes(bytes.as_chunks().0[at]));
        let ints: [i32; 2] = std::array::from_fn(|at| i32::from_be_bytes(bytes[24..].as_chunks().0[at]));
        Self { number: longs[0], first: longs[1], last: longs[2], count: ints[0], magic: ints[1] }
    }
}

/// The file, and what was changed since it was written.
#[derive(Debug)]
pub(super) struct Wheel {
    file: Arc<File>,
    /// By place in the file.
    changed: HashMap<i64, Slot>,
    disk: Arc<dyn Files>,
}

impl Wheel {
    /// # Errors
    /// The file has another length, which Java refuses as well, or I/O fails.
    pub(super) fn open(path: PathBuf, disk: Arc<dyn Files>) -> Result<Self, StoreError> {
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create_sized(&path, WHEEL_BYTES, false),
            opened => opened,
        };
        let file = file.map_err(StoreError::io("open", &path))?;
        let found = file.metadata().map_err(StoreError::io("look at", &path))?.len();
        match found {
            WHEEL_BYTES => {}
            0 => file.set_len(WHEEL_BYTES).map_err(StoreError::io("size", &path))?,
            _ => {
                let property = "the number of slots, which is fixed,";
                return Err(StoreError::FileSize { path, found, expected: WHEEL_BYTES, property });
            }
        }
        Ok(Self { file: Arc::new(file), changed: HashMap::new(), disk })
    }

    pub(super) fn slot(&self, number: i64) -> io::Result<Slot> {
        let place = number.rem_euclid(SLOTS);
        let slot = match self.changed.get(&place) {
            Some(slot) => *slot,
            None => {
                let mut bytes = [0; SLOT_BYTES];
                self.file.read_exact_at(&mut bytes, place as u64 * SLOT_BYTES as u64)?;
                Slot::decode(&bytes)
            }
        };
        Ok(if slot.number == number { slot } else { Slot::empty(number) })
    }

    /// Replaces the slot at this one's place.
    ///
    /// # Errors
    /// Failing I/O of other slots; this one is kept.
    pub(super) fn put(&mut self, slot: Slot) -> io::Result<()> {
        self.changed.insert(slot.number.rem_euclid(SLOTS), slot);
        if self.changed.len() >= CHANGED_MAX { self.write() } else { Ok(()) }
    }

    /// Writes what has changed, neighbours together.
    ///
    /// # Errors
    /// Failing I/O; what was not written is kept.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let mut places: Vec<i64> = self.changed.keys().copied().collect();
        places.sort_unstable();
        let mut bytes = Vec::new();
        for run in places.chunk_by(|one, next| one + 1 == *next) {
            bytes.clear();
            bytes.extend(run.iter().flat_map(|place| self.changed[place].encode()));
            self.disk.write_at(&self.file, &bytes, run[0] as u64 * SLOT_BYTES as u64)?;
        }
        self.changed.clear();
        Ok(())
    }

    /// For a flush.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The first slot from `from` on, before `until`, in which something waits.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn next_filled(&self, from: i64, until: i64) -> io::Result<Option<i64>> {
        /// Slots read at once.
        const CHUNK: i64 = 2048;
        let mut bytes = Vec::new();
        let mut number = from;
        while number < until {
            let place = number.rem_euclid(SLOTS);
            let count = CHUNK.min(until - number).min(SLOTS - place);
            bytes.resize(count as usize * SLOT_BYTES, 0);
            self.file.read_exact_at(&mut bytes, place as u64 * SLOT_BYTES as u64)?;
            for (number, slot) in (number..).zip(bytes.as_chunks().0) {
                let slot = self.changed.get(&number.rem_euclid(SLOTS)).copied().unwrap_or_else(|| Slot::decode(slot));
                if slot.number == number && !slot.is_empty() {
                    return Ok(Some(number));
                }
            }
            number += count;
        }
        Ok(None)
    }

    /// Every slot in the file that is not empty, in no order of time. Parts that were never written are not read.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn for_each(&self, mut each: impl FnMut(Slot)) -> io::Result<()> {
        const CHUNK: u64 = 2048 * SLOT_BYTES as u64;
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < WHEEL_BYTES {
            at = match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => data - data % SLOT_BYTES as u64,
                Err(rustix::io::Errno::NXIO) => break,
                Err(_) => at,
            };
            let wanted = CHUNK.min(WHEEL_BYTES - at);
            bytes.resize(wanted as usize, 0);
            self.file.read_exact_at(&mut bytes, at)?;
            let slots = bytes.as_chunks().0.iter().map(Slot::decode);
            slots.filter(|slot| slot.number > 0 && !slot.is_empty()).for_each(&mut each);
            at += wanted;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::RealFiles;

    fn wheel(dir: &tempfile::TempDir) -> Wheel {
        Wheel::open(dir.path().join("timerwheel"), Arc::new(RealFiles)).expect("opened")
    }

    fn slot(number: i64, last: i64) -> Slot {
        Slot { number, first: 52, last, count: 3, magic: 0 }
    }

    #[test]
    fn slots_have_javas_bytes() {
        // Of a 5.5.0 broker: slot 209002.
        let bytes = slot(1_795_255_402, 260).encode();
        assert_eq!(bytes[..8], 1_795_255_402_i64.to_be_bytes());
        assert_eq!(bytes[24..28], 3_i32.to_be_bytes());
        assert_eq!(Slot::decode(&bytes), slot(1_795_255_402, 260));
        assert_eq!(1_795_255_402_i64.rem_euclid(SLOTS), 209_002);
        assert_eq!(WHEEL_BYTES, 38_707_200);
    }

    #[test]
    fn a_slot_is_empty_for_every_time_but_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut wheel = wheel(&dir);
        let number = 1_795_255_402;
        for written in [false, true] {
            wheel.put(slot(number, 104)).expect("put");
            if written {
                wheel.write().expect("written");
            }
            assert_eq!(wheel.slot(number).expect("read"), slot(number, 104));
            assert_eq!(wheel.slot(number - SLOTS).expect("read"), Slot::empty(number - SLOTS));
            assert_eq!(wheel.next_filled(number - 5000, number).expect("looked"), None);
            assert_eq!(wheel.next_filled(number - 5000, number + 1).expect("looked"), Some(number));
            wheel.put(Slot::empty(number)).expect("put");
            assert!(wheel.slot(number).expect("read").is_empty());
            assert_eq!(wheel.next_filled(number - 5000, number + 1).expect("looked"), None);
        }
    }

    #[test]
    fn what_was_written_is_there_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut first = wheel(&dir);
        // The end of the file and its start are neighbours in time.
        let last = SLOTS * 1500 - 1;
        for number in [last, last + 1, last + 2, last + 700] {
            first.put(slot(number, number)).expect("put");
        }
        first.write().expect("written");
        assert!(!first.has_changed());
        let again = wheel(&dir);
        assert_eq!(again.next_filled(last - 10_000, last + 1000).expect("looked"), Some(last));
        assert_eq!(again.next_filled(last + 3, last + 1000).expect("looked"), Some(last + 700));
        let mut seen = Vec::new();
        again.for_each(|slot| seen.push(slot.number)).expect("walked");
        seen.sort_unstable();
        assert_eq!(seen, [last, last + 1, last + 2, last + 700]);
    }

    #[test]
    fn memory_does_not_grow_with_changed_slots() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut wheel = wheel(&dir);
        for number in 1_000_000..1_000_000 + 2 * CHANGED_MAX as i64 {
            wheel.put(slot(number, 52)).expect("put");
            assert!(wheel.changed.len() < CHANGED_MAX);
        }
    }

    #[test]
    fn a_wheel_of_another_length_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("timerwheel");
        std::fs::write(&path, [0; 64]).expect("written");
        let refused = Wheel::open(path, Arc::new(RealFiles)).expect_err("refused");
        assert!(matches!(refused, StoreError::FileSize { found: 64, expected: WHEEL_BYTES, .. }));
    }
}
