//! Waiting for messages of one queue, or being told of many.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use remoting::types::QueueOffset;

use crate::consume_queue::{Queue, Reports};

/// Messages that come to one queue; got from [`crate::Store::arrivals`]. Equal if the queue is the same one; a topic that
/// was deleted and made again has others.
#[derive(Clone)]
pub struct Arrivals {
    pub(crate) queue: Arc<Queue>,
    pub(crate) reports: Arc<Reports>,
}

impl Arrivals {
    /// Returns once the queue holds a message at `offset` or later, or its topic was deleted.
    ///
    /// Cancel-safe. After a deletion it returns at once for ever: read again, and ask the store for new arrivals.
    pub async fn past(&self, offset: QueueOffset) {
        self.queue.grown_past(offset.0).await;
    }

    /// Has the queue reported by [`crate::Store::grown`], once: as soon as it holds a message at `offset` or later, or its
    /// topic was deleted. Earlier if somebody else asked for that.
    pub fn report_past(&self, offset: QueueOffset) {
        if self.queue.ask_report(offset.0) {
            self.reports.push(Arc::clone(&self.queue));
        }
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arrivals").field(&self.queue.topic).field(&self.queue.queue_id).finish()
    }
}

impl PartialEq for Arrivals {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.queue, &other.queue)
    }
}

impl Eq for Arrivals {}

impl Hash for Arrivals {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.queue).hash(state);
    }
}
