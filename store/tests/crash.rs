//! Whatever a crash leaves behind, the store opens and holds a prefix of what was written, with all that was confirmed.

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::*;
use proptest::prelude::*;
use proptest::sample::Index;
use remoting::types::{PhysicalOffset, QueueId, QueueOffset};
use store::{Confirmation, FlushMode, RecoveryReport, Store, StoreConfig, StoreError};

const LOG_FILE_BYTES: i64 = 64 << 10;

/// What was written, in log order: queue, end in the log, body.
type Model = Vec<(i32, i64, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    /// A batch of messages: queue and body length.
    Append(Vec<(i32, usize)>),
    CloseAndOpen,
    Crash(Damage),
}

/// What a crash does to the files beyond ending the process.
#[derive(Clone, Debug)]
enum Damage {
    None,
    /// The log loses what lies behind this place, which reads as zeros or as garbage from then on.
    LogEnd(Index, Option<u8>),
    QueuesLost,
    /// The newest file of a queue reads as zeros, and no checkpoint vouches for it.
    QueueTornOff(i32),
    CheckpointLost,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        2 => Just(Damage::None),
        4 => (any::<Index>(), any::<Option<u8>>()).prop_map(|(at, with)| Damage::LogEnd(at, with)),
        1 => Just(Damage::QueuesLost),
        1 => (0..3).prop_map(Damage::QueueTornOff),
        1 => Just(Damage::CheckpointLost),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let messages = proptest::collection::vec((0..3, prop_oneof![3 => 0..300usize, 1 => 0..9000usize]), 1..20);
    prop_oneof![
        6 => messages.prop_map(Step::Append),
        1 => Just(Step::CloseAndOpen),
        2 => damage().prop_map(Step::Crash),
    ]
}

fn append(store: &Store, model: &mut Model, messages: &[(i32, usize)]) {
    let mut batch = store.batch();
    let topic = topic();
    let first = model.len();
    for (at, (queue, len)) in messages.iter().enumerate() {
        let body: Vec<u8> =
            format!("{}:", first + at).into_bytes().into_iter().chain(std::iter::repeat_n(b'x', *len)).collect();
        batch.push(&message(&topic, *queue, &body, "")).expect("legal");
        model.push((*queue, 0, body));
    }
    let appended = store.append(&mut batch).expect("stored");
    for (written, position) in model[first..].iter_mut().zip(appended.positions) {
        written.1 = end_of(position).0;
    }
}

/// Every queue holds what the model says, at offsets without a gap.
fn check(store: &Store, model: &Model) {
    for queue in 0..3 {
        let expected: Vec<_> =
            model.iter().filter(|written| written.0 == queue).map(|written| written.2.clone()).collect();
        let got = drain(store, &topic(), queue);
        assert!(got.iter().enumerate().all(|(at, got)| got.queue_offset == at as i64), "queue {queue}: offsets");
        assert!(bodies(&got) == expected, "queue {queue}: {} messages, {} expected", got.len(), expected.len());
        let max = store.max_offset("Topic", QueueId(queue)).unwrap_or_default();
        assert_eq!(max, QueueOffset(expected.len() as i64));
    }
}

/// Damages the copy in `root` and shortens the model to what must still be there.
fn harm(root: &Path, damage: &Damage, end: i64, model: &mut Model) {
    match damage {
        Damage::None => {}
        Damage::LogEnd(at, with) => {
            let at = at.index(end as usize + 1) as i64;
            let last = end / LOG_FILE_BYTES * LOG_FILE_BYTES;
            let mut start = at / LOG_FILE_BYTES * LOG_FILE_BYTES;
            let mut from = at - start;
            // The first byte that is not what it was: damage can be a byte that was zero before.
            let mut harmed = i64::MAX;
            while start <= last {
                let path = root.join(format!("commitlog/{start:020}"));
                if let Ok(file) = OpenOptions::new().write(true).open(&path) {
                    let before = std::fs::read(&path).expect("a log file");
                    // Garbage up to the page end; whole pages that never reached the disk are zero.
                    let page_end = (from / 4096 * 4096 + 4096).min(LOG_FILE_BYTES);
                    file.write_all_at(&vec![with.unwrap_or(0); (page_end - from) as usize], from as u64)
                        .expect("garbage");
                    file.write_all_at(&vec![0; (LOG_FILE_BYTES - page_end) as usize], page_end as u64).expect("zeros");
                    let after = std::fs::read(&path).expect("a log file");
                    if let Some(first) = before.iter().zip(&after).position(|(before, after)| before != after) {
                        harmed = harmed.min(start + first as i64);
                    }
                }
                start += LOG_FILE_BYTES;
                from = 0;
            }
            model.retain(|written| written.1 <= harmed);
        }
        Damage::QueuesLost => std::fs::remove_dir_all(root.join("consumequeue")).expect("removed"),
        Damage::QueueTornOff(queue) => {
            let files = std::fs::read_dir(root.join(format!("consumequeue/Topic/{queue}")));
            let newest = files.into_iter().flatten().map(|file| file.expect("an entry").path()).max();
            if let Some(newest) = newest {
                std::fs::write(newest, [0; 200]).expect("zeroed");
                std::fs::write(root.join("checkpoint"), [0; 4096]).expect("zeroed");
            }
        }
        Damage::CheckpointLost => std::fs::write(root.join("checkpoint"), [0; 4096]).expect("zeroed"),
    }
}

fn run(steps: &[Step], flush: FlushMode) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut lives = 0;
    let root = |life: usize| dir.path().join(life.to_string());
    let settings = |life: usize| StoreConfig { flush, ..config(&root(life)) };
    let (mut store, _) = open(settings(lives));
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Append(messages) => append(&store, &mut model, messages),
            Step::CloseAndOpen => {
                wait_confirmed(&store);
                store.close().expect("closed");
                drop(store);
                let report: RecoveryReport;
                (store, report) = open(settings(lives));
                assert!(report.clean && report.rebuilt_entries == 0 && report.cut_entries == 0, "{report:?}");
            }
            Step::Crash(damage) => {
                wait_confirmed(&store);
                copy(&root(lives), &root(lives + 1));
                let end = store.max_physical_offset().0;
                drop(store);
                lives += 1;
                harm(&root(lives), damage, end, &mut model);
                let report: RecoveryReport;
                (store, report) = open(settings(lives));
                assert!(!report.clean);
                assert_eq!(store.confirmed(), report.end);
            }
        }
        wait_confirmed(&store);
        check(&store, &model);
    }
}

fn wait_confirmed(store: &Store) {
    let (sender, receiver) = std::sync::mpsc::channel();
    store.when_confirmed(store.max_physical_offset(), Box::new(move |what| sender.send(what).expect("somebody waits")));
    assert_eq!(receiver.recv().expect("an answer"), Confirmation::Confirmed);
}

/// As many cases as `PROPTEST_CASES` says, else the usual few: each opens several stores.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    if asked { ProptestConfig::default() } else { ProptestConfig { cases: usual, ..ProptestConfig::default() } }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_crash_leaves_a_prefix_with_all_that_was_confirmed(steps in proptest::collection::vec(step(), 1..14)) {
        run(&steps, FlushMode::Async);
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn any_crash_under_sync_flush_leaves_a_prefix_too(steps in proptest::collection::vec(step(), 1..8)) {
        run(&steps, FlushMode::Sync);
    }
}

#[test]
fn a_copy_made_in_the_middle_of_appends_opens_to_a_prefix() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(&dir.path().join("live")));
    let (mut model, mut copies) = (Model::new(), Vec::new());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..400 {
                append(&store, &mut model, &[(number % 3, 50), ((number + 1) % 3, 700)]);
            }
        });
        while !writer.is_finished() {
            let before = store.confirmed();
            let to = dir.path().join(copies.len().to_string());
            copy(&dir.path().join("live"), &to);
            copies.push((to, before));
        }
    });
    assert!(!copies.is_empty());
    for (root, confirmed) in copies {
        let (store, report) = open(config(&root));
        assert!(report.end >= confirmed, "{} was confirmed, found {}", confirmed, report.end);
        let found: Model = model.iter().filter(|written| written.1 <= report.end.0).cloned().collect();
        check(&store, &found);
    }
}

#[test]
fn lost_queue_files_of_one_queue_are_made_again_from_the_whole_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(&dir.path().join("live")));
    let mut model = Model::new();
    for number in 0..300 {
        append(&store, &mut model, &[(number % 3, 500)]);
    }
    // A checkpoint that vouches for all of this, then more.
    store.close().expect("closed");
    drop(store);
    let (store, _) = open(config(&dir.path().join("live")));
    append(&store, &mut model, &[(0, 10), (1, 10), (2, 10)]);
    let root = dir.path().join("copy");
    copy(&dir.path().join("live"), &root);
    std::fs::remove_dir_all(root.join("consumequeue/Topic/1")).expect("removed");
    let (store, report) = open(config(&root));
    assert!(report.scanned_from.0 > 0, "the checkpoint spared most of the log: {report:?}");
    assert_eq!(report.rebuilt_queues, 1);
    check(&store, &model);
}

/// Garbage behind the end that happens to be a whole old record must not come back.
#[test]
fn what_was_cut_off_stays_cut_off() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(&dir.path().join("0")));
    let mut model = Model::new();
    append(&store, &mut model, &[(0, 100), (0, 100), (0, 100), (0, 100)]);
    copy(&dir.path().join("0"), &dir.path().join("1"));
    // The second record is torn, the third and fourth are whole.
    let log =
        OpenOptions::new().write(true).open(dir.path().join("1/commitlog/00000000000000000000")).expect("the log");
    log.write_all_at(&[0xAA; 4], model[0].1 as u64 + 90).expect("torn");
    model.truncate(1);
    let (store, report) = open(config(&dir.path().join("1")));
    assert!(report.cut_bytes > 0 && report.end == PhysicalOffset(model[0].1), "{report:?}");
    check(&store, &model);
    // A record of the same size ends where the third began.
    append(&store, &mut model, &[(0, 100)]);
    copy(&dir.path().join("1"), &dir.path().join("2"));
    drop(store);
    let (store, _) = open(config(&dir.path().join("2")));
    check(&store, &model);
}

#[test]
fn a_store_without_its_log_loses_its_queues() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    append(&store, &mut Model::new(), &[(0, 10), (1, 10)]);
    store.close().expect("closed");
    drop(store);
    std::fs::remove_dir_all(dir.path().join("commitlog")).expect("removed");
    let (store, _) = open(config(dir.path()));
    assert!(store.topics().is_empty());
    assert_eq!(put(&store, &topic(), 0, b"new", "").queue_offset, QueueOffset(0));
}

#[test]
fn a_deleted_and_recreated_topic_is_made_again_as_it_was_last() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(&dir.path().join("0")));
    append(&store, &mut Model::new(), &[(0, 10), (0, 10), (0, 10)]);
    store.delete_topic("Topic").expect("deleted");
    let mut model = Model::new();
    append(&store, &mut model, &[(0, 20), (0, 20)]);
    copy(&dir.path().join("0"), &dir.path().join("1"));
    std::fs::remove_dir_all(dir.path().join("1/consumequeue")).expect("removed");
    let (store, _) = open(config(&dir.path().join("1")));
    check(&store, &model);
}

#[test]
fn files_of_another_size_are_refused_with_the_size_to_set() {
    let dir = tempfile::tempdir().expect("a folder");
    open(config(dir.path())).0.close().expect("closed");
    let mut other = config(dir.path());
    other.commit_log_file_bytes = 128 << 10;
    let error = Store::open(other, remoting::types::Clock::system()).expect_err("refused");
    assert!(matches!(error, StoreError::FileSize { found: 65536, expected: 131_072, .. }));
    assert!(error.to_string().contains("mappedFileSizeCommitLog"), "{error}");
}

#[test]
fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_store, _) = open(config(dir.path()));
    let error = Store::open(config(dir.path()), remoting::types::Clock::system()).expect_err("refused");
    assert!(matches!(error, StoreError::Locked { .. }));
}

/// A store with 30 messages in each of two queues, stopped cleanly.
fn stopped(root: &Path) {
    let (store, _) = open(config(root));
    for number in 0..30 {
        for queue in 0..2 {
            put(&store, &topic(), queue, format!("{number}").as_bytes(), "");
        }
    }
    store.close().expect("closed");
}

/// Opens the store as after a crash.
fn open_crashed(config: StoreConfig) -> (std::sync::Arc<Store>, RecoveryReport) {
    std::fs::write(config.root.join("abort"), "").expect("written");
    open(config)
}

#[test]
fn entries_are_made_again_from_where_the_checkpoint_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    stopped(dir.path());
    let checkpoint = dir.path().join("checkpoint");
    let file = OpenOptions::new().read(true).write(true).open(&checkpoint).expect("a file");
    for (vouched, again) in [(None, 60), (Some(40), 19), (Some(59), 0)] {
        let (store, _) = open(config(dir.path()));
        let record = |number: i64| {
            store.entries(&topic(), QueueId((number % 2) as i32), QueueOffset(number / 2), 1)[0].physical_offset
        };
        let last = vouched.map_or(PhysicalOffset(0), record);
        store.close().expect("closed");
        drop(store);
        file.write_all_at(&last.0.to_be_bytes(), 40).expect("written");
        let (store, report) = open_crashed(config(dir.path()));
        assert_eq!((report.scanned_records, report.rebuilt_entries), (60, again), "{vouched:?}");
        for queue in 0..2 {
            assert_eq!(drain(&store, &topic(), queue).len(), 30);
        }
    }
}

#[test]
fn a_checkpoint_that_vouches_for_lost_records_is_lowered_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    stopped(dir.path());
    let log = OpenOptions::new().write(true).open(dir.path().join("commitlog/00000000000000000000")).expect("a file");
    let (store, report) = open(config(dir.path()));
    let cut = store.entries(&topic(), QueueId(1), QueueOffset(9), 1)[0].physical_offset;
    store.close().expect("closed");
    drop(store);
    log.write_all_at(&vec![0; (report.end.0 - cut.0) as usize], cut.0 as u64).expect("written");
    let (store, report) = open_crashed(config(dir.path()));
    assert_eq!(report.end, cut);
    let bytes = std::fs::read(dir.path().join("checkpoint")).expect("a file");
    let vouched = i64::from_be_bytes(*bytes[40..].first_chunk().expect("six fields"));
    let last = store.entries(&topic(), QueueId(0), QueueOffset(9), 1)[0].physical_offset;
    assert_eq!(vouched, last.0);
    assert_eq!((drain(&store, &topic(), 0).len(), drain(&store, &topic(), 1).len()), (10, 9));
}

#[test]
fn units_that_lie_behind_a_queues_end_after_a_crash_are_cleared() {
    let small = |root: &Path| StoreConfig { consume_queue_file_bytes: 60_000, ..config(root) };
    // In the page with the last unit, in the next one, and at the end of the file.
    for at in [31 * 20, 4100, 59_980] {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, _) = open(small(dir.path()));
        put_all(&store, 0, (0..30).map(|number| vec![number])).expect("stored");
        store.close().expect("closed");
        drop(store);
        let path = dir.path().join("consumequeue/Topic/0/00000000000000000000");
        let queue = OpenOptions::new().write(true).open(&path).expect("a file");
        queue.write_all_at(&[1; 20], at).expect("written");
        let (store, report) = open_crashed(small(dir.path()));
        assert_eq!((report.rebuilt_entries, drain(&store, &topic(), 0).len()), (0, 30));
        let bytes = std::fs::read(&path).expect("a file");
        assert!(bytes[30 * 20..].iter().all(|byte| *byte == 0), "at {at}");
    }
}
