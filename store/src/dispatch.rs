//! Commit log → consume queues and whoever waits for messages.
//!
//! The appender hands over what it knows of its records, in log order. Whoever moves the watermark applies what it passed:
//! there is no thread to wake. While one thread applies, others leave their request with it and go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use remoting::types::{QueueId, Timestamp, TopicName};
use tracing::{error, warn};

use crate::batch::Code;
use crate::commit_log::code_of;
use crate::config::StoreConfig;
use crate::consume_queue::{Gap, Queue, Queues, Unit};
use crate::light::{self, LIGHT_QUEUE};
use crate::message::properties::name;
use crate::message::{StoredMessage, is_folder_name, sys_flag};
use crate::watermark::Watermark;

#[derive(Debug)]
pub(crate) struct Dispatch {
    /// From the appender; locked under the append lock, and for a moment by the applier.
    handed_over: Mutex<Work>,
    applying: Mutex<Applying>,
    /// Requests to apply that came while someone applied.
    requests: AtomicUsize,
    /// Everything before this is in the queues.
    dispatched: AtomicI64,
}

/// Entries in log order.
#[derive(Debug, Default)]
pub(crate) struct Work {
    runs: VecDeque<Run>,
    units: VecDeque<Unit>,
    /// The last run is of the batch that is being handed over. Runs never reach across batches: the first of them is
    /// confirmed, and has to be seen, while the second is not.
    joinable: bool,
}

/// Entries that follow each other in one queue and in the log.
#[derive(Debug)]
struct Run {
    queue: Arc<Queue>,
    first_offset: i64,
    count: usize,
    timestamp: Timestamp,
    /// Where the last record starts and ends.
    last: i64,
    end: i64,
    /// Blanks may have to stand before the first.
    behind_hole: bool,
}

#[derive(Debug, Default)]
struct Applying {
    work: Work,
    progress: Progress,
}

/// The last record that is in its queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) last: i64,
    pub(crate) end: i64,
    pub(crate) timestamp: Timestamp,
}

/// What a queue gets of a record.
#[derive(Clone, Debug)]
pub(crate) struct QueueEntry {
    pub(crate) queue: Arc<Queue>,
    /// Of the first of them.
    pub(crate) offset: i64,
    /// One, or as many as there are messages in an inner batch.
    pub(crate) count: usize,
    pub(crate) unit: Unit,
}

impl QueueEntry {
    /// `None`: the record takes no place in a queue, or in none that can be.
    pub(crate) fn of(message: &StoredMessage<'_>, queues: &Queues, config: &StoreConfig) -> Option<Self> {
        Self::with(message, config, |topic, id, batches| queues.of_record(topic, id, batches))
    }

    /// As [`Self::of`], for one who has queues of his own to find it among: `find` gets topic, queue id, and whether the queue
    /// is to take inner batches.
    pub(crate) fn with(
        message: &StoredMessage<'_>,
        config: &StoreConfig,
        find: impl FnOnce(&str, QueueId, bool) -> Option<Arc<Queue>>,
    ) -> Option<Self> {
        if !sys_flag::takes_queue_offset(message.sys_flag) {
            return None;
        }
        let inner = inner_batch(message);
        if message.sys_flag & sys_flag::INNER_BATCH != 0 && inner.is_none() {
            warn!(topic = message.topic, offset = %message.physical_offset, "inner batch does not say where it belongs");
            return None;
        }
        if !is_folder_name(message.topic) || message.queue_id.0 < 0 {
            warn!(topic = message.topic, queue_id = %message.queue_id, offset = %message.physical_offset,
                "record of a queue that cannot be");
            return None;
        }
        let (offset, count) = inner.unwrap_or((message.queue_offset.0, 1));
        let Some(queue) = find(message.topic, message.queue_id, inner.is_some()) else {
            warn!(topic = message.topic, queue_id = %message.queue_id, offset = %message.physical_offset,
                "inner batch in a queue of single messages, left out");
            return None;
        };
        Some(Self { queue, offset, count, unit: unit_of(message, config) })
    }

    /// What the light queues get that the record is in, too.
    pub(crate) fn light_of<'a>(
        message: &StoredMessage<'a>,
        queues: &'a Queues,
        config: &StoreConfig,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let alone = sys_flag::takes_queue_offset(message.sys_flag) && message.sys_flag & sys_flag::INNER_BATCH == 0;
        let unit = unit_of(message, config);
        let places = alone.then(|| light::places(message)).into_iter().flatten();
        places.map(move |(name, offset)| {
            let queue = queues.get_or_create(&TopicName::new(name), LIGHT_QUEUE);
            Self { queue, offset, count: 1, unit }
        })
    }

    /// The offset in its queue of the first message of a record, if it has one.
    pub(crate) fn first_offset(message: &StoredMessage<'_>) -> Option<i64> {
        if !sys_flag::takes_queue_offset(message.sys_flag) {
            return None;
        }
        if message.sys_flag & sys_flag::INNER_BATCH == 0 {
            return Some(message.queue_offset.0);
        }
        inner_batch(message).map(|(base, _)| base)
    }

    pub(crate) fn push(&self, work: &mut Work, stored: Timestamp) {
        for place in 0..self.count as i64 {
            work.push(&self.queue, self.offset + place, self.unit, stored);
        }
    }
}

fn unit_of(message: &StoredMessage<'_>, config: &StoreConfig) -> Unit {
    let code = code_of(Code::of(message.topic, message.properties), message.store_timestamp, config);
    Unit { physical: message.physical_offset.0, size: message.size as i32, code }
}

/// Offset of the first message and number of messages of an inner batch, as its broker noted them.
/// Java: `CommitLog.checkMessageAndReturnSize`.
fn inner_batch(message: &StoredMessage<'_>) -> Option<(i64, usize)> {
    if message.sys_flag & sys_flag::INNER_BATCH == 0 {
        return None;
    }
    let base = message.property(name::INNER_BASE)?.parse().ok().filter(|base| *base >= 0)?;
    let count: i16 = message.property(name::INNER_NUM)?.parse().ok()?;
    Some((base, usize::try_from(count).ok().filter(|count| *count > 0)?))
}

impl Work {
    /// Forgets the entries of records from `at` on.
    fn cut(&mut self, at: i64) {
        while let Some(run) = self.runs.back_mut().filter(|run| run.end > at) {
            while run.count > 0 && self.units.back().is_some_and(|unit| unit.physical >= at) {
                self.units.pop_back();
                run.count -= 1;
            }
            match self.units.back().filter(|_| run.count > 0) {
                Some(unit) => (run.last, run.end) = (unit.physical, unit.end()),
                None => drop(self.runs.pop_back()),
            }
        }
        self.joinable = false;
    }

    /// Adds one entry; extends the last run if it continues it.
    pub(crate) fn push(&mut self, queue: &Arc<Queue>, offset: i64, unit: Unit, timestamp: Timestamp) {
        match self.runs.back_mut() {
            Some(run)
                if self.joinable && Arc::ptr_eq(&run.queue, queue) && run.first_offset + run.count as i64 == offset =>
            {
                run.count += 1;
                run.timestamp = timestamp;
                run.last = unit.physical;
                run.end = unit.end();
            }
            _ => self.runs.push_back(Run {
                queue: Arc::clone(queue),
                first_offset: offset,
                count: 1,
                timestamp,
                last: unit.physical,
                end: unit.end(),
                behind_hole: false,
            }),
        }
        self.units.push_back(unit);
        self.joinable = true;
    }
}

impl Work {
    /// The entry that was pushed last leaves a hole in its queue, which is filled with blanks.
    pub(crate) fn is_behind_hole(&mut self) {
        if let Some(run) = self.runs.back_mut() {
            run.behind_hole = true;
        }
    }
}

impl Dispatch {
    /// Everything before `dispatched` is in the queues.
    pub(crate) fn new(dispatched: i64, progress: Progress) -> Self {
        Self {
            handed_over: Mutex::default(),
            applying: Mutex::new(Applying { work: Work::default(), progress }),
            requests: AtomicUsize::new(0),
            dispatched: AtomicI64::new(dispatched),
        }
    }

    /// Takes the entries of one batch, from the appender that holds the append lock.
    pub(crate) fn hand_over(&self, fill: impl FnOnce(&mut Work)) {
        let mut work = self.handed_over.lock();
        work.joinable = false;
        fill(&mut work);
    }

    /// Forgets the entries of records from `at` on, none of which the watermark has passed. The caller holds the append lock.
    pub(crate) fn cut(&self, at: i64) {
        let mut applying = self.applying.lock();
        self.handed_over.lock().cut(at);
        applying.work.cut(at);
    }

    /// Everything before this is in the queues.
    pub(crate) fn dispatched(&self) -> i64 {
        self.dispatched.load(Ordering::Acquire)
    }

    /// The last record in its queue; what the queues hold in memory reaches at least as far.
    pub(crate) fn progress(&self) -> Progress {
        self.applying.lock().progress
    }

    /// Applies what the watermark has passed, or leaves that to the thread that is at it.
    pub(crate) fn run(&self, watermark: &Watermark, queues: &Queues) {
        if self.requests.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        loop {
            let seen = self.requests.load(Ordering::Acquire);
            self.apply(watermark.confirmed().0, queues);
            if self.requests.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
        }
    }

    fn apply(&self, watermark: i64, queues: &Queues) {
        let mut applying = self.applying.lock();
        let Applying { work, progress } = &mut *applying;
        loop {
            while let Some(run) = work.runs.pop_front_if(|run| run.end <= watermark) {
                let units = work.units.drain(..run.count);
                let gap = if run.behind_hole { Gap::Blanks } else { Gap::Refuse };
                let applied = run.queue.apply(run.first_offset, units, run.timestamp, gap);
                if applied.gap {
                    error!(topic = %run.queue.topic, queue_id = %run.queue.queue_id, offset = run.first_offset,
                        "entry lies ahead of its queue, left out");
                }
                *progress = Progress { last: run.last, end: run.end, timestamp: run.timestamp };
                if applied.report {
                    queues.reports.push(Arc::clone(&run.queue));
                }
                if applied.list {
                    queues.list_unwritten(run.queue);
                }
            }
            if !work.runs.is_empty() {
                break;
            }
            let mut handed_over = self.handed_over.lock();
            if handed_over.runs.is_empty() {
                break;
            }
            // The buffers go round: no allocation once they have grown to the usual batch.
            std::mem::swap(work, &mut handed_over);
        }
        self.dispatched.fetch_max(watermark, Ordering::AcqRel);
    }
}
