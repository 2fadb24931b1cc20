//! `RESUME_CHECK_HALF_MESSAGE`: a half message that was given up is asked about again.
//!
//! Java: `AdminBrokerProcessor.resumeCheckHalfMessage`.

use remoting::header::NoHeader;
use remoting::protocol::transaction::ResumeCheckHalfMessage;
use remoting::router::{Call, Handle, Reply};
use store::message::properties::{self, name};
use store::message::{StoredMessage, id};
use thiserror::Error;

use super::half::half_topic;
use super::{QUEUE, Transactions};
use crate::query;
use crate::send::{PutError, store_one};

#[derive(Debug, Error)]
pub(crate) enum ResumeError {
    /// Java's remark for all that is wrong with the id.
    #[error("Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.")]
    NoMessage,
    /// Java's remark.
    #[error("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.")]
    Put(#[from] PutError),
}

impl Handle<ResumeCheckHalfMessage> for Transactions {
    type Error = ResumeError;

    async fn handle(&self, call: Call<ResumeCheckHalfMessage>) -> Result<Reply<NoHeader>, ResumeError> {
        let id = call.header.msg_id.as_deref().and_then(id::decode);
        let (_, offset) = id.ok_or(ResumeError::NoMessage)?;
        let record = query::record(&self.store, offset).await.ok_or(ResumeError::NoMessage)?;
        let stored = StoredMessage::parse(&record).map_err(|_| ResumeError::NoMessage)?;
        let properties = properties::set(stored.properties, name::TRANSACTION_CHECK_TIMES, "0");
        store_one(&self.store, &stored.copy_to(half_topic(), QUEUE, &properties)).await?;
        Ok(Reply::done())
    }
}
