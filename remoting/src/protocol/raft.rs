//! Who belongs to the Raft group of a broker, to look at and to change. These requests are Ferromq's own; Java has none.

use crate::header::{Field, NoHeader};
use crate::request;
use crate::types::MemberNumber;

request! {
    /// The body of the answer is a `RaftGroupStatus`: each member tells what it knows.
    GROUP_STATUS => NoHeader,
    pub struct GetGroupStatus {}
}

request! {
    /// Answered by the leader, once the group has agreed; other members pass it on.
    GROUP_CHANGE => NoHeader,
    pub struct ChangeGroup {
        change: GroupChange = "change",
        member: MemberNumber = "member",
        /// For [`GroupChange::Add`] alone: where the other members reach it, `host:port`.
        address: Option<String> = "address",
    }
}

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It gets the log from now on, as a learner.
    Add,
    /// From a learner that has caught up it becomes one that counts for a majority.
    Promote,
    Remove,
    /// It leads from now on.
    Transfer,
}

impl GroupChange {
    const ALL: [Self; 4] = [Self::Add, Self::Promote, Self::Remove, Self::Transfer];

    /// As it is spelled, on the wire and by users.
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Promote => "promote",
            Self::Remove => "remove",
            Self::Transfer => "transfer",
        }
    }
}

impl Field for GroupChange {
    const EXPECTED: &'static str = "add, promote, remove or transfer";

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.word() == text)
    }

    fn with_text(&self, write: impl FnOnce(&str)) {
        write(self.word());
    }
}
