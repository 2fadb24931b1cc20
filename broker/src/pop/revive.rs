//! Bringing back what was not acknowledged. Java: `PopReviveService`.
//!
//! ```text
//! revive queue ─▶ check points of the last seconds, with their acknowledgements ─ lease over ─▶ retry topic
//! ```
//! The log is in the order in which leases end, so a check point is settled once the lease is over for [`GRACE_MS`] and what
//! the timer had to deliver up to then was read. How far each queue is settled is the offset of [`REVIVE_GROUP`], which is
//! saved like any other: after a crash the last seconds are read again, and [what was done already](super::again) is not
//! done twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use remoting::body::TopicConfig;
use remoting::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use store::message::properties::{Builder, name};
use store::message::{MAX_PROPERTIES_BYTES, Message, StoredMessage};
use store::{AppendBatch, Confirmation, Everything, ReadRequest, ReadStatus};
use tokio::time::{MissedTickBehavior, interval};

use super::again::Again;
use super::names::{REVIVE_GROUP, normal_topic};
use super::record::{Ack, CheckPoint, TAG_ACK, TAG_BATCH_ACK, TAG_CHECK_POINT};
use super::take::each;
use super::{PopError, Pops};
use crate::context::Role;
use crate::pull::fetch;
use crate::send::PutError;
use crate::topic::validate::{RETRY_PREFIX, pop_retry_topic};

/// How long after its end a lease may still be acknowledged. Java's number, too.
const GRACE_MS: i64 = 2000;
/// Bytes of copies that are stored at once.
const BATCH_BYTES: usize = 1 << 20;
/// Messages of the log that are read at once.
const READ_MESSAGES: usize = 256;

const FIRST_POP_TIME: &str = "1ST_POP_TIME";
const ORIGIN_GROUP: &str = "ORIGIN_GROUP";

/// One queue of the revive log as it is worked off.
pub(super) struct Log {
    queue: QueueId,
    /// Next record to read.
    cursor: QueueOffset,
    /// By place in the log. Those of some three seconds: see [`Log::is_settled`].
    pending: BTreeMap<QueueOffset, Pending>,
    places: HashMap<LeaseKey, QueueOffset>,
    /// The latest end of a lease of which a record was read.
    latest: Timestamp,
}

struct Pending {
    check_point: CheckPoint,
    offsets: Vec<QueueOffset>,
    acked: Vec<bool>,
}

/// What check points and their acknowledgements have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LeaseKey {
    topic: TopicName,
    group: GroupName,
    queue: QueueId,
    start: QueueOffset,
    pop_time: Timestamp,
}

impl LeaseKey {
    fn of(check_point: &CheckPoint) -> Self {
        let CheckPoint { topic, group, queue, start, pop_time, .. } = check_point;
        Self { topic: topic.clone(), group: group.clone(), queue: *queue, start: *start, pop_time: *pop_time }
    }
}

impl Log {
    /// `done`: the last record that needs no looking at any more.
    pub(super) fn new(queue: QueueId, done: Option<QueueOffset>) -> Self {
        let cursor = done.map_or(QueueOffset(0), |done| done.after(1));
        Self { queue, cursor, pending: BTreeMap::new(), places: HashMap::new(), latest: Timestamp(0) }
    }

    fn take_in(&mut self, record: &StoredMessage<'_>) {
        let at = record.queue_offset;
        match record.property(name::TAGS) {
            Some(TAG_CHECK_POINT) => match serde_json::from_slice::<CheckPoint>(record.body) {
                Ok(check_point) => self.lease(at, check_point),
                Err(err) => tracing::error!(queue = %self.queue, offset = %at, %err, "a check point does not parse"),
            },
            Some(TAG_ACK | TAG_BATCH_ACK) => match serde_json::from_slice::<Ack>(record.body) {
                Ok(ack) => self.ack(&ack),
                Err(err) => {
                    tracing::error!(queue = %self.queue, offset = %at, %err, "an acknowledgement does not parse")
                }
            },
            // A change of the book of ordered pops, or of a later Java.
            _ => {}
        }
    }

    fn lease(&mut self, at: QueueOffset, check_point: CheckPoint) {
        self.latest = self.latest.max(check_point.ends());
        let key = LeaseKey::of(&check_point);
        // After a crash the timer may deliver twice; the first may have acknowledgements.
        if self.places.contains_key(&key) {
            return;
        }
        self.places.insert(key, at);
        let offsets = check_point.offsets();
        let acked = (0..offsets.len()).map(|bit| bit < 32 && check_point.acked >> bit & 1 == 1).collect();
        self.pending.insert(at, Pending { check_point, offsets, acked });
    }

    fn ack(&mut self, ack: &Ack) {
        let key = LeaseKey {
            topic: ack.topic.clone(),
            group: ack.group.clone(),
            queue: ack.queue,
            start: ack.start,
            pop_time: ack.pop_time,
        };
        let Some(pending) = self.places.get(&key).and_then(|at| self.pending.get_mut(at)) else { return };
        self.latest = self.latest.max(pending.check_point.ends());
        for offset in ack.offsets() {
            match pending.offsets.iter().position(|known| known == offset) {
                Some(at) => pending.acked[at] = true,
                None => tracing::warn!(topic = %ack.topic, %offset, "a message is acknowledged that was not leased"),
            }
        }
    }

    /// No acknowledgement of it can come any more that would count.
    fn is_settled(&self, check_point: &CheckPoint, at_tail: bool, now: Timestamp, delivered: Timestamp) -> bool {
        let over = check_point.ends().0.saturating_add(GRACE_MS);
        let read_past = (at_tail && delivered >= check_point.ends()) || self.latest.0 > over;
        now.0 > over && read_past
    }

    fn drop_first(&mut self) {
        if let Some((_, pending)) = self.pending.pop_first() {
            self.places.remove(&LeaseKey::of(&pending.check_point));
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.pending.len().max(self.places.len())
    }

    /// The last record that needs no looking at any more.
    fn done(&self) -> QueueOffset {
        let first = self.pending.keys().next().copied().unwrap_or(self.cursor);
        QueueOffset(first.0 - 1)
    }
}

impl Pops {
    /// Works the revive log off until the broker stops.
    pub(super) async fn revive(self: Arc<Self>) {
        let mut ticks = interval(*self.ctx.settings().revive_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.ctx.stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if *self.ctx.role.borrow() != Role::Master || !self.ctx.settings().timer_wheel_enable {
                continue;
            }
            let this = Arc::clone(&self);
            if let Err(err) = tokio::task::spawn_blocking(move || this.revive_all()).await {
                tracing::error!(%err, "what was not acknowledged is not brought back this time");
            }
        }
    }

    /// One look at all queues. Blocks.
    pub(super) fn revive_all(&self) {
        let mut logs = self.logs.lock();
        for log in logs.iter_mut() {
            if self.ctx.stopping.is_cancelled() {
                return;
            }
            if let Err(err) = self.work_off(log) {
                tracing::warn!(queue = %log.queue, %err, "messages that were not acknowledged could not be stored again");
            }
            self.note_done(log);
        }
        let now = self.ctx.clock.now();
        let exists = |topic: &TopicName, group: &GroupName, queue: QueueId| {
            let topic = self.topics.get(topic);
            topic.is_some_and(|topic| queue.0 < topic.read_queue_nums) && self.groups.get(group).is_some()
        };
        self.book.forget(now, exists);
        self.in_flight.forget(exists);
    }

    fn work_off(&self, log: &mut Log) -> Result<(), PopError> {
        let mut batch = self.store.batch();
        loop {
            // Asked for before the log is read: what it promises is in there then.
            let delivered = self.timer_delivered();
            let at_tail = !self.read_on(log);
            self.settle(log, &mut batch, at_tail, delivered)?;
            if at_tail || self.ctx.stopping.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// False at the end of the log.
    fn read_on(&self, log: &mut Log) -> bool {
        let request = ReadRequest {
            topic: &self.desk.revive,
            queue_id: log.queue,
            offset: log.cursor,
            max_messages: READ_MESSAGES,
            max_bytes: usize::MAX,
        };
        let outcome = self.store.read(&request, &Everything);
        if outcome.status != ReadStatus::Found {
            let moved = outcome.next_offset != log.cursor && outcome.status != ReadStatus::NoMatchedQueue;
            if moved {
                tracing::warn!(queue = %log.queue, from = %log.cursor, to = %outcome.next_offset,
                    "the revive log is not where it was left");
                log.cursor = outcome.next_offset;
            }
            return false;
        }
        outcome.messages.iter().for_each(|messages| fetch(messages));
        for record in outcome.messages.iter().flat_map(|slice| each(slice)) {
            log.take_in(&record);
        }
        log.cursor = outcome.next_offset;
        true
    }

    /// Has all settled check points' messages stored again that were not acknowledged.
    fn settle(
        &self,
        log: &mut Log,
        batch: &mut AppendBatch,
        at_tail: bool,
        delivered: Timestamp,
    ) -> Result<(), PopError> {
        let now = self.ctx.clock.now();
        loop {
            let mut settled = 0;
            for pending in log.pending.values() {
                let is_due = log.is_settled(&pending.check_point, at_tail, now, delivered);
                if !is_due || batch.bytes() >= BATCH_BYTES {
                    break;
                }
                self.copy_unacked(pending, batch);
                settled += 1;
            }
            if !batch.is_empty() {
                self.append_and_wait(batch)?;
            }
            if settled == 0 {
                return Ok(());
            }
            (0..settled).for_each(|_| log.drop_first());
        }
    }

    fn append_and_wait(&self, batch: &mut AppendBatch) -> Result<(), PopError> {
        let end = self.store.append(batch)?.end;
        let (sender, receiver) = std::sync::mpsc::channel();
        let told = move |confirmation| {
            // The other end waits for this and nothing else.
            let _ = sender.send(confirmation);
        };
        self.store.when_confirmed(end, Box::new(told));
        batch.clear();
        Ok(PutError::unless_written(receiver.recv().unwrap_or(Confirmation::Failed))?)
    }

    fn copy_unacked(&self, pending: &Pending, batch: &mut AppendBatch) {
        let check_point = &pending.check_point;
        let CheckPoint { topic, group, broker, .. } = check_point;
        let offsets = pending.offsets.iter().zip(&pending.acked);
        let mut open = offsets.filter(|(_, acked)| !**acked).map(|(offset, _)| *offset).peekable();
        if open.peek().is_none() {
            return;
        }
        if *broker != self.ctx.identity.name {
            tracing::warn!(%topic, %group, %broker, "a lease of another broker's messages cannot be worked off here");
            return;
        }
        if self.topics.get(normal_topic(topic, group)).is_none() || self.groups.find(group).is_none() {
            tracing::info!(%topic, %group, "a lease is dropped with its topic or group");
            return;
        }
        let retry = self.retry_topic_of(check_point);
        for offset in open {
            self.lease_over((topic, group, check_point.queue), check_point.pop_time, 1);
            let record = self.record_at(topic, check_point.queue, offset);
            let message = record.as_deref().and_then(|record| StoredMessage::parse(record).ok());
            // Of an inner batch, the record begins before.
            let Some(message) = message.filter(|message| message.offset_in(topic) <= offset) else {
                tracing::info!(%topic, %group, %offset, "a message is gone before it could come again");
                continue;
            };
            let again = Again { store: &self.store, revive: &self.desk.revive, check_point, offset };
            // Only what is older than this process can have been settled before.
            if check_point.ends() < self.began && again.is_done(&message, &retry, attempts(check_point, &message)) {
                continue;
            }
            self.copy(check_point, &message, &retry, batch);
        }
    }

    fn record_at(&self, topic: &TopicName, queue_id: QueueId, offset: QueueOffset) -> Option<Bytes> {
        let request = ReadRequest { topic, queue_id, offset, max_messages: 1, max_bytes: usize::MAX };
        self.store.read(&request, &Everything).messages.into_iter().next().map(Bytes::from)
    }

    fn retry_topic_of(&self, check_point: &CheckPoint) -> TopicName {
        let CheckPoint { topic, group, .. } = check_point;
        if topic.starts_with(RETRY_PREFIX) {
            return topic.clone();
        }
        pop_retry_topic(group, topic, self.ctx.settings().enable_retry_topic_v2)
    }

    /// Java: `PopReviveService.reviveRetry`.
    fn copy(&self, check_point: &CheckPoint, message: &StoredMessage<'_>, retry: &TopicName, batch: &mut AppendBatch) {
        self.ensure_retry_topic(retry, &check_point.group);
        let first = message.property(FIRST_POP_TIME).filter(|_| message.reconsume_times > 0);
        let first = first.map_or_else(|| check_point.pop_time.0.to_string(), str::to_owned);
        let mut properties = Builder::with_capacity(message.properties.len() + 64);
        properties.extend_without(message.properties, &[FIRST_POP_TIME, ORIGIN_GROUP, name::CRC32]);
        properties.push(FIRST_POP_TIME, &first).push(ORIGIN_GROUP, &check_point.group);
        let mut properties = properties.finish();
        if properties.len() > MAX_PROPERTIES_BYTES {
            // Rather without these two than not at all.
            properties = message.properties.to_owned();
        }
        let host = self.ctx.identity.host;
        let copy = Message {
            flag: message.flag,
            sys_flag: message.sys_flag,
            born_timestamp: message.born_timestamp,
            reconsume_times: attempts(check_point, message),
            properties: &properties,
            ..Message::new(retry, QueueId(0), message.body, host)
        };
        let before = batch.bytes();
        match batch.push(&copy) {
            Ok(()) => self.stats.put(retry, QueueId(0), 1, 1, (batch.bytes() - before) as u64),
            Err(err) => tracing::error!(topic = %retry, %err, "a message that was not acknowledged cannot come again"),
        }
    }

    fn ensure_retry_topic(&self, retry: &TopicName, group: &GroupName) {
        if self.topics.get(retry).is_some() {
            return;
        }
        self.topics.create_internal(retry, 1, TopicConfig::READ | TopicConfig::WRITE, 0);
        if self.offsets.get(group, retry, QueueId(0)).is_none() {
            self.offsets.commit(group, retry, QueueId(0), QueueOffset(0));
        }
    }

    fn note_done(&self, log: &Log) {
        let done = log.done();
        if done.0 < 0 {
            return;
        }
        let progress = self.offsets.progress(&REVIVE_GROUP.into(), &self.desk.revive);
        if progress.get(log.queue) != Some(done) {
            progress.commit(log.queue, done);
            self.offsets.changed();
        }
    }
}

/// Of the copy of a message.
fn attempts(check_point: &CheckPoint, message: &StoredMessage<'_>) -> i32 {
    if check_point.suspend { message.reconsume_times } else { message.reconsume_times.saturating_add(1) }
}
