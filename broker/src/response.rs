//! Failures become response codes: one exhaustive `match` per feature.

use remoting::protocol::ResponseCode;
use remoting::router::IntoResponse;

use crate::admin::AdminError;
use crate::assignment::AssignmentError;
use crate::client::ClientError;
use crate::delay::{RecallError, TimerQueryError, TimerRefusal};
use crate::group::GroupError;
use crate::offset::OffsetError;
use crate::pop::PopError;
use crate::pull::{LimitError, PullError};
use crate::query::QueryError;
use crate::replica::OperateError;
use crate::retry::RetryError;
use crate::send::{PutError, SendError};
use crate::topic::TopicError;
use crate::transaction::{EndError, ResumeError};
use remoting::config::UpdateError;
use store::IllegalMessage;

/// Where some remarks send people. Java: `FAQUrl.suggestTodo`.
pub(crate) const SEE: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

impl IntoResponse for ClientError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Body(_) | Self::NoConsumer(_) | Self::FilterUnsupported(_) => ResponseCode::SYSTEM_ERROR,
            Self::BadFilter(_) => ResponseCode::SUBSCRIPTION_PARSE_FAILED,
        }
    }
}

impl IntoResponse for OffsetError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NotFound | Self::NotFoundAsAsked => ResponseCode::QUERY_NOT_FOUND,
            Self::UnknownGroup(_) | Self::ResetUnknownGroup(_) => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::UnknownTopic(_) | Self::ResetUnknownTopic(_) | Self::PushUnknownTopic(_) => {
                ResponseCode::TOPIC_NOT_EXIST
            }
            Self::NoQueueId(_) | Self::NoOffset(_) | Self::TooManyQueues(_) => ResponseCode::INVALID_PARAMETER,
            Self::PushNobody { .. } => ResponseCode::CONSUMER_NOT_ONLINE,
            Self::Load(_)
            | Self::Task(_)
            | Self::Header { .. }
            | Self::ResetOnSlave
            | Self::ResetOutOfRange { .. }
            | Self::ResetNothing
            | Self::PushUnknownGroup(_)
            | Self::PushOldClient(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for PullError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Slave | Self::TooManyWaiting | Self::WaitedTooLong { .. } | Self::TooMuchFromDisk => {
                ResponseCode::SYSTEM_BUSY
            }
            Self::BrokerForbidden(_)
            | Self::LitePullForbidden(_)
            | Self::GroupForbidden(_)
            | Self::TopicForbidden(_)
            | Self::BroadcastForbidden(_)
            | Self::SubscriptionForbidden { .. } => ResponseCode::NO_PERMISSION,
            Self::UnknownGroup(_) => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::UnknownTopic(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::IllegalQueue { .. } => ResponseCode::INVALID_PARAMETER,
            Self::BadSubscription(_) => ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            Self::NoMembers | Self::NotSubscribed | Self::PullConsumerRejected => ResponseCode::SUBSCRIPTION_NOT_EXIST,
            Self::SubscriptionNotLatest => ResponseCode::SUBSCRIPTION_NOT_LATEST,
            Self::NoFilter => ResponseCode::FILTER_DATA_NOT_EXIST,
            Self::FilterNotLatest => ResponseCode::FILTER_DATA_NOT_LATEST,
            Self::Header { .. } | Self::FilterUnsupported(_) | Self::ReaderGone => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for LimitError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Body(_) => ResponseCode::SYSTEM_ERROR,
            Self::Limit { .. } => ResponseCode::INVALID_PARAMETER,
        }
    }
}

impl IntoResponse for PopError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Slave => ResponseCode::SYSTEM_BUSY,
            Self::TooLate(_) => ResponseCode::POLLING_TIMEOUT,
            Self::BrokerForbidden { .. } | Self::TopicForbidden(_) | Self::GroupForbidden(_) => {
                ResponseCode::NO_PERMISSION
            }
            Self::TooManyMessages(_) | Self::IllegalQueue(_) => ResponseCode::INVALID_PARAMETER,
            Self::UnknownTopic(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::UnknownGroup(_) => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::BadSubscription(_) => ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            Self::IllegalAckQueue(_) | Self::NotLeased { .. } => ResponseCode::MESSAGE_ILLEGAL,
            Self::NoMessage { .. } | Self::NothingToAck => ResponseCode::NO_MESSAGE,
            Self::Put(err) => err.code(),
            Self::Header { .. } | Self::Body(_) | Self::NoTimer(_) | Self::Handle(_) | Self::ReaderGone => {
                ResponseCode::SYSTEM_ERROR
            }
        }
    }
}

impl IntoResponse for AssignmentError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::RetryTopic => ResponseCode::NO_PERMISSION,
            Self::UnknownTopic(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::UnknownGroup => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::Body(_) | Self::Save(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for SendError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Rejected => ResponseCode::SYSTEM_BUSY,
            Self::Header { .. }
            | Self::NoBody
            | Self::NotYet { .. }
            | Self::NoQueue { .. }
            | Self::DelayLevel { .. } => ResponseCode::SYSTEM_ERROR,
            Self::Timer(err) => err.code(),
            Self::BrokerForbidden { .. } | Self::TopicForbidden { .. } | Self::TransactionForbidden { .. } => {
                ResponseCode::NO_PERMISSION
            }
            Self::TopicUnknown(err) => err.code(),
            Self::TopicName(_) | Self::QueueId { .. } => ResponseCode::INVALID_PARAMETER,
            Self::GroupUnknown { .. } => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::KeyMissing
            | Self::QueueType { .. }
            | Self::BatchTopicTooLong { .. }
            | Self::BatchToRetry { .. }
            | Self::BadBatch { .. }
            | Self::Illegal { .. } => ResponseCode::MESSAGE_ILLEGAL,
            Self::Put(err) => err.code(),
        }
    }
}

impl IntoResponse for PutError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Illegal(
                IllegalMessage::BodyTooLarge { .. }
                | IllegalMessage::PropertiesTooLarge { .. }
                | IllegalMessage::TopicTooLong { .. }
                | IllegalMessage::TopicName
                | IllegalMessage::QueueId(_)
                | IllegalMessage::LightQueue { .. }
                | IllegalMessage::BadBatch { .. },
            ) => ResponseCode::MESSAGE_ILLEGAL,
            Self::Timer(err) => err.code(),
            Self::Unavailable(_) | Self::DiskFull { .. } | Self::FlushFailed => ResponseCode::SERVICE_NOT_AVAILABLE,
            Self::Busy => ResponseCode::SYSTEM_BUSY,
            Self::Io(_) | Self::TooFewInSync(_) => ResponseCode::SYSTEM_ERROR,
            Self::FlushTimeout => ResponseCode::FLUSH_DISK_TIMEOUT,
            Self::SlaveTimeout => ResponseCode::FLUSH_SLAVE_TIMEOUT,
            Self::NoSlaves => ResponseCode::SLAVE_NOT_AVAILABLE,
        }
    }
}

impl IntoResponse for TimerRefusal {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NotEnabled | Self::Crowded { .. } => ResponseCode::SYSTEM_ERROR,
            Self::Illegal { .. } => ResponseCode::MESSAGE_ILLEGAL,
        }
    }
}

impl IntoResponse for RecallError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Forbidden => ResponseCode::NO_PERMISSION,
            Self::Slave => ResponseCode::SLAVE_NOT_AVAILABLE,
            Self::NotServing => ResponseCode::SERVICE_NOT_AVAILABLE,
            Self::TopicUnknown(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::Handle | Self::OtherTopic | Self::OtherBroker | Self::Time => ResponseCode::ILLEGAL_OPERATION,
            Self::Put(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for TimerQueryError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NotEnabled | Self::Engine | Self::NoRocksDb => ResponseCode::INVALID_PARAMETER,
        }
    }
}

impl IntoResponse for RetryError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NoMaster { .. } | Self::NoMessage { .. } | Self::Put(_) => ResponseCode::SYSTEM_ERROR,
            Self::GroupUnknown { .. } => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::BrokerForbidden { .. } | Self::TopicForbidden { .. } => ResponseCode::NO_PERMISSION,
        }
    }
}

impl IntoResponse for EndError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Slave => ResponseCode::SLAVE_NOT_AVAILABLE,
            Self::TooLate => ResponseCode::ILLEGAL_OPERATION,
            Self::Header { .. } | Self::NoEnd | Self::NoHalfMessage | Self::Group | Self::QueueOffset => {
                ResponseCode::SYSTEM_ERROR
            }
            Self::Illegal { .. } => ResponseCode::MESSAGE_ILLEGAL,
            Self::Put(err) => err.code(),
        }
    }
}

impl IntoResponse for ResumeError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NoMessage | Self::Put(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for QueryError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NoMessage(_) | Self::NoQueue { .. } | Self::ReaderGone => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for TopicError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NotExist { .. } => ResponseCode::TOPIC_NOT_EXIST,
            Self::Name(_) | Self::System { .. } | Self::MixedType | Self::QueueNums { .. } => {
                ResponseCode::INVALID_PARAMETER
            }
            Self::Attribute(_) | Self::Save(_) | Self::Load(_) | Self::Static { .. } => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for GroupError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Name(_) => ResponseCode::INVALID_PARAMETER,
            Self::Attribute(_) | Self::Save(_) | Self::Load(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl IntoResponse for OperateError {
    fn code(&self) -> ResponseCode {
        use dledger::GroupError;
        match self {
            Self::NoAddress => ResponseCode::INVALID_PARAMETER,
            Self::NotSigned(_) => ResponseCode::NO_PERMISSION,
            Self::Group(err) => match err {
                // A follower that has passed it on asks the next leader.
                GroupError::NotLeader { .. } => ResponseCode::SERVICE_NOT_AVAILABLE,
                GroupError::Behind { .. } | GroupError::Quarantined { .. } | GroupError::Unfit { .. } => {
                    ResponseCode::SYSTEM_BUSY
                }
                GroupError::Number(_)
                | GroupError::Unknown { .. }
                | GroupError::OtherAddress { .. }
                | GroupError::Older
                | GroupError::Leads { .. } => ResponseCode::INVALID_PARAMETER,
                GroupError::NotTaken { .. }
                | GroupError::NotAgreed
                | GroupError::Files(_)
                | GroupError::Timing(_)
                | GroupError::Raft(_) => ResponseCode::SYSTEM_ERROR,
            },
        }
    }
}

impl IntoResponse for AdminError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Topic(err) => err.code(),
            Self::Group(err) => err.code(),
            Self::TopicUnknown(_) | Self::NoTopicHere(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::NoGroupHere => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::ConsumersOffline(_) => ResponseCode::CONSUMER_NOT_ONLINE,
            Self::Update(UpdateError::Frozen { .. }) => ResponseCode::NO_PERMISSION,
            Self::ClientTimeout { .. } => ResponseCode::CONSUME_MSG_TIMEOUT,
            Self::Update(UpdateError::Text(_) | UpdateError::Wrong(_))
            | Self::Store(_)
            | Self::Body(_)
            | Self::Task(_)
            | Self::FilterType(_)
            | Self::ProducersUnknown(_)
            | Self::StatsUnknown { .. }
            | Self::ConfigFile(_)
            | Self::ClientOffline { .. }
            | Self::ClientTooOld { .. }
            | Self::ClientCall { .. }
            | Self::NobodyOnline(_)
            | Self::ClientFeature(_)
            | Self::MessageId(_)
            | Self::NoMessage(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}
