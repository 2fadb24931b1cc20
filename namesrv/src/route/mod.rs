//! Which brokers there are and which topics they hold.
//!
//! [`Routes`] is an immutable state; [`RouteTable`] holds the one in force. A reader takes it and never waits; writers
//! take turns, each working out the next state from the last and putting it in place.

mod cache;
mod edit;
mod lookup;
mod pick;
mod register;
mod remove;
mod routes;
mod table;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

pub(crate) use cache::RouteCache;
pub(crate) use edit::WritePermission;
pub(crate) use lookup::Lookup;
pub(crate) use register::{Notice, OnlyOneTopic, Registered, Registration, Rules};
pub(crate) use remove::{Gone, Why};
pub(crate) use routes::{Address, Change, Fingerprint, Routes};
pub(crate) use table::Queues;

use table::Interner;

/// The state in force.
pub(crate) struct RouteTable {
    current: ArcSwap<Routes>,
    writer: Arc<Mutex<Interner>>,
}

impl RouteTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(Routes::empty()), writer: Arc::default() })
    }

    pub(crate) fn now(&self) -> Arc<Routes> {
        self.current.load_full()
    }

    /// Makes a small change, here and now. What `apply` did stays only if it answers `Ok`.
    ///
    /// # Errors
    /// Those of `apply`.
    pub(crate) async fn change<T, E>(&self, apply: impl FnOnce(&mut Change<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut interner = self.writer.lock().await;
        self.apply(&mut interner, apply)
    }

    /// As [`RouteTable::change`], for a change that may take a while: it runs on a thread of its own.
    ///
    /// # Errors
    /// Those of `apply`.
    pub(crate) async fn change_much<T: Send + 'static, E: Send + 'static>(
        self: &Arc<Self>,
        apply: impl FnOnce(&mut Change<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let mut interner = Arc::clone(&self.writer).lock_owned().await;
        let table = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || table.apply(&mut interner, apply)).await;
        changed.expect("the change does not panic, and blocking tasks are not cancelled once they run")
    }

    fn apply<T, E>(
        &self,
        interner: &mut Interner,
        apply: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.current.load_full();
        let mut change = Change::of(&before, interner);
        let outcome = apply(&mut change)?;
        self.current.store(Arc::new(change.finish()));
        Ok(outcome)
    }
}

#[cfg(test)]
pub(crate) mod tests;
