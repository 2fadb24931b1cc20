//! The store's own threads: flush, deadlines, next file, cleaner, keeper, index.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::FlushMode;
use crate::index::Indexer;
use crate::keeper::Keeper;
use crate::retention::Cleaner;
use crate::shared::Shared;

const PAGE_BYTES: u64 = 4096;

/// Who does the work.
#[derive(Debug)]
pub(crate) enum Background {
    /// Running threads; they end once [`Shared::stopping`] is set and their signals are raised.
    Threads { threads: Vec<JoinHandle<()>>, keeper: JoinHandle<Keeper>, indexer: Option<JoinHandle<Indexer>> },
    /// A test, on its own thread.
    #[cfg(any(test, feature = "testing"))]
    Hand(Box<Hand>),
}

#[cfg(any(test, feature = "testing"))]
pub(crate) struct Hand {
    keeper: Keeper,
    indexer: Option<Indexer>,
}

#[cfg(any(test, feature = "testing"))]
impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hand").finish_non_exhaustive()
    }
}

impl Background {
    pub(crate) fn start(shared: &Arc<Shared>, keeper: Keeper, indexer: Option<Indexer>) -> io::Result<Self> {
        let spawn = |name: &str, run: fn(&Shared)| {
            let shared = Arc::clone(shared);
            thread::Builder::new().name(name.into()).spawn(move || run(&shared))
        };
        let mut threads = vec![spawn("store-allocate", allocate)?, spawn("store-cleaner", clean)?];
        match shared.config.flush {
            FlushMode::Async => threads.push(spawn("store-flush", flush_on_time)?),
            FlushMode::Sync => threads.push(spawn("store-flush", flush_on_demand)?),
        }
        if shared.config.flush == FlushMode::Sync || shared.raft.is_some() {
            threads.push(spawn("store-deadline", end_long_waits)?);
        }
        let keeper = thread::Builder::new().name("store-keeper".into()).spawn(move || keeper.run())?;
        let index = |indexer: Indexer| thread::Builder::new().name("store-index".into()).spawn(move || indexer.run());
        let indexer = indexer.map(index).transpose()?;
        Ok(Self::Threads { threads, keeper, indexer })
    }

    /// No threads: whoever wants work to be done does it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn by_hand(keeper: Keeper, indexer: Option<Indexer>) -> Self {
        Self::Hand(Box::new(Hand { keeper, indexer }))
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn turn_keeper(&mut self) {
        if let Self::Hand(hand) = self {
            hand.keeper.turn();
        }
    }

    /// Waits for all threads to end; gives back the keeper and the indexer unless they panicked.
    pub(crate) fn join(self) -> (Option<Keeper>, Option<Indexer>) {
        match self {
            Self::Threads { threads, keeper, indexer } => {
                for thread in threads {
                    // A panic was printed by its thread; there is nothing to add.
                    let _ = thread.join();
                }
                (keeper.join().ok(), indexer.and_then(|indexer| indexer.join().ok()))
            }
            #[cfg(any(test, feature = "testing"))]
            Self::Hand(hand) => (Some(hand.keeper), hand.indexer),
        }
    }
}

fn allocate(shared: &Shared) {
    while !shared.is_stopping() {
        shared.log.allocator.signal.wait(None);
        if !shared.is_stopping() {
            shared.log.allocator.work();
        }
    }
}

fn clean(shared: &Shared) {
    Cleaner::new(shared).run();
}

/// `ASYNC_FLUSH`. Java: `CommitLog.FlushRealTimeService`.
fn flush_on_time(shared: &Shared) {
    let mut last_thorough = Instant::now();
    while !shared.is_stopping() {
        shared.flush_signal.wait(Some(shared.config.flush_interval));
        let thorough = last_thorough.elapsed() >= shared.config.flush_thorough_interval;
        let least_pages = if thorough { 0 } else { shared.config.flush_least_pages };
        if thorough {
            last_thorough = Instant::now();
        }
        if shared.log.unflushed() / PAGE_BYTES >= least_pages {
            shared.flush();
        }
    }
}

/// `SYNC_FLUSH`: while one flush runs, the next batch gathers. Java: `CommitLog.GroupCommitService`.
fn flush_on_demand(shared: &Shared) {
    while !shared.is_stopping() {
        shared.flush_signal.wait(None);
        shared.flush();
    }
}

/// Ends waits also while the flush thread hangs in the disk.
fn end_long_waits(shared: &Shared) {
    const TURNS_PER_TIMEOUT: u32 = 20;
    let turn = (shared.config.sync_flush_timeout / TURNS_PER_TIMEOUT)
        .clamp(Duration::from_millis(1), Duration::from_millis(250));
    while !shared.is_stopping() {
        shared.deadline_signal.wait(Some(turn));
        shared.watermark.expire();
    }
}
