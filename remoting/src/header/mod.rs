//! Typed headers: how one value is spelled on the wire, and the macros that declare a header once.

mod field;
mod macros;

pub use field::{Field, HeaderField};

use crate::frame::ExtFields;
use crate::protocol::RequestCode;

/// Takes the fields of a header as they are written.
pub trait FieldSink {
    fn put(&mut self, key: &str, value: &str);
}

/// Writes itself as ext fields.
pub trait EncodeHeader: Send + Sync {
    fn encode(&self, sink: &mut dyn FieldSink);
}

/// Reads itself from ext fields. Unknown fields are ignored, as Java's typed decoding does.
pub trait DecodeHeader: Sized {
    /// # Errors
    /// [`HeaderError`] when a required field is missing or its text is not of its type. An optional field of a wrong text
    /// is as absent, as in Java.
    fn decode(ext: &ExtFields) -> Result<Self, HeaderError>;
}

/// A request: its number, its typed header (`Self`), the header of its answer.
pub trait Request: DecodeHeader + EncodeHeader + 'static {
    const CODE: RequestCode;
    type Reply: DecodeHeader + EncodeHeader + 'static;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the field {key} is missing")]
    Missing { key: &'static str },
    #[error("the field {key} is {text:?}, which is not {expected}")]
    Wrong { key: &'static str, text: String, expected: &'static str },
}

/// The header of requests and answers that have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoHeader;

impl EncodeHeader for NoHeader {
    fn encode(&self, _: &mut dyn FieldSink) {}
}

impl DecodeHeader for NoHeader {
    fn decode(_: &ExtFields) -> Result<Self, HeaderError> {
        Ok(Self)
    }
}

impl EncodeHeader for ExtFields {
    fn encode(&self, sink: &mut dyn FieldSink) {
        for (key, value) in self.iter() {
            sink.put(key, value);
        }
    }
}

impl DecodeHeader for ExtFields {
    fn decode(ext: &ExtFields) -> Result<Self, HeaderError> {
        Ok(ext.clone())
    }
}

/// An answer whose header exists only on some response codes.
impl<H: EncodeHeader> EncodeHeader for Option<H> {
    fn encode(&self, sink: &mut dyn FieldSink) {
        if let Some(header) = self {
            header.encode(sink);
        }
    }
}

/// Such an answer without any of its fields has no header; one with some of them has all it needs.
impl<H: DecodeHeader> DecodeHeader for Option<H> {
    fn decode(ext: &ExtFields) -> Result<Self, HeaderError> {
        Ok(H::decode(ext).ok())
    }
}

#[cfg(test)]
mod tests;
