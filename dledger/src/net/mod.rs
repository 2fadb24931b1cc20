//! How members reach each other: TCP, one connection for each use.
//!
//! Entries have a connection of their own on which many requests are under way, and so do files for a member that is
//! [filled](crate::fill); votes and signs of life do not wait behind them. A connection that fails is closed, and made anew with
//! the next request. If those of the leader end because its process has, the others [do not wait](lost) until they miss its
//! signs of life; and if most of them [hear nothing](silent) of it, they do not wait longer than they must.

mod candidacy;
pub(crate) mod client;
mod lost;
mod server;
mod silent;
pub(crate) mod wire;

pub use client::Network;
pub(crate) use client::{Link, ask};
#[cfg(test)]
pub(crate) use server::answer;
pub use server::serve;
pub(crate) use wire::{Answer, Hello, Request, Use};
