//! Bugs that a simulation has to find: each is put back in at one place, for the thread that asks for it.

use std::cell::Cell;

/// What the store does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An entry whose end was lost stays in the log when it is opened.
    KeepsTornEntry,
    /// Entries that are taken back keep their offsets in the queues.
    KeepsQueueOffsets,
    /// Who waits for a confirmation is not told that the reign is over.
    EndsReignSilently,
    /// What lies in the log when it is opened counts as agreed on.
    TakesAllForAgreed,
}

thread_local! {
    static NOW: Cell<Option<Bug>> = const { Cell::new(None) };
}

impl Bug {
    /// Puts a bug into all stores that this thread works on, instead of the one that was there.
    pub fn put_in(bug: Option<Self>) {
        NOW.set(bug);
    }

    pub(crate) fn is_in(self) -> bool {
        NOW.get() == Some(self)
    }
}
