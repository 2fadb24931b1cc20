//! A slave that acts for its master sends what is in doubt to another broker set, as half messages of their producers there: those
//! are asked about, and committed where they are. Java: `TransactionalMessageServiceImpl.check`, `TransactionalMessageUtil`.

use std::sync::Arc;

use remoting::types::{QueueOffset, TopicName};
use store::message::properties::{Builder, name};
use store::message::{Message, sys_flag};
use store::{AppendBatch, Store};
use tokio::time::sleep;

use super::half::Half;
use super::turn::Entries;
use super::{Transactions, half_end};

/// Half messages looked at in one go.
const HALVES_MAX: usize = 256;

impl Transactions {
    /// Goes on until the broker stops acting; notes then how far it is.
    pub(super) async fn move_elsewhere(&self) {
        while !self.ctx.stopping.is_cancelled() {
            self.move_all().await;
            self.commit_offsets();
            tokio::select! {
                () = self.ctx.stopping.cancelled() => {}
                () = sleep(self.check_interval()) => {}
            }
        }
        self.commit_offsets();
    }

    async fn move_all(&self) {
        let end = half_end(&self.store);
        let (mut next, mut moved) = (QueueOffset(0), 0);
        loop {
            let halves = {
                let mut doubts = self.doubts.lock();
                doubts.extend(end);
                doubts.list(next, end, HALVES_MAX)
            };
            let Some(last) = halves.last() else { break };
            next = last.after(1);
            for half in halves {
                if self.ctx.stopping.is_cancelled() {
                    return;
                }
                let store = Arc::clone(&self.store);
                let reading = tokio::task::spawn_blocking(move || prepared(&store, half)).await;
                let Ok(found) = reading else { return };
                if let Some(mut batch) = found
                    && let Err(err) = self.outlet.put(&self.ctx, &self.store, &mut batch).await
                {
                    // It stays in doubt here, and the master will ask about it.
                    return tracing::warn!(%err, moved, "half messages are not moved to another broker yet");
                }
                self.doubts.lock().resolve_all([&half]);
                moved += 1;
            }
        }
        if moved > 0 {
            tracing::info!(half_messages = moved, "moved to other brokers, as the master is away");
        }
    }
}

/// A half message as its producer sent it; `None` if it is gone, or never was one.
fn prepared(store: &Store, half: QueueOffset) -> Option<AppendBatch> {
    let entry = Entries::default().find(store, &[half])?;
    let record = store.record_at(entry.physical_offset)?;
    let half = Half::parse(&record)?;
    let (topic, queue_id) = (TopicName::new(half.real_topic?), half.real_queue?);
    let mut properties = Builder::with_capacity(half.stored.properties.len() + 16);
    properties
        .extend_without(half.stored.properties, &[name::REAL_TOPIC, name::REAL_QUEUE_ID, name::TRANSACTION_PREPARED]);
    properties.push(name::TRANSACTION_PREPARED, "true");
    let mut batch = store.batch();
    let message = half.stored.copy_to(&topic, queue_id, properties.as_str());
    let sys_flag = message.sys_flag & !sys_flag::TRANSACTION_MASK | sys_flag::TRANSACTION_PREPARED;
    batch.push(&Message { sys_flag, ..message }).ok()?;
    Some(batch)
}
