//! Why a request of POP is refused. Texts are Java's remarks.

use std::net::IpAddr;

use remoting::header::HeaderError;
use remoting::protocol::RequestCode;
use remoting::types::{GroupName, Host, QueueId, QueueOffset, TopicName};
use store::{AppendError, IllegalMessage};
use thiserror::Error;

use crate::filter::FilterError;
use crate::response::SEE;
use crate::send::PutError;

#[derive(Debug, Error)]
pub(crate) enum PopError {
    #[error("{code}: {cause}")]
    Header { code: RequestCode, cause: HeaderError },
    #[error("the body does not parse: {0}")]
    Body(#[from] serde_json::Error),
    #[error("[REJECTREQUEST]system busy, start flow control for a while")]
    Slave,
    #[error("the broker[{0}] pop message is timeout too much")]
    TooLate(IpAddr),
    #[error("the broker[{ip}] {what} is forbidden")]
    BrokerForbidden { ip: IpAddr, what: &'static str },
    #[error("the broker[{0}] pop message's num is greater than 32")]
    TooManyMessages(IpAddr),
    #[error("the broker[{0}] pop message is forbidden because timerWheelEnable is false")]
    NoTimer(IpAddr),
    #[error("topic[{0}] not exist, apply first please! {SEE}")]
    UnknownTopic(TopicName),
    #[error("the topic[{0}] peeking message is forbidden")]
    TopicForbidden(TopicName),
    #[error("{0}")]
    IllegalQueue(WrongQueue),
    /// The same, of an acknowledgement.
    #[error("{0}")]
    IllegalAckQueue(WrongQueue),
    #[error("subscription group [{0}] does not exist, {SEE}")]
    UnknownGroup(GroupName),
    #[error("subscription group no permission, {0}")]
    GroupForbidden(GroupName),
    #[error("parse the consumer's subscription failed")]
    BadSubscription(#[from] FilterError),
    #[error("{0:?} is no handle of a message")]
    Handle(String),
    #[error("offset is illegal, key:{topic}@{queue}, commit:{offset}, store:{min}~{max}")]
    NoMessage { topic: TopicName, queue: QueueId, offset: QueueOffset, min: QueueOffset, max: QueueOffset },
    #[error("there is nothing to acknowledge")]
    NothingToAck,
    #[error("offset is illegal, key:{topic}@{group}@{queue}, old:{old}, commit:{offset}, next:-1, {consumer}")]
    NotLeased {
        topic: TopicName,
        group: GroupName,
        queue: QueueId,
        old: QueueOffset,
        offset: QueueOffset,
        consumer: Host,
    },
    /// Java's name of the outcome. Java tells a consumer that its acknowledgement is done also if it could not be stored.
    #[error("{}", .0.java_name())]
    Put(#[from] PutError),
    #[error("the store could not be read")]
    ReaderGone,
}

/// A queue that the topic does not have.
#[derive(Debug, Error)]
#[error("queueId[{queue}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}] consumer:[/{consumer}]")]
pub(crate) struct WrongQueue {
    pub(super) queue: QueueId,
    pub(super) topic: TopicName,
    pub(super) queues: i32,
    pub(super) consumer: Host,
}

impl From<AppendError> for PopError {
    fn from(err: AppendError) -> Self {
        Self::Put(err.into())
    }
}

impl From<IllegalMessage> for PopError {
    fn from(err: IllegalMessage) -> Self {
        Self::Put(err.into())
    }
}
