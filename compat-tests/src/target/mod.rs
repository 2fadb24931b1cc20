//! What a scenario runs against: name server and broker, each Java's or ours.

mod ferromq;
pub(crate) mod java;
mod part;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub use self::part::{Copies, Post};
pub(crate) use self::part::{Part, Seat};
use crate::artifacts::{JAVA_SERVER, OLD_JAVA_SERVER};
use crate::cluster::Layout;
use crate::machine::Machine;
use crate::stage::Stage;

/// One implementation of name server and broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The stock Java one.
    Java,
    /// An older stock Java one.
    OldJava,
    /// Ours.
    Ferromq,
}

/// A pair of name server and broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Java's name server and broker: every scenario passes here first.
    Java,
    /// Our name server and broker.
    Ferromq,
    /// A Java broker registered with our name server.
    JavaBrokerOnFerromq,
    /// Our broker registered with Java's name server.
    FerromqBrokerOnJava,
}

impl Target {
    /// All targets, in the order of the matrix.
    pub const ALL: [Self; 4] = [Self::Java, Self::Ferromq, Self::JavaBrokerOnFerromq, Self::FerromqBrokerOnJava];

    /// Name on the command line, in test names and in the matrix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Ferromq => "ferromq",
            Self::JavaBrokerOnFerromq => "java-broker-on-ferromq",
            Self::FerromqBrokerOnJava => "ferromq-broker-on-java",
        }
    }

    /// Whose name server it is.
    pub fn name_server(self) -> Server {
        match self {
            Self::Java | Self::FerromqBrokerOnJava => Server::Java,
            Self::Ferromq | Self::JavaBrokerOnFerromq => Server::Ferromq,
        }
    }

    /// Whose broker it is.
    pub fn broker(self) -> Server {
        match self {
            Self::Java | Self::JavaBrokerOnFerromq => Server::Java,
            Self::Ferromq | Self::FerromqBrokerOnJava => Server::Ferromq,
        }
    }

    /// Whether name server and broker are of two kinds.
    pub fn is_mixed(self) -> bool {
        self.name_server() != self.broker()
    }

    /// Whether any of it is ours.
    pub fn needs_ferromq(self) -> bool {
        self != Self::Java
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a broker says that a message is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// `ASYNC_FLUSH`: once written; a killed process loses nothing, a crashed machine may.
    Async,
    /// `SYNC_FLUSH`: once synced.
    Sync,
}

/// Delay levels of the test brokers. Level 3 is the first retry's: short, so that scenarios with retries are.
pub const DELAY_LEVELS: &str = "1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s";

/// Name of the cluster all test brokers are in.
pub const CLUSTER: &str = "DefaultCluster";

/// Name of the broker.
pub const BROKER: &str = "broker-a";

/// Folder of the broker's store on its machine.
pub(crate) const STORE: &str = "store";
/// The file with the configuration of a broker, in the folder of its machine.
pub(crate) const SETTINGS: &str = "broker.conf";

/// How to start a server process.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: String,
    pub args: Vec<String>,
}

impl Server {
    /// Name of its name server's process, and so of the files with its output.
    pub(crate) fn name_server_process(self) -> &'static str {
        match self {
            Self::Java => "java-namesrv",
            Self::OldJava => "old-java-namesrv",
            Self::Ferromq => "namesrv",
        }
    }

    /// Name of its broker's process, and so of the files with its output.
    pub(crate) fn broker_process(self) -> &'static str {
        match self {
            Self::Java => "java-broker",
            Self::OldJava => "old-java-broker",
            Self::Ferromq => "broker",
        }
    }

    /// Writes the configuration of a name server on `machine` and tells how to start it.
    ///
    /// # Errors
    /// If the file cannot be written or there is no binary.
    pub(crate) fn name_server(self, stage: &Stage, machine: &Machine, port: u16) -> Result<Launch> {
        let config = machine.dir().join("namesrv.conf");
        let text = [
            setting("listenPort", port),
            setting("kvConfigPath", machine.dir().join("kvConfig.json").display()),
            setting("orderMessageEnable", true),
        ]
        .concat();
        give(&config, &text)?;
        match self {
            Self::Java => Ok(java::name_server(stage, machine, JAVA_SERVER, &config)),
            Self::OldJava => {
                java::write_old_logback(machine, "namesrv")?;
                Ok(java::name_server(stage, machine, OLD_JAVA_SERVER, &config))
            }
            Self::Ferromq => ferromq::name_server(stage, &config),
        }
    }

    /// The configuration of a broker on `machine`.
    pub(crate) fn broker_settings(self, machine: &Machine, port: u16, layout: Layout, part: &Part) -> String {
        let store = machine.dir().join(STORE);
        [
            setting("brokerClusterName", CLUSTER),
            part.settings(layout),
            setting("brokerIP1", machine.ip()),
            setting("brokerIP2", machine.ip()),
            setting("listenPort", port),
            setting("haListenPort", port + 1),
            setting("storePathRootDir", store.display()),
            setting("storePathCommitLog", store.join("commitlog").display()),
            setting("mappedFileSizeCommitLog", 64 * 1024 * 1024),
            setting("mappedFileSizeConsumeQueue", 120_000),
            setting("maxHashSlotNum", 50_000),
            setting("maxIndexNum", 200_000),
            setting("flushDiskType", if layout.flush == Flush::Sync { "SYNC_FLUSH" } else { "ASYNC_FLUSH" }),
            setting("messageDelayLevel", DELAY_LEVELS),
            setting("registerNameServerPeriod", 10_000),
            setting("traceTopicEnable", true),
            setting("enablePropertyFilter", true),
            // Checks that scenarios can wait for.
            setting("transactionTimeOut", 2000),
            setting("transactionCheckInterval", 2000),
            // Stock producers are known to a broker after up to 30 s; a look without them counts, too, and brokers that are
            // moved may be started several times before.
            setting("transactionCheckMax", if layout.transactions { 100 } else { 25 }),
            setting("recallMessageEnable", true),
            setting("enableLmq", layout.light),
            setting("enableMultiDispatch", layout.light),
            match self {
                Self::Java | Self::OldJava => java::broker_settings(layout),
                // Sooner than it looks, as by default: what is not written down then is asked about again.
                Self::Ferromq => {
                    setting("transactionOpBatchInterval", 500)
                        + &setting("followersTakeWrites", layout.followers_take_writes)
                }
            },
        ]
        .concat()
    }

    /// Gives the broker on `machine` this configuration, in a file of this name, and tells how to start it.
    ///
    /// # Errors
    /// If the file cannot be written or there is no binary.
    pub(crate) fn broker(
        self,
        stage: &Stage,
        machine: &Machine,
        name_servers: &str,
        file: &str,
        settings: &str,
    ) -> Result<Launch> {
        let config = machine.dir().join(file);
        give(&config, settings)?;
        match self {
            Self::Java => Ok(java::broker(stage, machine, JAVA_SERVER, &config, name_servers)),
            Self::OldJava => {
                java::write_old_logback(machine, "broker")?;
                Ok(java::broker(stage, machine, OLD_JAVA_SERVER, &config, name_servers))
            }
            Self::Ferromq => ferromq::broker(stage, &config, name_servers),
        }
    }
}

fn setting(key: &str, value: impl fmt::Display) -> String {
    format!("{key}={value}\n")
}

/// Has the file say this, unless that is what it was given the last time: what a server has changed in it since outlives its stop.
fn give(path: &Path, text: &str) -> Result<()> {
    let given = path.with_extension("given");
    if fs::read_to_string(&given).is_ok_and(|given| given == text) {
        return Ok(());
    }
    for path in [path, &given] {
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
