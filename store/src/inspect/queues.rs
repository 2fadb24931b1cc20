//! Consume queues of both kinds, unit by unit.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Problem;
use super::files::{self, Segment, Segments};
use crate::consume_queue::{BATCH_UNIT_BYTES, BatchUnit, UNIT_BYTES, Unit};

/// A queue as its files show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSummary {
    pub topic: String,
    pub queue_id: i32,
    /// Its units stand for inner batches.
    pub batches: bool,
    /// Offset of the first message that is no blank, and one behind the last.
    pub min: i64,
    pub max: i64,
    /// Units that are no blanks.
    pub units: u64,
    pub files: usize,
    pub(crate) segments: Segments,
}

/// One unit of either kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) count: i64,
    pub(super) unit: Unit,
    pub(super) stored: Option<i64>,
}

/// Finds the queues below `dir`.
pub(crate) fn find(dir: &Path, batches: bool, problems: &mut Vec<Problem>) -> io::Result<Vec<QueueSummary>> {
    let mut found = Vec::new();
    for topic_dir in files::entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        let topic = files::name(&topic_dir).to_owned();
        if topic.starts_with('.') {
            // A deleted topic on its way out.
            continue;
        }
        for queue_dir in files::entries(&topic_dir)?.into_iter().filter(|path| path.is_dir()) {
            let Ok(queue_id) = files::name(&queue_dir).parse() else {
                problems.push(Problem::new(queue_dir.display(), "the folder of a topic is no queue id"));
                continue;
            };
            let segments = Segments::find(&queue_dir, problems)?;
            let mut queue = QueueSummary {
                topic: topic.clone(),
                queue_id,
                batches,
                min: 0,
                max: 0,
                units: 0,
                files: segments.list.len(),
                segments,
            };
            let (mut first, mut last, mut units) = (None, 0, 0);
            queue.read(|entry| {
                if !entry.unit.is_blank() {
                    first.get_or_insert(entry.offset);
                    units += 1;
                }
                last = entry.offset + entry.count;
            })?;
            (queue.min, queue.max, queue.units) = (first.unwrap_or(last), last, units);
            found.push(queue);
        }
    }
    Ok(found)
}

impl QueueSummary {
    /// `topic-queue`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.queue_id)
    }

    /// Bytes of all units that are no blanks.
    pub(super) fn unit_bytes(&self) -> u64 {
        self.units * self.bytes_per_unit() as u64
    }

    pub(crate) fn bytes_per_unit(&self) -> usize {
        if self.batches { BATCH_UNIT_BYTES } else { UNIT_BYTES }
    }

    /// Every unit up to the first that was never written.
    pub(super) fn read(&self, mut each: impl FnMut(Entry)) -> io::Result<()> {
        const CHUNK_UNITS: usize = 4096;
        let unit_bytes = self.bytes_per_unit();
        let mut bytes = Vec::new();
        for Segment { path, start, len } in &self.segments.list {
            let file = File::open(path)?;
            let units = *len as usize / unit_bytes;
            for from in (0..units).step_by(CHUNK_UNITS) {
                bytes.resize(CHUNK_UNITS.min(units - from) * unit_bytes, 0);
                file.read_exact_at(&mut bytes, (from * unit_bytes) as u64)?;
                for (number, unit) in (from..).zip(bytes.chunks_exact(unit_bytes)) {
                    let Some(entry) = self.decode(start / unit_bytes as i64 + number as i64, unit) else {
                        return Ok(());
                    };
                    each(entry);
                }
            }
        }
        Ok(())
    }

    /// The unit with this number; `None` if it was never written.
    fn decode(&self, number: i64, bytes: &[u8]) -> Option<Entry> {
        if self.batches {
            let BatchUnit { unit, stored, base, count } =
                Some(BatchUnit::decode(bytes.first_chunk()?)).filter(|batch| batch.is_written())?;
            return Some(Entry { offset: base, count: count.into(), unit, stored: Some(stored.0) });
        }
        let unit = Some(Unit::decode(bytes.first_chunk()?)).filter(|unit| unit.is_written())?;
        Some(Entry { offset: number, count: 1, unit, stored: None })
    }
}
