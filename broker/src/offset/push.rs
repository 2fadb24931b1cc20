//! The older way to reset a group: its members are told to set their offsets.

use bytes::Bytes;
use remoting::body::{QueueWithOffset, ResetOffsetBody, ResetOffsetBodyForCpp, fastjson};
use remoting::header::NoHeader;
use remoting::language::LanguageCode;
use remoting::protocol::callback::ResetClientOffset;
use remoting::protocol::offset::ResetOffset;
use remoting::router::{Call, Reply};
use remoting::types::{QueueId, QueueOffset, Timestamp};
use remoting::version::Version;

use super::{OffsetError, Offsets};

impl Offsets {
    /// With `useServerSideResetOffset` off: members get `RESET_CONSUMER_CLIENT_OFFSET`, and commit the new offsets by
    /// themselves. Java: `Broker2Client.resetOffset`.
    pub(super) async fn push_reset(&self, call: Call<ResetOffset>) -> Result<Reply<NoHeader>, OffsetError> {
        let offsets = self.pushed_offsets(&call.header).await?;
        let ResetOffset { topic, group, timestamp, .. } = call.header;
        let members = self.clients.consumers.group(&group);
        let Some(members) = members.as_ref().map(|group| group.members()) else {
            return Err(OffsetError::PushNobody { group, topic, timestamp });
        };
        // C++ clients read a list, and only they ask for a reset as C++.
        let for_cpp = call.language == LanguageCode::CPP;
        let table = self.queue_map(&topic, offsets);
        let answer = fastjson::write(&ResetOffsetBody { offset_table: table.clone() });
        let body = if for_cpp {
            let entry = |(key, offset): (fastjson::ObjectKey<remoting::body::MessageQueue>, QueueOffset)| {
                let queue = key.0;
                QueueWithOffset {
                    broker_name: queue.broker_name,
                    offset,
                    queue_id: queue.queue_id.0,
                    topic: queue.topic,
                }
            };
            fastjson::write(&ResetOffsetBodyForCpp { offset_table: table.into_iter().map(entry).collect() })
        } else {
            answer.clone()
        };
        let body = Bytes::from(body);
        let request =
            ResetClientOffset { topic, group, queue_id: QueueId(-1), offset: None, timestamp, is_force: false };
        for member in members {
            if member.version < Version::V3_0_7_SNAPSHOT {
                return Err(OffsetError::PushOldClient(member.version.to_string()));
            }
            member.peer.one_way(&request, body.clone());
        }
        Ok(Reply::done().body(answer))
    }

    /// The new offset of every queue; without force, a group never skips messages.
    async fn pushed_offsets(&self, request: &ResetOffset) -> Result<Vec<(QueueId, QueueOffset)>, OffsetError> {
        let ResetOffset { topic, group, timestamp, is_force, .. } = request;
        let Some(config) = self.topics.get(topic) else { return Err(OffsetError::PushUnknownTopic(topic.clone())) };
        let queues: Vec<_> = (0..config.write_queue_nums).map(QueueId).collect();
        let current: Option<Vec<_>> = queues.iter().map(|queue| self.get(group, topic, *queue)).collect();
        let Some(current) = current else { return Err(OffsetError::PushUnknownGroup(group.clone())) };
        // Other negative times search from the beginning, unlike the way above. Java: the same.
        let at = Timestamp(if timestamp.0 == -1 { -1 } else { timestamp.0.max(0) });
        let mut offsets = self.by_time(topic, queues, at).await?;
        for ((_, offset), current) in offsets.iter_mut().zip(current) {
            if *is_force != Some(true) {
                *offset = current.min(*offset);
            }
        }
        Ok(offsets)
    }
}
