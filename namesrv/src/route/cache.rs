//! Route bodies that were encoded once and serve until the route changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::types::TopicName;

use super::table::{SHARDS, shard_of};

/// How a route is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Java's own JSON, with bare numbers as keys.
    Plain,
    /// Standard JSON, for newer clients and those that ask for it.
    Standard,
}

/// What a body was made from; a body of another stamp is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) routes: u64,
    pub(crate) order: u64,
    pub(crate) settings: u64,
}

/// Bodies by topic and dialect, in shards as the topics are.
pub(crate) struct RouteCache {
    shards: Vec<Mutex<CacheShard>>,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// The shard that is emptied next when the cache is full.
    hand: AtomicUsize,
}

#[derive(Default)]
struct CacheShard {
    stamp: Stamp,
    bodies: HashMap<TopicName, [Option<Bytes>; 2]>,
    bytes: usize,
}

/// What an entry costs beside its bodies, roughly.
const ENTRY_BYTES: usize = 128;

impl RouteCache {
    /// Holds at most about `bytes_max`; beyond, whole shards are forgotten in turn.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, bytes: AtomicUsize::new(0), bytes_max, hand: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, topic: &str, dialect: Dialect, stamp: Stamp) -> Option<Bytes> {
        let shard = self.shards[shard_of(topic)].lock();
        if shard.stamp != stamp {
            return None;
        }
        shard.bodies.get(topic)?[dialect as usize].clone()
    }

    pub(crate) fn put(&self, topic: &TopicName, dialect: Dialect, stamp: Stamp, body: Bytes) {
        if body.len() + ENTRY_BYTES > self.bytes_max {
            return;
        }
        let at = shard_of(topic);
        {
            let mut shard = self.shards[at].lock();
            if shard.stamp != stamp {
                self.bytes.fetch_sub(shard.clear(), Ordering::Relaxed);
                shard.stamp = stamp;
            }
            let added = shard.insert(topic, dialect, body);
            self.bytes.fetch_add(added, Ordering::Relaxed);
        }
        // At most once around; the shard just filled goes last.
        for _ in 0..SHARDS {
            if self.bytes.load(Ordering::Relaxed) <= self.bytes_max {
                return;
            }
            let next = self.hand.fetch_add(1, Ordering::Relaxed) % SHARDS;
            if next != at {
                let freed = self.shards[next].lock().clear();
                self.bytes.fetch_sub(freed, Ordering::Relaxed);
            }
        }
        let freed = self.shards[at].lock().clear();
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl CacheShard {
    /// Forgets everything; answers the bytes freed.
    fn clear(&mut self) -> usize {
        self.bodies = HashMap::new();
        std::mem::take(&mut self.bytes)
    }

    /// Answers the bytes added; 0 if the body is there already.
    fn insert(&mut self, topic: &TopicName, dialect: Dialect, body: Bytes) -> usize {
        let entry_bytes = if self.bodies.contains_key(topic) { 0 } else { ENTRY_BYTES + topic.len() };
        let place = &mut self.bodies.entry(topic.clone()).or_default()[dialect as usize];
        let body_bytes = if place.is_none() { body.len() } else { 0 };
        // Of equal stamp, an old and a new body are equal.
        place.get_or_insert(body);
        self.bytes += entry_bytes + body_bytes;
        entry_bytes + body_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(byte: u8, length: usize) -> Bytes {
        vec![byte; length].into()
    }

    fn stamp(routes: u64) -> Stamp {
        Stamp { routes, ..Stamp::default() }
    }

    #[test]
    fn a_body_serves_for_its_stamp_and_dialect() {
        let cache = RouteCache::new(1 << 20);
        cache.put(&"t".into(), Dialect::Plain, stamp(1), body(b'p', 10));
        cache.put(&"t".into(), Dialect::Standard, stamp(1), body(b's', 10));
        assert_eq!(cache.get("t", Dialect::Plain, stamp(1)), Some(body(b'p', 10)));
        assert_eq!(cache.get("t", Dialect::Standard, stamp(1)), Some(body(b's', 10)));
        assert_eq!(cache.get("t", Dialect::Plain, stamp(2)), None);
        assert_eq!(cache.get("u", Dialect::Plain, stamp(1)), None);

        cache.put(&"t".into(), Dialect::Plain, stamp(2), body(b'q', 10));
        assert_eq!(cache.get("t", Dialect::Plain, stamp(1)), None);
        assert_eq!(cache.get("t", Dialect::Plain, stamp(2)), Some(body(b'q', 10)));
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let cache = RouteCache::new(100_000);
        for number in 0..2000 {
            cache.put(&format!("topic-{number}").into(), Dialect::Plain, stamp(1), body(0, 1000));
            assert!(cache.bytes() <= 100_000);
        }
        assert!(cache.bytes() > 0);
        cache.put(&"large".into(), Dialect::Plain, stamp(1), body(0, 200_000));
        assert_eq!(cache.get("large", Dialect::Plain, stamp(1)), None);
        let counted: usize = cache.shards.iter().map(|shard| shard.lock().bytes).sum();
        assert_eq!(counted, cache.bytes());
    }
}
