//! As much of a frame as recording needs, read apart from the code that the recording is to test.

use anyhow::{Context, Result};
use serde_json::Value;

pub(crate) struct Frame {
    pub(crate) binary: bool,
    pub(crate) code: i64,
    pub(crate) opaque: i64,
    pub(crate) response: bool,
    pub(crate) one_way: bool,
    /// Header fields, and one for a body.
    pub(crate) fullness: usize,
}

impl Frame {
    /// Reads a whole frame, its length field included.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let word = bytes.get(4..8).context("a frame without a header length")?;
        let length = usize::from(word[1]) << 16 | usize::from(word[2]) << 8 | usize::from(word[3]);
        let header = bytes.get(8..8 + length).context("a frame without its header")?;
        let (code, opaque, flag, fields) = match word[0] {
            0 => {
                let json: Value = serde_json::from_slice(header).context("a JSON header")?;
                let number = |key: &str| json[key].as_i64().with_context(|| format!("a header without {key}"));
                let fields = json["extFields"].as_object().map_or(0, serde_json::Map::len);
                (number("code")?, number("opaque")?, number("flag")?, fields)
            }
            _ => {
                let number = |at: usize, size: usize| number(header, at, size).context("a short binary header");
                (number(0, 2)?, number(5, 4)?, number(9, 4)?, binary_fields(header).context("binary header fields")?)
            }
        };
        let fullness = fields + usize::from(bytes.len() > 8 + length);
        Ok(Self { binary: word[0] != 0, code, opaque, response: flag & 1 != 0, one_way: flag & 2 != 0, fullness })
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<i64> {
    let bytes = bytes.get(at..at + size)?;
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    Some(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
}

/// How many fields follow the remark of a binary header.
fn binary_fields(header: &[u8]) -> Option<usize> {
    let size = |at: usize, size: usize| number(header, at, size).and_then(|size| usize::try_from(size).ok());
    let mut at = 17 + size(13, 4)?;
    let end = at + 4 + size(at, 4)?;
    at += 4;
    let mut fields = 0;
    while at < end {
        at += 2 + size(at, 2)?;
        at += 4 + size(at, 4)?;
        fields += 1;
    }
    Some(fields)
}

/// A request as a Java 5.5.0 peer would write it.
pub(crate) fn request(code: u32, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let ext: serde_json::Map<String, Value> =
        fields.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    let header = serde_json::json!({
        "code": code, "extFields": ext, "flag": 0, "language": "JAVA", "opaque": i64::from(code),
        "serializeTypeCurrentRPC": "JSON", "version": 513,
    })
    .to_string();
    let mut bytes = Vec::new();
    bytes.extend((4 + header.len() as u32 + body.len() as u32).to_be_bytes());
    bytes.extend((header.len() as u32).to_be_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}
