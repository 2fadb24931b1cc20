//! Classic replication (HA): the log goes from a master to its slaves byte by byte, as Java's does.
//!
//! ```text
//! master: append ─▶ log ─ wait_written ─▶ writer thread of a slave ─ frames ─▶ slave
//!           │                             reader thread of a slave ◀─ how far it holds the log ─┘
//!           └─ answers of SYNC_MASTER ◀─ Acks ◀─┘
//! slave:  follower thread: frames ─▶ LogCopy ─▶ log; reports its end
//! ```
//!
//! On the wire ([`wire`]): a slave says how far it holds the log, 8 bytes at a time; the master answers with frames of 12
//! bytes and some of the log. Nobody says who he is.
//!
//! Threads with blocking sockets, few and named, do all of it: a frame costs no task, and nothing here runs on the workers
//! that serve clients.
//!
//! Java: `DefaultHAService`, `DefaultHAConnection`, `DefaultHAClient`, `GroupTransferService`.

mod acks;
mod ask;
mod feed;
mod feeder;
mod figures;
mod follow;
mod follower;
mod pace;
mod status;
mod wire;

#[cfg(test)]
pub(crate) use self::acks::TestSlave;
pub(crate) use self::acks::{Acks, Copies, Held, TooFewInSync};
pub(crate) use self::ask::bounds;
pub(crate) use self::feeder::{Feeder, FeederPort};
pub(crate) use self::follower::{Follower, MasterAt};
pub(crate) use self::status::{Replication, Side, routes};

#[cfg(test)]
mod tests;
