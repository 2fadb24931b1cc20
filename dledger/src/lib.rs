//! The Raft store: a group of brokers whose Raft log *is* the commit log.
//!
//! ```text
//! append ─▶ store (entry written, number given) ─ tell ─▶ openraft ─▶ the other members' stores
//!                ▲ confirm ◀─ state machine ◀─ agreed on ◀──┘
//! ```
//!
//! openraft decides who leads and what is agreed on; entries live in the [store](store::RaftLog) alone, written once. While a
//! member leads, its store makes entries of what is appended and gives them their numbers under its own lock, without a hop
//! to another thread. That is safe because in one reign nobody else makes entries: the reign's first one is agreed on
//! before the store begins, and openraft counts the others in the order of the log.
//!
//! What a broker keeps beside the messages is a [state](State) that changes by entries of the same log.
//!
//! A reign that ends leaves entries nobody agreed on. openraft may not even know of them; they are taken back before
//! anything else is written in their place.
//!
//! Old log goes by the retention of each member. A member that lacks what is gone is filled with files.
//!
//! A member that lost its files is filled again under its number. Until it has what it may have had, it is in quarantine.
//!
//! A leader whose disk hangs, or who is not among those that are preferred, gives the lead away.
#![forbid(unsafe_code)]

mod disk;
mod files;
mod fill;
mod group;
mod guard;
mod lead;
mod machine;
mod members;
mod membership;
mod net;
mod purge;
mod quarantine;
mod ready;
mod reign;
mod runtime;
mod state;
mod storage;
mod types;

pub use files::is_of_member;
pub use fill::{Progress, Supply};
pub use group::{Group, GroupError, Role, Timing};
pub use guard::Guard;
pub use lead::{Health, Wishes};
pub use machine::Machine;
pub use members::{Figures, Standing};
pub use net::{Network, serve};
pub use quarantine::{Inquiry, Stand};
pub use ready::Unready;
pub use state::State;
pub use types::{Entry, Member, Types};

#[cfg(test)]
mod openraft_suite;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
