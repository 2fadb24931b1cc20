//! The table of pulls that wait.

use std::collections::HashMap;

use parking_lot::Mutex;
use remoting::connection::Busy;
use store::Arrivals;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::request::Pull;

/// Pulls that may wait at a time, each of less than a kilobyte. One more is told to come again later.
///
/// A single connection is bounded before: it is not read any further while too many of its calls wait.
pub(super) const WAITING_MAX: usize = 100_000;

/// Pulls by the queue whose growth they wait for.
#[derive(Default)]
pub(super) struct Waiting {
    table: Mutex<Table>,
    first: Notify,
}

#[derive(Default)]
struct Table {
    queues: HashMap<Arrivals, Vec<Waiter>>,
    count: usize,
}

/// A pull that waits.
pub(super) struct Waiter {
    pub(super) pull: Pull,
    pub(super) deadline: Instant,
    /// The connection owes an answer.
    pub(super) busy: Busy,
}

impl Waiter {
    fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now || self.pull.peer.is_closed()
    }
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.table.lock().count
    }

    /// Lets a pull wait for messages of `queue`; gives it back if there are too many already.
    pub(super) fn add(&self, queue: Arrivals, waiter: Waiter) -> Option<Waiter> {
        let offset = waiter.pull.from;
        {
            let mut table = self.table.lock();
            if table.count >= WAITING_MAX {
                return Some(waiter);
            }
            table.count += 1;
            if table.count == 1 {
                self.first.notify_one();
            }
            table.queues.entry(queue.clone()).or_default().push(waiter);
        }
        queue.report_past(offset);
        None
    }

    /// Takes the pulls that wait for `queue`.
    pub(super) fn take(&self, queue: &Arrivals) -> Vec<Waiter> {
        let mut table = self.table.lock();
        let Some(waiters) = table.queues.get_mut(queue) else { return Vec::new() };
        // The entry stays: the next pull of a busy queue comes soon.
        let taken = std::mem::take(waiters);
        table.count -= taken.len();
        taken
    }

    /// Takes the pulls that have waited long enough or whose connection closes.
    pub(super) fn take_over(&self, now: Instant) -> Vec<Waiter> {
        let mut table = self.table.lock();
        let Table { queues, count } = &mut *table;
        let mut over = Vec::new();
        queues.retain(|_, waiters| {
            over.extend(waiters.extract_if(.., |waiter| waiter.is_over(now)));
            !waiters.is_empty()
        });
        *count -= over.len();
        over
    }

    /// Takes all pulls.
    pub(super) fn take_all(&self) -> Vec<Waiter> {
        let mut table = self.table.lock();
        table.count = 0;
        table.queues.drain().flat_map(|(_, waiters)| waiters).collect()
    }

    /// Returns when a pull waits after none did. Cancel-safe.
    pub(super) async fn begun(&self) {
        self.first.notified().await;
    }
}
