//! Old files go, the newest stays, and queues follow the log's first byte.

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::*;
use remoting::types::{PhysicalOffset, QueueId, QueueOffset};
use store::{ReadStatus, Retention, Store};

const LOG_FILE_BYTES: i64 = 64 << 10;
const LONG: Duration = Duration::from_secs(20);

/// A pass every few milliseconds, at any hour. The store's clock stands at [`NOW`].
fn eager() -> Retention {
    let all_day: Vec<_> = (0..24).map(|hour| hour.to_string()).collect();
    Retention {
        reserved_time: Duration::from_secs(3600),
        hours: all_day.join(";").parse().expect("hours"),
        interval: Duration::from_millis(5),
        log_file_pause: Duration::ZERO,
        queue_file_pause: Duration::ZERO,
        ..Retention::default()
    }
}

fn log_files(root: &Path) -> Vec<i64> {
    names(&root.join("commitlog"))
}

fn queue_files(root: &Path, queue: i32) -> Vec<i64> {
    names(&root.join(format!("consumequeue/Topic/{queue}")))
}

fn names(dir: &Path) -> Vec<i64> {
    // Queue folders come with the first entries that are written out.
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<i64> = entries.map(|name| name.to_str().expect("a name").parse().expect("a number")).collect();
    names.sort_unstable();
    names
}

/// Has the file look as if it was last written to `hours` before [`NOW`].
fn age(root: &Path, start: i64, hours: u64) {
    let written = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW.0 as u64) - Duration::from_secs(hours * 3600);
    let file = File::options().write(true).open(root.join(format!("commitlog/{start:020}"))).expect("a log file");
    file.set_modified(written).expect("its time set");
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

/// Five files of the log, all of them young; queue 0 has entries throughout, queue 1 in the first file only.
fn five_files(root: &Path) -> Arc<Store> {
    let mut config = config(root);
    config.flush_interval = Duration::from_millis(5);
    config.flush_least_pages = 0;
    config.retention = Retention { hours: "4".parse().expect("an hour"), ..eager() };
    let (store, _) = open(config);
    put(&store, &topic(), 1, b"only one", "");
    while store.max_physical_offset().0 < 4 * LOG_FILE_BYTES + 10_000 {
        put(&store, &topic(), 0, &[b'x'; 1000], "");
    }
    // What is not on disk is not deleted.
    until("flushed", || store.figures().flushed_offset == store.max_physical_offset());
    for start in log_files(root) {
        age(root, start, 0);
    }
    store
}

#[test]
fn expired_files_go_and_the_queues_follow() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path();
    let store = five_files(root);
    let all = drain(&store, &topic(), 0);
    // Queue files follow the log once they are written.
    until("written out", || queue_files(root, 0).len() as i64 == (all.len() as i64 + 9) / 10);
    age(root, 0, 2);
    age(root, LOG_FILE_BYTES, 2);
    // Behind one that is young: it stays, for a log has no gaps.
    age(root, 3 * LOG_FILE_BYTES, 2);
    store.set_retention(eager());
    until("deleted", || log_files(root)[0] == 2 * LOG_FILE_BYTES);
    let kept: Vec<_> = all.iter().filter(|got| got.physical_offset >= 2 * LOG_FILE_BYTES).cloned().collect();
    until("followed", || store.min_offset("Topic", QueueId(0)) == Some(QueueOffset(kept[0].queue_offset)));
    assert_eq!(store.min_physical_offset(), PhysicalOffset(2 * LOG_FILE_BYTES));
    assert_eq!(drain(&store, &topic(), 0), kept);
    let first_file = kept[0].queue_offset / 10 * 200;
    until("queue files deleted", || queue_files(root, 0)[0] == first_file);
    let too_small = read(&store, &topic(), 0, 0);
    assert_eq!((too_small.status, too_small.next_offset.0), (ReadStatus::OffsetTooSmall, kept[0].queue_offset));
    // Nothing of queue 1 is left, and it goes on where it was.
    until("emptied", || store.min_offset("Topic", QueueId(1)) == Some(QueueOffset(1)));
    assert_eq!(put(&store, &topic(), 1, b"second", "").queue_offset, QueueOffset(1));
    store.close().expect("closed");
    drop(store);
    let (store, report) = open(config(root));
    assert!(report.clean && report.rebuilt_entries == 0, "{report:?}");
    assert_eq!(drain(&store, &topic(), 0), kept);
    assert_eq!(bodies(&drain(&store, &topic(), 1)), [b"second"]);
}

#[test]
fn a_reader_keeps_what_it_has_though_the_file_is_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path();
    let store = five_files(root);
    let outcome = read(&store, &topic(), 0, 0);
    let before = messages(&outcome);
    for start in log_files(root) {
        age(root, start, 2);
    }
    store.set_retention(eager());
    until("deleted", || log_files(root)[0] == 4 * LOG_FILE_BYTES);
    store.close().expect("closed");
    drop(store);
    assert_eq!(messages(&outcome), before);
}

#[test]
fn a_crash_in_the_middle_of_a_deletion_is_recovered_from() {
    for log_files_gone in 1..=4 {
        for queue_files_gone in [0, 3] {
            let dir = tempfile::tempdir().expect("a folder");
            let root = dir.path().join("live");
            let store = five_files(&root);
            let all = drain(&store, &topic(), 0);
            until("written out", || queue_files(&root, 0).len() as i64 == (all.len() as i64 + 9) / 10);
            let crashed = dir.path().join("crashed");
            copy(&root, &crashed);
            drop(store);
            for start in log_files(&crashed).into_iter().take(log_files_gone) {
                fs::remove_file(crashed.join(format!("commitlog/{start:020}"))).expect("removed");
            }
            for start in queue_files(&crashed, 0).into_iter().take(queue_files_gone) {
                fs::remove_file(crashed.join(format!("consumequeue/Topic/0/{start:020}"))).expect("removed");
            }
            let (store, report) = open(config(&crashed));
            let log_min = log_files_gone as i64 * LOG_FILE_BYTES;
            let kept: Vec<_> = all.iter().filter(|got| got.physical_offset >= log_min).cloned().collect();
            assert_eq!(drain(&store, &topic(), 0), kept, "{report:?}");
            assert_eq!(store.min_offset("Topic", QueueId(0)), Some(QueueOffset(kept[0].queue_offset)));
            assert_eq!(queue_files(&crashed, 0)[0], kept[0].queue_offset / 10 * 200);
            assert_eq!(store.min_offset("Topic", QueueId(1)), Some(QueueOffset(1)), "its one message is gone");
            let next = put(&store, &topic(), 0, b"next", "").queue_offset;
            assert_eq!(next, QueueOffset(all.len() as i64));
        }
    }
}

#[test]
fn a_queue_whose_messages_are_all_gone_can_be_forgotten_and_begins_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path();
    let store = five_files(root);
    until("written out", || !queue_files(root, 0).is_empty() && !queue_files(root, 1).is_empty());
    assert_eq!(store.delete_expired_queues("Topic").expect("none"), []);
    age(root, 0, 2);
    store.set_retention(eager());
    until("deleted", || store.min_physical_offset() == PhysicalOffset(LOG_FILE_BYTES));
    assert_eq!(store.delete_expired_queues("Topic").expect("deleted"), [QueueId(1)]);
    assert!(!root.join("consumequeue/Topic/1").exists() && root.join("consumequeue/Topic/0").exists());
    assert_eq!(store.min_offset("Topic", QueueId(1)), None);
    assert_eq!(put(&store, &topic(), 1, b"anew", "").queue_offset, QueueOffset(0));
    assert_eq!(bodies(&drain(&store, &topic(), 1)), [b"anew"]);
    store.close().expect("closed");
    drop(store);
    let (store, _) = open(config(root));
    assert_eq!(bodies(&drain(&store, &topic(), 1)), [b"anew"]);
}
