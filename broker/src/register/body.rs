//! Registrations as bytes, made once for all name servers.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::body::{RegisterBrokerBody, TopicConfig, TopicConfigWrapper, fastjson};

use crate::topic::TopicTable;

/// The body of a registration.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// As Java computes it: 31 bits, so that it is a positive `int`.
    pub(super) crc32: i32,
    /// The step of the topic table that it tells.
    pub(super) step: u64,
}

/// What clients may do with the topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As the topics say.
    AsTheyAre,
    /// They may be written to only.
    ForWriting,
}

/// The last body of all topics: several megabytes with many topics, sent to each name server in each period.
#[derive(Default)]
pub(super) struct Bodies {
    all: Mutex<Option<(i32, Body)>>,
}

impl Bodies {
    /// All topics.
    pub(super) fn all(&self, topics: &TopicTable, permission: i32, shown: Shown) -> Body {
        let mut kept = self.all.lock();
        if let Some((kept_permission, body)) = &*kept
            && (*kept_permission, body.step) == (permission, topics.step())
        {
            return body.clone();
        }
        let (step, wrapper) = topics.snapshot_with_step();
        let body = encode(step, wrapper, permission, shown);
        *kept = Some((permission, body.clone()));
        body
    }
}

/// The topics of `wrapper`, none of them with more than the broker's own permission.
pub(super) fn encode(step: u64, mut wrapper: TopicConfigWrapper, permission: i32, shown: Shown) -> Body {
    const BOTH: i32 = TopicConfig::READ | TopicConfig::WRITE;
    if shown == Shown::ForWriting {
        for topic in wrapper.topic_config_table.values_mut() {
            let topic = Arc::make_mut(topic);
            topic.read_queue_nums = 0;
            topic.perm &= !TopicConfig::READ;
        }
    }
    // Java touches permissions only if the broker lacks one of the two, so that its own bits need not name the others.
    if permission & BOTH != BOTH {
        for topic in wrapper.topic_config_table.values_mut() {
            Arc::make_mut(topic).perm &= permission;
        }
    }
    let body = RegisterBrokerBody { topic_config_serialize_wrapper: wrapper, ..RegisterBrokerBody::default() };
    let bytes = Bytes::from(fastjson::write(&body));
    Body { crc32: (crc32fast::hash(&bytes) & 0x7FFF_FFFF) as i32, bytes, step }
}

#[cfg(test)]
mod tests {
    use remoting::version::Version;

    use super::*;

    #[test]
    fn a_door_can_be_written_to_only() {
        let topic = Arc::new(TopicConfig { read_queue_nums: 4, write_queue_nums: 3, ..TopicConfig::new("T", 1, 6) });
        let wrapper = TopicConfigWrapper {
            topic_config_table: [(topic.topic_name.clone(), topic)].into(),
            ..TopicConfigWrapper::default()
        };
        for (shown, expect) in [(Shown::AsTheyAre, (4, 3, 6)), (Shown::ForWriting, (0, 3, 2))] {
            let body = encode(1, wrapper.clone(), 6, shown);
            let read = RegisterBrokerBody::read(&body.bytes, false, Version::CURRENT).unwrap();
            let topic = &read.topic_config_serialize_wrapper.topic_config_table["T"];
            assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), expect);
        }
    }
}
