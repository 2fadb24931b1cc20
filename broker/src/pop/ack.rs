//! Acknowledgements. Java: `AckMessageProcessor`.
//!
//! Those of one read go into the log with one append. What comes too late is taken all the same: it counts if the lease was
//! not worked off yet.

use std::time::Duration;

use bytes::Bytes;
use remoting::body::{BatchAck, BatchAckBody, fastjson};
use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::{DecodeHeader, NoHeader};
use remoting::protocol::pop::{AckMessage, BatchAckMessage};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{Call, Reply};
use remoting::types::{GroupName, Host, QueueId, QueueOffset, Timestamp, TopicName};
use store::AppendBatch;

use super::handle::Handle;
use super::names::{Kind, ORDER_QUEUE};
use super::order::{Acked, Change, Lease};
use super::record::Ack;
use super::request::Key;
use super::take::OurTurn;
use super::{PopError, Pops, answer};
use crate::offset::Turn;
use crate::send::PutError;

/// Pause of an ordered acknowledgement whose queue is being popped.
const TURN_PAUSE: Duration = Duration::from_millis(1);

/// What an ordered acknowledgement says.
pub(super) struct Ordered {
    pub(super) topic: TopicName,
    pub(super) group: GroupName,
    pub(super) queue: QueueId,
    pub(super) offset: QueueOffset,
    pub(super) pop_time: Timestamp,
}

impl Pops {
    /// Acknowledges what one read brought.
    pub(super) fn ack_all(&self, commands: impl Iterator<Item = RemotingCommand>, peer: &Peer) {
        let now = self.ctx.clock.now();
        let mut batch = self.batches.take(&self.store);
        let mut stored = Vec::new();
        for command in commands {
            let to = ReplyTo::of(&command);
            match self.encode_ack(&command, peer, &mut batch, now) {
                Ok(None) => stored.push(to),
                Ok(Some(ordered)) => self.ack_in_turn(ordered, peer, to),
                Err(err) => answer::refuse(peer, to, &err),
            }
        }
        if stored.is_empty() {
            return self.batches.give_back(batch);
        }
        let end = match self.store.append(&mut batch) {
            Ok(appended) => appended.end,
            Err(err) => {
                let err = PopError::from(err);
                tracing::warn!(%err, count = stored.len(), "acknowledgements are not stored");
                return stored.into_iter().for_each(|to| answer::refuse(peer, to, &err));
            }
        };
        self.batches.give_back(batch);
        let (peer, busy) = (peer.clone(), peer.busy());
        let answer = move |confirmation| {
            match PutError::unless_written(confirmation).map_err(PopError::from) {
                Ok(()) => peer.replies(|out| {
                    stored.iter().for_each(|to| out.reply(*to, ResponseCode::SUCCESS, None, &NoHeader, ()));
                }),
                Err(err) => stored.iter().for_each(|to| answer::refuse(&peer, *to, &err)),
            }
            drop(busy);
        };
        self.store.when_confirmed(end, Box::new(answer));
    }

    /// Adds one acknowledgement to the batch, or gives it back if it is an ordered one.
    fn encode_ack(
        &self,
        command: &RemotingCommand,
        peer: &Peer,
        batch: &mut AppendBatch,
        now: Timestamp,
    ) -> Result<Option<Ordered>, PopError> {
        let code = RequestCode::ACK_MESSAGE;
        let header = AckMessage::decode(&command.ext).map_err(|cause| PopError::Header { code, cause })?;
        let AckMessage { consumer_group: group, topic, queue_id: queue, extra_info, offset } = header;
        self.check_ack_queue(&topic, queue, peer)?;
        let (min, max) = self.offsets.bounds(&topic, queue);
        if offset < min || offset > max {
            return Err(PopError::NoMessage { topic, queue, offset, min, max });
        }
        let handle = self.read_handle(&extra_info)?;
        if handle.is_ordered() {
            return Ok(Some(Ordered { topic, group, queue, offset, pop_time: handle.pop_time }));
        }
        let ack = ack_of(&handle, (topic, group, queue), offset);
        self.desk.ack(batch, &ack, handle.revive_queue, handle.ends(), now)?;
        self.stats.acknowledged(&ack.group, &ack.topic, 1);
        self.lease_over((&ack.topic, &ack.group, ack.queue), ack.pop_time, 1);
        Ok(None)
    }

    /// Reads a handle that one of our pops may have given.
    pub(super) fn read_handle<'a>(&self, text: &'a str) -> Result<Handle<'a>, PopError> {
        let known = |queue: i32| queue == ORDER_QUEUE || (0..self.revive_queues).contains(&queue);
        let handle = Handle::parse(text).filter(|handle| known(handle.revive_queue));
        handle.ok_or_else(|| PopError::Handle(text.to_owned()))
    }

    fn ack_in_turn(&self, ordered: Ordered, peer: &Peer, to: ReplyTo) {
        let (this, peer, busy) = (self.shared(), peer.clone(), peer.busy());
        self.ctx.tasks.spawn(async move {
            match this.ack_ordered(&ordered, peer.remote()).await {
                Ok(()) => peer.replies(|out| out.reply(to, ResponseCode::SUCCESS, None, &NoHeader, ())),
                Err(err) => answer::refuse(&peer, to, &err),
            }
            drop(busy);
        });
    }

    /// Java: `AckMessageProcessor.ackOrderly`.
    pub(super) async fn ack_ordered(&self, ack: &Ordered, consumer: Host) -> Result<(), PopError> {
        let Ordered { topic, group, queue, offset, .. } = ack;
        self.stats.acknowledged(group, topic, 1);
        let progress = self.offsets.progress(group, topic);
        let old = loop {
            match progress.begin_pop(*queue) {
                Turn::Ours { committed } => break committed.unwrap_or_default(),
                Turn::Busy => tokio::time::sleep(TURN_PAUSE).await,
            }
        };
        let key = Key { topic: topic.clone(), group: group.clone() };
        let turn = OurTurn { pops: self.shared(), progress, queue: *queue, key: key.clone() };
        let done = if *offset < old { Ok(None) } else { self.ack_in_book(ack, old, consumer) };
        let stored = match done {
            Ok(Some((next, lease))) => {
                self.offsets.commit(group, topic, *queue, next);
                self.store_change((topic, group, *queue), next, lease)
            }
            Ok(None) => Ok(None),
            Err(err) => Err(err),
        };
        drop(turn);
        self.waiting.wake(key);
        match stored? {
            Some(confirmed) => confirmed.await,
            None => Ok(()),
        }
    }

    fn ack_in_book(
        &self,
        ack: &Ordered,
        old: QueueOffset,
        consumer: Host,
    ) -> Result<Option<(QueueOffset, Option<Lease>)>, PopError> {
        let Ordered { topic, group, queue, offset, pop_time } = ack;
        match self.book.ack((topic, group, *queue), *offset, *pop_time) {
            (Acked::Next(next), lease) => Ok(Some((next, lease))),
            (Acked::Stale, _) => Ok(None),
            (Acked::NotLeased, _) => {
                let (topic, group, queue, offset) = (topic.clone(), group.clone(), *queue, *offset);
                Err(PopError::NotLeased { topic, group, queue, old, offset, consumer })
            }
        }
    }

    /// Writes a change of the book into the revive log; what is returned waits until that is confirmed.
    pub(super) fn store_change(
        &self,
        (topic, group, queue): (&TopicName, &GroupName, QueueId),
        offset: QueueOffset,
        lease: Option<Lease>,
    ) -> Result<Option<impl Future<Output = Result<(), PopError>> + Send + use<>>, PopError> {
        let Some(lease) = lease else { return Ok(None) };
        let change = Change { topic: topic.clone(), group: group.clone(), queue, offset, lease };
        let mut batch = self.batches.take(&self.store);
        self.desk.change(&mut batch, &change, self.order_queue(&change), self.ctx.clock.now())?;
        let end = {
            let _leasing = self.offsets.leasing();
            self.store.append(&mut batch)?.end
        };
        self.batches.give_back(batch);
        let confirmation = self.store.confirmation(end);
        Ok(Some(async move { Ok(PutError::unless_written(confirmation.await)?) }))
    }
}

/// The record of an acknowledgement of one message.
pub(super) fn ack_of(
    handle: &Handle<'_>,
    (topic, group, queue): (TopicName, GroupName, QueueId),
    offset: QueueOffset,
) -> Ack {
    let (broker, pop_time, start) = (handle.broker.into(), handle.pop_time, handle.start);
    Ack { offset, offsets: None, broker, group, pop_time, queue, start, topic }
}

impl remoting::router::Handle<BatchAckMessage> for Pops {
    type Error = PopError;

    async fn handle(&self, call: Call<BatchAckMessage>) -> Result<Reply<NoHeader>, PopError> {
        let body = batch_body(&call.body)?;
        let now = self.ctx.clock.now();
        let mut batch = self.batches.take(&self.store);
        for ack in &body.acks {
            let topic = Kind::topic(&ack.retry, &ack.topic, &ack.consumer_group);
            let topic = topic.ok_or_else(|| PopError::Handle(ack.retry.clone()))?;
            let offsets = self.offsets_to_ack(&topic, ack);
            if ack.revive_queue == ORDER_QUEUE {
                for offset in offsets {
                    let (group, queue) = (ack.consumer_group.clone(), ack.queue_id);
                    let ordered = Ordered { topic: topic.clone(), group, queue, offset, pop_time: ack.pop_time };
                    self.ack_ordered(&ordered, call.peer.remote()).await?;
                }
            } else if !offsets.is_empty() && (0..self.revive_queues).contains(&ack.revive_queue) {
                self.stats.acknowledged(&ack.consumer_group, &topic, offsets.len() as u64);
                let ends = Timestamp(ack.pop_time.0.saturating_add(ack.invisible_time));
                let record = Ack {
                    offset: QueueOffset(-1),
                    offsets: Some(offsets),
                    broker: body.broker_name.clone(),
                    group: ack.consumer_group.clone(),
                    pop_time: ack.pop_time,
                    queue: ack.queue_id,
                    start: ack.start_offset,
                    topic,
                };
                self.desk.ack(&mut batch, &record, ack.revive_queue, ends, now)?;
                let place = (&record.topic, &record.group, record.queue);
                self.lease_over(place, record.pop_time, record.offsets().len());
            }
        }
        if !batch.is_empty() {
            let (_, confirmation) = self.store.append_and_confirm(&mut batch).await?;
            PutError::unless_written(confirmation)?;
        }
        self.batches.give_back(batch);
        Ok(Reply::done())
    }
}

impl Pops {
    /// Those of the batch that the queue has.
    fn offsets_to_ack(&self, topic: &TopicName, ack: &BatchAck) -> Vec<QueueOffset> {
        let queue = ack.queue_id;
        let bounds = self.store.min_offset(topic, queue).zip(self.store.max_offset(topic, queue));
        let Some((min, max)) = bounds else {
            tracing::warn!(%topic, %queue, "a batch of acknowledgements is for a queue that is not there");
            return Vec::new();
        };
        let offsets = ack.distances.iter().map(|distance| ack.start_offset.after(distance));
        offsets.filter(|offset| (min..=max).contains(offset)).collect()
    }
}

fn batch_body(body: &Bytes) -> Result<BatchAckBody, PopError> {
    if body.is_empty() {
        return Err(PopError::NothingToAck);
    }
    let body: BatchAckBody = fastjson::read(body)?;
    if body.acks.is_empty() { Err(PopError::NothingToAck) } else { Ok(body) }
}
