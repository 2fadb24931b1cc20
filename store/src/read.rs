//! Reading messages: queue entries → runs of log bytes → slices of the mapping.

use bytes::Bytes;
use remoting::types::{QueueId, QueueOffset, TopicName};

/// What to read from one queue.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'a> {
    pub topic: &'a TopicName,
    pub queue_id: QueueId,
    /// First entry to look at.
    pub offset: QueueOffset,
    /// At most this many messages; the transfer limits of the store bound it further.
    pub max_messages: usize,
    /// At most this many bytes, though the first message always fits. Taken as at least 100, at most 128 MiB.
    pub max_bytes: usize,
}

/// Chooses among the messages of a queue.
pub trait EntryFilter {
    /// By the last field of the queue unit: the tag hash, or the deliver time in the schedule topic.
    /// Different tags can share a hash, so this only rules messages out. Java: `MessageFilter.isMatchedByConsumeQueue`.
    fn matches_code(&self, tags_code: i64) -> bool {
        let _ = tags_code;
        true
    }

    /// By the whole stored record. Java: `MessageFilter.isMatchedByCommitLog`.
    fn matches_record(&self, record: &[u8]) -> bool {
        let _ = record;
        true
    }
}

/// Lets every message pass.
#[derive(Clone, Copy, Debug)]
pub struct Everything;

impl EntryFilter for Everything {}

/// How a read ended. Java: `GetMessageStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    Found,
    /// Entries were looked at, none passed the filter. Java: `NO_MATCHED_MESSAGE`.
    NoMatched,
    NoMessageInQueue,
    /// The queue does not exist. Java: `NO_MATCHED_LOGIC_QUEUE`.
    NoMatchedQueue,
    OffsetTooSmall,
    /// Caught up: the offset is the queue's maximum.
    OffsetOverflowOne,
    OffsetOverflowBadly,
    /// The queue unit at the offset cannot be read.
    OffsetFoundNull,
    /// The records were deleted while their entries were still there.
    MessageWasRemoving,
}

impl ReadStatus {
    /// Java's name of the status, which answers carry as their remark.
    pub fn java_name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoMatched => "NO_MATCHED_MESSAGE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
            Self::NoMatchedQueue => "NO_MATCHED_LOGIC_QUEUE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetFoundNull => "OFFSET_FOUND_NULL",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
        }
    }
}

/// What a read found, and where to go on.
#[derive(Clone, Debug)]
pub struct ReadOutcome {
    pub status: ReadStatus,
    /// Where the next read of this queue should start; corrected as a master's answer is.
    pub next_offset: QueueOffset,
    pub min_offset: QueueOffset,
    pub max_offset: QueueOffset,
    /// Whole stored records in queue order. Records that are neighbours in the log share one slice.
    pub messages: Vec<Bytes>,
    /// Messages in `messages`.
    pub count: usize,
    /// Bytes in `messages`.
    pub bytes: usize,
    /// The entries lie further behind the end of the log than memory is taken to reach.
    pub suggest_slave: bool,
}
