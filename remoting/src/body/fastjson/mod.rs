//! Java's JSON dialect (fastjson): written for peers that expect it, read leniently from peers that send it.
//!
//! It differs from JSON in that numeric map keys are bare (`{0:"a"}`) and that objects may be map keys (`{{"topic":"T"}:5}`).
//! Java: `RemotingSerializable`.

mod lenient;
mod object_key;
mod write;

use serde::de::DeserializeOwned;

pub use object_key::ObjectKey;
pub use write::{write, write_standard};

/// Reads a body.
///
/// # Errors
/// [`serde_json::Error`] if it is neither JSON nor Java's dialect of it, or not of the type.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    // Most bodies are plain JSON; only those that are not pay for the second look.
    serde_json::from_slice(body).or_else(|err| match lenient::to_json(body) {
        Some(text) => serde_json::from_str(&text),
        None => Err(err),
    })
}

#[cfg(test)]
mod tests;
