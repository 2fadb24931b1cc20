//! What must hold in every life of a group, whatever happens to it; one file each.
//!
//! Members are looked at from outside, all of them together: what any of them has shown must be so on all. A violation is
//! told as text.

mod converged;
mod dense_queues;
mod equal_logs;
mod growing_prefix;
mod monotone_offsets;
mod no_stale_acknowledgement;
mod nothing_lost;
mod one_leader;

use remoting::types::{PhysicalOffset, TopicName};
use store::{RaftLog, Store};

pub(super) use self::converged::{Standing, check_converged};
pub(super) use self::dense_queues::{Message, Queues, messages_in};
pub(super) use self::equal_logs::Ledger;
pub(super) use self::growing_prefix::Prefix;
pub(super) use self::monotone_offsets::{Offsets, Table};
pub(super) use self::no_stale_acknowledgement::Reigns;
pub(super) use self::nothing_lost::{Acknowledged, Acknowledgement};
pub(super) use self::one_leader::Leaders;

/// What is wrong.
pub(super) type Wrong = String;

/// All that is sent goes to this topic.
pub(super) fn topic() -> TopicName {
    TopicName::new("T")
}

/// Queues of the topic.
pub(super) const QUEUES: usize = 3;

/// How far a running member has been looked at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Entries of its log.
    entries: u64,
    /// Messages of its queues.
    messages: [usize; QUEUES],
    confirmed: PhysicalOffset,
}

/// What is known of the group from all that its members have shown.
#[derive(Default)]
pub(super) struct Invariants {
    pub(super) leaders: Leaders,
    pub(super) ledger: Ledger,
    pub(super) queues: Queues,
    pub(super) acknowledged: Acknowledged,
    pub(super) reigns: Reigns,
    pub(super) offsets: Offsets,
}

impl Invariants {
    /// Looks at what a member has come to show since it was looked at last.
    ///
    /// # Errors
    /// Something is wrong.
    pub(super) fn look(&mut self, member: u64, store: &Store, log: &RaftLog, seen: &mut Seen) -> Result<(), Wrong> {
        let confirmed = store.confirmed();
        if confirmed < seen.confirmed {
            return Err(format!("member {member} showed the log up to {}, and now up to {confirmed}", seen.confirmed));
        }
        seen.confirmed = confirmed;
        self.ledger.look(member, log, confirmed, &mut seen.entries, &mut self.reigns)?;
        self.queues.look(member, store, &mut seen.messages)
    }
}
