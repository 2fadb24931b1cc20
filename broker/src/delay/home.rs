//! Where a message that waits belongs once its time has come.

use remoting::types::{QueueId, TopicName};
use store::message::StoredMessage;
use store::message::properties::name;

use crate::topic::validate;

/// Topic and queue that a waiting message says are its own.
pub(super) fn home(stored: &StoredMessage<'_>) -> Result<(TopicName, QueueId), Undeliverable> {
    let topic = stored.property(name::REAL_TOPIC).ok_or(Undeliverable::NoTopic)?;
    let queue_id = stored.property(name::REAL_QUEUE_ID).and_then(|text| text.parse().ok());
    let queue_id = queue_id.ok_or(Undeliverable::NoTopic)?;
    if topic == validate::HALF_TOPIC {
        return Err(Undeliverable::HalfMessage);
    }
    Ok((TopicName::new(topic), queue_id))
}

/// Why a message is passed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undeliverable {
    #[error("it is no longer there")]
    Missing,
    #[error("it does not say where it belongs")]
    NoTopic,
    #[error("it is the half of a transaction")]
    HalfMessage,
    #[error(transparent)]
    Illegal(#[from] store::IllegalMessage),
}
