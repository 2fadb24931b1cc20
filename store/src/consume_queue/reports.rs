//! Queues that grew and whose growth somebody asked to be told of.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Queue;

/// Filled by whoever dispatches, emptied by one task: many queues cost it one wake-up.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    grown: Mutex<Vec<Arc<Queue>>>,
    pushed: Notify,
}

impl Reports {
    pub(crate) fn push(&self, queue: Arc<Queue>) {
        self.grown.lock().push(queue);
        self.pushed.notify_one();
    }

    /// Waits until there is a report, and takes all there are. Cancel-safe.
    pub(crate) async fn take(&self) -> Vec<Arc<Queue>> {
        loop {
            let grown = std::mem::take(&mut *self.grown.lock());
            if !grown.is_empty() {
                return grown;
            }
            self.pushed.notified().await;
        }
    }
}
