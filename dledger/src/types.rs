//! What openraft is told of this log: its entries, members and votes.

use std::fmt;

use openraft::entry::{RaftEntry, RaftPayload};
use openraft::impls::leader_id_adv::LeaderId;
use openraft::{LogId, Membership};
use serde::{Deserialize, Serialize};
use store::{EntryId, EntryKind};

use crate::membership;
use crate::runtime::Runtime;

openraft::declare_raft_types!(
    /// The types of a group.
    pub Types:
        D = Written,
        R = (),
        NodeId = u64,
        Node = Member,
        Payload = Body,
        Entry = Entry,
        AsyncRuntime = Runtime,
);

pub(crate) type Leader = LeaderId<u64, u64>;
pub(crate) type Id = LogId<Leader>;
pub(crate) type Vote = openraft::Vote<Leader>;
pub(crate) type Members = Membership<u64, Member>;
pub(crate) type StoredMembers = openraft::StoredMembership<Leader, u64, Member>;
pub(crate) type Raft = openraft::Raft<Types, crate::machine::Machine>;

/// Where a member is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `host:port` for the other members.
    pub address: String,
}

/// That the leader's store has written one entry more: the group only has to agree on it.
///
/// It does not say which. Nobody else makes entries of messages in a reign, so the next one that openraft does not know of
/// is meant, and one that was turned away is made up for by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written;

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("written")
    }
}

/// What an entry is made of.
#[derive(Clone, Debug)]
pub enum Body {
    Blank,
    Membership(Members),
    Written,
    /// As it lies in a log: this one, or the leader's.
    Stored(store::RaftEntry),
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Membership(members) => write!(f, "{members}"),
            Self::Written => write!(f, "{Written}"),
            Self::Stored(entry) => write!(f, "{:?} of {} bytes", entry.kind, entry.bytes.len()),
        }
    }
}

impl RaftPayload for Body {
    type D = Written;
    type NodeId = u64;
    type Node = Member;

    fn blank() -> Self {
        Self::Blank
    }

    fn with_normal(self, _: Written) -> Self {
        Self::Written
    }

    fn with_membership(self, members: Members) -> Self {
        Self::Membership(members)
    }

    fn get_membership(&self) -> Option<Members> {
        match self {
            Self::Membership(members) => Some(members.clone()),
            Self::Stored(entry) if entry.kind == EntryKind::Membership => membership::decode(&entry.data()).ok(),
            Self::Blank | Self::Written | Self::Stored(_) => None,
        }
    }
}

/// An entry of the Raft log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) id: Id,
    pub(crate) body: Body,
}

impl Entry {
    pub(crate) fn stored(entry: store::RaftEntry) -> Self {
        Self { id: log_id(entry.id), body: Body::Stored(entry) }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.body)
    }
}

impl RaftEntry for Entry {
    type CommittedLeaderId = Leader;
    type Payload = Body;

    fn new(id: Id, body: Body) -> Self {
        Self { id, body }
    }

    fn log_id_parts(&self) -> (&Leader, u64) {
        (&self.id.leader_id, self.id.index)
    }

    fn set_log_id(&mut self, id: Id) {
        self.id = id;
    }

    fn get_membership(&self) -> Option<Members> {
        self.body.get_membership()
    }
}

/// As openraft names the entry.
pub(crate) fn log_id(id: EntryId) -> Id {
    LogId { leader_id: Leader { term: id.term, node_id: id.node.into() }, index: id.index }
}

/// As the store names the entry. Members have numbers of 32 bits ([`crate::Group::start`]).
pub(crate) fn entry_id(id: &Id) -> EntryId {
    EntryId { index: id.index, term: id.leader_id.term, node: id.leader_id.node_id as u32 }
}
