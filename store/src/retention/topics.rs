//! Topics that keep their messages for a shorter time than the log does.
//!
//! Their queues forget what is older. Its space comes back when its file of the log goes, as that of all messages does.

use std::sync::Arc;

use remoting::types::{QueueOffset, Timestamp, TopicName};
use tracing::warn;

use super::cleaner::{Cleaner, millis};
use crate::consume_queue::{Boundary, Queue, offset_by_time};

impl Cleaner<'_> {
    /// Has the queues of such topics forget what is too old.
    pub(super) fn expire_topics(&self) {
        let shared = self.shared;
        for (topic, kept) in shared.cleaning.topics().iter() {
            let oldest = Timestamp(shared.clock.now().0.saturating_sub(millis(*kept)));
            for queue in self.queues_of(topic) {
                if shared.is_stopping() {
                    return;
                }
                let stored = |offset| shared.time_of(&queue, QueueOffset(offset));
                // Mostly nothing has expired, which the first message tells.
                if stored(queue.min()).is_some_and(|stored| stored >= oldest) {
                    continue;
                }
                let first = offset_by_time(&queue, oldest, Boundary::Lower, stored);
                if let Err(error) = queue.forget_before(&*shared.disk, first.0) {
                    warn!(%topic, queue_id = %queue.queue_id, %error, "forget messages that the topic keeps no longer");
                }
            }
        }
    }

    fn queues_of(&self, topic: &TopicName) -> impl Iterator<Item = Arc<Queue>> {
        let queues = &self.shared.queues;
        queues.of_topic(topic).into_iter().filter_map(|id| queues.get(topic, id))
    }
}
