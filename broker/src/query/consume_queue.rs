//! `QUERY_CONSUME_QUEUE`: the entries of a queue. Java: `AdminBrokerProcessor.queryConsumeQueue`.

use std::sync::Arc;

use remoting::body::{SubscriptionData, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::query::QueryConsumeQueue;
use remoting::router::{Call, Handle, Reply};
use remoting::types::{PhysicalOffset, QueueOffset};
use serde::Serialize;
use store::Entry;

use super::{Queries, QueryError};

/// Most entries in one answer; who wants more asks again.
const ENTRIES_MAX: usize = 10_000;

/// Java: `QueryConsumeQueueResponseBody`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_data: Option<String>,
    max_queue_index: QueueOffset,
    min_queue_index: QueueOffset,
    queue_data: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_data: Option<Arc<SubscriptionData>>,
}

/// Java: `ConsumeQueueData`; `eval` is about queue extensions, which do not exist here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    eval: bool,
    physic_offset: PhysicalOffset,
    physic_size: usize,
    tags_code: i64,
}

impl Handle<QueryConsumeQueue> for Queries {
    type Error = QueryError;

    async fn handle(&self, call: Call<QueryConsumeQueue>) -> Result<Reply<NoHeader>, QueryError> {
        let QueryConsumeQueue { topic, queue_id, index, count, consumer_group } = call.header;
        let topic = topic.unwrap_or_default();
        let bounds = self.store.min_offset(&topic, queue_id).zip(self.store.max_offset(&topic, queue_id));
        let Some((min, max)) = bounds else { return Err(QueryError::NoQueue { topic, queue_id }) };
        if !(min.0..max.0).contains(&index) {
            let remark = format!("Index {index} of {queue_id}@{topic} is not exist!");
            return Ok(Reply::done().remark(remark));
        }
        let (subscription_data, filter_data) = match &consumer_group {
            None => (None, None),
            Some(group) => match self.clients.consumers.subscription(group, &topic) {
                Some(subscription) => (Some(subscription), Some(self.clients.filters.describe(&topic, group))),
                None => (None, Some(format!("{group}@{topic} is not online!"))),
            },
        };
        let count = usize::try_from(count).unwrap_or(0).min(ENTRIES_MAX);
        let entries = self.store.entries(&topic, queue_id, QueueOffset(index), count);
        let within = entries.iter().take_while(|entry| entry.queue_offset < QueueOffset(index).after(count));
        let page = Page {
            filter_data,
            max_queue_index: max,
            min_queue_index: min,
            queue_data: within.map(line).collect(),
            subscription_data,
        };
        Ok(Reply::done().body(fastjson::write(&page)))
    }
}

fn line(entry: &Entry) -> Line {
    Line { eval: false, physic_offset: entry.physical_offset, physic_size: entry.size, tags_code: entry.tags_code }
}
