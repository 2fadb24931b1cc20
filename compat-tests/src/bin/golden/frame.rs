//! As much of a frame as recording needs, read apart from the code that the recording is to test.

use anyhow::{Context, Result};
use serde_json::Value;

pub(crate) struct Frame {
    pub(crate) binary: bool,
    pub(crate) code: i64,
    pub(crate) opaque: i64,
    pub(crate) response: bool,
    pub(crate) one_way: bool,
}

impl Frame {
    /// Reads a whole frame, its length field included.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let word = bytes.get(4..8).context("a frame without a header length")?;
        let length = usize::from(word[1]) << 16 | usize::from(word[2]) << 8 | usize::from(word[3]);
        let header = bytes.get(8..8 + length).context("a frame without its header")?;
        let (code, opaque, flag) = match word[0] {
            0 => {
                let json: Value = serde_json::from_slice(header).context("a JSON header")?;
                let number = |key: &str| json[key].as_i64().with_context(|| format!("a header without {key}"));
                (number("code")?, number("opaque")?, number("flag")?)
            }
            _ => {
                let number = |at: usize, size: usize| -> Result<i64> {
                    let bytes = header.get(at..at + size).context("a short binary header")?;
                    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                    Ok(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
                };
                (number(0, 2)?, number(5, 4)?, number(9, 4)?)
            }
        };
        Ok(Self { binary: word[0] != 0, code, opaque, response: flag & 1 != 0, one_way: flag & 2 != 0 })
    }
}

/// A request as a Java 5.5.0 peer would write it.
pub(crate) fn request(code: u16, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
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
