//! Queue locks: within an ordered group at most one client consumes a queue.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use remoting::body::{LockBatchRequestBody, LockBatchResponseBody, MessageQueue, UnlockBatchRequestBody, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::client::{LockBatch, UnlockBatch};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{ClientId, GroupName};
use tokio::time::{Duration, Instant};

use super::ClientError;

/// Locks by group and queue, in memory only: after a restart clients lock anew. Java: `RebalanceLockManager`.
#[derive(Default)]
pub(crate) struct Locks {
    groups: DashMap<GroupName, HashMap<MessageQueue, Lock>>,
}

struct Lock {
    holder: ClientId,
    renewed: Instant,
}

/// Clients renew every 20 s. Java: `rocketmq.broker.rebalance.lockMaxLiveTime`.
const LIFE: Duration = Duration::from_secs(60);
/// Queues one group may lock; further ones are not granted. Nothing checks that a queue exists, as in Java.
const QUEUES_MAX: usize = 100_000;

impl Lock {
    fn is_expired(&self) -> bool {
        self.renewed.elapsed() > LIFE
    }
}

pub(crate) fn routes(locks: &Arc<Locks>, router: &mut Router) {
    router.on::<LockBatch>(locks).on::<UnlockBatch>(locks);
}

impl Locks {
    /// The group holds a lock, so it consumes in order and may not have its messages retried.
    ///
    /// Java: `!RebalanceLockManager.isLockAllExpired`.
    pub(crate) fn held(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|locks| locks.values().any(|lock| !lock.is_expired()))
    }

    /// Grants or renews what is free, expired or the client's own; returns the queues it holds now.
    pub(crate) fn lock(&self, group: &GroupName, queues: Vec<MessageQueue>, client: &ClientId) -> Vec<MessageQueue> {
        let mut locks = self.groups.entry(group.clone()).or_default();
        let mut granted = Vec::with_capacity(queues.len());
        for queue in queues {
            let full = locks.len() >= QUEUES_MAX;
            match locks.get_mut(&queue) {
                Some(lock) if lock.holder != *client && !lock.is_expired() => {
                    tracing::debug!(%group, %client, holder = %lock.holder, ?queue, "queue is locked by another client");
                    continue;
                }
                Some(lock) => *lock = Lock { holder: client.clone(), renewed: Instant::now() },
                None if full => continue,
                None => {
                    locks.insert(queue.clone(), Lock { holder: client.clone(), renewed: Instant::now() });
                }
            }
            granted.push(queue);
        }
        granted
    }

    /// Gives back the client's own locks; others stay.
    pub(crate) fn unlock(&self, group: &GroupName, queues: &[MessageQueue], client: &ClientId) {
        let Some(mut locks) = self.groups.get_mut(group) else { return };
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| lock.holder == *client) {
                locks.remove(queue);
            }
        }
    }

    /// Forgets expired locks, which count as free anyway.
    pub(super) fn expire(&self) {
        self.groups.retain(|_, locks| {
            locks.retain(|_, lock| !lock.is_expired());
            !locks.is_empty()
        });
    }
}

impl Handle<LockBatch> for Locks {
    type Error = ClientError;

    async fn handle(&self, call: Call<LockBatch>) -> Result<Reply<NoHeader>, ClientError> {
        let body: LockBatchRequestBody = fastjson::read(&call.body)?;
        let granted = self.lock(&body.consumer_group, body.mq_set, &body.client_id);
        Ok(Reply::done().body(fastjson::write(&LockBatchResponseBody { lock_ok_mq_set: granted })))
    }
}

impl Handle<UnlockBatch> for Locks {
    type Error = ClientError;

    async fn handle(&self, call: Call<UnlockBatch>) -> Result<Reply<NoHeader>, ClientError> {
        let body: UnlockBatchRequestBody = fastjson::read(&call.body)?;
        self.unlock(&body.consumer_group, &body.mq_set, &body.client_id);
        Ok(Reply::done())
    }
}
