//! The bloom filter by which Java notes beside a queue entry which groups want the message.
//!
//! Queues here have no such notes: an expression costs less to evaluate than they cost to keep. But each group's place in
//! them is part of `consumerFilter.json`, and Java ignores a file whose places are not those of its own filter.

use serde::{Deserialize, Serialize};

/// Java: `BloomFilter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bloom {
    hashes: i32,
    bits: i32,
}

/// Java: `BloomFilterData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BloomPlace {
    bit_num: i32,
    bit_pos: Vec<i32>,
}

impl Bloom {
    /// For so many names, of which so many percent may be taken for others. Java: `BloomFilter.createByFn`.
    pub(super) fn new(error_percent: u32, names: u32) -> Self {
        let error = f64::from(error_percent) / 100.0;
        let hashes = (error.ln() / 0.5_f64.ln()).ceil();
        let bits = (f64::from(names) * ((1.0 / error).ln() / 2.0_f64.ln()) * (1.0 / 2.0_f64.ln())).ceil();
        Self { hashes: hashes as i32, bits: (8.0 * (bits / 8.0).ceil()) as i32 }
    }

    /// Java: `BloomFilter.generate`.
    pub(super) fn place(self, name: &str) -> BloomPlace {
        let hash = murmur3(name.as_bytes());
        let (first, second) = (hash as i32, (hash >> 32) as i32);
        let position = |turn: i32| {
            let hash = first.wrapping_add(turn.wrapping_mul(second));
            (if hash < 0 { !hash } else { hash }) % self.bits
        };
        BloomPlace { bit_num: self.bits, bit_pos: (1..=self.hashes).map(position).collect() }
    }

    /// Java: `BloomFilter.isValid`.
    pub(super) fn has(self, place: &BloomPlace) -> bool {
        place.bit_num == self.bits && place.bit_pos.len() == self.hashes as usize
    }
}

/// The first half of MurmurHash3 for 64-bit machines, 128 bits, seed 0. Java: Guava's `murmur3_128`.
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix_low = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix_high = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut low, mut high) = (0_u64, 0_u64);
    let blocks = bytes.chunks_exact(16);
    let rest = blocks.remainder();
    for block in blocks {
        low ^= mix_low(little_endian(&block[..8]));
        low = low.rotate_left(27).wrapping_add(high).wrapping_mul(5).wrapping_add(0x52dc_e729);
        high ^= mix_high(little_endian(&block[8..]));
        high = high.rotate_left(31).wrapping_add(low).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (rest_low, rest_high) = rest.split_at(rest.len().min(8));
    high ^= mix_high(little_endian(rest_high));
    low ^= mix_low(little_endian(rest_low));
    low ^= bytes.len() as u64;
    high ^= bytes.len() as u64;
    low = low.wrapping_add(high);
    high = high.wrapping_add(low);
    final_mix(low).wrapping_add(final_mix(high))
}

fn final_mix(mut k: u64) -> u64 {
    k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

/// At most eight bytes, the lowest first.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_javas() {
        assert_eq!(Bloom::new(20, 32), Bloom { hashes: 3, bits: 112 });
        assert_eq!(Bloom::new(1, 1), Bloom { hashes: 7, bits: 16 });
    }

    #[test]
    fn hashes_are_those_of_the_reference() {
        // Of the reference implementation.
        assert_eq!(murmur3(b""), 0);
        assert_eq!(murmur3(b"hello"), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(murmur3(b"The quick brown fox jumps over the lazy dog"), 0xe34b_bc7b_bc07_1b6c);
    }
}
