//! Keeps the process small: reads map pages of the log, and mapped pages count as its memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read through the mappings before their pages are let go of. The kernel maps up to 15 neighbours along with a page,
/// so that many scattered reads can keep a multiple of it.
const READ_BYTES_MAX: u64 = 16 << 20;

/// Bytes read since pages were let go of the last time.
#[derive(Debug, Default)]
pub(crate) struct Residency(AtomicU64);

impl Residency {
    /// True if it is on the caller to have pages let go of.
    pub(crate) fn read(&self, bytes: u64) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        before < READ_BYTES_MAX && before + bytes >= READ_BYTES_MAX
    }

    /// Whether pages are to be let go of; counts from zero then.
    pub(crate) fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= READ_BYTES_MAX && self.0.swap(0, Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reader_is_told_once_per_amount() {
        let residency = Residency::default();
        assert!(!residency.read(READ_BYTES_MAX - 1) && !residency.take());
        assert!(residency.read(1));
        assert!(!residency.read(READ_BYTES_MAX), "told already");
        assert!(residency.take() && !residency.take());
        assert!(residency.read(2 * READ_BYTES_MAX) && residency.take());
    }
}
