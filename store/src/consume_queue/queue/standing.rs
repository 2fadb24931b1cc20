//! A queue between two runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::types::{QueueId, TopicName};

use super::{Queue, Tail};
use crate::consume_queue::batches::BatchTail;
use crate::consume_queue::files::{FileList, QueueFiles};

/// All that a queue is when nothing of it is in memory only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) id: QueueId,
    /// It takes inner batches.
    pub(crate) batches: bool,
    pub(crate) files: FileList,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// Where the record of the first entry lies in the log, if that is known; else less than 0.
    pub(crate) first_record: i64,
    /// Where the record of the last entry ends in the log; 0: there is none, or it is blank.
    pub(crate) last_end: i64,
    /// Number of the unit behind the last one in the files.
    pub(crate) written: i64,
}

impl Queue {
    /// How the queue stands; `None`: some of it is in memory only.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let tail = self.tail.lock();
        let max = tail.end();
        let whole = tail.written == max && tail.batches.as_ref().is_none_or(|batches| batches.unwritten.is_empty());
        whole.then(|| Standing {
            id: self.queue_id,
            batches: tail.batches.is_some(),
            files: self.files.lock().list(),
            min: self.min(),
            max,
            first_record: self.first_record.load(Ordering::Relaxed),
            last_end: tail.max_physical,
            written: tail.batches.as_ref().map_or(max, |batches| batches.written),
        })
    }

    /// The queue that stood so; nothing but zeros lies behind its last unit.
    pub(crate) fn standing_at(topic: Arc<TopicName>, files: QueueFiles, standing: &Standing) -> Self {
        let Standing { id, batches, min, max, first_record, last_end, written, .. } = *standing;
        let queue = Self::new(topic, id, files);
        queue.min.store(min, Ordering::Release);
        queue.max.store(max, Ordering::SeqCst);
        queue.first_record.store(first_record, Ordering::Relaxed);
        let batches = batches.then(|| Box::new(BatchTail { unwritten: Vec::new(), written }));
        *queue.tail.lock() =
            Tail { from: max, written: max, max_physical: last_end, batches, zero_behind: true, ..Tail::default() };
        queue
    }
}
