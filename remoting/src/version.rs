//! RocketMQ versions as the numbers that travel in headers.

use std::fmt;

/// Ordinal of Java's version enum: releases and their snapshots alternate. Java: `MQVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub i32);

impl Version {
    pub const V3_0_7_SNAPSHOT: Self = Self(28);
    pub const V3_0_11: Self = Self(37);
    pub const V3_1_8_SNAPSHOT: Self = Self(62);
    pub const V3_4_9: Self = Self(121);
    pub const V4_9_3: Self = Self(399);
    pub const V4_9_4: Self = Self(401);
    pub const V5_0_0: Self = Self(413);
    pub const V5_5_0: Self = Self(513);
    /// The release whose behaviour we show, hence what we send.
    pub const CURRENT: Self = Self::V5_5_0;
    /// What Java prints for everything it does not know yet.
    const HIGHER: i32 = 612;
}

/// Where each release line begins: the number of its first snapshot, then major, minor and the first patch.
const LINES: [(i32, i32, i32, i32); 30] = [
    (16, 3, 0, 1),
    (46, 3, 1, 0),
    (66, 3, 2, 0),
    (86, 3, 3, 1),
    (104, 3, 4, 1),
    (122, 3, 5, 1),
    (140, 3, 6, 1),
    (158, 3, 7, 1),
    (176, 3, 8, 1),
    (194, 3, 9, 1),
    (212, 4, 0, 0),
    (232, 4, 1, 0),
    (252, 4, 2, 0),
    (272, 4, 3, 0),
    (292, 4, 4, 0),
    (312, 4, 5, 0),
    (332, 4, 6, 0),
    (352, 4, 7, 0),
    (372, 4, 8, 0),
    (392, 4, 9, 0),
    (412, 5, 0, 0),
    (432, 5, 1, 0),
    (452, 5, 2, 0),
    (472, 5, 3, 0),
    (492, 5, 4, 0),
    (512, 5, 5, 0),
    (532, 5, 6, 0),
    (552, 5, 7, 0),
    (572, 5, 8, 0),
    (592, 5, 9, 0),
];

impl fmt::Display for Version {
    /// Java's name, such as `V5_5_0` or `V4_9_8_SNAPSHOT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= Self::HIGHER {
            return f.write_str("HIGHER_VERSION");
        }
        match LINES.iter().rev().find(|(start, ..)| *start <= self.0) {
            Some((start, major, minor, patch)) => {
                let step = self.0 - start;
                let suffix = if step % 2 == 0 { "_SNAPSHOT" } else { "" };
                write!(f, "V{major}_{minor}_{}{suffix}", patch + step / 2)
            }
            // Alphas and betas of the first release; no client of them is left.
            None => f.write_str("V3_0_0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_java_names_them() {
        let names = |numbers: &[i32]| numbers.iter().map(|number| Version(*number).to_string()).collect::<Vec<_>>();
        assert_eq!(
            names(&[37, 62, 121, 317, 401, 407, 408, 479, 513, 612, 9999]),
            [
                "V3_0_11",
                "V3_1_8_SNAPSHOT",
                "V3_4_9",
                "V4_5_2",
                "V4_9_4",
                "V4_9_7",
                "V4_9_8_SNAPSHOT",
                "V5_3_3",
                "V5_5_0",
                "HIGHER_VERSION",
                "HIGHER_VERSION"
            ]
        );
    }
}
