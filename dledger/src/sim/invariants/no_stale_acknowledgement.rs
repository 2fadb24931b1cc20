//! Once a reign has begun, what is sent is not acknowledged by the leader of an earlier one.

use super::{Ledger, Wrong};

/// How far reigns have come.
#[derive(Default)]
pub(in crate::sim) struct Reigns {
    /// The newest term of which a member has shown an entry.
    newest: u64,
}

impl Reigns {
    pub(super) fn began(&mut self, term: u64) {
        self.newest = self.newest.max(term);
    }

    /// To be taken when a message is sent.
    pub(in crate::sim) fn newest(&self) -> u64 {
        self.newest
    }

    /// A message is acknowledged that lies at `at`; `newest` was taken when it was sent.
    pub(in crate::sim) fn acknowledges(ledger: &Ledger, name: &str, at: i64, newest: u64) -> Result<(), Wrong> {
        match ledger.entry_at(at) {
            Some(entry) if entry.term >= newest => Ok(()),
            Some(entry) => {
                Err(format!("{name} was acknowledged in {entry:?}, but was sent after term {newest} had begun"))
            }
            None => Err(format!("{name} was acknowledged at {at}, but nobody has shown that")),
        }
    }
}
