//! The bytes of the roster, big-endian.
//!
//! ```text
//! head    [magic: 8 bytes][version: u32][bytes of the file: u64][CRC32 of all that follows: u32]
//! proof   [settled: i64][lock: inode u64, changed i64][checkpoint: inode u64, changed i64][its fields: 48 bytes]
//!         [bytes of a queue file: i64][of one of inner batches: i64][log: min, last, end, i64 each][topics: u32]
//! topic   [length of the name: u16][name][which folders it has: u8][queues: u32]
//! queue   [id: i32][0: single messages, 1: inner batches: u8][files: u32][first byte of the first: i64][min: i64][max: i64]
//!         [place of its first record, or less than 0: i64][end of its last record, or 0: i64][units written: i64]
//! ```

use remoting::types::QueueId;

use super::{LogEnds, Proof};
use crate::checkpoint::FIELDS_BYTES;
use crate::consume_queue::files::FileList;
use crate::consume_queue::queue::Standing;
use crate::io::Stamp;

const MAGIC: [u8; 8] = *b"FerromqQ";
const VERSION: u32 = 1;
pub(super) const HEAD_BYTES: usize = 24;
const PROOF_BYTES: usize = 8 + 2 * 16 + FIELDS_BYTES + 2 * 8 + 3 * 8 + 4;
const QUEUE_BYTES: usize = 4 + 1 + 4 + 6 * 8;

/// A topic's folders and queues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic<'a> {
    pub(crate) name: &'a str,
    pub(super) folders: Folders,
    queues: &'a [[u8; QUEUE_BYTES]],
}

/// Whether a topic has a folder in each of the two roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folders {
    pub(super) singles: bool,
    pub(super) batches: bool,
}

impl Topic<'_> {
    /// Number of its queues.
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = Standing> {
        self.queues.iter().map(standing)
    }
}

/// All but the head and the proof; those come last, before everything else.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    topics: u32,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEAD_BYTES + PROOF_BYTES], topics: 0 }
    }

    /// Adds a topic; `None`: its name is longer than a name can be.
    pub(super) fn topic(&mut self, name: &str, folders: Folders, queues: &[Standing]) -> Option<()> {
        self.bytes.extend(u16::try_from(name.len()).ok()?.to_be_bytes());
        self.bytes.extend(name.as_bytes());
        self.bytes.push(u8::from(folders.singles) | u8::from(folders.batches) << 1);
        self.bytes.extend(u32::try_from(queues.len()).ok()?.to_be_bytes());
        for queue in queues {
            self.bytes.extend(queue.id.0.to_be_bytes());
            self.bytes.push(u8::from(queue.batches));
            self.bytes.extend(queue.files.count.to_be_bytes());
            let Standing { min, max, first_record, last_end, written, .. } = *queue;
            for number in [queue.files.start, min, max, first_record, last_end, written] {
                self.bytes.extend(number.to_be_bytes());
            }
        }
        self.topics += 1;
        Some(())
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole file.
    pub(super) fn finish(mut self, proof: &Proof) -> Vec<u8> {
        let mut front = Vec::with_capacity(PROOF_BYTES);
        front.extend(proof.settled_ns.to_be_bytes());
        for stamp in [proof.lock, proof.checkpoint] {
            front.extend(stamp.inode.to_be_bytes());
            front.extend(stamp.changed_ns.to_be_bytes());
        }
        front.extend(proof.checkpoint_fields);
        let LogEnds { min, last, end } = proof.log;
        let [singles, batches] = proof.file_bytes;
        for number in [singles, batches, min, last, end] {
            front.extend(number.to_be_bytes());
        }
        front.extend(self.topics.to_be_bytes());
        self.bytes[HEAD_BYTES..HEAD_BYTES + PROOF_BYTES].copy_from_slice(&front);
        let mut head = MAGIC.to_vec();
        head.extend(VERSION.to_be_bytes());
        head.extend((self.bytes.len() as u64).to_be_bytes());
        head.extend(crc32fast::hash(&self.bytes[HEAD_BYTES..]).to_be_bytes());
        self.bytes[..HEAD_BYTES].copy_from_slice(&head);
        self.bytes
    }
}

/// Reads a whole file; `None`: it is torn, damaged or of another version.
pub(super) fn read(bytes: &[u8]) -> Option<(Proof, Vec<Topic<'_>>)> {
    let mut left = Left(bytes);
    let head = (left.take()?, u32::from_be_bytes(left.take()?), u64::from_be_bytes(left.take()?));
    if head != (MAGIC, VERSION, bytes.len() as u64) || u32::from_be_bytes(left.take()?) != crc32fast::hash(left.0) {
        return None;
    }
    read_checked(bytes)
}

/// As [`read`], without its checks of the whole: for a file that has passed them.
pub(super) fn read_checked(bytes: &[u8]) -> Option<(Proof, Vec<Topic<'_>>)> {
    let mut left = Left(bytes.get(HEAD_BYTES..)?);
    let settled_ns = left.i64()?;
    // The number of the device may be another after each boot.
    let mut stamp = || Some(Stamp { device: 0, inode: u64::from_be_bytes(left.take()?), changed_ns: left.i64()? });
    let (lock, checkpoint) = (stamp()?, stamp()?);
    let checkpoint_fields = left.take()?;
    let file_bytes = [left.i64()?, left.i64()?];
    let log = LogEnds { min: left.i64()?, last: left.i64()?, end: left.i64()? };
    let mut topics = Vec::new();
    for _ in 0..u32::from_be_bytes(left.take()?) {
        let name = u16::from_be_bytes(left.take()?);
        let name = std::str::from_utf8(left.slice(name.into())?).ok()?;
        let [folders] = left.take()?;
        let folders = Folders { singles: folders & 1 != 0, batches: folders & 2 != 0 };
        let count = usize::try_from(u32::from_be_bytes(left.take()?)).ok()?;
        let queues = left.slice(count.checked_mul(QUEUE_BYTES)?)?.as_chunks().0;
        topics.push(Topic { name, folders, queues });
    }
    left.0.is_empty().then_some((Proof { settled_ns, lock, checkpoint, checkpoint_fields, file_bytes, log }, topics))
}

fn standing(bytes: &[u8; QUEUE_BYTES]) -> Standing {
    let mut left = Left(bytes);
    let mut read = || {
        let (id, [kind], count) = (left.take()?, left.take()?, u32::from_be_bytes(left.take()?));
        Some(Standing {
            id: QueueId(i32::from_be_bytes(id)),
            batches: kind == 1,
            files: FileList { start: left.i64()?, count },
            min: left.i64()?,
            max: left.i64()?,
            first_record: left.i64()?,
            last_end: left.i64()?,
            written: left.i64()?,
        })
    };
    read().expect("the bytes of a queue hold its fields")
}

/// What is not read yet.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (slice, left) = self.0.split_at_checked(len)?;
        self.0 = left;
        Some(slice)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Proof, Standing, Vec<u8>) {
        let proof = Proof {
            settled_ns: 1,
            lock: Stamp { device: 0, inode: 2, changed_ns: 3 },
            checkpoint: Stamp { device: 0, inode: 4, changed_ns: 5 },
            checkpoint_fields: [6; FIELDS_BYTES],
            file_bytes: [7, 8],
            log: LogEnds { min: 9, last: 10, end: 11 },
        };
        let queue = Standing {
            id: QueueId(12),
            batches: true,
            files: FileList { start: 13, count: 14 },
            min: 15,
            max: 16,
            first_record: -1,
            last_end: 17,
            written: 18,
        };
        let mut writer = Writer::new();
        writer.topic("none", Folders { singles: true, batches: false }, &[]).expect("a name");
        writer.topic("T", Folders { singles: true, batches: true }, &[queue]).expect("a name");
        (proof, queue, writer.finish(&proof))
    }

    #[test]
    fn a_roster_is_read_as_it_was_written() {
        let (proof, queue, bytes) = sample();
        let (found, topics) = read(&bytes).expect("whole");
        assert_eq!(found, proof);
        let names: Vec<_> = topics.iter().map(|topic| (topic.name, topic.folders.batches)).collect();
        assert_eq!(names, [("none", false), ("T", true)]);
        assert_eq!(topics[0].queues().count(), 0);
        assert_eq!(topics[1].queues().collect::<Vec<_>>(), [queue]);
    }

    #[test]
    fn no_byte_can_be_lost_or_changed() {
        let (_, _, bytes) = sample();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_none(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_none(), "changed at {at}");
        }
        assert!(read(&[&bytes[..], &[0]].concat()).is_none());
    }
}
