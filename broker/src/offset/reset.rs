//! An administrator puts a group elsewhere.

use remoting::body::fastjson::{self, ObjectKey};
use remoting::body::{MessageQueue, QueueMap, ResetOffsetBody};
use remoting::header::NoHeader;
use remoting::protocol::offset::ResetOffset;
use remoting::router::{Call, Handle, Reply};
use remoting::types::{QueueId, QueueOffset, TopicName};

use super::{Commit, OffsetError, Offsets};
use crate::context::Role;

/// Of [`ResetOffset::offset`]: by time.
const NO_OFFSET: QueueOffset = QueueOffset(-1);

impl Handle<ResetOffset> for Offsets {
    type Error = OffsetError;

    /// The broker works out the target itself and keeps it until the group's next pull of the queue, which is answered
    /// with it; until then commits of the group are dropped. Java: `AdminBrokerProcessor.resetOffset`,
    /// `resetOffsetInner`.
    async fn handle(&self, call: Call<ResetOffset>) -> Result<Reply<NoHeader>, OffsetError> {
        tracing::info!(by = %call.peer.remote(), request = ?call.header, "a reset of offsets begins");
        if !self.ctx.settings().use_server_side_reset_offset {
            return self.push_reset(call).await;
        }
        let targets = self.targets(&call.header).await?;
        let ResetOffset { topic, group, .. } = call.header;
        let progress = self.progress(&group, &topic);
        for (queue, target) in &targets {
            // Java: `ConsumerOffsetManager.assignResetOffset`, which leaves out negative numbers as well.
            if queue.0 >= 0 && target.0 >= 0 && progress.reset(*queue, *target) == Commit::TooManyQueues {
                return Err(OffsetError::TooManyQueues(topic));
            }
        }
        self.moved();
        tracing::info!(%group, %topic, ?targets, "offsets are reset");
        Ok(Reply::done().body(fastjson::write(&ResetOffsetBody { offset_table: self.queue_map(&topic, targets) })))
    }
}

impl Offsets {
    /// Every queue to be reset, and where to.
    async fn targets(&self, request: &ResetOffset) -> Result<Vec<(QueueId, QueueOffset)>, OffsetError> {
        let ResetOffset { topic, group, queue_id, offset, timestamp, .. } = request;
        if *self.ctx.role.borrow() != Role::Master {
            return Err(OffsetError::ResetOnSlave);
        }
        let Some(config) = self.topics.get(topic) else { return Err(OffsetError::ResetUnknownTopic(topic.clone())) };
        if self.groups.get(group).is_none() {
            return Err(OffsetError::ResetUnknownGroup(group.clone()));
        }
        let one = queue_id.filter(|queue| queue.0 >= 0);
        if let (Some(queue), Some(target)) = (one, offset.filter(|offset| *offset != NO_OFFSET)) {
            let (min, max) = self.bounds(topic, queue);
            if target < min || target > max.after(1) {
                return Err(OffsetError::ResetOutOfRange { target, min, max });
            }
            return Ok(vec![(queue, target)]);
        }
        let queues: Vec<_> = match one {
            Some(queue) => vec![queue],
            None => (0..config.read_queue_nums).map(QueueId).collect(),
        };
        if queues.is_empty() {
            return Err(OffsetError::ResetNothing);
        }
        self.by_time(topic, queues, *timestamp).await
    }

    pub(super) fn queue_map(&self, topic: &TopicName, offsets: Vec<(QueueId, QueueOffset)>) -> QueueMap<QueueOffset> {
        let broker_name = &self.ctx.identity.name;
        let key =
            |queue_id| ObjectKey(MessageQueue { topic: topic.clone(), broker_name: broker_name.clone(), queue_id });
        offsets.into_iter().map(|(queue, offset)| (key(queue), offset)).collect()
    }
}
