//! Numbers that get mixed up when they are all `i64`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $raw);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<$raw> for $name {
            fn from(raw: $raw) -> Self {
                Self(raw)
            }
        }
    };
}

number! {
    /// A queue of a topic on one broker. Negative on the wire means "any queue".
    QueueId(i32)
}
number! {
    /// Position in a consume queue; counts messages.
    QueueOffset(i64)
}
number! {
    /// Position in the commit log; counts bytes.
    PhysicalOffset(i64)
}
number! {
    /// Member of a broker set: 0 is the master.
    BrokerId(i64)
}
number! {
    /// Correlates a response with its request on one connection and direction.
    Opaque(i32)
}

impl QueueOffset {
    /// The offset `count` messages later.
    pub fn after(self, count: usize) -> Self {
        Self(self.0 + count as i64)
    }
}

impl PhysicalOffset {
    /// The offset `bytes` later.
    pub fn after(self, bytes: usize) -> Self {
        Self(self.0 + bytes as i64)
    }
}

impl BrokerId {
    pub const MASTER: Self = Self(0);
}
