//! Reading messages: queue entries → runs of log bytes → slices of the mapping.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use remoting::types::{PhysicalOffset, QueueId, QueueOffset, TopicName};

use crate::batch::Code;
use crate::commit_log::{Snapshot, code_of};
use crate::consume_queue::{EXTENSION_ADDRESS_MAX, Entry, Queue, UNIT_BYTES, Unit};
use crate::hot::Hot;
use crate::io::Patience;
use crate::message::StoredMessage;
use crate::mmap::{MappedFile, Slice};
use crate::shared::Shared;

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
    pub messages: Vec<Slice>,
    /// Messages in `messages`.
    pub count: usize,
    /// Bytes in `messages`.
    pub bytes: usize,
    /// The entries lie further behind the end of the log than memory is taken to reach.
    pub suggest_slave: bool,
    /// The part of the log that the messages are spread over.
    pub spread: Range<i64>,
}

/// Bounds of [`ReadRequest::max_bytes`]. Java: `DefaultMessageStore.MAX_PULL_MSG_SIZE`.
const MIN_BYTES: usize = 100;
const MAX_BYTES: usize = 128 << 20;
/// Units taken from a queue at once: as many as messages are asked for, within these bounds.
const UNITS_AT_ONCE: usize = 64;
const UNITS_AT_ONCE_MAX: usize = 1024;

/// `None`: without patience there is nothing to be read. Java: `DefaultMessageStore.getMessage`.
pub(crate) fn read(
    shared: &Shared,
    request: &ReadRequest<'_>,
    filter: &dyn EntryFilter,
    patience: Patience,
) -> Option<ReadOutcome> {
    let began = Instant::now();
    let outcome = match shared.queues.get(request.topic, request.queue_id) {
        Some(queue) => read_queue(shared, &queue, request, filter, patience, began)?,
        None => ReadOutcome::nothing(ReadStatus::NoMatchedQueue, QueueOffset(0), (0, 0)),
    };
    shared.stats.get(outcome.count, began.elapsed());
    if shared.residency.read(outcome.bytes as u64) {
        shared.keeper_signal.raise();
    }
    Some(outcome)
}

fn read_queue(
    shared: &Shared,
    queue: &Queue,
    request: &ReadRequest<'_>,
    filter: &dyn EntryFilter,
    patience: Patience,
    began: Instant,
) -> Option<ReadOutcome> {
    let bounds @ (min, max) = (queue.min(), queue.max());
    let offset = request.offset.0;
    let nothing = |status, next| ReadOutcome::nothing(status, QueueOffset(next), bounds);
    if max == 0 {
        return Some(nothing(ReadStatus::NoMessageInQueue, 0));
    } else if offset < min {
        return Some(nothing(ReadStatus::OffsetTooSmall, min));
    } else if offset == max {
        return Some(nothing(ReadStatus::OffsetOverflowOne, offset));
    } else if offset > max {
        return Some(nothing(ReadStatus::OffsetOverflowBadly, max));
    }
    let log_end = shared.log.end();
    let hot = Hot::new(log_end, &shared.seen, began);
    let mut found = Found::default();
    let mut status = ReadStatus::NoMatched;
    let mut next = offset;
    let mut last_seen = None;
    let mut spread: Option<Range<i64>> = None;
    // Records before this are gone: the file that held one of them is.
    let mut gone_before = i64::MIN;
    let log = shared.log.snapshot();
    let scan_end = max.min(offset.saturating_add(scan_units(shared, request)));
    let max_bytes = request.max_bytes.clamp(MIN_BYTES, MAX_BYTES);
    let batches = queue.takes_batches();
    let units_at_once = request.max_messages.clamp(UNITS_AT_ONCE, UNITS_AT_ONCE_MAX);
    let mut units = Vec::new();
    'scan: while next < scan_end {
        let count = units_at_once.min((scan_end - next) as usize);
        match patience {
            Patience::ForDisk => queue.read(next, count, &mut units),
            Patience::None if queue.read_now(next, count, &mut units) => {}
            Patience::None if next == offset => return None,
            Patience::None => break,
        }
        if units.is_empty() {
            if next == offset {
                return Some(nothing(ReadStatus::OffsetFoundNull, queue.next_file(offset)));
            }
            break;
        }
        for unit in &units {
            if batches && last_seen == Some(unit.physical) && !unit.is_blank() {
                // Another message of the same record.
                next += 1;
                continue;
            }
            let in_memory = shared.is_in_memory(unit.physical, log_end);
            if found.is_full(unit, request.max_messages, max_bytes, shared, in_memory) {
                break 'scan;
            }
            let size = usize::try_from(unit.size).unwrap_or(0);
            let place = unit.physical..unit.physical.saturating_add(size as i64);
            if patience == Patience::None && !unit.is_blank() && !hot.holds(&log, place) {
                if next == offset {
                    return None;
                }
                break 'scan;
            }
            next += 1;
            if unit.is_blank() {
                continue;
            }
            last_seen = Some(unit.physical);
            if unit.physical < gone_before || !filter.matches_code(code(&log, unit, shared)) {
                continue;
            }
            let Some((file, at, record)) = log.record(unit.physical, size) else {
                if found.count == 0 {
                    status = ReadStatus::MessageWasRemoving;
                }
                gone_before = shared.log.next_file(unit.physical);
                continue;
            };
            if filter.matches_record(record) {
                found.add(file, at, size);
                let start = spread.map_or(unit.physical, |spread| spread.start);
                spread = Some(start..unit.physical + size as i64);
                status = ReadStatus::Found;
            } else if found.count == 0 {
                status = ReadStatus::NoMatched;
            }
        }
    }
    if let (true, Some(physical)) = (batches, last_seen) {
        next = end_of_record(queue, next, max, physical);
    }
    Some(ReadOutcome {
        status,
        next_offset: QueueOffset(next),
        spread: spread.unwrap_or(0..0),
        suggest_slave: !shared.is_in_memory(last_seen.unwrap_or(0), log_end),
        count: found.count,
        bytes: found.bytes,
        messages: found.finish(),
        ..nothing(status, next)
    })
}

/// The offset behind the messages that are in the record at `physical`, of which those before `next` were seen.
fn end_of_record(queue: &Queue, mut next: i64, max: i64, physical: i64) -> i64 {
    let mut units = Vec::new();
    while next < max {
        queue.read(next, UNITS_AT_ONCE.min((max - next) as usize), &mut units);
        let same = units.iter().take_while(|unit| !unit.is_blank() && unit.physical == physical).count();
        next += same as i64;
        if same < units.len() || units.is_empty() {
            break;
        }
    }
    next
}

/// Most units that one read looks at.
fn scan_units(shared: &Shared, request: &ReadRequest<'_>) -> i64 {
    let bytes = shared.config.max_filter_message_size.max(request.max_messages.saturating_mul(UNIT_BYTES));
    i64::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(i64::MAX)
}

/// The unit's code; one that is an address in Java's extension file is made again from the record.
fn code(log: &Snapshot, unit: &Unit, shared: &Shared) -> i64 {
    if unit.code > EXTENSION_ADDRESS_MAX {
        return unit.code;
    }
    let record = usize::try_from(unit.size).ok().and_then(|size| log.record(unit.physical, size));
    let message = record.and_then(|(.., bytes)| StoredMessage::parse(bytes).ok());
    message.map_or(unit.code, |message| {
        code_of(Code::of(message.topic, message.properties), message.store_timestamp, &shared.config)
    })
}

/// Entries from `from` on, at most `max`; places that never held an entry are left out.
pub(crate) fn entries(shared: &Shared, queue: &Queue, from: i64, max: usize) -> Vec<Entry> {
    let log = shared.log.snapshot();
    let mut entries = Vec::new();
    let mut units = Vec::new();
    let mut next = from.max(queue.min());
    while entries.len() < max {
        queue.read(next, max - entries.len(), &mut units);
        if units.is_empty() {
            break;
        }
        let numbered = (next..).zip(&units).filter(|(_, unit)| !unit.is_blank());
        entries.extend(numbered.map(|(offset, unit)| Entry {
            queue_offset: QueueOffset(offset),
            physical_offset: PhysicalOffset(unit.physical),
            size: usize::try_from(unit.size).unwrap_or(0),
            tags_code: code(&log, unit, shared),
        }));
        next += units.len() as i64;
    }
    entries
}

impl ReadOutcome {
    fn nothing(status: ReadStatus, next_offset: QueueOffset, (min, max): (i64, i64)) -> Self {
        Self {
            status,
            next_offset,
            min_offset: QueueOffset(min),
            max_offset: QueueOffset(max),
            messages: Vec::new(),
            count: 0,
            bytes: 0,
            suggest_slave: false,
            spread: 0..0,
        }
    }
}

/// Messages found so far, neighbours joined.
#[derive(Default)]
struct Found {
    messages: Vec<Slice>,
    run: Option<Run>,
    count: usize,
    bytes: usize,
}

/// Records that follow each other in one file.
struct Run {
    file: Arc<MappedFile>,
    start: usize,
    end: usize,
}

impl Found {
    /// Whether the next message would be too much. Java: `DefaultMessageStore.isTheBatchFull`.
    fn is_full(&self, unit: &Unit, max_messages: usize, max_bytes: usize, shared: &Shared, in_memory: bool) -> bool {
        if self.count == 0 {
            return false;
        }
        let limits = &shared.config.transfer;
        let (most_bytes, most_messages) = if in_memory {
            (limits.bytes_in_memory, limits.count_in_memory)
        } else {
            (limits.bytes_on_disk, limits.count_on_disk)
        };
        let bytes = self.bytes.saturating_add(usize::try_from(unit.size).unwrap_or(0));
        self.count >= max_messages.min(most_messages) || bytes > max_bytes.min(most_bytes)
    }

    fn add(&mut self, file: &Arc<MappedFile>, at: usize, size: usize) {
        self.count += 1;
        self.bytes += size;
        match &mut self.run {
            Some(run) if Arc::ptr_eq(&run.file, file) && run.end == at => run.end += size,
            run => {
                let before = run.replace(Run { file: Arc::clone(file), start: at, end: at + size });
                self.messages.extend(before.and_then(Run::slice));
            }
        }
    }

    fn finish(mut self) -> Vec<Slice> {
        self.messages.extend(self.run.take().and_then(Run::slice));
        self.messages
    }
}

impl Run {
    fn slice(self) -> Option<Slice> {
        self.file.slice_in_place(self.start..self.end)
    }
}
