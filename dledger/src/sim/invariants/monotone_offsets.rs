//! Offsets that consumers commit go forward only: on each member, and from one leader to the next. What was acknowledged of
//! them is known to every later leader.

use std::collections::BTreeMap;

use super::Wrong;

/// Of a consumer and queue.
pub(in crate::sim) type Table = BTreeMap<String, u64>;

#[derive(Default)]
pub(in crate::sim) struct Offsets {
    /// What consumers were told is kept.
    acknowledged: Table,
}

impl Offsets {
    /// A member takes a change, in the order of its log.
    pub(in crate::sim) fn change(member: u64, table: &Table, name: &str, offset: u64) -> Result<(), Wrong> {
        match table.get(name) {
            Some(before) if *before > offset => {
                Err(format!("offset {name} goes back from {before} to {offset} on member {member}"))
            }
            _ => Ok(()),
        }
    }

    pub(in crate::sim) fn acknowledge(&mut self, name: &str, offset: u64) {
        let known = self.acknowledged.entry(name.into()).or_default();
        *known = offset.max(*known);
    }

    /// A member leads, or all is over.
    pub(in crate::sim) fn check(&self, member: u64, table: &Table) -> Result<(), Wrong> {
        for (name, offset) in &self.acknowledged {
            let found = table.get(name);
            if found.is_none_or(|found| found < offset) {
                return Err(format!("offset {name} is {found:?} on member {member}, but {offset} was acknowledged"));
            }
        }
        Ok(())
    }
}
