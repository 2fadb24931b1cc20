//! Requests we sent on a connection and whose answers are awaited, by opaque.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::frame::RemotingCommand;
use crate::types::Opaque;

#[derive(Default)]
pub(crate) struct InFlight {
    next: AtomicI32,
    waiting: Mutex<HashMap<i32, oneshot::Sender<RemotingCommand>>>,
}

/// Calls that may wait on one connection. Java: `clientAsyncSemaphoreValue`.
const WAITING_MAX: usize = 65_535;

impl InFlight {
    /// The number for a request that wants no answer.
    pub(crate) fn number(&self) -> Opaque {
        Opaque(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers a call; `None` if too many wait already. Dropping the [`Waiting`] forgets the call.
    pub(crate) fn begin(&self) -> Option<Waiting<'_>> {
        let opaque = self.number();
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            return None;
        }
        waiting.insert(opaque.0, sender);
        Some(Waiting { in_flight: self, opaque, answer })
    }

    /// Hands a response to its caller; one that nobody waits for is dropped, as in Java.
    pub(crate) fn complete(&self, response: RemotingCommand) {
        match self.waiting.lock().remove(&response.opaque.0) {
            // The caller may have given up between the two; nothing is lost by ignoring it.
            Some(caller) => drop(caller.send(response)),
            None => tracing::debug!(opaque = response.opaque.0, "response without a waiting call"),
        }
    }

    /// Fails every waiting call: the connection is gone.
    pub(crate) fn fail_all(&self) {
        self.waiting.lock().clear();
    }
}

pub(crate) struct Waiting<'a> {
    in_flight: &'a InFlight,
    pub(crate) opaque: Opaque,
    pub(crate) answer: oneshot::Receiver<RemotingCommand>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.in_flight.waiting.lock().remove(&self.opaque.0);
    }
}
