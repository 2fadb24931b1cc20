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
}

/// No state: changes are of no consequence.
impl State for () {
    fn next(&self) -> u64 {
        0
    }

    fn apply(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
