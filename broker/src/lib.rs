//! The broker: features on a message store.
#![forbid(unsafe_code)]

pub mod config;
pub mod context;
pub mod group;
pub mod persist;
pub mod register;
pub mod stats;
pub mod topic;
