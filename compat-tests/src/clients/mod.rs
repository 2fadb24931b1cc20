//! Stock clients behind small programs of ours: `clients/java` with two versions of the Java client, `clients/go` with
//! the Go module, and mqadmin itself.

mod consumer;
mod line;
mod mqadmin;
mod producer;
mod role;

use std::fmt;

pub use self::consumer::Consumer;
pub use self::line::Line;
pub use self::mqadmin::Mqadmin;
pub use self::producer::{Answers, Producer};
pub(crate) use self::role::{Hosts, Role};

/// A stock client and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    Java55,
    Java49,
    Go,
    Mqadmin,
}

impl Client {
    /// All clients, in the order of the matrix.
    pub const ALL: [Self; 4] = [Self::Java55, Self::Java49, Self::Go, Self::Mqadmin];

    /// Those that send and receive messages.
    pub const MESSAGING: &[Self] = &[Self::Java55, Self::Java49, Self::Go];

    /// Name and version, in test names and in the matrix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java55 => "java-5.5.0",
            Self::Java49 => "java-4.9.7",
            Self::Go => "go-2.1.2",
            Self::Mqadmin => "mqadmin-5.5.0",
        }
    }

    /// Its name as a part of names of topics, which have no dots.
    pub(crate) fn tag(self) -> String {
        self.name().replace('.', "_")
    }

    /// Of the Java client that is meant, if one is.
    pub(crate) fn java_version(self) -> Option<&'static str> {
        match self {
            Self::Java55 | Self::Mqadmin => Some("5.5.0"),
            Self::Java49 => Some("4.9.7"),
            Self::Go => None,
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
