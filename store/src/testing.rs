//! For tests of this crate and of those that build on it: disks that die, forget and fail; a store without threads; and bugs
//! that are put back in.
//!
//! [`MortalDisk`] stops at a chosen change, as a `kill -9` stops a process; [`LossyDisk`] forgets what was not synced, as a
//! power cut does; [`SlowDisk`] takes its time.
//!
//! A killed process leaves what it had written, in the system's memory, and writes nothing more. A test lets a feature live
//! on a store whose [`MortalDisk`] dies after n changes, for every n of that life; ends it with [`MortalDisk::kill`]; opens
//! the folder again with [`Store::open`]; has the feature go on; and compares with what its clients had been told.
//!
//! ```text
//! for n in 0.. {
//!     let disk = MortalDisk::after(n);
//!     let Ok((store, _)) = disk.open(config, clock) else { continue };   // it died while the store was opened
//!     …                                                                  // until an append fails, or the life is over
//!     let died = disk.is_dead();
//!     disk.kill(store);
//!     …                                                                  // Store::open, go on, compare
//!     if !died { break }                                                 // all of the life was lived
//! }
//! ```

mod bugs;
mod by_hand;
mod lossy_disk;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use remoting::types::Clock;

use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::io::{Files, RealFiles};
use crate::raft::RaftLog;
use crate::recovery::RecoveryReport;
use crate::store::{Store, Turns};

pub use self::bugs::Bug;
pub use self::by_hand::ByHand;
pub use self::lossy_disk::{Fault, Lie, LossyDisk};

/// A disk that lets so many changes through and fails all later ones. Nothing is ever synced: a kill loses nothing that was
/// written. Its clones are the same disk.
#[derive(Clone, Debug)]
pub struct MortalDisk(Arc<State>);

#[derive(Debug)]
struct State {
    left: AtomicUsize,
    /// Of the first write that is refused, half arrives.
    torn: AtomicBool,
}

impl MortalDisk {
    /// Dies between two changes: after so many.
    pub fn after(changes: usize) -> Self {
        Self(Arc::new(State { left: AtomicUsize::new(changes), torn: AtomicBool::new(false) }))
    }

    /// Dies amid a change: of the one behind so many, if it is a write, half is made.
    pub fn amid(changes: usize) -> Self {
        Self(Arc::new(State { left: AtomicUsize::new(changes), torn: AtomicBool::new(true) }))
    }

    /// Opens a store on this disk.
    ///
    /// # Errors
    /// As [`Store::open`]; also if the disk dies meanwhile.
    pub fn open(&self, config: StoreConfig, clock: Clock) -> Result<(Arc<Store>, RecoveryReport), StoreError> {
        Store::open_on(config, clock, Arc::clone(&self.0) as _)
    }

    /// Opens a store that is a Raft log on this disk.
    ///
    /// # Errors
    /// As [`Store::open_raft`]; also if the disk dies meanwhile.
    pub fn open_raft(
        &self,
        config: StoreConfig,
        clock: Clock,
    ) -> Result<(Arc<Store>, RaftLog, RecoveryReport), StoreError> {
        Store::open_raft_on(config, clock, false, Arc::clone(&self.0) as _, Turns::OfThreads)
    }

    /// Whether all changes that it lets through were made.
    pub fn is_dead(&self) -> bool {
        self.0.left.load(Ordering::Acquire) == 0
    }

    /// Counts a change that the caller is about to make beside the store, to a file of its own.
    ///
    /// # Errors
    /// The disk is dead: the change must not be made.
    pub fn change(&self) -> io::Result<()> {
        self.0.change()
    }

    /// Ends the process, as far as the folder can tell: nothing more is written, and the mark of a running broker stays.
    /// The store can be opened again once its last handle is dropped.
    pub fn kill(&self, store: Arc<Store>) {
        self.0.left.store(0, Ordering::Release);
        let abort = store.shared.config.root.join("abort");
        // Where nothing was left to write, it closes cleanly; a process that was killed has not.
        let _ = store.close();
        fs::write(abort, "killed").expect("the folder of the store");
    }
}

/// The machine's disk, which can be told to take long for a flush: a minute at the most, so that a test that failed ends. Its
/// clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SlowDisk(Arc<Slowness>);

const HANG_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Slowness {
    /// Flushes wait until this is false.
    hangs: Mutex<bool>,
    goes_on: Condvar,
}

impl SlowDisk {
    /// Opens a store that is a Raft log on this disk.
    ///
    /// # Errors
    /// As [`Store::open_raft`].
    pub fn open_raft(
        &self,
        config: StoreConfig,
        clock: Clock,
    ) -> Result<(Arc<Store>, RaftLog, RecoveryReport), StoreError> {
        Store::open_raft_on(config, clock, false, Arc::clone(&self.0) as _, Turns::OfThreads)
    }

    /// Has flushes from now on, and the one that is under way, wait; or lets them go on.
    pub fn hang(&self, hangs: bool) {
        *self.0.hangs.lock() = hangs;
        self.0.goes_on.notify_all();
    }
}

impl Files for Slowness {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        RealFiles.write_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let mut hangs = self.hangs.lock();
        self.goes_on.wait_while_for(&mut hangs, |hangs| *hangs, HANG_MAX);
        drop(hangs);
        RealFiles.sync_data(file)
    }

    fn sync_file_system(&self, dir: &Path) -> io::Result<()> {
        RealFiles.sync_file_system(dir)
    }
}

impl State {
    fn change(&self) -> io::Result<()> {
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        left.map_or_else(|_| Err(dead()), |_| Ok(()))
    }

    fn look(&self) -> io::Result<()> {
        if self.left.load(Ordering::Acquire) == 0 { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> io::Error {
    io::Error::other("the process was killed")
}

impl Files for State {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let alive = self.change();
        if alive.is_ok() {
            RealFiles.write_at(file, bytes, offset)?;
        } else if self.torn.swap(false, Ordering::AcqRel) {
            RealFiles.write_at(file, &bytes[..bytes.len() / 2], offset)?;
        }
        alive
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        self.look()
    }

    fn create_sized(&self, path: &Path, bytes: u64, reserve: bool) -> io::Result<File> {
        self.change()?;
        RealFiles.create_sized(path, bytes, reserve)
    }

    fn zero_range(&self, file: &File, from: u64, end: u64) -> io::Result<()> {
        if from < end {
            self.change()?;
        }
        RealFiles.zero_range(file, from, end)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealFiles.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        RealFiles.rename(from, to)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.look()
    }

    fn sync_file_system(&self, _: &Path) -> io::Result<()> {
        self.look()
    }

    fn moment_after_all(&self, file: &File) -> io::Result<i64> {
        self.change()?;
        RealFiles.moment_after_all(file)
    }

    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.change()?;
        RealFiles.reserve(file, bytes)
    }
}

#[cfg(test)]
mod tests {
    use remoting::types::{Host, QueueId, QueueOffset, Timestamp, TopicName};

    use super::*;
    use crate::message::Message;
    use crate::read::{Everything, ReadRequest};

    fn config(root: &Path) -> StoreConfig {
        let mut config = StoreConfig::new(root);
        config.commit_log_file_bytes = 4096;
        config.consume_queue_file_bytes = 200;
        (config.index.slots, config.index.entries) = (10, 20);
        config
    }

    fn send(store: &Store, topic: &TopicName, body: &str) -> bool {
        let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
        let mut batch = store.batch();
        // Longer than all that is before them, so that the write that is torn ends in them.
        let properties = format!("name\u{1}{}\u{2}", "v".repeat(400));
        let message = Message {
            topic,
            queue_id: QueueId(0),
            flag: 0,
            sys_flag: 0,
            born_timestamp: Timestamp(0),
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.as_bytes(),
            properties: &properties,
        };
        batch.push(&message).expect("a legal message");
        store.append(&mut batch).is_ok()
    }

    fn count(store: &Store, topic: &TopicName) -> usize {
        let request =
            ReadRequest { topic, queue_id: QueueId(0), offset: QueueOffset(0), max_messages: 32, max_bytes: 1 << 20 };
        store.read(&request, &Everything).count
    }

    /// Sends up to 20 messages on a disk that dies, and returns whether it died.
    fn life(disk: &MortalDisk, topic: &TopicName) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::fixed(Timestamp(1_700_000_000_000));
        let mut stored = 0;
        if let Ok((store, _)) = disk.open(config(folder.path()), clock.clone()) {
            stored = (0..20).take_while(|number| send(&store, topic, &"x".repeat(100 + number))).count();
            disk.kill(store);
        }
        let died = stored < 20;
        let (store, _) = Store::open(config(folder.path()), clock).expect("a store that was killed opens");
        assert_eq!(count(&store, topic), stored, "what was acknowledged is there, and no more");
        assert!(send(&store, topic, "goes on"));
        assert_eq!(count(&store, topic), stored + 1);
        died
    }

    #[test]
    fn a_life_can_end_at_each_of_its_changes() {
        let topic = TopicName::new("T");
        for new in [MortalDisk::after, MortalDisk::amid] {
            let deaths = (0..).take_while(|changes| life(&new(*changes), &topic)).count();
            assert!(deaths > 20, "{deaths} places to die at");
        }
    }

    #[test]
    fn a_killed_store_was_not_closed_cleanly() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = MortalDisk::after(usize::MAX);
        let (store, _) = disk.open(config(folder.path()), Clock::system()).expect("a store");
        assert!(!disk.is_dead() && disk.change().is_ok());
        disk.kill(store);
        assert!(disk.is_dead() && disk.change().is_err());
        assert!(folder.path().join("abort").exists());
    }
}
