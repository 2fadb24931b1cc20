//! How members reach each other: TCP, one connection for each use.
//!
//! Entries have a connection of their own on which many requests are under way; votes and signs of life do not wait behind
//! them. A connection that fails is closed, and made anew with the next request. If those of the leader end because its
//! process has, the others [do not wait](lost) until they miss its signs of life.

mod client;
mod found;
mod lost;
mod server;
mod wire;

pub use client::Network;
pub use found::found;
pub use server::serve;
