//! What a broker keeps beside its messages, as far as the group has to agree on it.

use std::io;

/// Changes go through the log ([`store::RaftLog::append_state`]), and come back here on every member in the order of the log,
/// once the group has agreed on them: on the leader, too, and before anybody hears that they are agreed on. A member that
/// begins to lead has them all.
pub trait State: Send + Sync + 'static {
    /// Index of the first entry whose change it may lack: 0 if it has none. Asked once, at the start of the member.
    fn next(&self) -> u64;

    /// Takes the change of entry `index`. Indices ascend; entries that are no changes of state are left out.
    ///
    /// # Errors
    /// The change cannot be taken: the member stops.
    fn apply(&self, index: u64, change: &[u8]) -> io::Result<()>;

    /// Returns once the changes of all entries before `next` outlive the process: these entries are about to go. They all were
    /// handed over. [`Self::next`] of a later start is not less. Blocks.
    ///
    /// # Errors
    /// They cannot be kept: the entries stay.
    fn keep(&self, next: u64) -> io::Result<()>;

    /// All of it, as files by which another member starts with it: each with its path below the store's folder, `config/…` or
    /// `raft/state.json`. Blocks.
    ///
    /// # Errors
    /// It cannot be told.
    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>>;
}

/// No state: changes are of no consequence, and none is lacking.
impl State for () {
    fn next(&self) -> u64 {
        u64::MAX
    }

    fn apply(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn keep(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }
}
