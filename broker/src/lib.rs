//! The broker: features on a message store.
#![forbid(unsafe_code)]

pub mod config;
