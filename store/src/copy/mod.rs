//! The log, byte by byte, out of a master's store and into a slave's.
//!
//! ```text
//! master: log_bytes ─ mapped file ─▶ socket
//! slave:  socket ─▶ LogCopy::write ─ whole records ─▶ the same bytes at the same places ─ dispatch ─▶ queues, index, readers
//! ```
//!
//! A slave's store is an ordinary one whose messages come from elsewhere: offsets, times and the queues' offsets are in the
//! records, so the log is the same byte for byte, and so are the queues that are derived from it. While it is copied to, it
//! takes no messages of its own.
//!
//! Bytes come as they come, cut anywhere. The beginning of a record waits in memory for its rest, so the log always ends with a
//! whole record, and a crash leaves what a crash of any store leaves. The same goes for the blank record that ends a file: what
//! lies behind it means nothing, but it is copied, so that the files are equal.
//!
//! Java: `DefaultHAConnection`, `DefaultHAClient`, `DefaultMessageStore.appendToCommitLog`.

mod growth;
mod into;
mod out;
mod partial;
mod records;

pub(crate) use self::growth::Growth;
pub use self::into::{CopyError, LogCopy};
pub use self::out::{LogBytes, OutOfLog};

#[cfg(test)]
mod tests;
