//! The message store: RocketMQ's commit log, consume queues and index, in Java's files.
//!
//! ```text
//! AppendBatch ─ append ─▶ commit log ─ watermark ─▶ dispatch ─▶ consume queues ─▶ read
//!                             ├─ cursor ─▶ index ─▶ query                         ▲
//!                             └─ flush (timer or group commit)    mapping ────────┘
//! ```
//!
//! Everything is in one append-only log of records; queues are derived from it and can be rebuilt. A message is
//! acknowledged, dispatched and readable once the watermark has passed it. The crate knows no request codes.
#![deny(unsafe_code)]

mod arrivals;
mod background;
mod batch;
mod checkpoint;
mod cold;
mod commit_log;
mod config;
mod consume_queue;
mod copy;
mod dispatch;
mod error;
mod figures;
mod fill;
mod hot;
pub mod import;
mod index;
pub mod inspect;
mod io;
mod keeper;
mod light;
mod memory;
pub mod message;
mod mmap;
mod parallel;
mod presence;
mod raft;
mod read;
mod recovery;
mod residency;
mod retention;
mod room;
mod segments;
mod shared;
mod signal;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timer;
mod watermark;

pub use arrivals::Arrivals;
pub use batch::{AppendBatch, Appended, Position};
pub use commit_log::{FLUSH_TIME_ENDS, Flushes};
pub use config::{FlushMode, IndexConfig, StoreConfig, TransferLimits};
pub use consume_queue::{Boundary, Entry};
pub use copy::{CopyError, LogBytes, LogCopy, OutOfLog};
pub use error::{AppendError, IllegalMessage, StoreError};
pub use figures::{Figures, PUT_TIME_BUCKETS, Rates};
pub use fill::{Pinned, Segment, Staging};
pub use index::{KeyKind, Query, QueryOutcome};
pub use light::{LIGHT_PREFIX, LIGHT_QUEUE};
pub use mmap::Slice;
pub use raft::{BadControl, Entry as RaftEntry, EntryId, EntryKind, Expendable, RaftLog, StampedError};
pub use read::{EntryFilter, Everything, ReadOutcome, ReadRequest, ReadStatus};
pub use recovery::RecoveryReport;
pub use retention::{BadHours, Hours, Retention};
pub use store::Store;
pub use watermark::Confirmation;

#[cfg(test)]
mod crash_model;
#[cfg(test)]
mod tests;
