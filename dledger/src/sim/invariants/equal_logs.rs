//! Up to where members show their logs, these are equal, byte for byte; and what was shown once stays.

use remoting::types::PhysicalOffset;
use store::{EntryId, RaftLog};

use super::{Reigns, Wrong};

/// Bytes of entries that are looked at together.
const READ_BYTES_MAX: usize = 1 << 20;

/// Entries that members have shown, from the first on.
#[derive(Default)]
pub(in crate::sim) struct Ledger(Vec<Shown>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    id: EntryId,
    end: i64,
    crc: u32,
}

impl Ledger {
    pub(super) fn look(
        &mut self,
        member: u64,
        log: &RaftLog,
        confirmed: PhysicalOffset,
        seen: &mut u64,
        reigns: &mut Reigns,
    ) -> Result<(), Wrong> {
        *seen = (*seen).max(log.first_index().unwrap_or(0));
        loop {
            let entries = log.read(*seen, u64::MAX, READ_BYTES_MAX);
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                let Some(end) = log.end_of(entry.id.index) else {
                    return Err(format!("member {member} does not know where entry {} ends", entry.id.index));
                };
                if end > confirmed {
                    return Ok(());
                }
                let shown = Shown { id: entry.id, end: end.0, crc: crc32fast::hash(&entry.bytes) };
                self.take(member, *seen, shown)?;
                reigns.began(entry.id.term);
                *seen += 1;
            }
        }
    }

    fn take(&mut self, member: u64, index: u64, shown: Shown) -> Result<(), Wrong> {
        if shown.id.index != index {
            return Err(format!("member {member} has {:?} in place {index}", shown.id));
        }
        match self.0.get(index as usize) {
            Some(known) if *known == shown => Ok(()),
            Some(known) => Err(format!("member {member} shows {shown:?}, and another one showed {known:?}")),
            None if self.0.len() as u64 == index => {
                self.0.push(shown);
                Ok(())
            }
            // Members are filled with nothing that no other one has shown.
            None => Err(format!("member {member} shows entry {index}, but nobody showed entry {}", self.0.len())),
        }
    }

    /// The entry that holds what lies at `at`, if it was shown.
    pub(in crate::sim) fn entry_at(&self, at: i64) -> Option<EntryId> {
        let place = self.0.partition_point(|shown| shown.end <= at);
        self.0.get(place).map(|shown| shown.id)
    }

    pub(in crate::sim) fn len(&self) -> usize {
        self.0.len()
    }
}
