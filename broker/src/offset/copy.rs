//! Offsets of one group for another.

use std::collections::{BTreeMap, HashSet};

use remoting::body::{CorrectionOffsets, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::offset::{CloneGroupOffset, QueryCorrectionOffset};
use remoting::router::{Call, Handle, Reply};
use remoting::types::{GroupName, QueueId, QueueOffset, TopicName};

use super::{OffsetError, Offsets};

/// Tells the asking group to leave a queue as it is.
const LEAVE: QueueOffset = QueueOffset(i64::MAX);

impl Handle<CloneGroupOffset> for Offsets {
    type Error = OffsetError;

    /// Java: `AdminBrokerProcessor.cloneGroupOffset`, which copies nothing when no topic is named; here it means all.
    async fn handle(&self, call: Call<CloneGroupOffset>) -> Result<Reply<NoHeader>, OffsetError> {
        let CloneGroupOffset { src_group, dest_group, topic, offline } = call.header;
        let topics = match topic.filter(|topic| !topic.trim().is_empty()) {
            Some(topic) => vec![topic],
            None => self.topics_of(&src_group),
        };
        for topic in topics {
            if self.topics.get(&topic).is_none() {
                tracing::warn!(%topic, "offsets of a topic that does not exist are not copied");
            } else if offline != Some(true) && !self.consumes(&src_group, &topic) {
                tracing::warn!(%topic, group = %src_group, "offsets are not copied: the group no longer consumes the topic");
            } else if let Some(source) = self.table.find(&src_group, &topic) {
                self.progress(&dest_group, &topic).copy_from(&source);
                self.moved();
            }
        }
        Ok(Reply::done())
    }
}

impl Handle<QueryCorrectionOffset> for Offsets {
    type Error = OffsetError;

    /// Java: `AdminBrokerProcessor.queryCorrectionOffset`, which also deletes all offsets of the groups left out, in all
    /// topics. A question deletes nothing here.
    async fn handle(&self, call: Call<QueryCorrectionOffset>) -> Result<Reply<NoHeader>, OffsetError> {
        let QueryCorrectionOffset { filter_groups, compare_group, topic } = call.header;
        let left_out: HashSet<&str> = filter_groups.as_deref().unwrap_or_default().split(',').collect();
        let mut smallest = self.smallest(&topic, &left_out);
        if let Some(own) = self.table.find(&compare_group, &topic) {
            for (queue, offset) in own.committed() {
                if let Some(smallest) = smallest.get_mut(&queue)
                    && *smallest > offset
                {
                    *smallest = LEAVE;
                }
            }
        }
        let correction_offsets = smallest.into_iter().map(|(queue, offset)| (queue.0, offset.0)).collect();
        Ok(Reply::done().body(fastjson::write(&CorrectionOffsets { correction_offsets })))
    }
}

impl Offsets {
    /// Nobody of the group is online, or those who are subscribe to the topic.
    fn consumes(&self, group: &GroupName, topic: &TopicName) -> bool {
        let online = self.clients.consumers.group(group).is_some_and(|group| group.subscriptions().len() > 0);
        !online || self.clients.consumers.subscription(group, topic).is_some()
    }

    /// By queue, the smallest offset of all groups that are not behind what is kept.
    fn smallest(&self, topic: &str, left_out: &HashSet<&str>) -> BTreeMap<QueueId, QueueOffset> {
        let mut smallest = BTreeMap::new();
        for group in self.table.groups().iter().filter(|group| !left_out.contains(group.as_str())) {
            let Some(progress) = self.table.find(group, topic) else { continue };
            for (queue, offset) in progress.committed() {
                if offset >= self.min_offset(topic, queue) {
                    smallest.entry(queue).and_modify(|least| *least = offset.min(*least)).or_insert(offset);
                }
            }
        }
        smallest
    }
}
