//! How far the log is confirmed, and who waits for it to get further.
//!
//! What moves the watermark decides what "stored" means: written, flushed, or held by others. Waiters stand in one queue
//! ordered by the end of their batch; whoever moves the watermark answers all that are due.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use remoting::types::PhysicalOffset;
use tokio::sync::oneshot;

/// What became of a message that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    Confirmed,
    /// Not within the flush timeout; it may still be flushed. Java: `FLUSH_DISK_TIMEOUT`.
    FlushTimeout,
    /// The flush failed, or the store was closed before it.
    Failed,
}

/// Lost batches that are remembered. Who asks for one does so at once after it was written.
const LOST_MAX: usize = 64 << 10;

type Then = Box<dyn FnOnce(Confirmation) + Send>;

struct Waiter {
    end: i64,
    deadline: Instant,
    then: Then,
}

/// Ends of batches that may be cut off the log, or have been: what the watermark passes there later may be something else.
/// Whoever waits for one hears that it is not confirmed, also who asks only now.
#[derive(Debug, Default)]
pub(crate) struct Lost(RwLock<HashSet<i64>>);

impl Lost {
    /// Before anything is written in their place, those who wait are [told](Watermark::give_up).
    pub(crate) fn add(&self, ends: impl Iterator<Item = i64>) {
        let mut lost = self.0.write();
        if lost.len() > LOST_MAX {
            lost.clear();
        }
        lost.extend(ends);
    }

    /// A batch reaches as far that is not lost.
    pub(crate) fn remove(&self, end: i64) {
        // Read first: as a rule nothing is lost, and a write would cost every append.
        if self.holds(end) {
            self.0.write().remove(&end);
        }
    }

    fn holds(&self, end: i64) -> bool {
        self.0.read().contains(&end)
    }
}

pub(crate) struct Watermark {
    confirmed: AtomicI64,
    /// Waiters in the queue, so that nobody takes the lock for an empty one.
    waiting: AtomicUsize,
    /// Ordered by `end`.
    waiters: Mutex<VecDeque<Waiter>>,
    /// Nothing will be confirmed any more.
    failed: AtomicBool,
    lost: Arc<Lost>,
    timeout: Duration,
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watermark").field("confirmed", &self.confirmed).field("waiting", &self.waiting).finish()
    }
}

impl Watermark {
    pub(crate) fn new(confirmed: i64, timeout: Duration) -> Self {
        Self {
            confirmed: AtomicI64::new(confirmed),
            waiting: AtomicUsize::new(0),
            waiters: Mutex::default(),
            failed: AtomicBool::new(false),
            lost: Arc::default(),
            timeout,
        }
    }

    /// For a log that can be cut.
    pub(crate) fn lost(&self) -> Arc<Lost> {
        Arc::clone(&self.lost)
    }

    pub(crate) fn confirmed(&self) -> PhysicalOffset {
        PhysicalOffset(self.confirmed.load(Ordering::SeqCst))
    }

    /// Calls `then` once the watermark has reached `end`: at once if it has, else from the thread that moves it.
    pub(crate) fn when_confirmed(&self, end: i64, then: Then) {
        if self.confirmed.load(Ordering::SeqCst) >= end {
            // Looked at after the watermark: as long as it is not lost, it is not another one that reaches as far.
            return then(if self.lost.holds(end) { Confirmation::Failed } else { Confirmation::Confirmed });
        }
        let mut waiters = self.waiters.lock();
        // Counted before the watermark is looked at again: either we see it moved, or its mover sees us.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let is_confirmed = self.confirmed.load(Ordering::SeqCst) >= end;
        let at_once = if self.lost.holds(end) {
            Confirmation::Failed
        } else if is_confirmed {
            Confirmation::Confirmed
        } else if self.failed.load(Ordering::SeqCst) {
            Confirmation::Failed
        } else {
            let at = waiters.iter().rposition(|other| other.end <= end).map_or(0, |before| before + 1);
            waiters.insert(at, Waiter { end, deadline: Instant::now() + self.timeout, then });
            return;
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(waiters);
        then(at_once);
    }

    /// [`Self::when_confirmed`] for those who wait. It is asked for at once.
    pub(crate) fn confirmation(&self, end: i64) -> impl Future<Output = Confirmation> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let answer = move |what| {
            // Nobody waits any more.
            let _ = sender.send(what);
        };
        self.when_confirmed(end, Box::new(answer));
        async move { receiver.await.unwrap_or(Confirmation::Failed) }
    }

    /// Moves the watermark; it never goes back.
    pub(crate) fn advance(&self, to: i64) {
        self.confirmed.fetch_max(to, Ordering::SeqCst);
    }

    /// Answers everyone whose batch is confirmed.
    pub(crate) fn release(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let confirmed = self.confirmed.load(Ordering::SeqCst);
            self.answer_while(Confirmation::Confirmed, |waiter| waiter.end <= confirmed);
        }
    }

    /// Answers everyone who has waited for too long.
    pub(crate) fn expire(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let now = Instant::now();
            // The timeout is the same for all, so the queue is ordered by deadline as well.
            self.answer_while(Confirmation::FlushTimeout, |waiter| waiter.deadline <= now);
        }
    }

    /// Goes back, for a log that was cut. The caller sees to it that nobody moves it meanwhile.
    pub(crate) fn lower(&self, to: i64) {
        self.confirmed.fetch_min(to, Ordering::SeqCst);
    }

    /// Answers everyone who waits that nothing is confirmed.
    pub(crate) fn give_up(&self) {
        self.answer_while(Confirmation::Failed, |_| true);
    }

    /// Answers everyone, now and from now on, that nothing will be confirmed any more.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.answer_while(Confirmation::Failed, |_| true);
    }

    fn answer_while(&self, with: Confirmation, due: impl Fn(&Waiter) -> bool) {
        let due: Vec<Waiter> = {
            let mut waiters = self.waiters.lock();
            let count = waiters.iter().take_while(|waiter| due(waiter)).count();
            self.waiting.fetch_sub(count, Ordering::SeqCst);
            waiters.drain(..count).collect()
        };
        for waiter in due {
            (waiter.then)(with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(watermark: &Watermark, log: &Arc<Mutex<Vec<(i64, Confirmation)>>>, end: i64) {
        let log = Arc::clone(log);
        watermark.when_confirmed(end, Box::new(move |what| log.lock().push((end, what))));
    }

    #[test]
    fn waiters_are_answered_in_log_order_when_the_watermark_passes_them() {
        let watermark = Watermark::new(10, Duration::from_secs(60));
        let log = Arc::default();
        note(&watermark, &log, 10);
        assert_eq!(*log.lock(), [(10, Confirmation::Confirmed)], "inline");
        for end in [30, 20, 40] {
            note(&watermark, &log, end);
        }
        watermark.advance(35);
        watermark.release();
        assert_eq!(log.lock()[1..], [(20, Confirmation::Confirmed), (30, Confirmation::Confirmed)]);
        watermark.fail();
        note(&watermark, &log, 50);
        assert_eq!(log.lock()[3..], [(40, Confirmation::Failed), (50, Confirmation::Failed)]);
    }

    #[test]
    fn waiting_too_long_is_answered_once() {
        let watermark = Watermark::new(0, Duration::ZERO);
        let log = Arc::default();
        note(&watermark, &log, 1);
        watermark.expire();
        watermark.advance(1);
        watermark.release();
        assert_eq!(*log.lock(), [(1, Confirmation::FlushTimeout)]);
    }
}
