//! In each term one member leads at most.

use std::collections::BTreeMap;

use super::Wrong;

#[derive(Default)]
pub(in crate::sim) struct Leaders(BTreeMap<u64, u64>);

impl Leaders {
    /// A member leads: its store takes messages.
    pub(in crate::sim) fn leads(&mut self, member: u64, term: u64) -> Result<(), Wrong> {
        match *self.0.entry(term).or_insert(member) {
            known if known == member => Ok(()),
            other => Err(format!("members {other} and {member} both lead in term {term}")),
        }
    }
}
