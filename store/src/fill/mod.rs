//! Filling a member that cannot follow the log of its group: what it lacks is not in the others' logs any more.
//!
//! ```text
//! supply ─ files of the log, where queues stand at its start, tables ─▶ staging ─ mark ─▶ swap ─▶ an ordinary opening
//! ```
//!
//! One that has the log [keeps its files](Pinned) from retention and hands them out. The member that is filled gathers them
//! in [folders](Staging) beside its own files, which stay in use. Once all is there and on disk, a mark says so; the next
//! opening then [swaps](swap) the files. The consume queues are made again from the log, as after a crash; those that have no
//! message left in it go on at the offsets that were [handed over](starts).

mod staging;
mod starts;
mod supply;
pub(crate) mod swap;

pub use staging::Staging;
pub use supply::{Pinned, Segment};

/// The folder for what is gathered: in the root for tables and marks, in that of the log for files of the log, so that they
/// need not be copied, whatever disks these two are on.
const FOLDER: &str = "fill";
/// In the root's folder: tables, by their path below the root.
const TABLES: &str = "tables";
/// How queues stand where the log begins.
const QUEUES: &str = "queues";
/// Says that all is there: the old files are to go.
const COMPLETE: &str = "complete";
/// Takes its place once the old files are gone: the new ones are to take theirs.
const EMPTIED: &str = "emptied";
/// What becomes of the root's folder afterwards, until it is gone.
const DONE: &str = "fill.done";
