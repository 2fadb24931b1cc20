//! Bugs that the simulation has to find: each is put back in at one place.

use std::cell::Cell;

/// What members do wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Entries are acknowledged to the leader before they are on disk.
    AcknowledgesBeforeDisk,
    /// A member that lost its files votes at once.
    NoQuarantine,
    /// Readers see all that is written, once something is agreed on.
    ShowsMoreThanAgreed,
    Store(store::testing::Bug),
}

thread_local! {
    static NOW: Cell<Option<Bug>> = const { Cell::new(None) };
}

impl Bug {
    /// Puts a bug into the members that run on this thread, instead of the one that was there.
    pub(super) fn put_in(bug: Option<Self>) {
        NOW.set(bug);
        store::testing::Bug::put_in(match bug {
            Some(Self::Store(bug)) => Some(bug),
            _ => None,
        });
    }

    pub(crate) fn is_in(self) -> bool {
        NOW.get() == Some(self)
    }
}
