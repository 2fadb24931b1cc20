//! Leasing a message anew: for longer, or to have it back sooner. Java: `ChangeInvisibleTimeProcessor`.

use remoting::protocol::pop::{ChangeInvisibleTime, ChangeInvisibleTimeReply};
use remoting::router::{Call, Handle, Reply};
use remoting::types::Timestamp;

use super::ack::ack_of;
use super::record::CheckPoint;
use super::request::Key;
use super::{PopError, Pops, handle};
use crate::send::PutError;

impl Handle<ChangeInvisibleTime> for Pops {
    type Error = PopError;

    async fn handle(&self, call: Call<ChangeInvisibleTime>) -> Result<Reply<ChangeInvisibleTimeReply>, PopError> {
        let header = &call.header;
        self.check_ack_queue(&header.topic, header.queue_id, &call.peer)?;
        let (min, max) = self.offsets.bounds(&header.topic, header.queue_id);
        if header.offset < min || header.offset >= max {
            let (topic, queue, offset) = (header.topic.clone(), header.queue_id, header.offset);
            return Err(PopError::NoMessage { topic, queue, offset, min, max });
        }
        let handle = self.read_handle(&header.extra_info)?;
        if handle.is_ordered() {
            return self.change_ordered(header, &handle).await;
        }
        self.lease_again(header, &handle).await
    }
}

impl Pops {
    /// A lease of its own for the one message, and an acknowledgement of the old one.
    async fn lease_again(
        &self,
        header: &ChangeInvisibleTime,
        handle: &handle::Handle<'_>,
    ) -> Result<Reply<ChangeInvisibleTimeReply>, PopError> {
        let now = self.ctx.clock.now();
        let place = (header.topic.clone(), header.consumer_group.clone(), header.queue_id);
        let (broker, invisible_ms, offset) = (handle.broker.into(), header.invisible_time, header.offset);
        let check_point = CheckPoint {
            suspend: header.suspend == Some(true),
            ..CheckPoint::new(broker, place.clone(), now, invisible_ms, offset, &[offset])
        };
        let mut batch = self.batches.take(&self.store);
        // In this order: if only the first arrives, the message comes twice, not never.
        self.desk.lease(&mut batch, &check_point, handle.revive_queue, now)?;
        self.stats.check_point(&header.consumer_group, &header.topic);
        let ack = ack_of(handle, place, header.offset);
        self.desk.ack(&mut batch, &ack, handle.revive_queue, handle.ends(), now)?;
        self.stats.acknowledged(&header.consumer_group, &header.topic, 1);
        let (_, confirmation) = self.store.append_and_confirm(&mut batch).await?;
        PutError::unless_written(confirmation)?;
        self.batches.give_back(batch);
        let reply = ChangeInvisibleTimeReply {
            pop_time: now,
            invisible_time: header.invisible_time,
            revive_queue: handle.revive_queue,
        };
        Ok(reply.into())
    }

    /// The lease stays; only the message's own time changes.
    async fn change_ordered(
        &self,
        header: &ChangeInvisibleTime,
        handle: &handle::Handle<'_>,
    ) -> Result<Reply<ChangeInvisibleTimeReply>, PopError> {
        let (topic, group, queue) = (&header.topic, &header.consumer_group, header.queue_id);
        let committed = self.offsets.get(group, topic, queue).unwrap_or_default();
        if header.offset < committed {
            let nothing = ChangeInvisibleTimeReply { pop_time: Timestamp(0), invisible_time: 0, revive_queue: 0 };
            return Ok(nothing.into());
        }
        let visible = Timestamp(self.ctx.clock.now().0.saturating_add(header.invisible_time));
        let lease = self.book.show((topic, group, queue), header.offset, handle.pop_time, visible);
        if let Some(confirmed) = self.store_change((topic, group, queue), committed, lease)? {
            confirmed.await?;
        }
        // Perhaps sooner than those who wait were told.
        self.waiting.wake(Key { topic: topic.clone(), group: group.clone() });
        let reply = ChangeInvisibleTimeReply {
            pop_time: handle.pop_time,
            invisible_time: visible.0.saturating_sub(handle.pop_time.0),
            revive_queue: handle.revive_queue,
        };
        Ok(reply.into())
    }
}
