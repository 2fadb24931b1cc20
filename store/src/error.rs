//! What can go wrong, by who can do something about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use remoting::types::{QueueId, TopicName};
use thiserror::Error;

/// The store could not be opened or closed.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("{act} {path}: {source}")]
    Io { act: &'static str, path: PathBuf, source: io::Error },
    #[error("{root} is used by another broker: its lock file is held")]
    Locked { root: PathBuf },
    /// Files of a store that this version does not read. The text says what to do.
    #[error("{path} belongs to a store of another kind: {what}")]
    OtherKind { path: PathBuf, what: &'static str },
    #[error(
        "{path} has {found} bytes, but {property} says {expected}: set it to {found}, the size this store was written with"
    )]
    FileSize { path: PathBuf, found: u64, expected: u64, property: &'static str },
    #[error(
        "{path} is not a file name of this store: file names are the decimal offset of their first byte, 20 digits"
    )]
    FileName { path: PathBuf },
    #[error("the file before {path} is missing: files must follow each other without a gap")]
    Gap { path: PathBuf },
    #[error("the Raft log at {at}: {why}")]
    RaftLog { at: i64, why: &'static str },
    #[error("{setting} = {value} is out of range: {reason}")]
    Setting { setting: &'static str, value: u64, reason: &'static str },
}

impl StoreError {
    pub(crate) fn io(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { act, path, source }
    }
}

/// Nothing of the batch was stored.
#[derive(Debug, Error)]
pub enum AppendError {
    #[error("the store is closed")]
    Closed,
    /// An `fsync` failed: what the disk holds is unknown, so nothing more is written until the store is reopened.
    #[error("the store takes no more writes until it is reopened: a flush failed")]
    Poisoned,
    /// Queue files could not be written for a while, so consumers would not see new messages.
    /// Java: `RunningFlags.isLogicsQueueError`.
    #[error("the store takes no writes while consume queues cannot be written")]
    QueuesFailing,
    /// The disk is fuller than its warning level, or a write ran out of space; appends are taken again once there is some.
    /// Used shares of the disks, 0 to 1; −1: unknown. Java: `RunningFlags.isWriteable`, disk full.
    #[error(
        "the disk is full: {commit_log:.2} of that of the commit log, {consume_queue:.2} of that of the queues are used"
    )]
    DiskFull { commit_log: f64, consume_queue: f64 },
    /// Another append has held the log for too long, as writes do that wait for the disk. Java: `isOSPageCacheBusy`.
    #[error("a write has been waiting for the disk for more than {} ms", .limit.as_millis())]
    Busy { limit: Duration },
    #[error("{bytes} bytes that must stay together do not fit into a commit log file of {file_bytes} bytes")]
    TooLargeForFile { bytes: usize, file_bytes: u64 },
    #[error("the batch is empty")]
    Empty,
    /// Of a store that is a Raft log: only the leader's is appended to.
    #[error("this broker does not lead its group")]
    NotLeader,
    /// Java: `DefaultMessageStore.checkStoreStatus`, of a slave.
    #[error("the store copies the log of another broker, and takes no messages of its own")]
    Copying,
    #[error("queue {queue_id} of topic {topic} holds single messages, and takes no inner batches")]
    QueueKind { topic: TopicName, queue_id: QueueId },
    #[error("write commit log: {0}")]
    Io(#[from] io::Error),
}

impl AppendError {
    /// Whether the store takes nothing at all for now. It has logged that when it began, so each refused batch is no news.
    pub fn refuses_all(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::Poisoned
                | Self::QueuesFailing
                | Self::DiskFull { .. }
                | Self::Busy { .. }
                | Self::NotLeader
                | Self::Copying
        )
    }
}

/// The message can never be stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IllegalMessage {
    #[error("body of {bytes} bytes is larger than {max}")]
    BodyTooLarge { bytes: usize, max: usize },
    #[error("properties of {bytes} bytes are larger than {max}")]
    PropertiesTooLarge { bytes: usize, max: usize },
    #[error("topic of {bytes} bytes is longer than {max}")]
    TopicTooLong { bytes: usize, max: usize },
    #[error("topic is empty, starts with a dot or holds a slash")]
    TopicName,
    #[error("queue id {0} is negative")]
    QueueId(i32),
    #[error(
        "name {index} of those in INNER_MULTI_DISPATCH is not that of a light queue: %LMQ% and more, without a slash"
    )]
    LightQueue { index: usize },
    #[error("message {index} of the batch is malformed")]
    BadBatch { index: usize },
}
