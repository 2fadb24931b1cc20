//! From when to when queues have messages, and where in that time a group is.

use remoting::body::{QueueTimeSpan, QueueTimeSpanList, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::group::QueryConsumeTimeSpan;
use remoting::router::{Call, Handle, Reply};
use remoting::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};

use super::Consumption;
use crate::admin::AdminError;

/// What Java says for the time of no message.
const NO_TIME: Timestamp = Timestamp(-1);

impl Handle<QueryConsumeTimeSpan> for Consumption {
    type Error = AdminError;

    /// Java: `queryConsumeTimeSpan`.
    async fn handle(&self, call: Call<QueryConsumeTimeSpan>) -> Result<Reply<NoHeader>, AdminError> {
        let QueryConsumeTimeSpan { topic, group } = call.header;
        let Some(config) = self.topics.get(&topic) else { return Err(AdminError::TopicUnknown(topic)) };
        let this = self.clone();
        // Times of messages may have to come from the disk.
        let spans = tokio::task::spawn_blocking(move || {
            (0..config.write_queue_nums).map(|number| this.time_span(&group, &topic, QueueId(number))).collect()
        });
        Ok(Reply::done().body(fastjson::write(&QueueTimeSpanList { consume_time_span_set: spans.await? })))
    }
}

impl Consumption {
    fn time_span(&self, group: &GroupName, topic: &TopicName, queue_id: QueueId) -> QueueTimeSpan {
        let time = |offset: QueueOffset| self.store.store_time(topic, queue_id, offset);
        let end = self.store.max_offset(topic, queue_id).unwrap_or_default();
        // A group without an offset has consumed nothing.
        let consumed = self.offsets.get(group, topic, queue_id).unwrap_or_default().max(QueueOffset(0));
        let first = self.store.earliest_store_time(topic, queue_id).unwrap_or(NO_TIME);
        let last_consumed = (consumed.0 > 0).then(|| time(QueueOffset(consumed.0 - 1)).unwrap_or(NO_TIME));
        let waiting_since = (consumed < end).then(|| time(consumed)).flatten();
        QueueTimeSpan {
            consume_time_stamp: last_consumed.unwrap_or(first),
            delay_time: waiting_since.map_or(0, |since| self.ctx.clock.now().0 - since.0),
            max_time_stamp: time(QueueOffset(end.0 - 1)).unwrap_or(NO_TIME),
            message_queue: self.queue(topic, queue_id),
            min_time_stamp: first,
        }
    }
}
