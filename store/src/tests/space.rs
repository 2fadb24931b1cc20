//! A disk that fills up, and has space again.

use super::*;
use crate::message::Record;

/// Settings under which the cleaner looks at the disk all the time.
fn restless(store: &Store) {
    store.set_retention(crate::Retention { interval: Duration::from_millis(5), ..crate::Retention::default() });
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_disk_above_the_warning_level_takes_no_messages_until_it_is_below_the_forcible_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Async);
    restless(&store);
    store.append(&mut batch(&store, &[100])).expect("stored");
    disk.used_percent.store(91, Ordering::SeqCst);
    let refused = || store.append(&mut batch(&store, &[100])).err();
    until("refused", || refused().is_some());
    let error = refused().expect("refused");
    assert!(matches!(error, AppendError::DiskFull { commit_log: 0.91, consume_queue: 0.91 }), "{error}");
    let before = max_offset(&store);
    assert_eq!(store.entries("T", QueueId(0), QueueOffset(0), 100_000).len() as i64, before, "reads go on");
    disk.used_percent.store(87, Ordering::SeqCst);
    crate::retention::look(&store.shared, &crate::Retention::default());
    assert!(refused().is_some(), "between the two levels nothing changes");
    disk.used_percent.store(84, Ordering::SeqCst);
    until("taken again", || refused().is_none());
    assert!(max_offset(&store) > before);
}

#[test]
fn a_store_on_a_full_disk_opens_and_takes_no_messages() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(open(dir.path(), FlushMode::Async));
    let disk = Arc::new(SickDisk { used_percent: AtomicU32::new(95), ..SickDisk::default() });
    let config =
        StoreConfig { commit_log_file_bytes: 64 << 10, consume_queue_file_bytes: 200, ..StoreConfig::new(dir.path()) };
    let (store, _) = Store::open_on(config, Clock::fixed(Timestamp(1)), disk).expect("opened");
    assert!(matches!(store.append(&mut batch(&store, &[100])), Err(AppendError::DiskFull { .. })));
}

#[test]
fn a_log_without_space_for_its_next_file_refuses_until_there_is_some() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Async);
    disk.is_full.store(true, Ordering::SeqCst);
    store.append(&mut batch(&store, &[40_000])).expect("there is room in the first file");
    let (end, put_failed) = (store.max_physical_offset(), store.figures().put_failed);
    let mut large = batch(&store, &[40_000]);
    assert!(matches!(store.append(&mut large), Err(AppendError::DiskFull { .. })));
    // Also one that would fit is refused, at once and without trying.
    assert!(matches!(store.append(&mut batch(&store, &[10])), Err(AppendError::DiskFull { .. })));
    assert_eq!((store.max_physical_offset(), store.figures().put_failed), (end, put_failed + 2));
    disk.is_full.store(false, Ordering::SeqCst);
    until("taken again", || store.append(&mut large).is_ok());
    assert_eq!(max_offset(&store), 2);
}

#[test]
fn what_a_failed_write_left_does_not_come_to_life_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Async);
    restless(&store);
    // Ten equal records: half of them arrive whole.
    let mut ten = batch(&store, &[100; 10]);
    disk.is_full.store(true, Ordering::SeqCst);
    disk.writes_fail.store(true, Ordering::SeqCst);
    assert!(matches!(store.append(&mut ten), Err(AppendError::DiskFull { .. })));
    disk.writes_fail.store(false, Ordering::SeqCst);
    disk.is_full.store(false, Ordering::SeqCst);
    // One of the same size takes the place of the first of them.
    let mut one = batch(&store, &[100]);
    until("taken again", || store.append(&mut one).is_ok());
    let log = std::fs::read(dir.path().join("commitlog/00000000000000000000")).expect("the log");
    let Ok(Record::Message(first)) = Record::parse(&log) else { panic!("no record") };
    let behind = &log[first.size..];
    assert!(behind.iter().all(|byte| *byte == 0), "{:?}", Record::parse(behind));
}
