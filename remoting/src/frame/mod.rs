//! Frames: length-prefixed commands with a JSON or binary header. Bytes only, no I/O.
//!
//! ```text
//! [length: u32, of all that follows][serialization: u8][header length: u24][header][body]
//! ```
//! All integers are big-endian. Java: `RemotingCommand`, `NettyDecoder`.

mod binary;
mod codec;
mod ext;
mod json;
mod write;

use bytes::Bytes;

pub use codec::{FRAME_BYTES_MAX, FrameCodec};
pub use ext::ExtFields;
pub use write::{FrameWriter, HeadFields};

use crate::language::LanguageCode;
use crate::protocol::{RequestCode, ResponseCode};
use crate::types::Opaque;
use crate::version::Version;

/// One request or response, its header decoded to named texts.
#[derive(Clone, Debug, PartialEq)]
pub struct RemotingCommand {
    /// A request code, or in a response a response code.
    pub code: i32,
    pub language: LanguageCode,
    pub version: Version,
    pub opaque: Opaque,
    /// Bit 0: response; bit 1: one-way.
    pub flag: i32,
    pub remark: Option<String>,
    pub ext: ExtFields,
    pub body: Bytes,
}

impl RemotingCommand {
    pub const RESPONSE: i32 = 1;
    pub const ONE_WAY: i32 = 1 << 1;

    pub fn request(code: RequestCode) -> Self {
        Self {
            code: code.0,
            language: LanguageCode::OURS,
            version: Version::CURRENT,
            opaque: Opaque(0),
            flag: 0,
            remark: None,
            ext: ExtFields::default(),
            body: Bytes::new(),
        }
    }

    pub fn is_response(&self) -> bool {
        self.flag & Self::RESPONSE != 0
    }

    pub fn is_one_way(&self) -> bool {
        self.flag & Self::ONE_WAY != 0
    }

    pub fn request_code(&self) -> RequestCode {
        RequestCode(self.code)
    }

    pub fn response_code(&self) -> ResponseCode {
        ResponseCode(self.code)
    }
}

/// How a header is spelled; the byte before the header length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serialization {
    #[default]
    Json,
    /// Java calls it `ROCKETMQ`.
    Binary,
}

impl Serialization {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Json),
            1 => Some(Self::Binary),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }
}

/// Why bytes are not a frame. The stream cannot be followed after it, so the connection closes, as Java's does.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the frame of {length} bytes is larger than the limit of {limit}")]
    TooLarge { length: usize, limit: usize },
    #[error("the frame length {length} leaves no room for a header length")]
    TooShort { length: usize },
    #[error("the header length {header} is larger than the {rest} bytes that the frame has for it")]
    HeaderTooLong { header: usize, rest: usize },
    #[error("serialization type {0} is neither JSON (0) nor ROCKETMQ (1)")]
    UnknownSerialization(u8),
    #[error("the JSON header does not parse: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the binary header does not parse at byte {at}")]
    Binary { at: usize },
    #[error("the connection broke inside a frame: {0}")]
    Io(#[from] std::io::Error),
}
