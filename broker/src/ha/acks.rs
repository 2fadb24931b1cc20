//! How far slaves hold the log, and who waits until enough of them hold a message.
//!
//! Those who wait stand in one queue ordered by the end of their batch; whoever moves an acknowledgement answers all that are
//! due. Nobody waits on an `ASYNC_MASTER`.
//!
//! Java: `GroupTransferService`, `CommitLog.handleHA`, `DefaultHAService.inSyncReplicasNums`.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use remoting::types::PhysicalOffset;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::pace::Meter;
use crate::config::{BrokerConfig, BrokerRole};

/// What became of a message that slaves are to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Enough,
    /// Not by enough of them within `slaveTimeout`. Java: `FLUSH_SLAVE_TIMEOUT`.
    TooLate,
    /// There are too few to wait for. Java 4.9: `SLAVE_NOT_AVAILABLE`.
    NoSlaves,
}

/// Messages are refused, as too few copies are in sync. Java: `IN_SYNC_REPLICAS_NOT_ENOUGH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("in-sync replicas not enough")]
pub(crate) struct TooFewInSync;

/// A slave that is connected.
#[derive(Debug)]
pub(super) struct Slave {
    pub(super) remote: SocketAddr,
    /// How far it says that it holds the log; −1 before it said so.
    ack: AtomicI64,
    /// Where the next byte that it is sent lies; −1 before that is known.
    next: AtomicI64,
    pub(super) sent: Meter,
}

impl Slave {
    pub(super) fn new(remote: SocketAddr) -> Arc<Self> {
        let unknown = || AtomicI64::new(-1);
        Arc::new(Self { remote, ack: unknown(), next: unknown(), sent: Meter::new(Instant::now()) })
    }

    pub(super) fn ack(&self) -> i64 {
        self.ack.load(Ordering::SeqCst)
    }

    pub(super) fn next(&self) -> i64 {
        self.next.load(Ordering::SeqCst)
    }

    pub(super) fn set_next(&self, at: PhysicalOffset) {
        self.next.store(at.0, Ordering::SeqCst);
    }
}

/// What [`Acks`] calls once it is settled; it must not block.
type Then = Box<dyn FnOnce(Held) + Send>;

struct Waiter {
    end: i64,
    /// That must hold it.
    slaves: usize,
    deadline: Instant,
    then: Then,
}

/// The slaves of a master, and those who wait for them.
pub(crate) struct Acks {
    settings: watch::Receiver<Arc<BrokerConfig>>,
    slaves: Mutex<Vec<Arc<Slave>>>,
    /// Waiters in the queue, so that nobody takes the lock for an empty one.
    waiting: AtomicUsize,
    /// Ordered by `end`.
    waiters: Mutex<VecDeque<Waiter>>,
    /// Nobody is heard any more.
    closed: AtomicBool,
}

impl fmt::Debug for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acks").field("slaves", &self.slaves).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Acks {
    pub(crate) fn new(settings: watch::Receiver<Arc<BrokerConfig>>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            slaves: Mutex::default(),
            waiting: AtomicUsize::new(0),
            waiters: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Calls `then` once as many slaves as the settings want hold everything before `end`, or will not in time: at once,
    /// on this thread, if that is settled already, else from the thread that settles it.
    fn when_held(&self, end: PhysicalOffset, then: Then) {
        let (wanted, timeout, gap_max) = {
            let settings = self.settings.borrow();
            let in_sync = || self.in_sync(end, settings.ha_max_gap_not_in_sync);
            // With too few in sync it would not have been written; if they went since, it waits for them.
            let wanted = copies(&settings, in_sync).unwrap_or_else(|TooFewInSync| number(settings.in_sync_replicas));
            (wanted.saturating_sub(1), *settings.slave_timeout, settings.ha_slave_fallbehind_max)
        };
        if wanted == 0 || self.holding(end.0) >= wanted {
            return then(Held::Enough);
        }
        if gap_max.is_some_and(|gap_max| self.in_sync(end, gap_max) <= wanted) {
            return then(Held::NoSlaves);
        }
        let mut waiters = self.waiters.lock();
        // Counted before the acknowledgements are looked at again: either we see one moved, or its mover sees us.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let at_once = if self.holding(end.0) >= wanted {
            Held::Enough
        } else if self.closed.load(Ordering::SeqCst) {
            Held::TooLate
        } else {
            let at = waiters.iter().rposition(|other| other.end <= end.0).map_or(0, |before| before + 1);
            waiters.insert(at, Waiter { end: end.0, slaves: wanted, deadline: Instant::now() + timeout, then });
            return;
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(waiters);
        then(at_once);
    }

    /// Slaves that hold everything before `end`.
    fn holding(&self, end: i64) -> usize {
        self.slaves.lock().iter().filter(|slave| slave.ack() >= end).count()
    }

    /// Copies that lack fewer than `gap_max` of the bytes before `end`, that of the master among them.
    pub(super) fn in_sync(&self, end: PhysicalOffset, gap_max: i64) -> usize {
        1 + self.slaves.lock().iter().filter(|slave| is_in_sync(slave, end, gap_max)).count()
    }

    /// # Errors
    /// [`TooFewInSync`] to take messages behind `end`.
    fn enough(&self, end: PhysicalOffset) -> Result<(), TooFewInSync> {
        let settings = self.settings.borrow();
        copies(&settings, || self.in_sync(end, settings.ha_max_gap_not_in_sync)).map(drop)
    }

    pub(super) fn slaves(&self) -> Vec<Arc<Slave>> {
        self.slaves.lock().clone()
    }

    pub(super) fn enter(&self, slave: &Arc<Slave>) {
        self.slaves.lock().push(Arc::clone(slave));
    }

    pub(super) fn leave(&self, slave: &Arc<Slave>) {
        self.slaves.lock().retain(|other| !Arc::ptr_eq(other, slave));
    }

    /// Notes how far a slave holds the log, and answers everyone who waited for just that.
    pub(super) fn note(&self, slave: &Slave, ack: i64) {
        slave.ack.store(ack, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.release(ack);
        }
    }

    /// Answers those whose batch ends by `ack` and is held by enough.
    fn release(&self, ack: i64) {
        let mut due = Vec::new();
        {
            let mut waiters = self.waiters.lock();
            let slaves = self.slaves.lock();
            let reached = waiters.partition_point(|waiter| waiter.end <= ack);
            let holding = |end: i64| slaves.iter().filter(|slave| slave.ack() >= end).count();
            // As a rule all of them are due: they want as many slaves, and those ahead in the log are held sooner.
            let is_due = |waiter: &Waiter| holding(waiter.end) >= waiter.slaves;
            let first = waiters.iter().take(reached).take_while(|waiter| is_due(waiter)).count();
            due.extend(waiters.drain(..first));
            let mut at = 0;
            for _ in first..reached {
                if is_due(&waiters[at]) {
                    due.extend(waiters.remove(at));
                } else {
                    at += 1;
                }
            }
            self.waiting.fetch_sub(due.len(), Ordering::SeqCst);
        }
        for waiter in due {
            (waiter.then)(Held::Enough);
        }
    }

    /// Answers everyone who has waited for too long.
    pub(crate) fn expire(&self, now: Instant) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // The timeout is the same for all but while it is being changed, so the queue is ordered by deadline as well.
            self.answer_late(|waiter| waiter.deadline <= now);
        }
    }

    /// Answers everyone, now and from now on, that it came too late.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.answer_late(|_| true);
    }

    fn answer_late(&self, is_due: impl Fn(&Waiter) -> bool) {
        let due: Vec<Waiter> = {
            let mut waiters = self.waiters.lock();
            let count = waiters.iter().take_while(|waiter| is_due(waiter)).count();
            self.waiting.fetch_sub(count, Ordering::SeqCst);
            waiters.drain(..count).collect()
        };
        for waiter in due {
            (waiter.then)(Held::TooLate);
        }
    }
}

pub(super) fn is_in_sync(slave: &Slave, end: PhysicalOffset, gap_max: i64) -> bool {
    let ack = slave.ack();
    ack >= 0 && end.0 - ack < gap_max
}

/// Copies that a message needs, the master's among them.
///
/// # Errors
/// [`TooFewInSync`]: there must be more for messages to be taken at all.
///
/// Java: `CommitLog.calcNeedAckNums`, which looks at copies in sync with `enableSlaveActingMaster` only.
fn copies(settings: &BrokerConfig, in_sync: impl FnOnce() -> usize) -> Result<usize, TooFewInSync> {
    if settings.broker_role != BrokerRole::SyncMaster {
        return Ok(1);
    }
    let (wanted, least) = (number(settings.in_sync_replicas), number(settings.min_in_sync_replicas));
    let auto = settings.enable_auto_in_sync_replicas;
    if !auto && least <= 1 {
        return Ok(wanted);
    }
    let in_sync = in_sync();
    if in_sync < least {
        return Err(TooFewInSync);
    }
    Ok(if auto { wanted.min(in_sync).max(least) } else { wanted })
}

/// Settings below 0 are refused.
fn number(setting: i32) -> usize {
    usize::try_from(setting).unwrap_or(0)
}

/// What features know of slaves: whether a message must be held by some before it counts as stored for who sent it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies(Option<Arc<Acks>>);

impl Copies {
    /// Those of a master, which wants any only as a `SYNC_MASTER`.
    pub(crate) fn of(acks: &Arc<Acks>) -> Self {
        let is_wanted = acks.settings.borrow().broker_role == BrokerRole::SyncMaster;
        Self(is_wanted.then(|| Arc::clone(acks)))
    }

    /// Whether anybody has to be waited for.
    pub(crate) fn are_wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|acks| acks.settings.borrow().in_sync_replicas > 1)
    }

    /// Whether messages may be taken, of a log that ends at `end`.
    ///
    /// # Errors
    /// [`TooFewInSync`].
    pub(crate) fn enough(&self, end: PhysicalOffset) -> Result<(), TooFewInSync> {
        self.0.as_ref().map_or(Ok(()), |acks| acks.enough(end))
    }

    /// Calls `then` once everything before `end` is held by as many as are wanted, or will not be in time: at once, on this
    /// thread, if that is settled already, else from the thread that settles it. `then` must not block.
    pub(crate) fn when_held(&self, end: PhysicalOffset, then: Box<dyn FnOnce(Held) + Send>) {
        match &self.0 {
            Some(acks) => acks.when_held(end, then),
            None => then(Held::Enough),
        }
    }

    /// [`Self::when_held`] for those who wait.
    pub(crate) async fn held(&self, end: PhysicalOffset) -> Held {
        if !self.are_wanted() {
            return Held::Enough;
        }
        let (sender, receiver) = oneshot::channel();
        let answer = move |held| {
            // Nobody waits any more.
            let _ = sender.send(held);
        };
        self.when_held(end, Box::new(answer));
        receiver.await.unwrap_or(Held::TooLate)
    }
}

/// A slave of tests, which holds what it is told to hold.
#[cfg(test)]
pub(crate) struct TestSlave(Arc<Slave>);

#[cfg(test)]
impl TestSlave {
    pub(crate) fn enter(acks: &Acks) -> Self {
        let slave = Slave::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        acks.enter(&slave);
        Self(slave)
    }

    pub(crate) fn holds(&self, acks: &Acks, end: PhysicalOffset) {
        acks.note(&self.0, end.0);
    }
}

/// Time until it is noticed that somebody has waited for too long.
pub(super) const EXPIRY_PERIOD: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
