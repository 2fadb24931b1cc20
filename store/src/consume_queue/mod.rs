//! stub being filled
#![allow(unused)]

mod entry;

pub use entry::Entry;

/// Which of two neighbours in time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The first message stored at or after the time.
    Lower,
    /// The last message stored at or before the time.
    Upper,
}

#[derive(Debug)]
pub(crate) struct Queue {}
