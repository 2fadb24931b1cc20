//! stub being filled

/// What became of a message that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    Confirmed,
    /// Not within the flush timeout; it may still be flushed. Java: `FLUSH_DISK_TIMEOUT`.
    FlushTimeout,
    /// The flush failed, or the store was closed before it.
    Failed,
}
