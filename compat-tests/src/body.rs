//! Long message bodies follow from key and size, so that they need not be carried: the same rule is in
//! `clients/java/ferromq/Body.java` and `clients/go/body.go`.

/// What long bodies are filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Nothing a compressor can shorten.
    Noise,
    /// The key again and again.
    Text,
}

/// CRC-32 of the body of `size` bytes that belongs to `key`.
pub fn crc(key: &str, size: usize, fill: Fill) -> u32 {
    let mut state = crc32fast::hash(key.as_bytes()) | 1;
    let body: Vec<u8> = key
        .bytes()
        .cycle()
        .take(size)
        .map(|text| {
            // xorshift32
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            if fill == Fill::Noise { state as u8 } else { text }
        })
        .collect();
    crc32fast::hash(&body)
}
