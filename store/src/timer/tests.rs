use std::collections::BTreeMap;

use proptest::prelude::*;
use remoting::types::{Clock, Host, TopicName};

use super::*;
use crate::config::StoreConfig;
use crate::message::Message;

const TOPIC: &str = "rmq_sys_wheel_timer";
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const NOW_SLOT: i64 = NOW.0 / 1000;
/// Twenty units, of which the last place is left blank.
const LOG_FILE_BYTES: u64 = 1040;

/// A store with messages in the timer topic, and the timer's files in its folder.
struct Fixture {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    messages: Vec<PhysicalOffset>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = StoreConfig { commit_log_file_bytes: 1 << 20, ..StoreConfig::new(folder.path()) };
        let (store, _) = Store::open(config, Clock::fixed(NOW)).expect("a store");
        Self { folder, store, messages: Vec::new() }
    }

    fn open(&self) -> TimerFiles {
        let config = TimerConfig { topic: TOPIC.to_owned(), log_file_bytes: LOG_FILE_BYTES, precision_ms: 1000 };
        TimerFiles::open(&self.store, &config, NOW).expect("opened")
    }

    /// Stores one more message and enrols it.
    fn enrol(&mut self, files: &mut TimerFiles, slots: &[i64]) {
        let enrolments: Vec<_> = slots.iter().map(|slot| self.enrolment(*slot)).collect();
        let next = QueueOffset(self.messages.len() as i64);
        files.enrol(&enrolments, next, NOW).expect("enrolled");
    }

    fn enrolment(&mut self, slot: i64) -> Enrolment {
        let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
        let mut batch = self.store.batch();
        batch.push(&Message::new(&TopicName::new(TOPIC), QueueId(0), b"x", host)).expect("legal");
        let position = self.store.append(&mut batch).expect("stored").positions[0];
        self.messages.push(position.physical_offset);
        while self.store.max_offset(TOPIC, QueueId(0)).unwrap_or_default().0 < self.messages.len() as i64 {
            std::thread::yield_now();
        }
        Enrolment {
            slot,
            deliver_at: Timestamp(slot * 1000 + 7),
            roll: false,
            cancel: false,
            message: position.physical_offset,
            message_bytes: position.size,
            topic_hash: 5,
        }
    }

    fn flush(files: &mut TimerFiles) {
        let flush = files.begin_flush(NOW).expect("begun");
        flush.to_sync.sync().expect("synced");
        files.end_flush(&flush).expect("ended").sync().expect("synced");
    }
}

/// The messages of a slot, the first enrolled first.
fn messages(files: &TimerFiles, slot: i64) -> Vec<PhysicalOffset> {
    let chain = files.chain(slot).expect("a chain");
    let mut found: Vec<_> = chain.map(|item| item.expect("read").1.message).collect();
    found.reverse();
    found
}

#[test]
fn what_was_enrolled_is_there_after_a_kill_also_without_a_flush() {
    let mut fixture = Fixture::new();
    let mut files = fixture.open();
    fixture.enrol(&mut files, &[NOW_SLOT + 5, NOW_SLOT + 9, NOW_SLOT + 5]);
    Fixture::flush(&mut files);
    for _ in 0..30 {
        fixture.enrol(&mut files, &[NOW_SLOT + 5]);
    }
    drop(files);
    let mut files = fixture.open();
    assert_eq!(files.queue_offset(), QueueOffset(33), "nothing is enrolled twice");
    assert_eq!(files.pending(), 33);
    let expect: Vec<_> =
        fixture.messages.iter().copied().enumerate().filter(|(n, _)| *n != 1).map(|(_, m)| m).collect();
    assert_eq!(messages(&files, NOW_SLOT + 5), expect);
    assert_eq!(messages(&files, NOW_SLOT + 9), fixture.messages[1..2]);
    assert_eq!(files.next_filled(NOW_SLOT, NOW_SLOT + 100).expect("looked"), Some(NOW_SLOT + 5));
    files.clear(NOW_SLOT + 5).expect("cleared");
    assert_eq!((files.pending(), messages(&files, NOW_SLOT + 5)), (1, Vec::new()));
}

#[test]
fn a_wheel_ahead_of_its_log_is_made_again() {
    let mut fixture = Fixture::new();
    let mut files = fixture.open();
    for number in 0..10 {
        fixture.enrol(&mut files, &[NOW_SLOT + 5 + number % 2]);
    }
    Fixture::flush(&mut files);
    drop(files);
    // The machine lost power before the end of the log was on disk.
    let path = fixture.folder.path().join("timerlog/00000000000000000000");
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[6 * UNIT_BYTES..].fill(0);
    std::fs::write(&path, bytes).expect("written");
    let mut files = fixture.open();
    assert_eq!((files.pending(), files.queue_offset()), (6, QueueOffset(6)), "the rest is enrolled again");
    for slot in [0, 1] {
        let expect: Vec<_> = (slot..6).step_by(2).map(|number| fixture.messages[number]).collect();
        assert_eq!(messages(&files, NOW_SLOT + 5 + slot as i64), expect);
    }
    fixture.enrol(&mut files, &[NOW_SLOT + 5]);
    assert_eq!(messages(&files, NOW_SLOT + 5).len(), 4);
}

#[test]
fn a_lost_log_is_made_again_from_the_timer_topic() {
    let mut fixture = Fixture::new();
    let mut files = fixture.open();
    fixture.enrol(&mut files, &[NOW_SLOT + 5, NOW_SLOT + 6]);
    Fixture::flush(&mut files);
    drop(files);
    std::fs::remove_dir_all(fixture.folder.path().join("timerlog")).expect("removed");
    let files = fixture.open();
    assert_eq!((files.pending(), files.queue_offset()), (0, QueueOffset(0)));
    assert!(messages(&files, NOW_SLOT + 5).is_empty());
}

#[test]
fn progress_is_kept() {
    let mut fixture = Fixture::new();
    let mut files = fixture.open();
    fixture.enrol(&mut files, &[NOW_SLOT + 1]);
    assert_eq!(files.cursor(), Cursor::start_of(NOW_SLOT));
    let seen = Cursor { slot: NOW_SLOT + 1, deliver_at: Timestamp(NOW.0 + 1007), position: 0 };
    files.delivered(seen).expect("noted");
    drop(files);
    let mut files = fixture.open();
    assert_eq!(files.cursor(), seen, "also without a flush");
    Fixture::flush(&mut files);
    assert_eq!(files.checkpoint().read_time, Timestamp(NOW.0 + 1000));
    assert!(!files.needs_flush());
    // A Java broker went on from here.
    files.move_to(NOW_SLOT + 40);
    Fixture::flush(&mut files);
    drop(files);
    assert_eq!(fixture.open().cursor(), Cursor::start_of(NOW_SLOT + 40));
    // The clock was set back.
    let mut files = fixture.open();
    files.turn_back(NOW_SLOT - 7).expect("turned back");
    drop(files);
    assert_eq!(fixture.open().cursor(), Cursor::start_of(NOW_SLOT - 7));
}

#[test]
fn files_whose_messages_are_gone_are_deleted() {
    let mut fixture = Fixture::new();
    let mut files = fixture.open();
    for _ in 0..50 {
        fixture.enrol(&mut files, &[NOW_SLOT + 1]);
    }
    let min = fixture.messages[25];
    assert_eq!(files.delete_before(min).expect("deleted"), 1);
    assert!(!fixture.folder.path().join("timerlog/00000000000000000000").exists());
    assert_eq!(messages(&files, NOW_SLOT + 1), fixture.messages[19..], "a chain ends where its file was deleted");
    assert_eq!(files.delete_before(PhysicalOffset(i64::MAX)).expect("deleted"), 1, "never the last one");
    Fixture::flush(&mut files);
    drop(files);
    assert_eq!(fixture.open().queue_offset(), QueueOffset(50));
}

/// What may happen to the files.
#[derive(Clone, Debug)]
enum Event {
    /// Messages for slots so many seconds from now.
    Enrol(Vec<i64>),
    Clear(i64),
    Flush,
    /// The process is killed and starts again.
    Kill,
}

fn event() -> impl Strategy<Value = Event> {
    // A few near slots that fill up, and many more.
    let slot = prop_oneof![1..6_i64, 1..20_000_i64];
    prop_oneof![
        6 => prop::collection::vec(slot.clone(), 1..8).prop_map(Event::Enrol),
        2 => slot.prop_map(Event::Clear),
        1 => Just(Event::Flush),
        1 => Just(Event::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_wheel_holds_what_a_map_would(events in prop::collection::vec(event(), 1..60)) {
        let mut fixture = Fixture::new();
        let mut files = fixture.open();
        let mut model: BTreeMap<i64, Vec<PhysicalOffset>> = BTreeMap::new();
        // Slots that were cleared since the last flush may come again after a kill: the cursor is what passes over them.
        let mut unsure: HashSet<i64> = HashSet::new();
        for event in events {
            match event {
                Event::Enrol(seconds) => {
                    let slots: Vec<_> = seconds.iter().map(|seconds| NOW_SLOT + seconds).collect();
                    let first = fixture.messages.len();
                    fixture.enrol(&mut files, &slots);
                    for (slot, message) in slots.iter().zip(&fixture.messages[first..]) {
                        model.entry(*slot).or_default().push(*message);
                    }
                }
                Event::Clear(seconds) => {
                    files.clear(NOW_SLOT + seconds).expect("cleared");
                    model.remove(&(NOW_SLOT + seconds));
                    unsure.insert(NOW_SLOT + seconds);
                }
                Event::Flush => {
                    Fixture::flush(&mut files);
                    unsure.clear();
                }
                Event::Kill => {
                    drop(files);
                    files = fixture.open();
                    for slot in unsure.clone() {
                        files.clear(slot).expect("cleared");
                        model.remove(&slot);
                    }
                }
            }
            prop_assert_eq!(files.queue_offset().0, fixture.messages.len() as i64);
            let waiting: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(files.pending(), waiting as i64);
            for (slot, expect) in &model {
                prop_assert_eq!(&messages(&files, *slot), expect);
            }
            let first = files.next_filled(NOW_SLOT, NOW_SLOT + 20_001).expect("looked");
            prop_assert_eq!(first, model.keys().next().copied());
        }
    }
}
