//! The bounds of queues, and where in them a time lies.

use std::sync::Arc;

use remoting::protocol::offset::{
    GetEarliestStoreTime, GetMaxOffset, GetMinOffset, OffsetReply, SearchOffset, TimestampReply,
};
use remoting::router::{Call, Handle, Reply};
use remoting::types::{QueueId, QueueOffset, Timestamp, TopicName};
use store::Boundary;
use tokio::task::spawn_blocking;

use super::{OffsetError, Offsets};

/// The answer for a queue without messages.
const NO_TIME: Timestamp = Timestamp(-1);

impl Handle<GetMaxOffset> for Offsets {
    type Error = OffsetError;

    async fn handle(&self, call: Call<GetMaxOffset>) -> Result<Reply<OffsetReply>, OffsetError> {
        let GetMaxOffset { topic, queue_id, .. } = call.header;
        Ok(OffsetReply { offset: self.max_offset(&topic, queue_id) }.into())
    }
}

impl Handle<GetMinOffset> for Offsets {
    type Error = OffsetError;

    async fn handle(&self, call: Call<GetMinOffset>) -> Result<Reply<OffsetReply>, OffsetError> {
        let GetMinOffset { topic, queue_id } = call.header;
        Ok(OffsetReply { offset: self.min_offset(&topic, queue_id) }.into())
    }
}

impl Handle<SearchOffset> for Offsets {
    type Error = OffsetError;

    async fn handle(&self, call: Call<SearchOffset>) -> Result<Reply<OffsetReply>, OffsetError> {
        let SearchOffset { topic, queue_id, timestamp, boundary_type } = call.header;
        // Java: `BoundaryType.getType`, where all but `upper` is lower.
        let upper = boundary_type.is_some_and(|text| text.eq_ignore_ascii_case("upper"));
        let boundary = if upper { Boundary::Upper } else { Boundary::Lower };
        let store = Arc::clone(&self.store);
        // The search reads store times all over the log, which may be on disk.
        let offset = spawn_blocking(move || store.offset_by_time(&topic, queue_id, timestamp, boundary)).await?;
        Ok(OffsetReply { offset }.into())
    }
}

impl Handle<GetEarliestStoreTime> for Offsets {
    type Error = OffsetError;

    async fn handle(&self, call: Call<GetEarliestStoreTime>) -> Result<Reply<TimestampReply>, OffsetError> {
        let GetEarliestStoreTime { topic, queue_id } = call.header;
        let store = Arc::clone(&self.store);
        let earliest = spawn_blocking(move || store.earliest_store_time(&topic, queue_id)).await?;
        Ok(TimestampReply { timestamp: earliest.unwrap_or(NO_TIME) }.into())
    }
}

impl Offsets {
    /// The first message kept, and one behind the last; 0 for a queue that does not exist.
    pub(crate) fn bounds(&self, topic: &str, queue: QueueId) -> (QueueOffset, QueueOffset) {
        (self.min_offset(topic, queue), self.max_offset(topic, queue))
    }

    /// One behind the last message; 0 for a queue that does not exist.
    pub(super) fn max_offset(&self, topic: &str, queue: QueueId) -> QueueOffset {
        self.store.max_offset(topic, queue).unwrap_or_default()
    }

    /// The first message kept; 0 for a queue that does not exist.
    pub(super) fn min_offset(&self, topic: &str, queue: QueueId) -> QueueOffset {
        self.store.min_offset(topic, queue).unwrap_or_default()
    }

    /// Where in each queue the first message lies that is not older than `at`; its end for a negative time.
    ///
    /// # Errors
    /// [`OffsetError::Task`].
    pub(super) async fn by_time(
        &self,
        topic: &TopicName,
        queues: Vec<QueueId>,
        at: Timestamp,
    ) -> Result<Vec<(QueueId, QueueOffset)>, OffsetError> {
        if at.0 < 0 {
            return Ok(queues.into_iter().map(|queue| (queue, self.max_offset(topic, queue))).collect());
        }
        let (store, topic) = (Arc::clone(&self.store), topic.clone());
        let offset = move |queue| (queue, store.offset_by_time(&topic, queue, at, Boundary::Lower));
        Ok(spawn_blocking(move || queues.into_iter().map(offset).collect()).await?)
    }
}
