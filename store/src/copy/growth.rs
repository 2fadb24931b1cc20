//! Waking those who wait for the log to grow: who sends it to others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Costs who writes one look while nobody waits.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    grown: Condvar,
}

impl Growth {
    /// Wakes all who wait. What they look at was changed before, in an order of all threads ([`Ordering::SeqCst`]).
    pub(crate) fn tell(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Whoever has looked in vain sleeps once this lock is had.
            drop(self.lock.lock());
            self.grown.notify_all();
        }
    }

    /// Waits until somebody tells that `still` is no longer true, or for `timeout`.
    pub(crate) fn wait_while(&self, timeout: Duration, still: impl Fn() -> bool) {
        if !still() {
            return;
        }
        let deadline = Instant::now() + timeout;
        // Counted before it is looked at again: either we see the change, or who made it sees us.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut held = self.lock.lock();
        while still() && !self.grown.wait_until(&mut held, deadline).timed_out() {}
        drop(held);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn who_waits_is_woken_and_who_need_not_does_not_wait() {
        let (growth, quiet) = (Growth::default(), AtomicBool::new(true));
        let hour = Duration::from_secs(3600);
        growth.wait_while(hour, || false);
        growth.wait_while(Duration::ZERO, || true);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| growth.wait_while(hour, || quiet.load(Ordering::SeqCst)));
            while growth.waiting.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            // Woken for nothing, it sleeps again.
            growth.tell();
            quiet.store(false, Ordering::SeqCst);
            growth.tell();
            waiter.join().expect("it ends");
        });
        assert_eq!(growth.waiting.load(Ordering::SeqCst), 0);
    }
}
