//! Requests, one file per feature: each declares the numbers, the typed headers and the answers of its requests.
//!
//! Bodies are in [`crate::body`]; which peers send what is in `docs/requests.md`.

pub mod admin;
pub mod assignment;
pub mod callback;
pub mod client;
mod codes;
pub mod cold_data;
pub mod config;
pub mod group;
pub mod ha;
pub mod kv;
pub mod offset;
pub mod pop;
pub mod pull;
pub mod query;
pub mod raft;
pub mod register;
pub mod route;
pub mod send;
pub mod slave;
pub mod timer;
pub mod topic;
pub mod transaction;

pub use codes::{Process, RequestCode, RequestKind, ResponseCode, Tier};
