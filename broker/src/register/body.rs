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

/// The last body of all topics: several megabytes with many topics, sent to each name server in each period.
#[derive(Default)]
pub(super) struct Bodies {
    all: Mutex<Option<(i32, Body)>>,
}

impl Bodies {
    /// All topics.
    pub(super) fn all(&self, topics: &TopicTable, permission: i32) -> Body {
        let mut kept = self.all.lock();
        if let Some((kept_permission, body)) = &*kept
            && (*kept_permission, body.step) == (permission, topics.step())
        {
            return body.clone();
        }
        let (step, wrapper) = topics.snapshot_with_step();
        let body = encode(step, wrapper, permission);
        *kept = Some((permission, body.clone()));
        body
    }
}

/// The topics of `wrapper`, none of them with more than the broker's own permission.
pub(super) fn encode(step: u64, mut wrapper: TopicConfigWrapper, permission: i32) -> Body {
    const BOTH: i32 = TopicConfig::READ | TopicConfig::WRITE;
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
