//! Wakes a background thread; a wake that comes while the thread works is not lost.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn raise(&self) {
        let mut raised = self.raised.lock();
        if !*raised {
            *raised = true;
            self.changed.notify_all();
        }
    }

    /// Returns when raised, or after `timeout`; lowers the signal. `None` waits for ever.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut raised = self.raised.lock();
        while !*raised {
            match deadline {
                Some(deadline) => {
                    if self.changed.wait_until(&mut raised, deadline).timed_out() {
                        break;
                    }
                }
                None => self.changed.wait(&mut raised),
            }
        }
        *raised = false;
    }
}
