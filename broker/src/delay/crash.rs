//! Kills the delivery of delayed messages after and amid every change of the disk, and looks what became of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use remoting::types::{Clock, QueueId, Timestamp};
use store::StoreConfig;
use store::message::properties::{Builder, name};
use store::message::{Message, StoredMessage};
use store::testing::MortalDisk;

use super::deliver::Next;
use super::*;

const START: Timestamp = Timestamp(1_700_000_000_000);
/// Where messages go: one that is delayed, and one that a consumer sent back.
const TOPICS: [&str; 2] = ["T", "%RETRY%g"];

struct Process {
    delays: Arc<Delays>,
    clock: Clock,
}

/// What clients were told: when each message that was stored is due.
type Told = BTreeMap<String, Timestamp>;

fn config(root: &Path) -> StoreConfig {
    let delay_levels = Context::for_tests(|_| {}).0.settings().delay_levels().unwrap();
    let mut config = StoreConfig { commit_log_file_bytes: 8 << 10, delay_levels, ..StoreConfig::new(root) };
    config.consume_queue_file_bytes = 100;
    (config.index.slots, config.index.entries) = (10, 100);
    config
}

impl Process {
    fn start(store: Arc<Store>, root: &Path, clock: Clock) -> Self {
        let (mut ctx, _) = Context::for_tests(|_| {});
        ctx.clock = clock.clone();
        let levels = Arc::new(Levels::new(ctx.settings().delay_levels().unwrap()));
        let stats = Stats::new(ctx.clone());
        let delays = Delays::open(ctx, &root.join("config"), store, stats, levels).unwrap();
        Self { delays, clock }
    }

    fn send(&self, told: &mut Told, key: &str, topic: &str, level: i32) {
        let due = self.clock.now().after(self.delays.levels.delay(level));
        let mut properties = Builder::new();
        properties.push(name::UNIQ_KEY, key).push(name::DELAY_TIME_LEVEL, &level.to_string());
        properties.push(name::REAL_TOPIC, topic).push(name::REAL_QUEUE_ID, "0");
        let properties = properties.finish();
        let mut batch = self.delays.store.batch();
        let message = Message::new(schedule_topic(), queue_of(level), b"x", self.delays.ctx.identity.host);
        batch.push(&Message { properties: &properties, ..message }).unwrap();
        if self.delays.store.append(&mut batch).is_ok() {
            told.insert(key.to_owned(), due);
        }
    }

    /// Lets some time pass; every level delivers what it can.
    async fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
        for level in self.delays.levels.all() {
            while self.delays.deliver(level).await == Next::Now {}
        }
    }

    fn save(&self, disk: &MortalDisk) {
        // One change: the new file takes the place of the old one.
        if disk.change().is_ok() {
            self.delays.persist();
        }
    }

    /// Keys of what consumers see, with the times they came.
    fn delivered(&self, topic: &str) -> Vec<(String, Timestamp)> {
        let store = &self.delays.store;
        let entries = store.entries(topic, QueueId(0), QueueOffset(0), 1000);
        let record = |entry: &store::Entry| {
            let record = store.record_at(entry.physical_offset).unwrap();
            let stored = StoredMessage::parse(&record).unwrap();
            (stored.property(name::UNIQ_KEY).unwrap().to_owned(), stored.store_timestamp)
        };
        entries.iter().map(record).collect()
    }

    async fn live(&self, disk: &MortalDisk, told: &mut Told) {
        for (key, topic, level) in [("a", "T", 1), ("b", "T", 2), ("c", "%RETRY%g", 1), ("d", "T", 1)] {
            self.send(told, key, topic, level);
        }
        self.pass(500).await;
        self.send(told, "e", "T", 1);
        self.save(disk);
        self.pass(500).await;
        self.send(told, "f", "T", 1);
        self.pass(500).await;
        self.save(disk);
        self.send(told, "g", "%RETRY%g", 2);
        self.pass(3500).await;
        self.save(disk);
        self.pass(2000).await;
    }
}

/// Sends and waits, on a disk that dies at some point or never. Returns whether it died.
async fn life(disk: &MortalDisk) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(START);
    let (mut told, mut before, mut died) = (Told::default(), Vec::new(), true);
    if let Ok((store, _)) = disk.open(config(folder.path()), clock.clone()) {
        let process = Process::start(Arc::clone(&store), folder.path(), clock.clone());
        process.live(disk, &mut told).await;
        before.extend(TOPICS.map(|topic| process.delivered(topic)));
        died = disk.is_dead();
        drop(process);
        disk.kill(store);
    }
    go_on(folder.path(), &clock, &told, &before).await;
    died
}

/// Another process goes on, and everything comes.
async fn go_on(root: &Path, clock: &Clock, told: &Told, before: &[Vec<(String, Timestamp)>]) {
    let (store, _) = Store::open(config(root), clock.clone()).expect("a store that was killed opens");
    let process = Process::start(store, root, clock.clone());
    for _ in 0..8 {
        process.pass(1000).await;
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (at, topic) in TOPICS.iter().enumerate() {
        let delivered = process.delivered(topic);
        if let Some(before) = before.get(at) {
            assert_eq!(&delivered[..before.len()], before, "what was delivered stays where it is");
        }
        for (key, came) in delivered {
            if let Some(due) = told.get(&key) {
                assert!(came >= *due, "{key} came at {came}, due at {due}");
            }
            *times.entry(key).or_default() += 1;
        }
    }
    for key in told.keys() {
        let times = times.get(key).copied().unwrap_or(0);
        // What was delivered after the last save comes again.
        assert!((1..=2).contains(&times), "{key} came {times} times");
    }
}

#[tokio::test]
async fn a_kill_at_any_change_of_the_disk_loses_nothing() {
    for new in [MortalDisk::after, MortalDisk::amid] {
        let mut deaths = 0;
        while life(&new(deaths)).await {
            deaths += 1;
        }
        assert!(deaths > 15, "{deaths} places to die at");
    }
}

#[tokio::test]
async fn a_life_without_a_death_delivers_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, clock) = (MortalDisk::after(usize::MAX), Clock::fixed(START));
    let (store, _) = disk.open(config(folder.path()), clock.clone()).unwrap();
    let process = Process::start(store, folder.path(), clock);
    let mut told = Told::default();
    process.live(&disk, &mut told).await;
    let keys = |topic| process.delivered(topic).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys("T"), ["a", "d", "e", "f", "b"]);
    assert_eq!(keys("%RETRY%g"), ["c", "g"]);
}
