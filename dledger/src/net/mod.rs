//! How members reach each other: TCP, one connection for each use.
//!
//! Entries have a connection of their own on which many requests are under way; votes and signs of life do not wait behind
//! them. A connection that fails is closed, and made anew with the next request. If those of the leader end because its
//! process has, the others [do not wait](lost) until they miss its signs of life.

mod client;
mod lost;
mod server;
pub(crate) mod wire;

pub use client::Network;
#[cfg(test)]
pub(crate) use server::answer;
pub use server::serve;
