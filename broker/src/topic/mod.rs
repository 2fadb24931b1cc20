//! The topics of this broker: what exists, how it comes to exist, and who is told.
//!
//! Java: `TopicConfigManager`.

mod attributes;
mod boot;
mod changes;
mod create;
mod table;
pub(crate) mod validate;

pub(crate) use attributes::{Attribute, Rule};
pub use attributes::{AttributeChanges, AttributeError};
pub use table::TopicTable;
pub use validate::{NameError, SystemTopics};

use remoting::config::SaveError;
use remoting::types::TopicName;

use crate::persist::LoadError;

/// Why a topic is not as the caller wants it.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error(
        "topic[{topic}] not exist, apply first please!\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )]
    NotExist { topic: TopicName },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("The topic[{topic}] is conflict with system topic.")]
    System { topic: TopicName },
    #[error("MIXED message type is not supported.")]
    MixedType,
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// The change is in force but a restart would forget it.
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Load(#[from] LoadError),
}
