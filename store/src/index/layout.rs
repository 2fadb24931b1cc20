//! Where everything lies in an index file.
//!
//! Big-endian throughout: a header of 40 bytes, the slots of 4 bytes, the entries of 20.
//!
//! ```text
//! header:  0 begin time i64 │ 8 end time i64 │ 16 begin offset i64 │ 24 end offset i64 │ 32 slots used i32 │ 36 count i32
//! slot:    0 number of its newest entry i32; 0: none
//! entry:   0 key hash i32 │ 4 physical offset i64 │ 12 seconds since begin time i32 │ 16 number of the next older entry i32
//! ```
//!
//! Java: `IndexHeader`, `IndexFile`.

pub(crate) const HEADER_BYTES: usize = 40;
pub(crate) const SLOT_BYTES: usize = 4;
pub(crate) const ENTRY_BYTES: usize = 20;

/// How many slots and entries every file has; the same for all files of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Java: `maxHashSlotNum`.
    pub(crate) slots: u32,
    /// Entries are numbered from 1, so that one less fits. Java: `maxIndexNum`.
    pub(crate) entries: u32,
}

impl Layout {
    pub(crate) fn file_bytes(self) -> u64 {
        self.entry_at(self.entries)
    }

    pub(crate) fn slot_of(self, hash: u32) -> u32 {
        hash % self.slots
    }

    pub(crate) fn slot_at(self, slot: u32) -> u64 {
        HEADER_BYTES as u64 + u64::from(slot) * SLOT_BYTES as u64
    }

    pub(crate) fn entry_at(self, number: u32) -> u64 {
        self.slot_at(self.slots) + u64::from(number) * ENTRY_BYTES as u64
    }
}

/// The first 40 bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Store time of the first and the last entry, in milliseconds.
    pub(crate) begin_time: i64,
    pub(crate) end_time: i64,
    /// Physical offset of the first and the last entry.
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) slots_used: u32,
    /// Number of the next entry; 1 in an empty file.
    pub(crate) count: u32,
}

impl Header {
    /// Of an empty file that follows one which ends with `end` at `end_time`; zeros without one.
    pub(crate) fn following(end: i64, end_time: i64) -> Self {
        Self { begin_time: end_time, end_time, begin: end, end, slots_used: 0, count: 1 }
    }

    /// `None`: a number of slots or entries is negative.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let long = |at: usize| bytes[at..].first_chunk().map(|field| i64::from_be_bytes(*field));
        let int =
            |at: usize| bytes[at..].first_chunk().and_then(|field| u32::try_from(i32::from_be_bytes(*field)).ok());
        Some(Self {
            begin_time: long(0)?,
            end_time: long(8)?,
            begin: long(16)?,
            end: long(24)?,
            slots_used: int(32)?,
            // Java writes the count with the first entry.
            count: int(36)?.max(1),
        })
    }

    /// Whether a file of this layout may begin so.
    pub(crate) fn is_possible(&self, layout: Layout) -> bool {
        self.count <= layout.entries
            && self.slots_used < self.count
            && self.slots_used <= layout.slots
            && (0..=self.end).contains(&self.begin)
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let longs = [self.begin_time, self.end_time, self.begin, self.end];
        for (field, value) in bytes.as_chunks_mut().0.iter_mut().zip(longs) {
            *field = value.to_be_bytes();
        }
        bytes[32..36].copy_from_slice(&self.slots_used.to_be_bytes());
        bytes[36..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count <= 1
    }

    pub(crate) fn is_full(&self, layout: Layout) -> bool {
        self.count >= layout.entries
    }

    /// Counts one entry more; returns its seconds field, which the first entry of a file still counts from the end of the
    /// file before. Java: `IndexFile.putKey`.
    pub(crate) fn add(&mut self, offset: i64, time: i64) -> i32 {
        let seconds = if self.begin_time <= 0 { 0 } else { seconds_since(self.begin_time, time) };
        if self.is_empty() {
            self.begin = offset;
            self.begin_time = time;
        }
        self.end = offset;
        self.end_time = time;
        self.count += 1;
        seconds
    }
}

/// Whole seconds as entries keep them: 0 for a clock that was set back. Times are in milliseconds.
pub(crate) fn seconds_since(begin_time: i64, time: i64) -> i32 {
    (time.saturating_sub(begin_time) / 1000).clamp(0, i32::MAX.into()) as i32
}

/// One entry as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) hash: u32,
    pub(crate) offset: i64,
    /// Since the begin time of the file.
    pub(crate) seconds: i32,
    /// Number of the next older entry in the same slot; 0: none.
    pub(crate) older: u32,
}

impl Entry {
    /// `None`: a field is negative.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let int = |at: usize| bytes[at..].first_chunk().map(|field| i32::from_be_bytes(*field)).filter(|int| *int >= 0);
        let offset = bytes[4..].first_chunk().map(|field| i64::from_be_bytes(*field)).filter(|offset| *offset >= 0);
        Some(Self { hash: int(0)? as u32, offset: offset?, seconds: int(12)?, older: int(16)? as u32 })
    }

    pub(crate) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.hash.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[16..].copy_from_slice(&self.older.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { slots: 5_000_000, entries: 20_000_000 };

    #[test]
    fn a_file_has_javas_size() {
        assert_eq!(LAYOUT.file_bytes(), 420_000_040);
    }

    #[test]
    fn headers_are_read_back_and_impossible_ones_refused() {
        let mut header = Header::following(0, 0);
        assert_eq!(header.add(5, 7_000), 0, "nothing to count from");
        assert_eq!(header.add(6, 9_999), 2);
        assert_eq!(header.add(6, 1), 0, "the clock went back");
        header.slots_used = 2;
        assert_eq!((header.begin, header.begin_time, header.end, header.end_time, header.count), (5, 7_000, 6, 1, 4));
        let bytes = header.encode();
        let decode = |bytes: &_, layout| Header::decode(bytes).filter(|header| header.is_possible(layout));
        assert_eq!(decode(&bytes, LAYOUT), Some(header));
        assert_eq!(decode(&bytes, Layout { slots: 2, entries: 3 }), None, "more than fit");
        assert_eq!(decode(&bytes, Layout { slots: 1, entries: 9 }), None, "more slots than there are");
        for at in [16, 24, 32, 36] {
            let mut bytes = bytes;
            bytes[at] = 0xFF;
            assert_eq!(decode(&bytes, LAYOUT), None, "negative at {at}");
        }
        assert_eq!(decode(&[0; HEADER_BYTES], LAYOUT), Some(Header::following(0, 0)), "new in Java");
    }

    #[test]
    fn the_first_entry_of_a_file_counts_from_the_file_before() {
        let mut header = Header::following(100, 10_000);
        assert_eq!((header.begin, header.end, header.end_time), (100, 100, 10_000));
        assert_eq!(header.add(200, 15_000), 5);
        assert_eq!(header.add(300, 16_000), 1);
    }
}
