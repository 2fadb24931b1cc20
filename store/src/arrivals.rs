//! stub being filled
#![allow(unused, clippy::todo)]
use remoting::types::QueueOffset;

/// Waits for messages of one queue. Wait again with [`Arrivals::past`]; both are cancel-safe.
#[derive(Clone, Debug)]
pub struct Arrivals {}

impl Arrivals {
    /// Returns once the queue holds a message at `offset` or later, or was deleted.
    ///
    /// Cancel-safe.
    pub async fn past(&self, offset: QueueOffset) {
        todo!()
    }
}
