//! What changed of the offsets, for slaves that ask again and again.

use remoting::body::OffsetNews;
use remoting::types::{GroupName, QueueId, QueueOffset};

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
        if outcome == Commit::Done {
            self.changed();
        }
        outcome
    }

    /// Takes over what a slave had while this broker was away, where that is ahead. Java: `BrokerPreOnlineService.syncMetadataReverse`,
    /// which also goes backwards.
    pub(crate) fn merge_forward(&self, slaves: OffsetNews) -> usize {
        let mut ahead = 0;
        for (key, offsets) in slaves.offset_table {
            let Some((topic, group)) = key.split_once(super::table::SEPARATOR) else { continue };
            let group = GroupName::new(group);
            let progress = self.progress(&group, &topic.into());
            for (queue, offset) in offsets {
                let (queue, offset) = (QueueId(queue), QueueOffset(offset));
                if progress.get(queue).is_none_or(|known| known < offset) {
                    ahead += usize::from(progress.commit_forward(queue, offset) == Commit::Done);
                }
            }
        }
        if ahead > 0 {
            self.changed();
        }
        ahead
    }
}
