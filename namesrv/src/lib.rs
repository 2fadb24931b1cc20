//! The name server: which brokers there are and which topics they hold, told to whoever asks.
//!
//! Nothing of it is kept on disk but key-value settings: brokers register again within half a minute of a start. Name
//! servers do not know of each other; any one of them is enough.
#![forbid(unsafe_code)]

mod assemble;
mod cluster;
mod config;
mod kv;
mod register;
mod route;
mod settings;

pub use assemble::{Namesrv, StartError, answered};
pub use config::NamesrvConfig;
