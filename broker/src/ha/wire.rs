//! The bytes between a master and a slave, all big-endian.
//!
//! Slave to master, again and again: `[how far it holds the log: i64]`. Master to slave: `[physical offset: i64][length: i32]`
//! and so many bytes of the log; none of them is a heartbeat, which names the place of the next byte.
//!
//! Java: `DefaultHAConnection.TRANSFER_HEADER_SIZE`, `DefaultHAClient.REPORT_HEADER_SIZE`.

use remoting::types::PhysicalOffset;

pub(super) const HEADER_BYTES: usize = 12;
pub(super) const REPORT_BYTES: usize = 8;

/// What is in front of a piece of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) at: PhysicalOffset,
    /// In bytes; 0 in a heartbeat.
    pub(super) len: usize,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.at.0.to_be_bytes());
        let len = i32::try_from(self.len).expect("a piece is no longer than its setting allows");
        bytes[8..].copy_from_slice(&len.to_be_bytes());
        bytes
    }

    /// `None`: no master says such a thing.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (at, len) = bytes.split_first_chunk().expect("a header is longer than its first field");
        let len: &[u8; 4] = len.try_into().expect("four bytes are left");
        let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
        Some(Self { at: PhysicalOffset(i64::from_be_bytes(*at)), len })
    }
}

/// Cuts what a slave says into reports.
#[derive(Debug, Default)]
pub(super) struct Reports {
    begun: [u8; REPORT_BYTES],
    /// Bytes of it that are there.
    have: usize,
}

impl Reports {
    /// Takes what was read; the last of the reports that are whole now.
    pub(super) fn take(&mut self, mut read: &[u8]) -> Option<i64> {
        let mut last = None;
        while !read.is_empty() {
            let taken = read.len().min(REPORT_BYTES - self.have);
            let (now, later) = read.split_at(taken);
            self.begun[self.have..self.have + taken].copy_from_slice(now);
            self.have += taken;
            read = later;
            if self.have == REPORT_BYTES {
                last = Some(i64::from_be_bytes(self.begun));
                self.have = 0;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_twelve_bytes() {
        let header = Header { at: PhysicalOffset(0x0102), len: 0x0304 };
        let bytes = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(&bytes), Some(header));
        assert_eq!(Header::decode(&[0xFF; HEADER_BYTES]), None, "a length below 0");
    }

    #[test]
    fn of_several_reports_the_last_counts_however_they_are_cut() {
        let bytes: Vec<u8> = [7_i64, 8, 9].into_iter().flat_map(i64::to_be_bytes).collect();
        assert_eq!(Reports::default().take(&bytes), Some(9));
        for cut in 0..=bytes.len() {
            let mut reports = Reports::default();
            let (first, second) = (reports.take(&bytes[..cut]), reports.take(&bytes[cut..]));
            assert_eq!(second.or(first), Some(9), "cut at {cut}");
        }
        let mut reports = Reports::default();
        assert_eq!(reports.take(&bytes[..20]), Some(8));
        assert_eq!(reports.take(&[]), None);
    }
}
