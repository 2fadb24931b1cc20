//! The broker: features on a message store.
#![forbid(unsafe_code)]

mod admin;
pub mod assemble;
mod assignment;
mod client;
pub mod config;
mod context;
mod delay;
mod features;
mod filter;
mod front;
mod group;
mod ha;
mod java_double;
mod metrics;
mod offset;
mod persist;
mod pop;
mod pull;
mod query;
mod register;
mod replica;
mod reply;
mod response;
mod retention;
mod retry;
mod seat;
mod send;
mod settle;
mod slave;
mod stats;
#[cfg(test)]
mod testing;
mod topic;
mod transaction;

pub use assemble::{Broker, StartError};
pub use context::Identity;
pub use filter::{Expression, SqlError, Verdict};
pub use topic::{is_retry_or_dead_letter, is_system_topic};
