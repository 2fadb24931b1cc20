//! `RESUME_CHECK_HALF_MESSAGE`: a half message that was given up is asked about again.
//!
//! Java: `AdminBrokerProcessor.resumeCheckHalfMessage`.

use remoting::header::NoHeader;
use remoting::protocol::transaction::ResumeCheckHalfMessage;
use remoting::router::{Call, Handle, Reply};
use store::message::properties::name;
use store::message::{StoredMessage, id};
use store::{Confirmation, IllegalMessage};
use thiserror::Error;

use super::half::half_topic;
use super::{QUEUE, Transactions};
use crate::query;
use crate::send::PutError;
use crate::send::properties::{extend_without, push};

#[derive(Debug, Error)]
pub(crate) enum ResumeError {
    /// Java's remark for all that is wrong with the id.
    #[error("Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.")]
    NoMessage,
    /// Java's remark.
    #[error("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.")]
    Put(#[from] PutError),
}

impl From<IllegalMessage> for ResumeError {
    fn from(err: IllegalMessage) -> Self {
        Self::Put(err.into())
    }
}

impl Handle<ResumeCheckHalfMessage> for Transactions {
    type Error = ResumeError;

    async fn handle(&self, call: Call<ResumeCheckHalfMessage>) -> Result<Reply<NoHeader>, ResumeError> {
        let id = call.header.msg_id.as_deref().and_then(id::decode);
        let (_, offset) = id.ok_or(ResumeError::NoMessage)?;
        let record = query::record(&self.store, offset).await.ok_or(ResumeError::NoMessage)?;
        let stored = StoredMessage::parse(&record).map_err(|_| ResumeError::NoMessage)?;
        let mut properties = String::with_capacity(stored.properties.len() + 32);
        extend_without(&mut properties, stored.properties, &[name::TRANSACTION_CHECK_TIMES]);
        push(&mut properties, name::TRANSACTION_CHECK_TIMES, "0");
        let mut batch = self.store.batch();
        batch.push(&stored.copy_to(half_topic(), QUEUE, &properties))?;
        let (_, confirmation) = self.store.append_and_confirm(&mut batch).await.map_err(PutError::from)?;
        match confirmation {
            Confirmation::Confirmed => Ok(Reply::done()),
            Confirmation::FlushTimeout => Err(PutError::FlushTimeout.into()),
            Confirmation::Failed => Err(PutError::FlushFailed.into()),
        }
    }
}
