//! The store on a disk that fails when told to.

mod noted;
mod passes;
mod space;
mod stuck;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use remoting::types::{Clock, Host, QueueId, QueueOffset, Timestamp, TopicName};

use crate::io::{Files, RealFiles};
use crate::message::Message;
use crate::{AppendBatch, AppendError, Confirmation, FlushMode, Store, StoreConfig};

/// Does what the real disk does, unless told to fail or to wait.
#[derive(Debug, Default)]
struct SickDisk {
    writes_fail: AtomicBool,
    /// Writes that still work once `writes_fail` is set.
    writes_left: AtomicUsize,
    syncs_fail: AtomicBool,
    /// No file can be made.
    is_full: AtomicBool,
    used_percent: AtomicU32,
    syncs: AtomicUsize,
    held: Mutex<bool>,
    released: Condvar,
    /// Syncs that wait.
    waiting: AtomicUsize,
    /// Writes of records wait for this.
    writes: Mutex<()>,
}

impl SickDisk {
    /// Syncs wait while held.
    fn hold(&self, held: bool) {
        *self.held.lock() = held;
        self.released.notify_all();
    }
}

impl Files for SickDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        drop(self.writes.lock());
        // What a failed write left is cleared where it was written, which works.
        if self.writes_fail.load(Ordering::SeqCst) && bytes.iter().any(|byte| *byte != 0) {
            let left = self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_err() {
                // Half of it arrives.
                RealFiles.write_at(file, &bytes[..bytes.len() / 2], offset)?;
                return Err(if self.is_full.load(Ordering::SeqCst) {
                    io::ErrorKind::StorageFull.into()
                } else {
                    io::Error::other("the disk is sick")
                });
            }
        }
        RealFiles.write_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let mut held = self.held.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while *held {
            self.released.wait(&mut held);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(held);
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is sick"));
        }
        RealFiles.sync_data(file)
    }

    fn create_sized(&self, path: &Path, bytes: u64, reserve: bool) -> io::Result<File> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealFiles.create_sized(path, bytes, reserve)
    }

    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealFiles.reserve(file, bytes)
    }

    fn used_share(&self, _: &Path) -> f64 {
        f64::from(self.used_percent.load(Ordering::SeqCst)) / 100.0
    }

    fn capacity(&self, path: &Path) -> u64 {
        RealFiles.capacity(path)
    }
}

fn open(root: &Path, flush: FlushMode) -> (Arc<Store>, Arc<SickDisk>) {
    let disk = Arc::new(SickDisk::default());
    let config = StoreConfig {
        commit_log_file_bytes: 64 << 10,
        consume_queue_file_bytes: 200,
        flush,
        flush_interval: Duration::from_millis(10),
        flush_least_pages: 0,
        sync_flush_timeout: Duration::from_millis(300),
        ..StoreConfig::new(root)
    };
    let (store, _) = Store::open_on(config, Clock::fixed(Timestamp(1)), Arc::clone(&disk) as _).expect("opened");
    (store, disk)
}

fn batch(store: &Store, lens: &[usize]) -> AppendBatch {
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    let topic = TopicName::new("T");
    let mut batch = store.batch();
    for len in lens {
        let body = vec![b'x'; *len];
        let message = Message { born_timestamp: Timestamp(1), ..Message::new(&topic, QueueId(0), &body, host) };
        batch.push(&message).expect("legal");
    }
    batch
}

fn max_offset(store: &Store) -> i64 {
    store.max_offset("T", QueueId(0)).unwrap_or_default().0
}

/// Appends one message and tells on the channel what became of it.
fn put(store: &Store, answers: &mpsc::Sender<Confirmation>) -> Result<(), AppendError> {
    let mut batch = batch(store, &[100]);
    let end = store.append(&mut batch)?.end;
    let answers = answers.clone();
    store.when_confirmed(end, Box::new(move |what| answers.send(what).expect("the test listens")));
    Ok(())
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn waiters_share_one_flush() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Sync);
    let (sender, answers) = mpsc::channel();
    disk.hold(true);
    let before = disk.syncs.load(Ordering::SeqCst);
    for _ in 0..100 {
        put(&store, &sender).expect("stored");
    }
    assert_eq!((answers.try_recv(), max_offset(&store)), (Err(mpsc::TryRecvError::Empty), 0), "nothing is flushed");
    disk.hold(false);
    for _ in 0..100 {
        assert_eq!(answers.recv_timeout(LONG), Ok(Confirmation::Confirmed));
    }
    assert_eq!(max_offset(&store), 100);
    // The first flush may have begun with fewer than all; the second had the rest. Queues are synced beside that.
    let log_syncs = disk.syncs.load(Ordering::SeqCst) - before;
    assert!(log_syncs <= 4, "{log_syncs} syncs for 100 messages");
}

#[test]
fn what_is_confirmed_is_readable_though_the_same_queue_has_newer_messages() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Sync);
    disk.hold(true);
    let first = store.append(&mut batch(&store, &[100])).expect("stored").end;
    let since = Instant::now();
    while disk.waiting.load(Ordering::SeqCst) == 0 {
        assert!(since.elapsed() < LONG, "the flush of the first begins");
        std::thread::yield_now();
    }
    store.append(&mut batch(&store, &[100])).expect("stored");
    let (sender, answers) = mpsc::channel();
    let reader = Arc::downgrade(&store);
    let read = move |_| sender.send(reader.upgrade().map(|store| max_offset(&store))).expect("the test listens");
    store.when_confirmed(first, Box::new(read));
    disk.hold(false);
    assert_eq!(answers.recv_timeout(LONG), Ok(Some(1)));
}

#[test]
fn a_flush_that_takes_too_long_is_told_and_still_counts_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Sync);
    let (sender, answers) = mpsc::channel();
    disk.hold(true);
    put(&store, &sender).expect("stored");
    assert_eq!(answers.recv_timeout(LONG), Ok(Confirmation::FlushTimeout));
    disk.hold(false);
    put(&store, &sender).expect("stored");
    assert_eq!(answers.recv_timeout(LONG), Ok(Confirmation::Confirmed));
    assert_eq!(max_offset(&store), 2);
}

#[test]
fn a_failed_flush_ends_all_writing_until_the_store_is_reopened() {
    for flush in [FlushMode::Sync, FlushMode::Async] {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, disk) = open(dir.path(), flush);
        let (sender, answers) = mpsc::channel();
        put(&store, &sender).expect("stored");
        assert_eq!(answers.recv_timeout(LONG), Ok(Confirmation::Confirmed));
        disk.syncs_fail.store(true, Ordering::SeqCst);
        if flush == FlushMode::Sync {
            put(&store, &sender).expect("written");
            assert_eq!(answers.recv_timeout(LONG), Ok(Confirmation::Failed));
        }
        let since = Instant::now();
        let refused = loop {
            match store.append(&mut batch(&store, &[100])) {
                Err(error) => break error,
                Ok(_) => assert!(since.elapsed() < LONG, "the timer flush notices"),
            }
        };
        assert!(matches!(refused, AppendError::Poisoned));
        disk.syncs_fail.store(false, Ordering::SeqCst);
        assert!(matches!(store.append(&mut batch(&store, &[100])), Err(AppendError::Poisoned)), "not by itself");
        store.close().expect("closed");
        drop(store);
        assert!(dir.path().join("abort").exists(), "the next start does not trust this exit");
        let (store, _) = open(dir.path(), flush);
        put(&store, &sender).expect("stored again");
    }
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_the_batch_can_be_tried_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Async);
    store.append(&mut batch(&store, &[100])).expect("stored");
    let end = store.max_physical_offset();
    // 60 records of 2 KiB need two files: fail in the first, at the blank, in the second.
    let mut large = batch(&store, &[2000; 60]);
    for writes in 0..3 {
        disk.writes_left.store(writes, Ordering::SeqCst);
        disk.writes_fail.store(true, Ordering::SeqCst);
        assert!(matches!(store.append(&mut large), Err(AppendError::Io(_))), "{writes} writes");
        disk.writes_fail.store(false, Ordering::SeqCst);
        assert_eq!((store.max_physical_offset(), max_offset(&store)), (end, 1));
    }
    let offsets: Vec<_> =
        store.append(&mut large).expect("stored").positions.iter().map(|at| at.queue_offset.0).collect();
    assert_eq!(offsets, (1..61).collect::<Vec<_>>());
    assert_eq!(store.entries("T", QueueId(0), QueueOffset(0), 100).len(), 61);
    store.close().expect("closed");
    drop(store);
    let (store, _) = open(dir.path(), FlushMode::Async);
    assert_eq!(max_offset(&store), 61);
}

#[test]
fn queues_that_cannot_be_written_are_served_from_memory_and_written_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, disk) = open(dir.path(), FlushMode::Async);
    let unit_files = dir.path().join("consumequeue/T/0");
    store.append(&mut batch(&store, &[10; 5])).expect("stored");
    let since = Instant::now();
    while !unit_files.exists() {
        assert!(since.elapsed() < LONG, "the keeper writes units out");
        std::thread::yield_now();
    }
    disk.writes_left.store(usize::MAX, Ordering::SeqCst);
    store.append(&mut batch(&store, &[10; 600])).expect("stored");
    disk.writes_left.store(0, Ordering::SeqCst);
    disk.writes_fail.store(true, Ordering::SeqCst);
    assert_eq!(store.entries("T", QueueId(0), QueueOffset(0), 1000).len(), 605);
    disk.writes_fail.store(false, Ordering::SeqCst);
    store.close().expect("closed");
    drop(store);
    assert!(!dir.path().join("abort").exists());
    let (store, _) = open(dir.path(), FlushMode::Async);
    assert_eq!(store.entries("T", QueueId(0), QueueOffset(0), 1000).len(), 605);
}

#[test]
fn the_next_file_is_made_ahead() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path(), FlushMode::Async);
    let next = dir.path().join("commitlog/00000000000000065536");
    assert!(!next.exists());
    store.append(&mut batch(&store, &[40_000])).expect("stored");
    let since = Instant::now();
    while !next.exists() {
        assert!(since.elapsed() < LONG, "made in the background");
        std::thread::yield_now();
    }
    store.close().expect("closed");
    assert!(!next.exists(), "and taken away again by a clean stop");
}

#[test]
fn the_checkpoint_follows_and_a_clean_stop_completes_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path(), FlushMode::Async);
    let last = store.append(&mut batch(&store, &[10; 5])).expect("stored").positions[4].physical_offset;
    store.close().expect("closed");
    let (_, checkpoint) =
        crate::checkpoint::CheckpointFile::open(&dir.path().join("checkpoint")).expect("a checkpoint");
    assert_eq!(checkpoint.logics_physical_offset, last.0);
    assert_eq!((checkpoint.physic_msg_timestamp, checkpoint.logics_msg_timestamp), (Timestamp(1), Timestamp(1)));
}
