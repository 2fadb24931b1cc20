//! The RocketMQ wire protocol: bytes ⇄ typed requests, and the names and numbers that wire and disk share.
//!
//! ```text
//! bytes ─ frame ─ RemotingCommand ─ router ─ Call<R> ─ handler ─ Reply<H> ─ frame ─ bytes
//! ```
#![forbid(unsafe_code)]

pub mod body;
pub mod client;
pub mod config;
pub mod connection;
pub mod frame;
pub mod header;
pub mod language;
pub mod protocol;
pub mod router;
pub mod server;
pub mod signature;
pub mod types;
pub mod version;
