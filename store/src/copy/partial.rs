//! What came of a record whose rest is still to come.

use crate::message::{BLANK_BYTES, Head};

/// A buffer above this is given back once its record is written.
const KEPT_BYTES: usize = 256 << 10;

#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The beginning of a message's record.
    pub(super) joint: Vec<u8>,
    /// Or a blank record, and what lies behind it in the file.
    pub(super) blank: Option<Blank>,
}

impl Partial {
    pub(super) fn len(&self) -> usize {
        self.blank.as_ref().map_or(self.joint.len(), |blank| blank.len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves into `joint` what its record lacks, as far as it is at the start of `bytes`; how much that is.
    pub(super) fn complete(&mut self, bytes: &[u8]) -> usize {
        let Self { joint, .. } = self;
        if joint.is_empty() {
            return 0;
        }
        let mut used = 0;
        while used < bytes.len() {
            let missing = match Head::parse(joint) {
                None => BLANK_BYTES - joint.len(),
                Some(Ok(Head::Message { size, .. })) => size.saturating_sub(joint.len()),
                Some(_) => 0,
            };
            let more = missing.min(bytes.len() - used);
            if more == 0 {
                break;
            }
            joint.extend_from_slice(&bytes[used..used + more]);
            used += more;
        }
        used
    }

    /// Goes on behind the first `used` bytes of the joint, with `more` bytes.
    pub(super) fn advance(&mut self, used: usize, more: &[u8]) {
        self.joint.drain(..used);
        if self.joint.is_empty() {
            self.joint.shrink_to(KEPT_BYTES);
        }
        self.joint.extend_from_slice(more);
    }
}

/// A blank record. What is behind it can be as long as a file, and mostly is zeros, which are only counted.
#[derive(Debug)]
pub(super) struct Blank {
    size: usize,
    len: usize,
    /// Without zeros at its end.
    kept: Vec<u8>,
}

impl Blank {
    pub(super) fn of(size: usize) -> Self {
        Self { size, len: 0, kept: Vec::new() }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        if bytes.iter().any(|byte| *byte != 0) {
            self.kept.resize(self.len, 0);
            self.kept.extend_from_slice(bytes);
        }
        self.len += bytes.len();
    }

    /// All of it but zeros at its end, once it is whole.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.len == self.size).then_some(&*self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_is_put_together_and_its_zeros_are_counted() {
        let mut blank = Blank::of(100);
        blank.add(&[0, 0, 0, 100, 7]);
        blank.add(&[0; 90]);
        assert_eq!(blank.whole(), None);
        assert_eq!(blank.kept.len(), 5);
        blank.add(&[0, 0, 0, 9, 0]);
        let whole = blank.whole().expect("all of it is there");
        assert_eq!((whole.len(), whole[98]), (100, 9));
    }

    #[test]
    fn a_record_takes_what_it_lacks_and_no_more() {
        let mut partial = Partial::default();
        assert_eq!(partial.complete(&[1, 2, 3]), 0, "it has to begin first");
        let mut record = vec![0; 20];
        record[3] = 20;
        record[4..8].copy_from_slice(&crate::message::MAGIC_V1.to_be_bytes());
        for cut in 1..20 {
            partial.advance(partial.joint.len(), &record[..cut]);
            let mut rest = record[cut..].to_vec();
            rest.extend([1, 2, 3]);
            assert_eq!(partial.complete(&rest), 20 - cut);
            assert_eq!(partial.joint, record);
            assert_eq!(partial.complete(&[1, 2, 3]), 0);
        }
        partial.advance(20, &[0, 0, 0, 20, 1]);
        assert_eq!(partial.complete(&[2, 3, 4, 5]), 3, "what is no record lacks nothing");
    }
}
