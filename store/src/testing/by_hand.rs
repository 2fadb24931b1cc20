//! A store without threads of its own, for simulations: what they do is done when the test says so, on its thread.

use std::sync::Arc;

use crate::store::Store;

/// The background work of a store that was opened [like this](super::LossyDisk::open_raft).
#[derive(Clone, Debug)]
pub struct ByHand(Arc<Store>);

impl ByHand {
    pub fn new(store: &Arc<Store>) -> Self {
        Self(Arc::clone(store))
    }

    /// Brings the log to disk, and tells who waits for that.
    pub fn flush(&self) {
        self.0.shared.flush();
    }

    /// Whether something is written that is not on disk.
    pub fn has_unflushed(&self) -> bool {
        self.0.shared.log.unflushed() > 0
    }

    /// Makes the next file of the log, if it was asked for.
    pub fn allocate(&self) {
        self.0.shared.log.allocator.work();
    }

    /// Brings queues and checkpoint to disk.
    pub fn keep(&self) {
        self.0.turn_keeper();
    }

    /// Whether a sync has failed: nothing is taken any more.
    pub fn is_poisoned(&self) -> bool {
        self.0.shared.is_poisoned()
    }

    /// Ends the life of the store as a crash does: nothing more is written. What its disk has kept is another matter. The folder can be
    /// opened again.
    pub fn abandon(&self) {
        self.0.abandon();
    }
}
