//! The two brokers under test, as processes on loopback with the same settings.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::figures::Usage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Java,
    Ferromq,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Java, Self::Ferromq];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Java => "Java 5.5.0",
            Self::Ferromq => "Ferromq",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) ferromq: PathBuf,
    /// Jars of the Java broker and name server.
    pub(crate) server_jars: PathBuf,
}

/// A small heap flatters Java's memory figures; with the 8 GiB of its own start script they would be eight times as large.
const JAVA_HEAP: [&str; 3] = ["-Xms512m", "-Xmx1g", "-XX:+UseG1GC"];

pub(crate) const NAME_SERVER: &str = "127.0.0.1:29876";
pub(crate) const BROKER: &str = "127.0.0.1:20911";
pub(crate) const BROKER_NAME: &str = "bench";

/// A name server and a broker; both end when this is dropped.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) broker_started: Instant,
    broker: Child,
    name_server: Child,
}

/// A folder for the data of one target, or of several in turn.
pub(crate) fn folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("ferromq-bench-").tempdir().context("make a folder for the data")
}

impl Target {
    /// Starts both on the data in `path`; the broker may not answer yet. `more`: lines for the broker's configuration.
    pub(crate) fn start(kind: Kind, programs: &Programs, path: &Path, more: &[&str]) -> Result<Self> {
        fs::write(
            path.join("namesrv.conf"),
            format!(
                "listenPort=29876\nkvConfigPath={0}/kv.json\nconfigStorePath={0}/namesrv.properties\n",
                path.display()
            ),
        )?;
        fs::write(path.join("broker.conf"), broker_settings(path, more))?;
        let name_server = spawn(kind, programs, path, "namesrv")?;
        let mut target =
            Self { kind, broker_started: Instant::now(), broker: spawn(kind, programs, path, "broker")?, name_server };
        target.check()?;
        Ok(target)
    }

    pub(crate) fn broker_usage(&self) -> Result<Usage> {
        Usage::of(self.broker.id())
    }

    pub(crate) fn broker_process(&self) -> u32 {
        self.broker.id()
    }

    /// `kill -9` of the broker; the name server goes as usual.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.broker.kill().context("kill the broker")
    }

    /// Fails if the broker is gone.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.broker.try_wait()? {
            bail!("the broker of {} ended with {status}", self.kind.name());
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        for child in [&mut self.broker, &mut self.name_server] {
            if let Some(pid) = Pid::from_raw(child.id() as i32) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        for child in [&mut self.broker, &mut self.name_server] {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn broker_settings(dir: &Path, more: &[&str]) -> String {
    let store = dir.join("store");
    format!(
        "brokerClusterName=BenchCluster\n\
         brokerName={BROKER_NAME}\n\
         brokerIP1=127.0.0.1\n\
         listenPort=20911\n\
         haListenPort=20912\n\
         namesrvAddr={NAME_SERVER}\n\
         storePathRootDir={0}\n\
         storePathCommitLog={0}/commitlog\n\
         diskMaxUsedSpaceRatio=95\n\
         {1}\n",
        store.display(),
        more.join("\n"),
    )
}

fn spawn(kind: Kind, programs: &Programs, dir: &Path, role: &str) -> Result<Child> {
    let config = dir.join(role).with_extension("conf");
    let log = File::create(dir.join(role).with_extension("log"))?;
    let mut command = match kind {
        Kind::Ferromq => {
            let mut command = Command::new(&programs.ferromq);
            command.arg(role);
            command
        }
        Kind::Java => {
            let main = if role == "broker" {
                "org.apache.rocketmq.broker.BrokerStartup"
            } else {
                "org.apache.rocketmq.namesrv.NamesrvStartup"
            };
            let mut command = Command::new("java");
            command
                .args(JAVA_HEAP)
                .arg(format!("-Duser.home={}", dir.display()))
                .arg(format!("-Drocketmq.home.dir={}", dir.display()))
                // A fairly full disk must not stop the comparison.
                .args([
                    "-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99",
                    "-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98",
                ])
                .arg("-cp")
                .arg(format!("{}/*", programs.server_jars.display()))
                .arg(main);
            command
        }
    };
    command.arg("-c").arg(config).current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("start the {role} of {}", kind.name()))
}
