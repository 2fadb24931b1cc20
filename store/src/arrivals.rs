//! Waiting for messages of one queue.

use std::fmt;
use std::sync::Arc;

use remoting::types::QueueOffset;

use crate::consume_queue::Queue;

/// Waits for messages of one queue; got from [`crate::Store::arrivals`].
#[derive(Clone)]
pub struct Arrivals {
    pub(crate) queue: Arc<Queue>,
}

impl Arrivals {
    /// Returns once the queue holds a message at `offset` or later, or its topic was deleted.
    ///
    /// Cancel-safe. After a deletion it returns at once for ever: read again, and ask the store for new arrivals.
    pub async fn past(&self, offset: QueueOffset) {
        self.queue.grown_past(offset.0).await;
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arrivals").field(&self.queue.topic).field(&self.queue.queue_id).finish()
    }
}
