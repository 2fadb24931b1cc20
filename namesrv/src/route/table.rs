//! The topics of one broker set: immutable, cheap to change, and shared in memory with every set that has equal ones.
//!
//! A table is cut into shards by a hash of the topic name. A change copies one shard of a few hundred topics, not the
//! table, and equal shards are the same memory, so that a thousand brokers with the same hundred thousand topics cost
//! little more than one of them.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use remoting::body::{QueueData, TopicConfig};
use remoting::types::{BrokerName, TopicName};

/// What a broker set offers for a topic: Java's `QueueData` without the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queues {
    pub(crate) read: i32,
    pub(crate) write: i32,
    /// Bits of [`TopicConfig::READ`] and [`TopicConfig::WRITE`].
    pub(crate) perm: i32,
    pub(crate) sys_flag: i32,
}

impl Queues {
    pub(crate) fn is_writable(self) -> bool {
        self.perm & TopicConfig::WRITE != 0
    }

    pub(crate) fn without_write(self) -> Self {
        Self { perm: self.perm & !TopicConfig::WRITE, ..self }
    }

    pub(crate) fn of_broker(self, broker_name: &BrokerName) -> QueueData {
        QueueData {
            broker_name: broker_name.clone(),
            perm: self.perm,
            read_queue_nums: self.read,
            topic_sys_flag: self.sys_flag,
            write_queue_nums: self.write,
        }
    }
}

impl From<&TopicConfig> for Queues {
    fn from(config: &TopicConfig) -> Self {
        Self {
            read: config.read_queue_nums,
            write: config.write_queue_nums,
            perm: config.perm,
            sys_flag: config.topic_sys_flag,
        }
    }
}

impl From<&QueueData> for Queues {
    fn from(data: &QueueData) -> Self {
        Self {
            read: data.read_queue_nums,
            write: data.write_queue_nums,
            perm: data.perm,
            sys_flag: data.topic_sys_flag,
        }
    }
}

/// Number of shards; with 100,000 topics a shard has about 400.
pub(crate) const SHARDS: usize = 256;

/// The shard that holds a topic.
pub(crate) fn shard_of(topic: &str) -> usize {
    crc32fast::hash(topic.as_bytes()) as usize % SHARDS
}

/// Topics of one shard, by name.
type Topics = [(TopicName, Queues)];

/// Shards with equal topics are the same allocation.
pub(crate) type Shard = Arc<Topics>;

/// The topics of one broker set.
#[derive(Clone)]
pub(crate) struct TopicTable {
    shards: Arc<[Shard]>,
}

impl TopicTable {
    pub(crate) fn empty(interner: &mut Interner) -> Self {
        Self { shards: std::iter::repeat_n(interner.intern(Vec::new()), SHARDS).collect() }
    }

    pub(crate) fn get(&self, topic: &str) -> Option<Queues> {
        find(&self.shards[shard_of(topic)], topic)
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter()
    }

    pub(crate) fn shard(&self, at: usize) -> &Shard {
        &self.shards[at]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(TopicName, Queues)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// The table with some topics set, or with `None` removed.
    pub(crate) fn with<'a>(
        &self,
        changes: impl Iterator<Item = (&'a TopicName, Option<Queues>)>,
        interner: &mut Interner,
    ) -> Self {
        let mut by_shard: HashMap<usize, Vec<(&TopicName, Option<Queues>)>> = HashMap::new();
        for (topic, queues) in changes {
            by_shard.entry(shard_of(topic)).or_default().push((topic, queues));
        }
        let mut shards = self.shards.to_vec();
        for (at, changes) in by_shard {
            let mut topics: BTreeMap<_, _> = shards[at].iter().cloned().collect();
            for (topic, queues) in changes {
                match queues {
                    Some(queues) => topics.insert(topic.clone(), queues),
                    None => topics.remove(topic),
                };
            }
            shards[at] = interner.intern(topics.into_iter().collect());
        }
        Self { shards: shards.into() }
    }

    /// The table with each topic's queues replaced.
    pub(crate) fn map(&self, change: impl Fn(Queues) -> Queues, interner: &mut Interner) -> Self {
        let changed = |shard: &Shard| shard.iter().map(|(topic, queues)| (topic.clone(), change(*queues))).collect();
        Self { shards: self.shards.iter().map(|shard| interner.intern(changed(shard))).collect() }
    }

    /// The shards in which two tables differ.
    pub(crate) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let pairs = self.shards.iter().zip(other.shards.iter()).enumerate();
        pairs.filter(|(_, (ours, theirs))| !Arc::ptr_eq(ours, theirs)).map(|(at, _)| at)
    }
}

pub(crate) fn find(shard: &Shard, topic: &str) -> Option<Queues> {
    let at = shard.binary_search_by(|(name, _)| name.as_str().cmp(topic)).ok()?;
    Some(shard[at].1)
}

/// Finds the shard that has the same topics already.
#[derive(Default)]
pub(crate) struct Interner {
    hasher: RandomState,
    known: HashMap<u64, Vec<Weak<Topics>>>,
    /// Size of `known` above which shards that nobody holds any more are looked for.
    prune_above: usize,
}

/// Sizes of `known` that are not worth a look.
const PRUNE_ABOVE_MIN: usize = 1024;

impl Interner {
    pub(crate) fn intern(&mut self, topics: Vec<(TopicName, Queues)>) -> Shard {
        let hash = self.hasher.hash_one(&topics);
        let same_hash = self.known.entry(hash).or_default();
        same_hash.retain(|shard| shard.strong_count() > 0);
        if let Some(known) = same_hash.iter().filter_map(Weak::upgrade).find(|known| known[..] == topics[..]) {
            return known;
        }
        let shard: Shard = topics.into();
        same_hash.push(Arc::downgrade(&shard));
        self.prune();
        shard
    }

    fn prune(&mut self) {
        if self.known.len() > self.prune_above.max(PRUNE_ABOVE_MIN) {
            self.known.retain(|_, shards| shards.iter().any(|shard| shard.strong_count() > 0));
            self.prune_above = 2 * self.known.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queues(count: i32) -> Queues {
        Queues { read: count, write: count, perm: 6, sys_flag: 0 }
    }

    fn table(interner: &mut Interner, topics: impl Iterator<Item = usize>) -> TopicTable {
        let names: Vec<TopicName> = topics.map(|number| format!("topic-{number}").into()).collect();
        let empty = TopicTable::empty(interner);
        empty.with(names.iter().map(|name| (name, Some(queues(8)))), interner)
    }

    fn allocations(tables: &[TopicTable]) -> usize {
        let mut shards: Vec<_> = tables.iter().flat_map(|table| table.shards.iter().map(Arc::as_ptr)).collect();
        shards.sort_unstable();
        shards.dedup();
        shards.len()
    }

    #[test]
    fn brokers_with_equal_topics_share_memory_whatever_way_they_came_to_them() {
        let mut interner = Interner::default();
        let one = table(&mut interner, 0..5000);
        let other = table(&mut interner, (0..5000).rev());
        assert_eq!(allocations(&[one.clone(), other.clone()]), SHARDS);

        let new = TopicName::new("new");
        let one = one.with([(&new, Some(queues(1)))].into_iter(), &mut interner);
        assert_eq!(allocations(&[one.clone(), other.clone()]), SHARDS + 1);
        let other = other.with([(&new, Some(queues(1)))].into_iter(), &mut interner);
        assert_eq!(allocations(&[one.clone(), other]), SHARDS);
        assert_eq!(one.len(), 5001);
    }

    #[test]
    fn memory_of_tables_that_are_gone_is_forgotten() {
        let mut interner = Interner::default();
        for number in 0..10_000 {
            drop(interner.intern(vec![(format!("t{number}").into(), queues(1))]));
        }
        assert!(interner.known.len() <= 2 * PRUNE_ABOVE_MIN, "{}", interner.known.len());
    }

    #[test]
    fn differing_shards_are_those_of_the_changed_topics() {
        let mut interner = Interner::default();
        let before = table(&mut interner, 0..1000);
        let topic = TopicName::new("topic-7");
        let after = before.with([(&topic, Some(queues(9)))].into_iter(), &mut interner);
        assert_eq!(after.differing(&before).collect::<Vec<_>>(), [shard_of("topic-7")]);
        let same = after.with([(&topic, Some(queues(8)))].into_iter(), &mut interner);
        assert_eq!(same.differing(&before).count(), 0);
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(changes in proptest::collection::vec(("[a-e]{1,2}", proptest::option::of(0..3_i32)), 0..60)) {
            let mut interner = Interner::default();
            let mut table = TopicTable::empty(&mut interner);
            let mut model = BTreeMap::new();
            for chunk in changes.chunks(7) {
                let chunk: Vec<_> = chunk.iter().map(|(name, count)| (TopicName::new(name), count.map(queues))).collect();
                for (name, count) in &chunk {
                    match count {
                        Some(count) => model.insert(name.clone(), *count),
                        None => model.remove(name),
                    };
                }
                table = table.with(chunk.iter().map(|(name, count)| (name, *count)), &mut interner);
            }
            prop_assert_eq!(table.len(), model.len());
            for (name, count) in &model {
                prop_assert_eq!(table.get(name), Some(*count));
            }
            let mut names: Vec<_> = table.iter().map(|(name, _)| name.clone()).collect();
            names.sort();
            prop_assert_eq!(names, model.into_keys().collect::<Vec<_>>());
        }
    }
}
