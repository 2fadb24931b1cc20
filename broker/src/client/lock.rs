//! Queue locks: within an ordered group at most one client consumes a queue.
//!
//! A client goes on consuming for 30 s after it last heard that it holds the lock, also while the broker is restarted. So the
//! holders are saved before they are told (`config/queueLocks.json`, of which Java knows nothing), and for that long after a
//! start nobody else gets their queues. Java forgets its locks, and two clients may consume one queue for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dashmap::DashMap;
use remoting::body::{LockBatchRequestBody, LockBatchResponseBody, MessageQueue, UnlockBatchRequestBody, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::client::{LockBatch, UnlockBatch};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{ClientId, GroupName};
use tokio::time::{Duration, Instant};

use super::ClientError;
use crate::persist::{Home, TableFile};

const FILE: &str = "queueLocks.json";

/// Locks by group and queue. Java: `RebalanceLockManager`.
#[derive(Default)]
pub(crate) struct Locks {
    groups: DashMap<GroupName, HashMap<MessageQueue, Lock>>,
    /// Where the holders are saved.
    file: Option<TableFile>,
}

struct Lock {
    holder: ClientId,
    until: Instant,
}

/// Queues by holder, by group.
type Saved = BTreeMap<GroupName, BTreeMap<ClientId, Vec<MessageQueue>>>;

/// Clients renew every 20 s. Java: `rocketmq.broker.rebalance.lockMaxLiveTime`.
const LIFE: Duration = Duration::from_secs(60);
/// How long a lock from before a start counts: clients stop consuming when theirs is as old as this.
/// Java: `ProcessQueue.REBALANCE_LOCK_MAX_LIVE_TIME`.
const LIFE_AFTER_START: Duration = Duration::from_secs(30);
/// Queues one group may lock; further ones are not granted. Nothing checks that a queue exists, as in Java.
const QUEUES_MAX: usize = 100_000;

impl Lock {
    fn new(holder: &ClientId, life: Duration) -> Self {
        Self { holder: holder.clone(), until: Instant::now() + life }
    }

    fn is_expired(&self) -> bool {
        Instant::now() > self.until
    }
}

pub(crate) fn routes(locks: &Arc<Locks>, router: &mut Router) {
    router.on::<LockBatch>(locks).on::<UnlockBatch>(locks);
}

impl Locks {
    /// With the holders of the last run. A file that is damaged is as good as none: it would only hold others back.
    pub(crate) fn open(home: impl Into<Home>) -> Arc<Self> {
        let home = home.into();
        let saved: Saved = home
            .load(FILE)
            .inspect_err(|err| tracing::warn!(%err, "the queue locks of the last run are not known"))
            .ok()
            .flatten()
            .unwrap_or_default();
        let locks = Self { groups: DashMap::new(), file: Some(home.file(FILE)) };
        for (group, holders) in saved {
            let held = holders.iter().flat_map(|(holder, queues)| queues.iter().map(move |queue| (queue, holder)));
            let held =
                held.take(QUEUES_MAX).map(|(queue, holder)| (queue.clone(), Lock::new(holder, LIFE_AFTER_START)));
            locks.groups.insert(group, held.collect());
        }
        Arc::new(locks)
    }

    /// Saves who holds what, if that has changed. A failure is logged: the locks are as good as Java's then.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let means = "queue locks are not saved; after a restart, two clients may consume one queue";
        file.save_or_log(means, || fastjson::write(&self.saved()));
    }

    fn saved(&self) -> Saved {
        let mut saved = Saved::new();
        for group in &self.groups {
            let holders = saved.entry(group.key().clone()).or_default();
            for (queue, lock) in group.iter().filter(|(_, lock)| !lock.is_expired()) {
                holders.entry(lock.holder.clone()).or_default().push(queue.clone());
            }
        }
        saved
    }

    fn changed(&self) {
        if let Some(file) = &self.file {
            file.changed();
        }
    }

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
        let mut changed = false;
        for queue in queues {
            let full = locks.len() >= QUEUES_MAX;
            match locks.get_mut(&queue) {
                Some(lock) if lock.holder != *client && !lock.is_expired() => {
                    tracing::debug!(%group, %client, holder = %lock.holder, ?queue, "another client has locked the queue");
                    continue;
                }
                Some(lock) => {
                    changed |= lock.holder != *client;
                    *lock = Lock::new(client, LIFE);
                }
                None if full => continue,
                None => {
                    changed = true;
                    locks.insert(queue.clone(), Lock::new(client, LIFE));
                }
            }
            granted.push(queue);
        }
        drop(locks);
        if changed {
            self.changed();
        }
        granted
    }

    /// Gives back the client's own locks; others stay.
    pub(crate) fn unlock(&self, group: &GroupName, queues: &[MessageQueue], client: &ClientId) {
        let Some(mut locks) = self.groups.get_mut(group) else { return };
        let before = locks.len();
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| lock.holder == *client) {
                locks.remove(queue);
            }
        }
        let changed = locks.len() != before;
        drop(locks);
        if changed {
            self.changed();
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
        self.save();
        Ok(Reply::done().body(fastjson::write(&LockBatchResponseBody { lock_ok_mq_set: granted })))
    }
}

impl Handle<UnlockBatch> for Locks {
    type Error = ClientError;

    async fn handle(&self, call: Call<UnlockBatch>) -> Result<Reply<NoHeader>, ClientError> {
        let body: UnlockBatchRequestBody = fastjson::read(&call.body)?;
        self.unlock(&body.consumer_group, &body.mq_set, &body.client_id);
        self.save();
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

    #[tokio::test(start_paused = true)]
    async fn a_restart_keeps_a_queue_for_its_holder_while_that_may_still_consume() {
        let folder = tempfile::tempdir().unwrap();
        let body = |client: &str, queue: i32| {
            let queue = format!(r#"{{"brokerName":"b","queueId":{queue},"topic":"T"}}"#);
            format!(r#"{{"clientId":"{client}","consumerGroup":"g","mqSet":[{queue}]}}"#)
        };
        let locks = Locks::open(folder.path());
        for (client, queue) in [("a", 0), ("a", 1), ("b", 2), ("b", 3)] {
            locks.handle(call(LockBatch {}, body(client, queue), &peer(1))).await.unwrap();
        }
        locks.handle(call(UnlockBatch {}, body("b", 3), &peer(1))).await.unwrap();
        // Nothing is saved at the end: the process was killed.
        let locks = Locks::open(folder.path());
        let lock = |ids: &[i32], client: &str| locks.lock(&"g".into(), queues(ids), &client.into());
        assert!(locks.held("g"));
        assert_eq!(lock(&[0, 1, 2, 3], "c"), queues(&[3]), "only what was given back");
        advance(Duration::from_secs(20)).await;
        assert_eq!(lock(&[0], "a"), queues(&[0]), "renewed");
        advance(Duration::from_secs(11)).await;
        assert_eq!(lock(&[0, 1, 2], "c"), queues(&[1, 2]), "whoever is silent for so long has stopped consuming");
        std::fs::write(folder.path().join("queueLocks.json"), "{").unwrap();
        let _ = std::fs::remove_file(folder.path().join("queueLocks.json.bak"));
        assert!(!Locks::open(folder.path()).held("g"));
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
