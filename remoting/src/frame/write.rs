//! Writing frames: header fields go straight from typed values into the outgoing buffer.

use bytes::{BufMut, BytesMut};

use super::{RemotingCommand, Serialization};
use crate::header::{EncodeHeader, FieldSink};
use crate::language::LanguageCode;
use crate::types::Opaque;
use crate::version::Version;

/// The fixed members of a header.
#[derive(Clone, Copy, Debug)]
pub struct HeadFields<'a> {
    pub code: i32,
    pub opaque: Opaque,
    pub flag: i32,
    pub remark: Option<&'a str>,
    pub language: LanguageCode,
    pub version: Version,
}

impl<'a> HeadFields<'a> {
    /// What we send under our own language and version.
    pub fn ours(code: i32, opaque: Opaque, flag: i32, remark: Option<&'a str>) -> Self {
        Self { code, opaque, flag, remark, language: LanguageCode::OURS, version: Version::CURRENT }
    }
}

/// Appends frames to a buffer.
pub struct FrameWriter<'a> {
    buffer: &'a mut BytesMut,
    serialization: Serialization,
}

impl<'a> FrameWriter<'a> {
    pub fn new(buffer: &'a mut BytesMut, serialization: Serialization) -> Self {
        Self { buffer, serialization }
    }

    /// A whole frame, body included.
    pub fn frame(&mut self, head: HeadFields<'_>, header: &dyn EncodeHeader, body: &[u8]) {
        self.head(head, header, body.len());
        self.buffer.put_slice(body);
    }

    /// A frame up to its body; the caller sends exactly `body_length` bytes after it.
    pub fn head(&mut self, head: HeadFields<'_>, header: &dyn EncodeHeader, body_length: usize) {
        let start = self.buffer.len();
        self.buffer.put_u64(0);
        match self.serialization {
            Serialization::Json => json_header(self.buffer, head, header),
            Serialization::Binary => binary_header(self.buffer, head, header),
        }
        let header_length = self.buffer.len() - start - 8;
        // 24 bits: headers are texts of bounded fields, far below 16 MiB.
        debug_assert!(header_length < 1 << 24, "header of {header_length} bytes");
        let length = (4 + header_length + body_length) as u32;
        let word = u32::from(self.serialization.byte()) << 24 | header_length as u32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self.buffer[start + 4..start + 8].copy_from_slice(&word.to_be_bytes());
    }

    pub(super) fn command(&mut self, command: &RemotingCommand) {
        let head = HeadFields {
            code: command.code,
            opaque: command.opaque,
            flag: command.flag,
            remark: command.remark.as_deref(),
            language: command.language,
            version: command.version,
        };
        self.frame(head, &command.ext, &command.body);
    }
}

/// Members in sorted order, as Java writes them.
fn json_header(buffer: &mut BytesMut, head: HeadFields<'_>, header: &dyn EncodeHeader) {
    buffer.put_slice(b"{\"code\":");
    put_number(buffer, i64::from(head.code));
    buffer.put_slice(b",\"extFields\":{");
    header.encode(&mut JsonFields { buffer, first: true });
    buffer.put_slice(b"},\"flag\":");
    put_number(buffer, i64::from(head.flag));
    buffer.put_slice(b",\"language\":\"");
    buffer.put_slice(head.language.name().as_bytes());
    buffer.put_slice(b"\",\"opaque\":");
    put_number(buffer, i64::from(head.opaque.0));
    if let Some(remark) = head.remark {
        buffer.put_slice(b",\"remark\":");
        put_json_text(buffer, remark);
    }
    buffer.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_number(buffer, i64::from(head.version.0));
    buffer.put_u8(b'}');
}

struct JsonFields<'a> {
    buffer: &'a mut BytesMut,
    first: bool,
}

impl FieldSink for JsonFields<'_> {
    fn put(&mut self, key: &str, value: &str) {
        if !std::mem::take(&mut self.first) {
            self.buffer.put_u8(b',');
        }
        put_json_text(self.buffer, key);
        self.buffer.put_u8(b':');
        put_json_text(self.buffer, value);
    }
}

fn binary_header(buffer: &mut BytesMut, head: HeadFields<'_>, header: &dyn EncodeHeader) {
    // 16 bits of the code, as Java truncates it.
    buffer.put_i16(head.code as i16);
    buffer.put_u8(head.language.number());
    buffer.put_i16(head.version.0 as i16);
    buffer.put_i32(head.opaque.0);
    buffer.put_i32(head.flag);
    let remark = head.remark.unwrap_or("");
    buffer.put_i32(remark.len() as i32);
    buffer.put_slice(remark.as_bytes());
    let start = buffer.len();
    buffer.put_i32(0);
    header.encode(&mut BinaryFields { buffer });
    let length = (buffer.len() - start - 4) as i32;
    buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

struct BinaryFields<'a> {
    buffer: &'a mut BytesMut,
}

impl FieldSink for BinaryFields<'_> {
    fn put(&mut self, key: &str, value: &str) {
        self.buffer.put_i16(key.len() as i16);
        self.buffer.put_slice(key.as_bytes());
        self.buffer.put_i32(value.len() as i32);
        self.buffer.put_slice(value.as_bytes());
    }
}

fn put_number(buffer: &mut BytesMut, number: i64) {
    buffer.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A quoted JSON text: control characters, quotes and backslashes escaped, everything else raw.
fn put_json_text(buffer: &mut BytesMut, text: &str) {
    buffer.put_u8(b'"');
    let bytes = text.as_bytes();
    // Without an early end the compiler looks at many bytes at once, and nearly all texts have nothing to escape.
    if bytes.iter().fold(false, |found, &byte| found | must_escape(byte)) {
        put_escaped(buffer, bytes);
    } else {
        buffer.put_slice(bytes);
    }
    buffer.put_u8(b'"');
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escaped(buffer: &mut BytesMut, bytes: &[u8]) {
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !must_escape(byte) {
            continue;
        }
        buffer.put_slice(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' | b'\\' => buffer.put_slice(&[b'\\', byte]),
            b'\n' => buffer.put_slice(b"\\n"),
            b'\r' => buffer.put_slice(b"\\r"),
            b'\t' => buffer.put_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                buffer.put_slice(b"\\u00");
                buffer.put_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    buffer.put_slice(&bytes[written..]);
}
