//! Messages that the broker stores on its own account.

use std::sync::Arc;

use remoting::types::PhysicalOffset;
use store::message::Message;
use store::{Confirmation, Position, Store};

use super::error::PutError;
use super::properties::{Detour, Found};
use crate::delay::timing::Timing;
use crate::delay::{Until, Waits};
use crate::ha::{Copies, Held};

/// Stores one message at a time for other features.
pub(crate) struct Writer {
    store: Arc<Store>,
    waits: Waits,
    copies: Copies,
}

/// Where the writer put a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) position: Position,
    /// Until when it waits, if its topic gets it later.
    pub(crate) until: Option<Until>,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>, waits: Waits, copies: Copies) -> Arc<Self> {
        Arc::new(Self { store, waits, copies })
    }

    /// Stores a message and waits until that is confirmed, and held by slaves if need be; with a delay level above 0, or if its properties ask the timer to
    /// deliver it, its topic gets it later.
    ///
    /// The level in the properties is replaced by the one given. Not cancel-safe: dropped early, the message may be stored
    /// all the same.
    ///
    /// # Errors
    /// [`PutError`]; after one of the flush or of slaves the message may be stored.
    pub(crate) async fn put(&self, message: &Message<'_>, level: i32) -> Result<Written, PutError> {
        let until = self.waits.until(level, &Timing::in_text(message.properties))?;
        let Some(until) = until else {
            return Ok(Written { position: self.store(message).await?, until: None });
        };
        let detour = Detour { until, real_topic: message.topic, real_queue: message.queue_id };
        let (topic, queue_id, properties) = detour.apply(message.properties);
        let message = Message { topic, queue_id, properties: &properties, ..*message };
        Ok(Written { position: self.store(&message).await?, until: Some(until) })
    }

    async fn store(&self, message: &Message<'_>) -> Result<Position, PutError> {
        let waits_for_slaves = self.copies.are_wanted() && !Found::in_text(message.properties).waits_for_nobody;
        if waits_for_slaves {
            self.copies.enough(self.store.max_physical_offset()).map_err(PutError::TooFewInSync)?;
        }
        let (position, end, confirmation) = append_one(&self.store, message).await?;
        let held = if waits_for_slaves { self.copies.held(end).await } else { Held::Enough };
        PutError::unless_safe(confirmation, held)?;
        Ok(position)
    }
}

/// Stores a message where it says, whatever its properties ask for, and waits until that is confirmed; not for slaves. Not
/// cancel-safe.
///
/// # Errors
/// [`PutError`]; after one of the flush the message may be stored.
pub(crate) async fn store_one(store: &Store, message: &Message<'_>) -> Result<Position, PutError> {
    let (position, _, confirmation) = append_one(store, message).await?;
    PutError::unless_safe(confirmation, Held::Enough)?;
    Ok(position)
}

/// Where it is, where that ends, and whether that is confirmed.
async fn append_one(
    store: &Store,
    message: &Message<'_>,
) -> Result<(Position, PhysicalOffset, Confirmation), PutError> {
    let mut batch = store.batch();
    batch.push(message)?;
    let (appended, confirmation) = store.append_and_confirm(&mut batch).await?;
    Ok((appended.positions[0], appended.end, confirmation))
}
