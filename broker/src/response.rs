//! Every failure's response code, by exhaustive match.

use remoting::protocol::ResponseCode;
use remoting::router::IntoResponse;
use store::IllegalMessage;

use crate::query::QueryError;
use crate::retry::RetryError;
use crate::send::{PutError, SendError};

impl IntoResponse for SendError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Rejected => ResponseCode::SYSTEM_BUSY,
            Self::Header { .. }
            | Self::NoBody
            | Self::NotYet { .. }
            | Self::NoQueue { .. }
            | Self::DelayLevel { .. } => ResponseCode::SYSTEM_ERROR,
            Self::TimerNotEnabled => ResponseCode::SYSTEM_ERROR,
            Self::BrokerForbidden { .. } | Self::TopicForbidden { .. } | Self::TransactionForbidden { .. } => {
                ResponseCode::NO_PERMISSION
            }
            Self::TopicUnknown(_) => ResponseCode::TOPIC_NOT_EXIST,
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
                | IllegalMessage::BadBatch { .. },
            ) => ResponseCode::MESSAGE_ILLEGAL,
            Self::Unavailable(_) | Self::FlushFailed => ResponseCode::SERVICE_NOT_AVAILABLE,
            Self::Io(_) => ResponseCode::SYSTEM_ERROR,
            Self::FlushTimeout => ResponseCode::FLUSH_DISK_TIMEOUT,
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

impl IntoResponse for QueryError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NoMessage(_) | Self::NoQueue { .. } => ResponseCode::SYSTEM_ERROR,
        }
    }
}
