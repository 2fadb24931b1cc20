//! Queues that have no message in the part of the log that is handed over, but had some: they go on at their offset.
//!
//! Handed over as `[bytes of the topic: u16][topic][queue id: i32][takes inner batches: u8][next offset: i64]`, big-endian, one
//! behind the other. On disk such a queue is what it is after retention has taken its messages: a last entry, whose record
//! lies before the log, and blanks before it.

use std::fs;
use std::io;
use std::path::Path;

use remoting::types::{QueueId, Timestamp, TopicName};

use crate::config::StoreConfig;
use crate::consume_queue::{BATCH_UNIT_BYTES, BatchUnit, UNIT_BYTES, Unit};
use crate::io::{Files, RealFiles};
use crate::segments;

/// Units that are written at once.
const UNITS: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) topic: TopicName,
    pub(super) id: QueueId,
    pub(super) batches: bool,
    pub(super) next: i64,
}

pub(super) fn encode(out: &mut Vec<u8>, start: &Start) {
    let topic = start.topic.as_bytes();
    out.extend((topic.len() as u16).to_be_bytes());
    out.extend(topic);
    out.extend(start.id.0.to_be_bytes());
    out.push(start.batches.into());
    out.extend(start.next.to_be_bytes());
}

/// Takes the next one off.
pub(super) fn decode(bytes: &mut &[u8]) -> Option<Start> {
    let (topic_bytes, rest) = bytes.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(u16::from_be_bytes(*topic_bytes).into())?;
    let (id, rest) = rest.split_first_chunk()?;
    let (batches, rest) = rest.split_first()?;
    let (next, rest) = rest.split_first_chunk()?;
    let topic = std::str::from_utf8(topic).ok().filter(|topic| is_folder_name(topic))?;
    *bytes = rest;
    let next = Some(i64::from_be_bytes(*next)).filter(|next| *next > 0)?;
    Some(Start { topic: TopicName::new(topic), id: QueueId(i32::from_be_bytes(*id)), batches: *batches != 0, next })
}

fn is_folder_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.starts_with('.') && !topic.contains(['/', '\0'])
}

/// Makes the queues' files for a log that begins at `log_start`, in folders where there are none.
pub(super) fn lay(config: &StoreConfig, bytes: &[u8], log_start: i64) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = decode(&mut rest).ok_or_else(|| io::Error::other("the list of queues is damaged"))?;
        let root = config.root.join(if start.batches { "batchconsumequeue" } else { "consumequeue" });
        let dir = root.join(&*start.topic).join(start.id.0.to_string());
        fs::create_dir_all(&dir)?;
        // Of a record before the log, which nobody asks for.
        let unit = Unit { physical: (log_start - 1).max(0), size: 1, code: 0 };
        if start.batches {
            let unit = BatchUnit { unit, stored: Timestamp(0), base: start.next - 1, count: 1 };
            lay_file(&dir, config.batch_consume_queue_file_bytes, 0, BATCH_UNIT_BYTES, &unit.encode(), &[], 0)?;
        } else {
            let per_file = config.consume_queue_file_bytes as i64 / UNIT_BYTES as i64;
            let blanks = (start.next - 1).rem_euclid(per_file);
            let file_start = (start.next - 1 - blanks) * UNIT_BYTES as i64;
            let blank = Unit::BLANK.encode();
            let (bytes, count) = (config.consume_queue_file_bytes, blanks as usize);
            lay_file(&dir, bytes, file_start, UNIT_BYTES, &unit.encode(), &blank, count)?;
        }
    }
    // One call costs less than one for each file and each of its folders.
    if bytes.is_empty() { Ok(()) } else { RealFiles.sync_file_system(&config.root) }
}

/// `unit` behind so many blanks.
fn lay_file(
    dir: &Path,
    file_bytes: u64,
    start: i64,
    unit_bytes: usize,
    unit: &[u8],
    blank: &[u8],
    blanks: usize,
) -> io::Result<()> {
    let disk = RealFiles;
    let file = disk.create_sized(&segments::path_of(dir, start), file_bytes, false)?;
    let mut at = 0;
    while at < blanks {
        let count = (blanks - at).min(UNITS);
        disk.write_at(&file, &blank.repeat(count), (at * unit_bytes) as u64)?;
        at += count;
    }
    disk.write_at(&file, unit, (blanks * unit_bytes) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_come_back_as_they_were() {
        let start =
            |topic: &str, batches| Start { topic: TopicName::new(topic), id: QueueId(3), batches, next: 1 << 40 };
        let starts = [start("T", false), start("%RETRY%g", true)];
        let mut first = Vec::new();
        encode(&mut first, &starts[0]);
        let mut bytes = first.clone();
        encode(&mut bytes, &starts[1]);
        let mut rest = &bytes[..];
        assert_eq!([decode(&mut rest), decode(&mut rest)], starts.map(Some));
        assert!(rest.is_empty());
        assert!((0..first.len()).all(|len| decode(&mut &first[..len]).is_none()));
        for topic in ["", "..", "a/b"] {
            let mut bytes = Vec::new();
            encode(&mut bytes, &start(topic, false));
            assert_eq!(decode(&mut &bytes[..]), None, "{topic:?}");
        }
    }
}
