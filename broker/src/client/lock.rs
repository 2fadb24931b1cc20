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
                    tracing::debug!(%group, %client, holder = %lock.holder, ?queue, "another client has locked the queue");
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::testing::{call, peer};

    fn queues(ids: &[i32]) -> Vec<MessageQueue> {
        let queue = |id: &i32| MessageQueue { topic: "T".into(), broker_name: "b".into(), queue_id: (*id).into() };
        ids.iter().map(queue).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_has_one_holder_until_it_unlocks_or_is_silent_for_60_s() {
        let locks = Locks::default();
        let lock = |ids: &[i32], client: &str| locks.lock(&"g".into(), queues(ids), &client.into());
        assert!(!locks.held("g"));
        assert_eq!(lock(&[0, 1], "a"), queues(&[0, 1]));
        assert!(locks.held("g") && !locks.held("h"));
        assert_eq!(lock(&[1, 2], "b"), queues(&[2]), "what another holds is not granted");
        advance(Duration::from_secs(50)).await;
        assert_eq!(lock(&[0], "a"), queues(&[0]), "renewed");
        advance(Duration::from_secs(11)).await;
        assert_eq!(lock(&[0, 1], "b"), queues(&[1]), "1 was not renewed");
        locks.unlock(&"g".into(), &queues(&[0, 1]), &"b".into());
        assert_eq!(lock(&[0, 1], "a"), queues(&[0, 1]), "b gave back its own");
        locks.unlock(&"g".into(), &queues(&[0]), &"b".into());
        assert_eq!(lock(&[0], "b"), queues(&[]), "and cannot give back a's");
        advance(Duration::from_secs(61)).await;
        assert!(!locks.held("g"));
        locks.expire();
        assert!(locks.groups.is_empty());
    }

    #[tokio::test]
    async fn locks_travel_in_javas_bodies() {
        let locks = Arc::new(Locks::default());
        let body = r#"{"clientId":"a","consumerGroup":"g","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#;
        let granted = locks.handle(call(LockBatch {}, body, &peer(1))).await.unwrap();
        let text = r#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#;
        assert_eq!(String::from_utf8(granted.content()).unwrap(), text);
        assert!(locks.held("g"));
        locks.handle(call(UnlockBatch {}, body, &peer(1))).await.unwrap();
        assert!(!locks.held("g"));
        let refused = locks.handle(call(LockBatch {}, "[", &peer(1))).await;
        assert!(refused.is_err());
    }
}
