//! Kills the timer after every change of the disk that a life of it makes, and looks what became of its messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use remoting::types::{Clock, QueueOffset};
use store::message::properties::{Builder, name};
use store::message::{Message, StoredMessage};
use store::testing::MortalDisk;
use store::{Store, StoreConfig};

use super::timing::{self, slot_begin};
use super::*;
use crate::stats::Stats;

const START: Timestamp = Timestamp(1_700_000_000_400);
const TOPIC: &str = "T";

/// One process with a timer. Everything happens on this thread, when it is told to.
struct Process {
    timers: Arc<Timers>,
    store: Arc<Store>,
    clock: Clock,
    kept: Option<super::deliver::Delivery>,
    runtime: tokio::runtime::Runtime,
}

/// What clients were told, by key.
#[derive(Default)]
struct Told {
    /// Stored, and due then.
    stored: BTreeMap<String, Timestamp>,
    /// A recall was answered before the message was due.
    recalled: BTreeSet<String>,
}

fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig { commit_log_file_bytes: 1 << 20, ..StoreConfig::new(root) };
    (config.index.slots, config.index.entries) = (10, 2000);
    config
}

impl Process {
    fn start(store: Arc<Store>, clock: Clock) -> Option<Self> {
        let (mut ctx, _) = Context::for_tests(|settings| {
            // Of 1.6 s and more.
            settings.timer_roll_window_slot = 2;
            // Nine units.
            settings.mapped_file_size_timer_log = 500;
        });
        ctx.clock = clock.clone();
        let folder = tempfile::tempdir().unwrap();
        let stats = Stats::new(ctx.clone());
        let timers = Timers::open(ctx, folder.path(), Arc::clone(&store), stats).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        Some(Self { timers, store, clock, kept: None, runtime })
    }

    /// Lets some time pass; the timer has as many turns as it wants.
    fn pass(&mut self, millis: u64) {
        self.clock.advance(std::time::Duration::from_millis(millis));
        for _ in 0..20 {
            let Self { timers, runtime, kept, .. } = self;
            let wheel = timers.wheel.as_ref().unwrap();
            runtime.block_on(timers.round(wheel, kept, true));
            if kept.is_some() {
                return;
            }
        }
    }

    fn flush(&self) {
        let wheel = self.timers.wheel.as_ref().unwrap();
        // The disk may be dead.
        let _ = self.timers.flush_files(wheel);
    }

    fn send(&self, told: &mut Told, key: &str, delay: i64) {
        let due = Timestamp(self.clock.now().0 + delay);
        if self.store(key, due, None) {
            told.stored.insert(key.to_owned(), due);
        }
    }

    fn recall(&self, told: &mut Told, key: &str) {
        if told.stored.get(key).is_some_and(|due| self.store("cancel", *due, Some(key))) {
            told.recalled.insert(key.to_owned());
        }
    }

    fn store(&self, key: &str, due: Timestamp, cancels: Option<&str>) -> bool {
        let mut properties = Builder::new();
        properties.push(name::UNIQ_KEY, key).push(timing::DELIVER_MS, &due.to_string());
        if let Some(cancels) = cancels {
            properties.push(timing::CANCEL_KEY, cancels);
        }
        properties
            .push(timing::OUT_MS, &slot_begin(due, 1000).to_string())
            .push(name::REAL_TOPIC, TOPIC)
            .push(name::REAL_QUEUE_ID, "0");
        let properties = properties.finish();
        let host = remoting::types::Host { ip: [127, 0, 0, 1].into(), port: 1 };
        let mut batch = self.store.batch();
        let message = Message::new(timer_topic(), QUEUE, b"x", host);
        batch.push(&Message { properties: &properties, ..message }).unwrap();
        self.store.append(&mut batch).is_ok()
    }

    /// Keys of what consumers see, with the times it came.
    fn delivered(&self) -> Vec<(String, Timestamp)> {
        let entries = self.store.entries(TOPIC, QueueId(0), QueueOffset(0), 1000);
        let record = |entry: &store::Entry| {
            let record = self.store.record_at(entry.physical_offset).unwrap();
            let stored = StoredMessage::parse(&record).unwrap();
            (stored.property(name::UNIQ_KEY).unwrap().to_owned(), stored.store_timestamp)
        };
        entries.iter().map(record).collect()
    }
}

/// Sends, waits, recalls, on a disk that dies at some point or never. Returns whether it died.
fn life(disk: &MortalDisk) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(START);
    let mut told = Told::default();
    let (mut before, mut died) = (Vec::new(), true);
    if let Ok((store, _)) = disk.open(config(folder.path()), clock.clone()) {
        if let Some(mut process) = Process::start(Arc::clone(&store), clock.clone()) {
            for (key, delay) in [("a", 150), ("b", 900), ("c", 160), ("d", 3300), ("e", 2500), ("f", 900)] {
                process.send(&mut told, key, delay);
            }
            process.pass(155);
            process.flush();
            process.send(&mut told, "g", 100);
            process.recall(&mut told, "b");
            process.pass(50);
            process.pass(700);
            process.send(&mut told, "h", 5);
            process.flush();
            process.pass(100);
            process.pass(1600);
            process.pass(2000);
            process.flush();
            before = process.delivered();
            died = disk.is_dead();
        }
        disk.kill(store);
    }
    check(folder.path(), &clock, &told, &before);
    died
}

/// Another process goes on, and everything comes.
fn check(root: &Path, clock: &Clock, told: &Told, before: &[(String, Timestamp)]) {
    let (store, _) = Store::open(config(root), clock.clone()).unwrap();
    let mut process = Process::start(Arc::clone(&store), clock.clone()).unwrap();
    for _ in 0..12 {
        process.pass(500);
    }
    let delivered = process.delivered();
    assert_eq!(&delivered[..before.len()], before);
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, at) in &delivered {
        *times.entry(key).or_default() += 1;
        // A send that was not acknowledged may have been stored.
        if let Some(due) = told.stored.get(key) {
            assert!(at >= due, "{key} came at {at}, due at {due}");
        }
    }
    for key in told.stored.keys() {
        let times = times.remove(key.as_str()).unwrap_or(0);
        if told.recalled.contains(key) {
            assert_eq!(times, 0, "{key} was recalled");
        } else {
            // The copy whose delivery could not be noted any more may come again, and one that was rolled.
            assert!((1..=2).contains(&times), "{key} came {times} times: {delivered:?}");
        }
    }
    assert!(!times.contains_key("cancel"), "what cancels is no message");
    let twice = delivered.len() - delivered.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len();
    assert!(twice <= 3, "{twice} came twice: {delivered:?}");
    let _ = store.close();
}

#[test]
fn a_kill_after_any_change_of_the_disk_loses_nothing() {
    for new in [MortalDisk::after, MortalDisk::amid] {
        let deaths = (0..).take_while(|changes| life(&new(*changes))).count();
        assert!(deaths > 40, "{deaths} places to die at");
    }
}

#[test]
fn a_life_without_a_death_delivers_each_once() {
    let disk = MortalDisk::after(usize::MAX);
    assert!(!life(&disk), "it lived to the end");
}
