//! Whole groups, simulated: every member is openraft on our storage, guard and quarantine, on a real store; time, network,
//! disks and chance come from one seed, on one thread.
//!
//! ```text
//! clients ─▶ member: store ─ reign ─ openraft ─ guard ◀─▶ network (bytes) ◀─▶ other members
//!               │                                            ▲
//!               ▼ disk that forgets, fails, is slow        faults: cuts, losses, crashes, pauses, clocks, members
//! invariants ◀─ what members show, what clients are told
//! ```
//!
//! A life of a group: it is founded; clients write and read while [faults](faults) happen, many at once; then all is well
//! again, and it has to become one. [Invariants](invariants) hold all the time. The same seed lives the same life, so one that
//! went wrong can be looked at again:
//!
//! ```text
//! SIM_SEEDS=17..18 cargo test --package dledger --lib sim::lives::a_group -- --nocapture
//! ```
//!
//! With `SIM_TELL=1` the history is printed as it is made, for lives that do not end.
//!
//! What is not simulated: TCP itself (the bytes of requests are the real ones), the small files beside the log, which are on disk when the
//! call returns, and the features of a broker; its role and what its store takes and confirms are.

mod bugs;
mod clients;
mod cluster;
mod faults;
mod invariants;
mod lives;
mod network;
mod runtime;
mod watch;
mod world;

pub(crate) use self::bugs::Bug;
pub(crate) use self::runtime::{Runtime, belongs_to_member, is_running, with_member};
