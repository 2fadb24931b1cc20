//! Walking the log record by record.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use remoting::types::Timestamp;
use tracing::{info, warn};

use crate::checkpoint::Checkpoint;
use crate::consume_queue::Unit;
use crate::message::{BadRecord, Check, Record, StoredMessage};
use crate::mmap::MappedFile;

/// A place in the files of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    index: usize,
    within: usize,
}

impl Place {
    /// Number of its file.
    pub(super) fn file(self) -> usize {
        self.index
    }

    /// The start of its file.
    pub(super) fn start_of_file(self) -> Self {
        Self { within: 0, ..self }
    }

    pub(super) const START: Self = Self { index: 0, within: 0 };

    /// Nothing lies before it.
    pub(super) fn is_start(self) -> bool {
        self == Self::START
    }

    pub(super) fn offset(self, log: &[Arc<MappedFile>]) -> i64 {
        log.get(self.index).map_or(0, |file| file.start() + self.within as i64)
    }
}

/// What a walk met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scanned {
    pub(super) from: i64,
    /// Behind the last good record.
    pub(super) end: i64,
    /// Where the last good record starts, and when it was stored.
    pub(super) last: i64,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) records: u64,
}

/// Where the walk has to begin.
///
/// After a clean exit, with the record of the newest queue entry: all before it was flushed, and its entries with it. Else
/// with the newest file whose first record is old enough for the checkpoint to vouch for everything before it; with the
/// first file if none is. (Java 5.5 gives up after ten files and leaves older entries missing.)
///
/// Java: `CommitLog.isMappedFileMatchedRecover`, `ConsumeQueueStore.isMappedFileMatchedRecover`.
pub(super) fn start(log: &[Arc<MappedFile>], newest: Option<Unit>, checkpoint: &Checkpoint, clean: bool) -> Place {
    if clean && let Some(place) = newest.and_then(|unit| record_of(log, unit)) {
        return place;
    }
    let newest_end = newest.map_or(0, Unit::end);
    let is_old_enough = |message: &StoredMessage<'_>| {
        let offset = message.physical_offset.0;
        if message.store_timestamp == Timestamp(0) {
            false
        } else if clean {
            offset <= newest_end
        } else if checkpoint.logics_physical_offset > 0 {
            offset <= checkpoint.logics_physical_offset.min(newest_end)
        } else {
            message.store_timestamp <= checkpoint.min_timestamp() && offset <= newest_end
        }
    };
    let matches = |file: &Arc<MappedFile>| {
        StoredMessage::parse(file.readable()).is_ok_and(|first| first.check_crc().is_ok() && is_old_enough(&first))
    };
    Place { index: log.iter().rposition(matches).unwrap_or(0), within: 0 }
}

/// The place of the record that a queue entry points at, if it is there.
fn record_of(log: &[Arc<MappedFile>], unit: Unit) -> Option<Place> {
    let index = log.partition_point(|file| file.start() <= unit.physical).checked_sub(1)?;
    let within = usize::try_from(unit.physical - log[index].start()).ok()?;
    let message = StoredMessage::parse(log[index].readable().get(within..)?).ok()?;
    let is_it = message.physical_offset.0 == unit.physical && Ok(message.size) == usize::try_from(unit.size);
    is_it.then_some(Place { index, within })
}

/// The entry of the record at `last`, if one begins there, and where the log ends behind it; `None`: there is no such place.
pub(super) fn end_after(log: &[Arc<MappedFile>], last: i64) -> Option<(Option<Unit>, i64)> {
    let index = log.partition_point(|file| file.start() <= last).checked_sub(1)?;
    let within = usize::try_from(last - log[index].start()).ok()?;
    let size = StoredMessage::parse(log[index].readable().get(within..)?).ok().map(|message| message.size);
    let unit = size.map(|size| Unit { physical: last, size: size as i32, code: 0 });
    let walked =
        walk(log, Place { index, within }, Check::Nothing, |_| Ok::<_, Infallible>(ControlFlow::Continue(()))).ok()?;
    Some((unit, walked.end))
}

/// The body's CRC says nothing of what follows it: the write of the last record may have ended in its topic or properties.
fn check_whole(message: &StoredMessage<'_>, behind: &[u8]) -> Result<(), BadRecord> {
    let ends_in_free_space = message.topic.ends_with('\0') || message.properties.ends_with('\0');
    // With something behind it, it was whole, and a value may end in anything.
    if ends_in_free_space && behind.iter().take(8).all(|byte| *byte == 0) { Err(BadRecord::Torn) } else { Ok(()) }
}

/// Walks from `from` to the first bytes that are no record, calling `each` for every one that is; or until that breaks off.
///
/// Zeros, a wrong magic, fields that do not add up or, with `check`, a wrong checksum end the log there.
///
/// # Errors
/// Those of `each`.
pub(super) fn walk<E>(
    log: &[Arc<MappedFile>],
    from: Place,
    check: Check,
    mut each: impl FnMut(&StoredMessage<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<Scanned, E> {
    let start = from.offset(log);
    let mut scanned = Scanned { from: start, end: start, last: start, ..Scanned::default() };
    let Place { index, mut within } = from;
    for file in &log[index.min(log.len())..] {
        let bytes = file.readable();
        loop {
            scanned.end = file.start() + within as i64;
            let message = match Record::parse(&bytes[within..]) {
                Ok(Record::Message(message)) => message,
                Ok(Record::Blank { .. }) => break,
                Err(error) => {
                    note_end(scanned.end, &bytes[within..], &error);
                    return Ok(scanned);
                }
            };
            let (record, behind) = bytes[within..].split_at(message.size);
            let passed = check.pass(&message, record).and_then(|()| check_whole(&message, behind));
            if let Err(error) = passed {
                note_end(scanned.end, &bytes[within..], &error);
                return Ok(scanned);
            }
            if each(&message)?.is_break() {
                return Ok(scanned);
            }
            within += message.size;
            scanned.records += 1;
            scanned.last = scanned.end;
            scanned.timestamp = Some(message.store_timestamp);
        }
        within = 0;
        scanned.end = file.start() + file.len() as i64;
    }
    Ok(scanned)
}

fn note_end(offset: i64, rest: &[u8], why: &dyn std::error::Error) {
    if rest.iter().take(8).all(|byte| *byte == 0) {
        info!(offset, "end of the commit log");
    } else {
        warn!(offset, %why, "commit log ends in something that is no record: cut off");
    }
}

/// Bytes from `end` to the last one that is not zero, where a record could begin.
pub(super) fn bytes_behind(log: &[Arc<MappedFile>], end: i64) -> u64 {
    let behind = |file: &Arc<MappedFile>| {
        let from = usize::try_from(end - file.start()).unwrap_or(0);
        let rest = file.readable().get(from..).unwrap_or_default();
        // Free space starts with zeros; looking at all of it would read a whole file at every start.
        if rest.iter().take(8).all(|byte| *byte == 0) {
            return 0;
        }
        rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
    };
    log.iter().filter(|file| file.start() + file.len() as i64 > end).map(behind).sum()
}
