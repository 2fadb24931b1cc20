//! The topics of this broker: what exists, how it comes to exist, and who is told.
//!
//! Java: `TopicConfigManager`.

mod attributes;
mod boot;
mod changes;
mod create;
mod mapped;
mod table;
pub(crate) mod validate;

pub(crate) use attributes::{
    Attribute, AttributeChanges, AttributeError, CLEANUP_POLICY, MESSAGE_TYPE, RESERVE_TIME, Rule,
};
pub(crate) use table::{FILE, TopicTable};
pub(crate) use validate::{NameError, OwnTopics, SystemTopics, TIMER_TOPIC};
pub use validate::{is_retry_or_dead_letter, is_system_topic};

use remoting::body::TopicConfig;
use remoting::config::SaveError;
use remoting::types::TopicName;

use crate::persist::LoadError;
use crate::response::SEE;

/// What a topic allows unless somebody says otherwise.
const READ_WRITE: i32 = TopicConfig::READ | TopicConfig::WRITE;
/// Queues of one topic on this broker: tools walk over them one by one.
const QUEUES_MAX: i32 = 100_000;

/// Why a topic is not as the caller wants it.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("topic[{topic}] not exist, apply first please!{SEE}")]
    NotExist { topic: TopicName },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("The topic[{topic}] is conflict with system topic.")]
    System { topic: TopicName },
    /// Java takes any number.
    #[error("The topic[{topic}] can have 0 to {QUEUES_MAX} queues, not {queues}.")]
    QueueNums { topic: TopicName, queues: i32 },
    #[error("MIXED message type is not supported.")]
    MixedType,
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// The change is in force but a restart would forget it.
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("topic {topic} is a static one, and those are not served here; let a Java broker delete it ({file})")]
    Static { topic: TopicName, file: &'static str },
}

#[cfg(test)]
mod tests;
