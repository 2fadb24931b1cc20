//! Stock clients behind small programs of ours: `clients/java` with two versions of the Java client, `clients/go` with
//! the Go module, and mqadmin itself.

mod consumer;
mod line;
mod mqadmin;
mod producer;

use std::fmt;

use crate::cluster::Stage;
use crate::target::java::jvm;

pub use self::consumer::Consumer;
pub use self::line::Line;
pub use self::mqadmin::Mqadmin;
pub use self::producer::{Answers, Producer};

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

    /// Program and arguments of a role; `home` is where the client library keeps logs and offsets.
    pub(crate) fn launch(self, stage: &Stage, home: &str, role: &Line) -> (String, Vec<String>) {
        let version = match self {
            Self::Java55 | Self::Mqadmin => "5.5.0",
            Self::Java49 => "4.9.7",
            Self::Go => {
                let log = Line::new(role.verb()).with("log", format!("{home}/client.log"));
                let words = log.words().chain(role.words().skip(1)).map(str::to_owned).collect();
                return (stage.artifacts.go_client().display().to_string(), words);
            }
        };
        let mut args = jvm(&stage.artifacts, &format!("client-{version}"));
        args.extend(["-Xmx256m".to_owned(), format!("-Duser.home={home}")]);
        args.extend(["-cp".to_owned(), stage.artifacts.client_class_path(version), "ferromq.Main".to_owned()]);
        args.extend(role.words().map(str::to_owned));
        ("java".to_owned(), args)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
