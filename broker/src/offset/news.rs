//! What changed of the offsets, for slaves that ask again and again.

use remoting::body::OffsetNews;

use super::{Commit, Offsets, OwnOffset};

impl Offsets {
    /// Grows with every change.
    pub(crate) fn step(&self) -> u64 {
        self.file.step()
    }

    /// The offsets that changed in this era or later, all if none is named; and the era of those that change from now on.
    /// Walks over all groups.
    pub(crate) fn news(&self, era: Option<u64>) -> (u64, OffsetNews) {
        let (next, offset_table) = self.table.changed_since(era);
        (next, OffsetNews { data_version: self.version(), offset_table })
    }

    /// Takes what a group committed at a slave, unless it is behind what is known or a reset waits for its pull.
    pub(super) fn advance(&self, own: &OwnOffset) -> Commit {
        let OwnOffset { group, topic, queue, offset } = own;
        let outcome = self.progress(group, topic).commit_forward(*queue, *offset);
        self.changed();
        outcome
    }
}
