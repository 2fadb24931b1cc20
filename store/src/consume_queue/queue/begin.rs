//! A queue whose first entry is not that of offset 0, or not any more.

use std::io;
use std::sync::atomic::Ordering;

use tracing::warn;

use super::{Queue, Tail};
use crate::consume_queue::batches::BatchTail;
use crate::consume_queue::{UNIT_BYTES, Unit};
use crate::io::Files;

impl Queue {
    /// Whether there is no message in it though its next one gets the offset `next`, and none on its way.
    pub(crate) fn holds_nothing(&self, next: i64) -> bool {
        let max = self.max();
        next == max && self.min() >= max
    }

    /// Whether an entry at `offset` cannot continue what the queue holds: the topic was deleted and began anew, or what
    /// lies between is lost. Seen only when queues are made again from the log; an append goes on where the queue ends.
    pub(super) fn is_another_life(&self, tail: &Tail, offset: i64) -> bool {
        let end = tail.end();
        (offset == 0 && end > 0) || offset - end >= self.files.lock().units_per_file()
    }

    /// Drops all entries and starts with the file that holds `offset`, blanks before it. Java: `ConsumeQueue.fillPreBlank`.
    pub(super) fn start_over(&self, disk: &dyn Files, tail: &mut Tail, offset: i64) {
        if let Err(error) = self.files.lock().truncate(disk, 0) {
            warn!(topic = %self.topic, queue_id = %self.queue_id, %error, "remove files of an outlived queue");
        }
        self.start_at(tail, offset);
    }

    /// Has no entries, and gets its first one at `offset`; what lies before that in its file is still to be filled.
    fn start_at(&self, tail: &mut Tail, offset: i64) {
        tail.units.clear();
        tail.from = match &mut tail.batches {
            Some(batches) => {
                **batches = BatchTail::default();
                offset
            }
            None => offset - offset.rem_euclid(self.files.lock().units_per_file()),
        };
        tail.written = tail.from;
        self.min.store(offset, Ordering::Release);
    }

    /// Has a queue without entries get its first one at `offset`. Blanks stand before that in its file, and are written at
    /// once: there may be very many, of many queues. Called under the append lock.
    ///
    /// # Errors
    /// Failing I/O: to be tried again before there is an entry.
    ///
    /// Java: `ConsumeQueue.fillPreBlank`.
    pub(crate) fn begin(&self, disk: &dyn Files, offset: i64) -> io::Result<()> {
        const AT_ONCE: i64 = 3276;
        let mut tail = self.tail.lock();
        self.files.lock().truncate(disk, 0)?;
        self.start_at(&mut tail, offset);
        if tail.batches.is_some() || tail.from == offset {
            return Ok(());
        }
        let blanks = Unit::BLANK.encode().repeat((offset - tail.from).min(AT_ONCE) as usize);
        let mut files = self.files.lock();
        while tail.from < offset {
            let units = (offset - tail.from).min(AT_ONCE);
            files.write(disk, tail.from * UNIT_BYTES as i64, &blanks[..units as usize * UNIT_BYTES])?;
            (tail.from, tail.written) = (tail.from + units, tail.from + units);
        }
        Ok(())
    }
}
