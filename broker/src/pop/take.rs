//! Leasing: reads the queues of a pop one after the other, stores what was leased, and only then commits and answers.
//!
//! ```text
//! queue is ours ─ read from the committed offset ─┐
//! next queue …                                    ├─ one append of all check points ─ commit ─ confirmed ─▶ answer
//! retry topic …                                   ┘
//! ```
//! While a pop reads a queue, others pass it by. Java: `PopMessageProcessor.popMsgFromQueue`.

use std::sync::Arc;

use bytes::Bytes;
use remoting::protocol::pop::PopMessageReply;
use remoting::types::{QueueId, QueueOffset, Timestamp, TopicName};
use store::message::{self, StoredMessage};
use store::{AppendBatch, ReadOutcome, ReadRequest, ReadStatus};

use super::answer;
use super::checks::Admitted;
use super::handle::{self, Handle};
use super::in_flight::Place;
use super::names::{Kind, ORDER_QUEUE, retry_topics_on};
use super::order::{Change, Terms};
use super::record::CheckPoint;
use super::request::{Key, Pop};
use super::{PopError, Pops};
use crate::config::BrokerConfig;
use crate::filter::Filter;
use crate::group::PRIORITY_FACTOR;
use crate::offset::{Progress, Turn};
use crate::pull::fetch;
use crate::send::PutError;
use crate::topic::MESSAGE_TYPE;
use crate::topic::validate::{LIGHT_PREFIX, RETRY_PREFIX, pop_retry_topic};

/// Whether a pop may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    ForDisk,
}

/// What came of reading all queues of a pop.
pub(super) enum Taken {
    /// Messages were leased.
    Leased(Lease),
    /// There are none; `wait` says what to wait for.
    Nothing { reply: PopMessageReply, wait: Wait },
    /// The first message is on disk only.
    Cold,
}

/// What has to happen before a pop can find something.
#[derive(Default)]
pub(super) struct Wait {
    /// A queue grows beyond an offset.
    pub(super) growth: Vec<(TopicName, QueueId, QueueOffset)>,
    /// Queues that another pop reads.
    pub(super) busy: Vec<(Arc<Progress>, QueueId)>,
    /// Queues of which too much is under lease.
    pub(super) full: Vec<Place>,
    /// An ordered lease ends.
    pub(super) until: Option<Timestamp>,
}

impl Wait {
    pub(super) fn until_at_most(&mut self, until: Timestamp) {
        self.until = Some(self.until.map_or(until, |known| known.min(until)));
    }
}

/// Messages that are leased as soon as this is stored.
pub(super) struct Lease {
    pub(super) reply: PopMessageReply,
    messages: Vec<Bytes>,
    check_points: Vec<CheckPoint>,
    changes: Vec<Change>,
    commits: Vec<(Arc<Progress>, QueueId, QueueOffset)>,
    /// Released when all of this is done.
    turns: Vec<OurTurn>,
}

/// A queue that nobody else pops meanwhile.
pub(super) struct OurTurn {
    pub(super) pops: Arc<Pops>,
    pub(super) progress: Arc<Progress>,
    pub(super) queue: QueueId,
    pub(super) key: Key,
}

impl Drop for OurTurn {
    fn drop(&mut self) {
        if self.progress.end_pop(self.queue) {
            self.pops.waiting.wake(self.key.clone());
        }
    }
}

/// One pop on its way through the queues.
struct Round<'a> {
    pops: &'a Arc<Pops>,
    pop: &'a Pop,
    filter: &'a Filter,
    settings: &'a BrokerConfig,
    patience: Patience,
    /// Messages that still fit.
    room: usize,
    lease: Lease,
    wait: Wait,
    cold: bool,
}

impl Pops {
    /// Reads the queues of a pop.
    pub(super) fn take(
        self: &Arc<Self>,
        pop: &Pop,
        admitted: &Admitted,
        settings: &BrokerConfig,
        patience: Patience,
    ) -> Taken {
        let now = self.ctx.clock.now();
        let revive_queue = if pop.ordered { ORDER_QUEUE } else { self.next_revive_queue() };
        let lease = Lease {
            reply: answer::empty(pop, now, revive_queue),
            messages: Vec::new(),
            check_points: Vec::new(),
            changes: Vec::new(),
            commits: Vec::new(),
            turns: Vec::new(),
        };
        let mut round = Round {
            pops: self,
            pop,
            filter: &admitted.filter,
            settings,
            patience,
            room: usize::try_from(pop.header.max_msg_nums).unwrap_or(0),
            lease,
            wait: Wait::default(),
            cold: false,
        };
        for (topic, queue) in self.queues_of(pop, admitted, settings) {
            round.take_from(&topic, queue);
        }
        round.finish()
    }

    /// The queues to read, in order. Messages to be retried come first now and then, else last; so neither they nor the
    /// others starve.
    fn queues_of(&self, pop: &Pop, admitted: &Admitted, settings: &BrokerConfig) -> Vec<(TopicName, QueueId)> {
        let header = &pop.header;
        let chance = rand::random_range(0..100);
        // Queues are in the order of their priorities then, and not in turn.
        let by_priority = !pop.ordered
            && admitted.topic.attributes.get(MESSAGE_TYPE).is_some_and(|kind| kind == "PRIORITY")
            && i64::from(chance) < self.priority_factor(&header.consumer_group);
        let turn = if by_priority { 0 } else { chance };
        let all = |topic: &TopicName, queues: i32| {
            let queues = queues.max(0);
            let place = |at: i32| if settings.priority_order_asc { queues - 1 - at } else { at };
            let turned = (0..queues).map(|at| QueueId((turn + place(at)) % queues));
            turned.map(|queue| (topic.clone(), queue)).collect::<Vec<_>>()
        };
        let mut own = match header.queue_id {
            QueueId(..0) => all(&header.topic, admitted.topic.read_queue_nums),
            queue => vec![(header.topic.clone(), queue)],
        };
        if pop.ordered || header.topic.starts_with(RETRY_PREFIX) {
            return own;
        }
        let v2 = settings.enable_retry_topic_v2;
        // Both in one answer would be told apart by nothing.
        let older = v2 && settings.retrieve_message_from_pop_retry_topic_v1 && chance % 2 == 0;
        let retry = pop_retry_topic(&header.consumer_group, &header.topic, v2 && !older);
        let retries = self.topics.get(&retry).map_or_else(Vec::new, |config| all(&retry, config.read_queue_nums));
        let retry_first = if by_priority {
            settings.pop_from_retry_probability_for_priority
        } else {
            settings.pop_from_retry_probability
        };
        if chance < retry_first {
            own.splice(0..0, retries);
        } else {
            own.extend(retries);
        }
        own
    }

    /// Percent of a group's pops that go by priority. Java: `SubscriptionGroupConfig.getPriorityFactor`.
    fn priority_factor(&self, group: &str) -> i64 {
        let group = self.groups.get(group);
        let factor = group.as_ref().and_then(|group| group.attributes.get(PRIORITY_FACTOR)?.parse().ok());
        factor.unwrap_or(100)
    }

    /// Where a group begins that is new to a queue. Java: `PopMessageProcessor.getInitOffset`.
    fn first_offset(&self, topic: &TopicName, queue: QueueId, init_mode: i32, by_memory: bool) -> QueueOffset {
        if init_mode == 0 || topic.starts_with(RETRY_PREFIX) {
            return self.store.min_offset(topic, queue).unwrap_or_default();
        }
        if by_memory && self.offsets.is_whole_and_recent(topic, queue) {
            return QueueOffset(0);
        }
        let max = self.store.max_offset(topic, queue).unwrap_or_default();
        QueueOffset((max.0 - 1).max(0))
    }
}

impl Round<'_> {
    fn take_from(&mut self, topic: &TopicName, queue: QueueId) {
        let (pops, header) = (self.pops, &self.pop.header);
        let group = &header.consumer_group;
        let place = (topic, group, queue);
        let progress = pops.offsets.progress(group, topic);
        let max = pops.store.max_offset(topic, queue).unwrap_or_default();
        let committed = match progress.begin_pop(queue) {
            Turn::Busy => {
                let behind = progress.get(queue).map_or(0, |committed| max.0 - committed.0);
                self.lease.reply.rest_num += if self.pop.ordered { 0 } else { behind };
                self.wait.busy.push((progress, queue));
                return;
            }
            Turn::Ours { committed } => committed,
        };
        let turn =
            OurTurn { pops: Arc::clone(pops), progress: Arc::clone(&progress), queue, key: self.pop.key.clone() };
        let reset = progress.begin(queue).reset;
        if let Some(to) = reset {
            tracing::info!(%group, %topic, %queue, %to, "a reset takes effect");
            pops.book.clear(place);
            pops.in_flight.clear(place);
        }
        if !self.pop.ordered && pops.is_full(place, self.settings) {
            self.lease.reply.rest_num += reset.or(committed).map_or(0, |committed| (max.0 - committed.0).max(0));
            self.wait.full.push((topic.clone(), group.clone(), queue));
            return;
        }
        let offset = reset.or(committed).filter(|offset| offset.0 >= 0).unwrap_or_else(|| {
            let by_memory = self.settings.init_pop_offset_by_check_msg_in_mem;
            let first = pops.first_offset(topic, queue, header.init_mode, by_memory);
            pops.offsets.commit(group, topic, queue, first);
            first
        });
        if self.pop.ordered {
            let attempt = header.attempt_id.as_deref();
            if let Some(until) =
                pops.book.blocked_until(attempt, place, header.invisible_time, self.lease.reply.pop_time)
            {
                self.wait.until_at_most(until);
                return;
            }
        }
        if self.room == 0 {
            self.lease.reply.rest_num += (max.0 - offset.0).max(0);
            return;
        }
        let Some((offset, outcome)) = self.read(place.0, queue, offset, &progress) else {
            // What was found in other queues is given first.
            self.cold = true;
            self.lease.reply.rest_num += (max.0 - offset.0).max(0);
            return;
        };
        let next = outcome.next_offset;
        self.lease.reply.rest_num += (outcome.max_offset.0 - next.0).max(0);
        if outcome.count == 0 {
            let passed_over = matches!(
                outcome.status,
                ReadStatus::NoMatched
                    | ReadStatus::OffsetFoundNull
                    | ReadStatus::MessageWasRemoving
                    | ReadStatus::NoMatchedQueue
            );
            if passed_over && next > offset {
                progress.advance(queue, next);
                pops.offsets.changed();
            }
            self.wait.growth.push((topic.clone(), queue, if passed_over { next } else { offset.max(next) }));
            return;
        }
        if self.lease_messages(topic, queue, offset, outcome, &progress) {
            self.lease.turns.push(turn);
        }
    }

    /// Reads; once more, if the offset is not in the queue. `None`: the messages are on disk only.
    fn read(
        &self,
        topic: &TopicName,
        queue: QueueId,
        offset: QueueOffset,
        progress: &Progress,
    ) -> Option<(QueueOffset, ReadOutcome)> {
        let read = |offset: QueueOffset| {
            let request =
                ReadRequest { topic, queue_id: queue, offset, max_messages: self.room, max_bytes: usize::MAX };
            match self.patience {
                Patience::None => self.filter.with(|filter| self.pops.store.read_now(&request, filter)),
                Patience::ForDisk => {
                    let outcome = self.filter.with(|filter| self.pops.store.read(&request, filter));
                    outcome.messages.iter().for_each(|messages| fetch(messages));
                    Some(outcome)
                }
            }
        };
        let outcome = read(offset)?;
        let misplaced = matches!(
            outcome.status,
            ReadStatus::OffsetTooSmall | ReadStatus::OffsetOverflowBadly | ReadStatus::OffsetFoundNull
        );
        if !misplaced {
            return Some((offset, outcome));
        }
        let next = outcome.next_offset;
        tracing::warn!(%topic, %queue, %offset, %next, "a pop starts elsewhere, as its offset is not in the queue");
        progress.commit(queue, next);
        self.pops.offsets.changed();
        Some((next, read(next)?))
    }

    /// False if none of them is to be handed out.
    fn lease_messages(
        &mut self,
        topic: &TopicName,
        queue: QueueId,
        start: QueueOffset,
        outcome: ReadOutcome,
        progress: &Arc<Progress>,
    ) -> bool {
        let header = &self.pop.header;
        let (group, next) = (&header.consumer_group, outcome.next_offset);
        let place = (topic, group, queue);
        let kind = Kind::of(topic);
        let (count, bytes) = (outcome.count as u64, outcome.bytes as u64);
        let mut messages: Vec<Bytes> = outcome.messages.into_iter().map(Bytes::from).collect();
        let mut offsets = offsets_of(topic, &messages);
        if self.pop.ordered {
            let terms = Terms {
                attempt: header.attempt_id.as_deref(),
                pop_time: self.lease.reply.pop_time,
                invisible_ms: header.invisible_time,
            };
            let info = self.lease.reply.order_count_info.get_or_insert_default();
            let Some((lease, open)) = self.pops.book.lease(place, &terms, &offsets, next, info) else {
                progress.advance(queue, next);
                self.pops.offsets.changed();
                self.wait.growth.push((topic.clone(), queue, next));
                return false;
            };
            if open.len() < offsets.len() {
                messages = only(topic, &messages, |offset| open.contains(&offset));
                offsets = open;
            }
            let (topic, group) = (topic.clone(), group.clone());
            self.lease.changes.push(Change { topic, group, queue, offset: start, lease });
        } else {
            let (broker, place) = (self.pops.ctx.identity.name.clone(), (topic.clone(), group.clone(), queue));
            let (pop_time, invisible_ms) = (self.lease.reply.pop_time, header.invisible_time);
            let check_point = CheckPoint::new(broker, place, pop_time, invisible_ms, start, &offsets);
            self.lease.check_points.push(check_point);
            self.lease.commits.push((Arc::clone(progress), queue, next));
        }
        self.pops.stats.get(group, topic, queue, count, bytes);
        self.room = self.room.saturating_sub(offsets.len());
        let reply = &mut self.lease.reply;
        handle::push_item(reply.start_offset_info.get_or_insert_default(), kind, queue, start);
        let offsets = handle::Offsets(&offsets);
        handle::push_item(reply.msg_offset_info.get_or_insert_default(), kind, queue, offsets);
        if kind == Kind::Normal || self.settings.pop_response_return_actual_retry_topic {
            self.lease.messages.extend(messages);
        } else {
            let redressed: Vec<_> = messages.iter().map(|messages| self.as_normal(messages, start, kind)).collect();
            self.lease.messages.extend(redressed);
        }
        true
    }

    /// Messages to be retried, under the topic that the consumer knows, each with its handle.
    fn as_normal(&self, messages: &Bytes, start: QueueOffset, kind: Kind) -> Bytes {
        let handle = Handle {
            start,
            pop_time: self.lease.reply.pop_time,
            invisible_ms: self.pop.header.invisible_time,
            revive_queue: self.lease.reply.revive_queue,
            broker: &self.pops.ctx.identity.name,
        };
        let mut out = Vec::with_capacity(messages.len() + 128);
        for stored in each(messages) {
            let handle = handle.text(kind, stored.queue_id, stored.queue_offset);
            answer::as_normal(&mut out, &stored, &self.pop.header.topic, &handle);
        }
        out.into()
    }

    fn finish(mut self) -> Taken {
        if self.lease.turns.is_empty() {
            if self.cold {
                return Taken::Cold;
            }
            self.watch_retry_topics();
            return Taken::Nothing { reply: self.lease.reply, wait: self.wait };
        }
        Taken::Leased(self.lease)
    }

    /// A retry topic may come to be while a pop waits, and the one that was not read this time counts, too.
    fn watch_retry_topics(&mut self) {
        let header = &self.pop.header;
        if self.pop.ordered {
            return;
        }
        for topic in retry_topics_on(&header.consumer_group, &header.topic, self.settings) {
            if self.wait.growth.iter().any(|(known, _, _)| *known == topic) {
                continue;
            }
            let progress = self.pops.offsets.progress(&header.consumer_group, &topic);
            let offset = progress.get(QueueId(0)).unwrap_or_default();
            self.wait.growth.push((topic, QueueId(0), offset));
        }
    }
}

impl Pops {
    /// Stores a lease, commits, and answers as soon as it is confirmed.
    pub(super) fn grant(&self, pop: &Pop, lease: Lease) {
        if let Err(err) = self.store_lease(lease, pop) {
            tracing::warn!(group = %pop.header.consumer_group, topic = %pop.header.topic, %err, "a lease is not stored");
            answer::refuse(&pop.peer, pop.to, &err);
        }
    }

    fn store_lease(&self, lease: Lease, pop: &Pop) -> Result<(), PopError> {
        let mut batch = self.batches.take(&self.store);
        self.encode_lease(&lease, &mut batch)?;
        let Lease { reply, messages, check_points, commits, turns, .. } = lease;
        let end = {
            let _leasing = self.offsets.leasing();
            let end = self.store.append(&mut batch)?.end;
            for (progress, queue, next) in commits {
                progress.advance(queue, next);
            }
            end
        };
        for CheckPoint { topic, group, queue, distances, .. } in &check_points {
            self.leased((topic, group, *queue), distances.len());
        }
        self.batches.give_back(batch);
        self.offsets.changed();
        // Others may read on.
        drop(turns);
        let millis = pop.began.elapsed().as_millis() as u64;
        self.stats.get_latency(&pop.header.consumer_group, &pop.header.topic, pop.header.queue_id, millis);
        let (peer, to, busy) = (pop.peer.clone(), pop.to, pop.peer.busy());
        let answer = move |confirmation| {
            match PutError::unless_written(confirmation) {
                Ok(()) => answer::found(&peer, to, &reply, messages),
                Err(err) => answer::refuse(&peer, to, &err.into()),
            }
            drop(busy);
        };
        self.store.when_confirmed(end, Box::new(answer));
        Ok(())
    }

    fn encode_lease(&self, lease: &Lease, batch: &mut AppendBatch) -> Result<(), PopError> {
        for check_point in &lease.check_points {
            self.desk.lease(batch, check_point, lease.reply.revive_queue, lease.reply.pop_time)?;
            self.stats.check_point(&check_point.group, &check_point.topic);
        }
        for change in &lease.changes {
            self.desk.change(batch, change, self.order_queue(change), lease.reply.pop_time)?;
        }
        Ok(())
    }
}

/// The messages of a slice of the log.
pub(super) fn each(mut messages: &[u8]) -> impl Iterator<Item = StoredMessage<'_>> {
    std::iter::from_fn(move || {
        let stored = StoredMessage::parse(messages).ok()?;
        messages = messages.get(stored.size..).unwrap_or_default();
        Some(stored)
    })
}

fn offsets_of(topic: &str, messages: &[Bytes]) -> Vec<QueueOffset> {
    if topic.starts_with(LIGHT_PREFIX) {
        return messages.iter().flat_map(|slice| each(slice)).map(|stored| stored.offset_in(topic)).collect();
    }
    messages.iter().flat_map(|slice| message::queue_offsets(slice)).collect()
}

/// Only the messages at some offsets.
fn only(topic: &str, messages: &[Bytes], keep: impl Fn(QueueOffset) -> bool) -> Vec<Bytes> {
    let mut kept = Vec::new();
    for slice in messages {
        let mut at = 0;
        for stored in each(slice) {
            if keep(stored.offset_in(topic)) {
                kept.push(slice.slice(at..at + stored.size));
            }
            at += stored.size;
        }
    }
    kept
}
