//! Java's string hash, which decides queue units and index slots.

/// `String.hashCode`: `h = 31 h + unit` over UTF-16 units, wrapping.
pub fn java_hash(text: &str) -> i32 {
    java_hash_from(0, text)
}

/// The hash of a text that begins with one whose hash is `hash`, and goes on with `text`.
pub(crate) fn java_hash_from(hash: i32, text: &str) -> i32 {
    let step = |hash: i32, unit: i32| hash.wrapping_mul(31).wrapping_add(unit);
    if text.is_ascii() {
        text.bytes().fold(hash, |hash, byte| step(hash, i32::from(byte)))
    } else {
        text.encode_utf16().fold(hash, |hash, unit| step(hash, i32::from(unit)))
    }
}

/// What a queue unit keeps of the tags: their hash, 0 without tags. Java: `MessageExtBrokerInner.tagsString2tagsCode`.
pub(crate) fn tags_code(tags: &str) -> i64 {
    i64::from(java_hash(tags))
}

#[cfg(test)]
mod tests {
    use super::java_hash;

    #[test]
    fn hashes_are_javas() {
        for (text, hash) in [
            ("", 0),
            ("TagA", 2598919),
            ("*", 42),
            ("polygenelubricants", i32::MIN),
            ("標籤", 27161 * 31 + 31844),
            ("\u{1F600}", 0xD83D * 31 + 0xDE00),
        ] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
    }
}
