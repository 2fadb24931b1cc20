//! Messages that the broker stores on its own account.

use std::sync::Arc;

use store::message::Message;
use store::{Confirmation, Position, Store};

use super::error::PutError;
use super::properties::Detour;
use crate::delay::timing::Timing;
use crate::delay::{Until, Waits};

/// Stores one message at a time for other features.
pub(crate) struct Writer {
    store: Arc<Store>,
    waits: Waits,
}

/// Where the writer put a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) position: Position,
    /// Until when it waits, if its topic gets it later.
    pub(crate) until: Option<Until>,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>, waits: Waits) -> Arc<Self> {
        Arc::new(Self { store, waits })
    }

    /// Stores a message and waits until that is confirmed; with a delay level above 0, or if its properties ask the timer to
    /// deliver it, its topic gets it later.
    ///
    /// The level in the properties is replaced by the one given. Not cancel-safe: dropped early, the message may be stored
    /// all the same.
    ///
    /// # Errors
    /// [`PutError`]; after one of the flush the message may be stored.
    pub(crate) async fn put(&self, message: &Message<'_>, level: i32) -> Result<Written, PutError> {
        let Some(until) = self.waits.until(level, &Timing::in_text(message.properties))? else {
            return Ok(Written { position: store_one(&self.store, message).await?, until: None });
        };
        let detour = Detour { until, real_topic: message.topic, real_queue: message.queue_id };
        let (topic, queue_id, properties) = detour.apply(message.properties);
        let message = Message { topic, queue_id, properties: &properties, ..*message };
        Ok(Written { position: store_one(&self.store, &message).await?, until: Some(until) })
    }
}

/// Stores a message where it says, whatever its properties ask for, and waits until that is confirmed. Not cancel-safe.
///
/// # Errors
/// [`PutError`]; after one of the flush the message may be stored.
pub(crate) async fn store_one(store: &Store, message: &Message<'_>) -> Result<Position, PutError> {
    let mut batch = store.batch();
    batch.push(message)?;
    let (appended, confirmation) = store.append_and_confirm(&mut batch).await?;
    match confirmation {
        Confirmation::Confirmed => Ok(appended.positions[0]),
        Confirmation::FlushTimeout => Err(PutError::FlushTimeout),
        Confirmation::Failed => Err(PutError::FlushFailed),
    }
}
