//! The commit log, read with plain reads: nothing is mapped, created or locked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Problem;
use super::files::{Segment, Segments};
use crate::message::{DecodeError, MAGIC_V1, MAGIC_V2, Record, StoredMessage, check_record_crc};

/// Bytes read at once when walking.
const CHUNK: usize = 4 << 20;
/// Largest record looked at; Java's limit of a body is a gibibyte, but no more than a file.
const RECORD_MAX: usize = 1 << 30;

/// The open files of the log.
#[derive(Debug)]
pub(crate) struct Log {
    files: Vec<(Segment, File)>,
}

/// What a walk over the log met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    pub records: u64,
    /// Behind the last record.
    pub end: i64,
    /// Store time of the last record, in milliseconds since 1970; 0 without one.
    pub last_timestamp: i64,
    /// Records stored earlier than the one before them: the clock was set back.
    pub time_steps_back: u64,
    /// Bytes behind the last record that are not zero, in the file that holds the end.
    pub torn_bytes: u64,
}

impl Log {
    pub(crate) fn open(segments: &Segments) -> io::Result<Self> {
        let open = |segment: &Segment| File::open(&segment.path).map(|file| (segment.clone(), file));
        Ok(Self { files: segments.list.iter().map(open).collect::<io::Result<_>>()? })
    }

    pub(crate) fn min(&self) -> i64 {
        self.files.first().map_or(0, |(segment, _)| segment.start)
    }

    /// The whole record that starts at `offset` and lies in one file.
    pub(super) fn record(&self, offset: i64) -> Result<Vec<u8>, String> {
        let index = self.files.partition_point(|(segment, _)| segment.start <= offset);
        let found = index.checked_sub(1).map(|index| &self.files[index]).filter(|(segment, _)| offset < segment.end());
        let Some((segment, file)) = found else { return Err("it lies outside the commit log".to_owned()) };
        let within = (offset - segment.start) as u64;
        let left = usize::try_from(segment.len - within).unwrap_or(usize::MAX);
        let mut head = [0; 8];
        if left < head.len() {
            return Err("it lies at the very end of a file".to_owned());
        }
        let unreadable = |error: io::Error| format!("it cannot be read: {error}");
        file.read_exact_at(&mut head, within).map_err(unreadable)?;
        let [total, magic] = [&head[..4], &head[4..]]
            .map(|field| field.first_chunk().map_or(0, |field: &[u8; 4]| i32::from_be_bytes(*field)));
        if !matches!(magic, MAGIC_V1 | MAGIC_V2) {
            return Err("no record begins there".to_owned());
        }
        let total = usize::try_from(total).unwrap_or(0);
        if total > left.min(RECORD_MAX) {
            return Err(format!("its size of {total} bytes reaches over the end of the file"));
        }
        let mut record = vec![0; total];
        file.read_exact_at(&mut record, within).map_err(unreadable)?;
        Ok(record)
    }

    /// Reads every record in order. `each` gets the message, its bytes and its physical offset, and says whether to go on.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn walk(
        &self,
        from: i64,
        problems: &mut Vec<Problem>,
        mut each: impl FnMut(&StoredMessage<'_>, &[u8], i64) -> bool,
    ) -> io::Result<Walked> {
        let mut walked = Walked { end: from.max(self.min()), ..Walked::default() };
        for (index, (segment, file)) in self.files.iter().enumerate() {
            if segment.end() <= from {
                continue;
            }
            let last = index + 1 == self.files.len();
            let mut window = Window { file, len: segment.len, at: 0, bytes: Vec::new() };
            let mut within = u64::try_from(from - segment.start).unwrap_or(0);
            loop {
                let at = segment.start + within as i64;
                let bytes = window.from(within)?;
                match Record::parse(bytes) {
                    Ok(Record::Blank { .. }) => {
                        walked.end = segment.end();
                        break;
                    }
                    Ok(Record::Message(message)) => {
                        let size = message.size;
                        if message.store_timestamp.0 < walked.last_timestamp {
                            walked.time_steps_back += 1;
                        }
                        walked.last_timestamp = message.store_timestamp.0;
                        walked.records += 1;
                        walked.end = at + size as i64;
                        if !each(&message, &bytes[..size], at) {
                            return Ok(walked);
                        }
                        within += size as u64;
                    }
                    Err(error) => {
                        let free = is_free(bytes);
                        if matches!(error, DecodeError::Truncated { .. }) && window.grow()? {
                            continue;
                        }
                        walked.end = at;
                        if !free {
                            walked.torn_bytes = window.used_behind(within)?;
                            problems.push(Problem::new(
                                place(&segment.path, at),
                                format!("{error}: the log ends here, and {} bytes follow", walked.torn_bytes),
                            ));
                        } else if !last && self.later_is_used(index + 1)? {
                            problems.push(Problem::new(
                                place(&segment.path, at),
                                "free space begins in the middle of the log: later files hold records".to_owned(),
                            ));
                        }
                        return Ok(walked);
                    }
                }
                if within >= segment.len {
                    problems.push(Problem::new(
                        place(&segment.path, segment.end()),
                        "the file ends without a blank record".to_owned(),
                    ));
                    break;
                }
            }
        }
        Ok(walked)
    }

    fn later_is_used(&self, from: usize) -> io::Result<bool> {
        for (segment, file) in &self.files[from..] {
            let mut head = [0; 8];
            if segment.len >= 8 {
                file.read_exact_at(&mut head, 0)?;
            }
            if head != [0; 8] {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What is wrong with a record as such.
pub(crate) fn faults(message: &StoredMessage<'_>, record: &[u8], at: i64) -> Vec<String> {
    let mut found = Vec::new();
    if message.physical_offset.0 != at {
        found.push(format!("the record says that it lies at {}", message.physical_offset));
    }
    if let Err(error) = message.check_crc() {
        found.push(error.to_string());
    }
    if check_record_crc(record) == Some(false) {
        found.push("the checksum over the whole record is wrong".to_owned());
    }
    found
}

pub(super) fn place(path: &Path, offset: i64) -> String {
    format!("{} at {offset}", path.display())
}

fn is_free(bytes: &[u8]) -> bool {
    bytes.iter().take(8).all(|byte| *byte == 0)
}

/// A part of a file in memory.
struct Window<'a> {
    file: &'a File,
    len: u64,
    /// Where `bytes` begin in the file.
    at: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// What is known of the file from `within` on; more after [`Self::grow`].
    fn from(&mut self, within: u64) -> io::Result<&[u8]> {
        let known = within >= self.at && within < self.at + self.bytes.len() as u64;
        if !known {
            self.at = within;
            self.bytes.clear();
            self.read_more(CHUNK)?;
        } else if within > self.at && self.bytes.len() > CHUNK {
            self.bytes.drain(..(within - self.at) as usize);
            self.at = within;
        }
        Ok(&self.bytes[(within - self.at) as usize..])
    }

    /// Reads more behind what is known; false at the end of the file, or when no record is so large.
    fn grow(&mut self) -> io::Result<bool> {
        if self.bytes.len() >= RECORD_MAX {
            return Ok(false);
        }
        Ok(self.read_more(CHUNK.max(self.bytes.len()))? > 0)
    }

    fn read_more(&mut self, bytes: usize) -> io::Result<usize> {
        let from = self.at + self.bytes.len() as u64;
        let more = bytes.min(usize::try_from(self.len.saturating_sub(from)).unwrap_or(bytes));
        let known = self.bytes.len();
        self.bytes.resize(known + more, 0);
        self.file.read_exact_at(&mut self.bytes[known..], from)?;
        Ok(more)
    }

    /// Bytes from `within` to the last of the file that is not zero.
    fn used_behind(&mut self, within: u64) -> io::Result<u64> {
        let (mut at, mut used) = (within, 0);
        let mut bytes = vec![0; CHUNK];
        while at < self.len {
            let len = CHUNK.min((self.len - at) as usize);
            self.file.read_exact_at(&mut bytes[..len], at)?;
            if let Some(last) = bytes[..len].iter().rposition(|byte| *byte != 0) {
                used = at - within + last as u64 + 1;
            }
            at += len as u64;
        }
        Ok(used)
    }
}
