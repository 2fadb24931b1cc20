//! Where a group goes on.

use remoting::protocol::offset::{OffsetReply, QueryConsumerOffset};
use remoting::router::{Call, Handle, Reply};
use remoting::types::{QueueId, QueueOffset};

use super::{OffsetError, Offsets};

impl Handle<QueryConsumerOffset> for Offsets {
    type Error = OffsetError;

    /// Java: `ConsumerManageProcessor.queryConsumerOffset`.
    async fn handle(&self, call: Call<QueryConsumerOffset>) -> Result<Reply<OffsetReply>, OffsetError> {
        Ok(self.find(&call.header)?.into())
    }
}

impl Offsets {
    pub(crate) fn find(&self, asked: &QueryConsumerOffset) -> Result<OffsetReply, OffsetError> {
        let QueryConsumerOffset { consumer_group, topic, queue_id, set_zero_if_not_found } = asked;
        let known = self.get(consumer_group, topic, *queue_id).filter(|offset| offset.0 >= 0);
        if let Some(offset) = known {
            return Ok(OffsetReply { offset });
        }
        if *set_zero_if_not_found == Some(false) {
            return Err(OffsetError::NotFoundAsAsked);
        }
        if self.is_whole_and_recent(topic, *queue_id) {
            return Ok(OffsetReply { offset: QueueOffset(0) });
        }
        Err(OffsetError::NotFound)
    }

    /// The queue still has its first message, and it is likely in memory. A group that is new to such a queue consumes
    /// it from the beginning, whatever it would do in an older one.
    pub(crate) fn is_whole_and_recent(&self, topic: &str, queue: QueueId) -> bool {
        if self.store.min_offset(topic, queue).is_none_or(|min| min.0 > 0) {
            return false;
        }
        let first = self.store.entries(topic, queue, QueueOffset(0), 1);
        first.first().is_some_and(|entry| entry.queue_offset.0 == 0 && self.store.in_memory(entry.physical_offset))
    }
}
