//! Length framing.

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::write::FrameWriter;
use super::{FrameError, RemotingCommand, Serialization, binary, json};

/// The largest frame accepted, its length field included. Java: `NettyDecoder.FRAME_MAX_LENGTH`.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

const LENGTH_BYTES: usize = 4;
const HEADER_LENGTH_BYTES: usize = 4;

/// Cuts a byte stream into commands and writes commands as bytes.
#[derive(Clone, Debug)]
pub struct FrameCodec {
    frame_bytes_max: usize,
    serialization: Serialization,
}

impl Default for FrameCodec {
    fn default() -> Self {
        Self { frame_bytes_max: FRAME_BYTES_MAX, serialization: Serialization::Json }
    }
}

impl FrameCodec {
    /// A codec that writes headers in the given form; it reads both.
    pub fn writing(serialization: Serialization) -> Self {
        Self { serialization, ..Self::default() }
    }
}

impl Decoder for FrameCodec {
    type Item = RemotingCommand;
    type Error = FrameError;

    /// # Errors
    /// Any [`FrameError`]: the stream cannot be followed after it.
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<RemotingCommand>, FrameError> {
        let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        // A negative Java length is a huge unsigned one here, and refused as such.
        let length = u32::from_be_bytes(*prefix) as usize;
        let whole = LENGTH_BYTES.saturating_add(length);
        if whole > self.frame_bytes_max {
            return Err(FrameError::TooLarge { length: whole, limit: self.frame_bytes_max });
        }
        if length < HEADER_LENGTH_BYTES {
            return Err(FrameError::TooShort { length });
        }
        if buffer.len() < whole {
            // Room for the rest at once: a 4 MiB body must not grow the buffer twenty times.
            buffer.reserve(whole - buffer.len());
            return Ok(None);
        }
        buffer.advance(LENGTH_BYTES);
        parse(buffer.split_to(length).freeze()).map(Some)
    }
}

impl Encoder<&RemotingCommand> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, command: &RemotingCommand, buffer: &mut BytesMut) -> Result<(), FrameError> {
        FrameWriter::new(buffer, self.serialization).command(command);
        Ok(())
    }
}

/// Reads one frame without its length field.
fn parse(mut frame: Bytes) -> Result<RemotingCommand, FrameError> {
    let word = frame.get_u32();
    let (kind, header_length) = ((word >> 24) as u8, (word & 0x00FF_FFFF) as usize);
    if header_length > frame.len() {
        return Err(FrameError::HeaderTooLong { header: header_length, rest: frame.len() });
    }
    let header = frame.split_to(header_length);
    let mut command = match Serialization::from_byte(kind).ok_or(FrameError::UnknownSerialization(kind))? {
        Serialization::Json => json::read(&header)?,
        Serialization::Binary => binary::read(&header)?,
    };
    command.body = frame;
    Ok(command)
}

#[cfg(test)]
mod tests;
