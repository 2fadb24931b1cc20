//! Why an administrator's request fails; the texts are Java's remarks.

use std::time::Duration;

use remoting::config::UpdateError;
use remoting::connection::CallError;
use remoting::types::{ClientId, GroupName, PhysicalOffset, TopicName};
use remoting::version::Version;
use store::StoreError;
use tokio::task::JoinError;

use crate::group::GroupError;
use crate::topic::TopicError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the body does not parse: {0}")]
    Body(#[from] serde_json::Error),
    #[error("{0}")]
    Task(#[from] JoinError),
    #[error("topicFilterType = [{0}] value invalid")]
    FilterType(String),
    #[error("topic[{0}] not exist")]
    TopicUnknown(TopicName),
    #[error("No topic in this broker. topic: {0}")]
    NoTopicHere(TopicName),
    #[error("No group in this broker")]
    NoGroupHere,
    #[error("the consumer group[{0}] not online")]
    ConsumersOffline(GroupName),
    #[error("the producer group[{0}] not exist")]
    ProducersUnknown(GroupName),
    #[error("The stats <{name}> <{key}> not exist")]
    StatsUnknown { name: String, key: String },
    #[error("{0}")]
    Update(#[from] UpdateError),
    #[error("the settings are in force, but a restart would forget them: {0}")]
    ConfigFile(String),
    #[error("The Consumer <{group}> <{client}> not online")]
    ClientOffline { group: GroupName, client: ClientId },
    #[error("The Consumer <{client}> Version <{version}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT")]
    ClientTooOld { client: ClientId, version: Version },
    #[error("consumer <{group}> <{client}> Timeout: no answer within {within:?}")]
    ClientTimeout { group: GroupName, client: ClientId, within: Duration },
    #[error("invoke consumer <{group}> <{client}> Exception: {cause}")]
    ClientCall { group: GroupName, client: ClientId, cause: CallError },
    #[error("No Any Consumer online in the consumer group: [{0}]")]
    NobodyOnline(GroupName),
    #[error("the client does not support this feature. version={0}")]
    ClientFeature(Version),
    #[error("{0:?} is not the id of a message")]
    MessageId(String),
    #[error("can not find message by the offset, {0}")]
    NoMessage(PhysicalOffset),
}
