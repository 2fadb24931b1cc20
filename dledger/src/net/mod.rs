//! How members reach each other: TCP, one connection for each use.
//!
//! Entries have a connection of their own on which many requests are under way; votes and signs of life do not wait behind
//! them. A connection that fails is closed, and made anew with the next request.

mod client;
mod server;
mod wire;

pub use client::Network;
pub use server::serve;
