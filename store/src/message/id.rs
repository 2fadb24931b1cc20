//! Offset message ids: where a message lies, as text.
//!
//! Upper-case hex of the store host (4 or 16 address bytes, port i32) and the physical offset i64: 32 or 56 digits.
//!
//! Java: `MessageDecoder.createMessageId`, `MessageDecoder.decodeMessageId`.

use std::net::IpAddr;

use remoting::types::{Host, PhysicalOffset};

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
/// Hex digits of an id with an IPv4 and an IPv6 host.
const DIGITS_V4: usize = 32;
const DIGITS_V6: usize = 56;

/// The id of the record at `offset` on the broker that clients reach at `store_host`.
pub fn encode(store_host: Host, offset: PhysicalOffset) -> String {
    let mut id = String::with_capacity(DIGITS_V6);
    encode_into(&mut id, store_host, offset);
    id
}

/// Appends the id to `text`; for the joined ids of a batch.
pub fn encode_into(text: &mut String, store_host: Host, offset: PhysicalOffset) {
    match store_host.ip {
        IpAddr::V4(ip) => push_hex(text, &ip.octets()),
        IpAddr::V6(ip) => push_hex(text, &ip.octets()),
    }
    push_hex(text, &store_host.port.to_be_bytes());
    push_hex(text, &offset.0.to_be_bytes());
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xF)]));
    }
}

/// Host and offset of an id; `None` if it is not 32 or 56 hex digits.
pub fn decode(id: &str) -> Option<(Host, PhysicalOffset)> {
    let mut bytes = [0; DIGITS_V6 / 2];
    let bytes = &mut bytes[..id.len().checked_div(2).filter(|_| [DIGITS_V4, DIGITS_V6].contains(&id.len()))?];
    for (byte, pair) in bytes.iter_mut().zip(id.as_bytes().chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    let (offset_and_port_at, ip) = match bytes.len() {
        16 => (4, IpAddr::from(<[u8; 4]>::try_from(&bytes[..4]).ok()?)),
        _ => (16, IpAddr::from(<[u8; 16]>::try_from(&bytes[..16]).ok()?)),
    };
    let (port, offset) = bytes[offset_and_port_at..].split_at(4);
    Some((
        Host { ip, port: i32::from_be_bytes(port.try_into().ok()?) },
        PhysicalOffset(i64::from_be_bytes(offset.try_into().ok()?)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_in_javas_spelling() {
        let v4 = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
        assert_eq!(encode(v4, PhysicalOffset(0x1234)), "7F00000100002A9F0000000000001234");
        let v6 = Host { ip: "fe80::1".parse().expect("an address"), port: 10911 };
        let id = encode(v6, PhysicalOffset(1));
        assert_eq!(id, "FE80000000000000000000000000000100002A9F0000000000000001");
        for (host, offset) in [(v4, 0), (v4, i64::MAX), (v6, 7)] {
            let offset = PhysicalOffset(offset);
            assert_eq!(decode(&encode(host, offset)), Some((host, offset)));
            assert_eq!(decode(&encode(host, offset).to_lowercase()), Some((host, offset)));
        }
    }

    #[test]
    fn other_text_is_no_id() {
        for text in
            ["", "7F", "7F00000100002A9F000000000000123", "7F00000100002A9F000000000000123G", "標籤標籤標籤標籤標籤ab"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
