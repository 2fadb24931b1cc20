//! Why a pull is refused, in Java's words.

use remoting::body::ExpressionType;
use remoting::header::HeaderError;
use remoting::protocol::RequestCode;
use remoting::types::{GroupName, Host, QueueId, TopicName};
use thiserror::Error;

use crate::filter::FilterError;
use crate::response::SEE;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum PullError {
    #[error("{code}: {cause}")]
    Header { code: RequestCode, cause: HeaderError },
    #[error("[REJECTREQUEST]system busy, start flow control for a while")]
    Slave,
    #[error("the broker[{}] pulling message is forbidden", .0.ip)]
    BrokerForbidden(Host),
    #[error("the broker[{}] for lite pull consumer is forbidden", .0.ip)]
    LitePullForbidden(Host),
    #[error("subscription group [{0}] does not exist, {SEE}")]
    UnknownGroup(GroupName),
    #[error("subscription group no permission, {0}")]
    GroupForbidden(GroupName),
    #[error("topic[{0}] not exist, apply first please! {SEE}")]
    UnknownTopic(TopicName),
    #[error("the topic[{0}] pulling message is forbidden")]
    TopicForbidden(TopicName),
    #[error("queueId[{queue}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}] consumer:[/{consumer}]")]
    IllegalQueue { queue: QueueId, topic: TopicName, queues: i32, consumer: Host },
    #[error("parse the consumer's subscription failed")]
    BadSubscription(#[from] FilterError),
    #[error("the consumer's group info not exist{SEE}")]
    NoMembers,
    #[error("the consumer group[{0}] can not consume by broadcast way")]
    BroadcastForbidden(GroupName),
    #[error("the consumer group[{group}] is forbidden for topic[{topic}]")]
    SubscriptionForbidden { group: GroupName, topic: TopicName },
    #[error("the consumer's subscription not exist{SEE}")]
    NotSubscribed,
    #[error("the consumer's subscription not latest")]
    SubscriptionNotLatest,
    #[error("The broker's consumer filter data is not exist!Your expression may be wrong!")]
    NoFilter,
    #[error("the consumer's consumer filter data not latest")]
    FilterNotLatest,
    #[error("The broker does not support consumer to filter message by {}", .0.0)]
    FilterUnsupported(ExpressionType),
    #[error("the consumer's group info not exist, or the pull consumer is rejected by server.{SEE}")]
    PullConsumerRejected,
    /// As Java's executors answer when their queue is full. Clients try again after a while.
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    TooManyWaiting,
    /// Old messages are read by few, and their turn did not come in time. Java: `BrokerFastFailure`.
    #[error(
        "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: {waited_ms}ms, size of queue: {waiting}"
    )]
    WaitedTooLong { waited_ms: u128, waiting: usize },
    #[error("This consumer group is reading cold data. It has been flow control")]
    TooMuchFromDisk,
    #[error("the store could not be read")]
    ReaderGone,
}

impl PullError {
    /// Which permission is missing. Java: `ForbiddenType`.
    pub(super) fn forbidden_type(&self) -> Option<i32> {
        match self {
            Self::BrokerForbidden(_) | Self::LitePullForbidden(_) => Some(1),
            Self::GroupForbidden(_) => Some(2),
            Self::TopicForbidden(_) => Some(3),
            Self::BroadcastForbidden(_) => Some(4),
            Self::SubscriptionForbidden { .. } => Some(5),
            _ => None,
        }
    }
}
