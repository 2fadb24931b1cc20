//! What single passes of the cleaner delete.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use super::*;
use crate::Retention;
use crate::retention::{Cleaner, Need};

const LOG_FILE_BYTES: i64 = 64 << 10;
const HOUR: Duration = Duration::from_secs(3600);

/// Five files of the log, all of them last written to two hours before the store's clock, and flushed.
fn five_old_files(root: &Path) -> (Arc<Store>, Arc<SickDisk>) {
    let (store, disk) = open(root, FlushMode::Async);
    while store.max_physical_offset().0 < 4 * LOG_FILE_BYTES + 10_000 {
        store.append(&mut batch(&store, &[1000; 10])).expect("stored");
    }
    store.shared.flush();
    let now = SystemTime::UNIX_EPOCH + 1_000_000 * HOUR;
    store.shared.clock.set(Timestamp(1_000_000 * HOUR.as_millis() as i64));
    for entry in fs::read_dir(root.join("commitlog")).expect("a folder") {
        let file = File::options().write(true).open(entry.expect("an entry").path()).expect("a log file");
        file.set_modified(now - 2 * HOUR).expect("its time set");
    }
    (store, disk)
}

/// Files older than an hour have expired.
fn settings(store: &Store, is_hour: bool) -> Retention {
    let now = store.shared.clock.now();
    let every_hour = (0..24).map(|hour: u32| hour.to_string().parse().expect("an hour"));
    let hours = every_hour.into_iter().find(|hours: &crate::Hours| hours.include(now) == is_hour).expect("one of 24");
    Retention { reserved_time: HOUR, hours, log_file_pause: Duration::ZERO, ..Retention::default() }
}

/// Files that are left after a pass.
fn left(store: &Store, settings: &Retention, need: Need) -> i64 {
    Cleaner::new(&store.shared).pass(settings, need);
    5 - store.min_physical_offset().0 / LOG_FILE_BYTES
}

#[test]
fn nothing_goes_without_hour_request_or_need() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = five_old_files(dir.path());
    let quiet = settings(&store, false);
    assert_eq!(left(&store, &quiet, Need::Nothing), 5);
    let few = |settings| Retention { files_per_pass_max: 1, ..settings };
    assert_eq!(left(&store, &few(settings(&store, true)), Need::Nothing), 4, "the hour");
    assert_eq!(left(&store, &few(quiet.clone()), Need::Expired), 3, "the disk");
    store.shared.cleaning.ask();
    assert_eq!(left(&store, &few(quiet), Need::Nothing), 2, "somebody asked");
}

#[test]
fn the_newest_file_stays_however_old_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = five_old_files(dir.path());
    let settings = settings(&store, true);
    assert_eq!(left(&store, &settings, Need::Nothing), 1);
    assert_eq!(left(&store, &settings, Need::AtOnce), 1);
}

#[test]
fn young_files_go_only_when_the_disk_is_nearly_full_and_that_is_allowed() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = five_old_files(dir.path());
    let young = Retention { reserved_time: 3 * HOUR, files_per_pass_max: 1, ..settings(&store, true) };
    assert_eq!(left(&store, &young, Need::Expired), 5);
    assert_eq!(left(&store, &Retention { clean_forcibly: false, ..young.clone() }, Need::AtOnce), 5);
    assert_eq!(left(&store, &young, Need::AtOnce), 4);
}

#[test]
fn what_is_not_on_disk_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = five_old_files(dir.path());
    disk.hold(true);
    while store.max_physical_offset().0 < 6 * LOG_FILE_BYTES {
        store.append(&mut batch(&store, &[1000; 10])).expect("stored");
    }
    let flushed = store.figures().flushed_offset.0 / LOG_FILE_BYTES * LOG_FILE_BYTES;
    Cleaner::new(&store.shared).pass(&settings(&store, true), Need::AtOnce);
    assert_eq!(store.min_physical_offset().0, flushed);
    disk.hold(false);
}

#[test]
fn a_topic_forgets_what_it_keeps_no_longer_and_goes_on_at_its_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path(), FlushMode::Async);
    let quiet = settings(&store, false);
    let clean = || Cleaner::new(&store.shared).pass(&quiet, Need::Nothing);
    let bounds = || {
        let bound = |offset: Option<QueueOffset>| offset.expect("a queue").0;
        (bound(store.min_offset("T", QueueId(0))), bound(store.max_offset("T", QueueId(0))))
    };
    let begin = 1_000_000 * HOUR.as_millis() as i64;
    for hour in 0..3 {
        store.shared.clock.set(Timestamp(begin + hour * HOUR.as_millis() as i64));
        store.append(&mut batch(&store, &[100; 5])).expect("stored");
    }
    store.shared.flush();
    store.shared.keeper_signal.raise();
    clean();
    assert_eq!(bounds(), (0, 15), "it has no rule of its own");
    store.set_topic_retention(HashMap::from([(TopicName::new("T"), HOUR), (TopicName::new("unknown"), HOUR)]));
    clean();
    assert_eq!(bounds(), (5, 15), "an hour old is not older than an hour");
    store.shared.clock.set(Timestamp(begin + 10 * HOUR.as_millis() as i64));
    clean();
    assert_eq!(bounds(), (15, 15));
    store.append(&mut batch(&store, &[100])).expect("stored");
    assert_eq!(bounds(), (15, 16));
    clean();
    assert_eq!(bounds(), (15, 16), "it is young");
}
