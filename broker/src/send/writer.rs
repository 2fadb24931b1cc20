//! Messages that the broker stores on its own account.

use std::sync::Arc;

use store::message::Message;
use store::{Confirmation, Position, Store};

use super::error::PutError;
use super::properties::{self, Detour};
use crate::delay::{self, Levels};

/// Stores one message at a time for other features.
pub(crate) struct Writer {
    store: Arc<Store>,
    levels: Arc<Levels>,
}

/// Where the writer put a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) position: Position,
    /// The delay level, if it lies in the schedule topic now.
    pub(crate) level: Option<i32>,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>, levels: Arc<Levels>) -> Arc<Self> {
        Arc::new(Self { store, levels })
    }

    /// Stores a message and waits until that is confirmed; with a delay level above 0, its topic gets it later.
    ///
    /// The level in the properties is replaced by the one given. Not cancel-safe: dropped early, the message may be stored
    /// all the same.
    ///
    /// # Errors
    /// [`PutError`]; after one of the flush the message may be stored.
    pub(crate) async fn put(&self, message: &Message<'_>, level: i32) -> Result<Written, PutError> {
        if level <= 0 {
            return Ok(Written { position: self.store_one(message).await?, level: None });
        }
        let level = self.levels.clip(level);
        let detour = Detour { level, real_topic: message.topic, real_queue: message.queue_id };
        let properties = properties::delayed(message.properties, detour);
        let message = Message {
            topic: delay::schedule_topic(),
            queue_id: delay::queue_of(level),
            properties: &properties,
            ..*message
        };
        Ok(Written { position: self.store_one(&message).await?, level: Some(level) })
    }

    async fn store_one(&self, message: &Message<'_>) -> Result<Position, PutError> {
        let mut batch = self.store.batch();
        batch.push(message)?;
        let (appended, confirmation) = self.store.append_and_confirm(&mut batch).await?;
        match confirmation {
            Confirmation::Confirmed => Ok(appended.positions[0]),
            Confirmation::FlushTimeout => Err(PutError::FlushTimeout),
            Confirmation::Failed => Err(PutError::FlushFailed),
        }
    }
}
