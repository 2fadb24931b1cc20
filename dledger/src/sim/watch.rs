//! tokio's watched values, for openraft, but who waits for a change is told in the order of waiting: tokio leaves that to a
//! chance of its own.

use std::pin::pin;
use std::sync::Arc;

use openraft::{OptionalSend, OptionalSync};
use openraft_rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use tokio::sync::{Notify, watch};

pub struct Watched;

pub struct Sender<T> {
    // Dropped before those who wait are told.
    value: watch::Sender<T>,
    told: Tell,
}

pub struct Receiver<T> {
    value: watch::Receiver<T>,
    told: Arc<Notify>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), told: self.told.clone() }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), told: Arc::clone(&self.told) }
    }
}

/// Tells those who wait also when it goes.
#[derive(Clone)]
struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Watch for Watched {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let ((sender, receiver), told) = (watch::channel(init), Arc::new(Notify::new()));
        (Sender { value: sender, told: Tell(Arc::clone(&told)) }, Receiver { value: receiver, told })
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<Watched, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        let sent = self.value.send(value).map_err(|unsent| SendError(unsent.0));
        self.told.0.notify_waiters();
        sent
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        let is_modified = self.value.send_if_modified(modify);
        if is_modified {
            self.told.0.notify_waiters();
        }
        is_modified
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.value.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Receiver { value: self.value.subscribe(), told: Arc::clone(&self.told.0) }
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<Watched, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        loop {
            let mut told = pin!(self.told.notified());
            // Whatever comes from now on is heard of.
            told.as_mut().enable();
            match self.value.has_changed() {
                Ok(false) => told.await,
                // Known at once.
                Ok(true) | Err(_) => return self.value.changed().await.map_err(|_| RecvError(())),
            }
        }
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.value.borrow()
    }

    fn borrow_and_update(&mut self) -> watch::Ref<'_, T> {
        self.value.borrow_and_update()
    }
}
