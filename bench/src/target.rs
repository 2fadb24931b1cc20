//! The two brokers under test, or groups of three of them, as processes on loopback with the same settings.

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
const BROKER_PORT: u16 = 20911;
/// Members of a group, and how far apart their ports are.
const MEMBERS: usize = 3;
const PORTS_APART: u16 = 20;

/// The place of a slave among the brokers.
pub(crate) const SLAVE: usize = 1;

fn member_port(number: usize) -> u16 {
    BROKER_PORT + number as u16 * PORTS_APART
}

/// Where a member of a group serves clients.
pub(crate) fn member_address(number: usize) -> String {
    format!("127.0.0.1:{}", member_port(number))
}

/// A name server and a broker, or a group of brokers; all end when this is dropped.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) broker_started: Instant,
    brokers: Vec<Child>,
    name_server: Child,
}

/// A folder for the data of one target, or of several in turn.
pub(crate) fn folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("ferromq-bench-").tempdir().context("make a folder for the data")
}

impl Target {
    /// Starts both on the data in `path`; the broker may not answer yet. `more`: lines for the broker's configuration.
    pub(crate) fn start(kind: Kind, programs: &Programs, path: &Path, more: &[&str]) -> Result<Self> {
        let mut target = Self::with_name_server(kind, programs, path)?;
        target.add_broker(programs, path, BROKER_PORT, &more.join("\n"))?;
        Ok(target)
    }

    /// Starts a group of three with DLedger's settings, and its name server; who leads is not known yet.
    pub(crate) fn start_group(kind: Kind, programs: &Programs, path: &Path, more: &[&str]) -> Result<Self> {
        let mut target = Self::with_name_server(kind, programs, path)?;
        let ports = || (0..MEMBERS).map(|number| (number, member_port(number)));
        let peers: Vec<String> = ports().map(|(number, port)| format!("n{number}-127.0.0.1:{}", port + 5)).collect();
        for (number, port) in ports() {
            let folder = path.join(format!("n{number}"));
            fs::create_dir(&folder)?;
            let member = format!(
                "enableDLegerCommitLog=true\ndLegerGroup={BROKER_NAME}\ndLegerPeers={}\ndLegerSelfId=n{number}\n{}",
                peers.join(";"),
                more.join("\n"),
            );
            target.add_broker(programs, &folder, port, &member)?;
        }
        Ok(target)
    }

    fn with_name_server(kind: Kind, programs: &Programs, path: &Path) -> Result<Self> {
        fs::write(
            path.join("namesrv.conf"),
            format!(
                "listenPort=29876\nkvConfigPath={0}/kv.json\nconfigStorePath={0}/namesrv.properties\n",
                path.display()
            ),
        )?;
        let name_server = spawn(kind, programs, path, "namesrv")?;
        Ok(Self { kind, broker_started: Instant::now(), brokers: Vec::new(), name_server })
    }

    fn add_broker(&mut self, programs: &Programs, path: &Path, port: u16, more: &str) -> Result<()> {
        fs::write(path.join("broker.conf"), broker_settings(path, port, more))?;
        self.brokers.push(spawn(self.kind, programs, path, "broker")?);
        self.check()
    }

    /// Adds a slave on the data in a folder of its own, or one that was there before.
    pub(crate) fn add_slave(&mut self, programs: &Programs, path: &Path) -> Result<()> {
        let folder = path.join("slave");
        fs::create_dir_all(&folder)?;
        self.add_broker(programs, &folder, member_port(SLAVE), "brokerId=1\nbrokerRole=SLAVE")
    }

    /// Ends the broker that was added last, as a stop does.
    pub(crate) fn stop_last(&mut self) -> Result<()> {
        let mut broker = self.brokers.pop().context("no broker to stop")?;
        let pid = Pid::from_raw(broker.id() as i32).context("a process without a number")?;
        kill_process(pid, Signal::TERM).context("stop a broker")?;
        broker.wait().context("wait for the end of a broker")?;
        Ok(())
    }

    /// Kills a member of a group, takes its files away and starts it again.
    pub(crate) fn wipe_member(&mut self, programs: &Programs, path: &Path, number: usize) -> Result<()> {
        let folder = path.join(format!("n{number}"));
        let broker = &mut self.brokers[number];
        broker.kill().context("kill a member")?;
        broker.wait().context("wait for the end of a member")?;
        fs::remove_dir_all(folder.join("store")).context("remove the store of a member")?;
        *broker = spawn(self.kind, programs, &folder, "broker")?;
        Ok(())
    }

    /// Of all brokers together.
    pub(crate) fn broker_usage(&self) -> Result<Usage> {
        self.brokers.iter().map(|broker| Usage::of(broker.id())).sum()
    }

    /// The first broker's.
    pub(crate) fn broker_process(&self) -> u32 {
        self.brokers[0].id()
    }

    /// `kill -9` of the brokers; the name server goes as usual.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.kill()).context("kill the broker")
    }

    /// Fails if a broker is gone.
    pub(crate) fn check(&mut self) -> Result<()> {
        for broker in &mut self.brokers {
            if let Some(status) = broker.try_wait()? {
                bail!("a broker of {} ended with {status}", self.kind.name());
            }
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let mut children: Vec<&mut Child> = self.brokers.iter_mut().chain([&mut self.name_server]).collect();
        for child in &children {
            if let Some(pid) = Pid::from_raw(child.id() as i32) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        for child in &mut children {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn broker_settings(dir: &Path, port: u16, more: &str) -> String {
    let store = dir.join("store");
    format!(
        "brokerClusterName=BenchCluster\n\
         brokerName={BROKER_NAME}\n\
         brokerIP1=127.0.0.1\n\
         listenPort={port}\n\
         haListenPort={}\n\
         namesrvAddr={NAME_SERVER}\n\
         storePathRootDir={1}\n\
         storePathCommitLog={1}/commitlog\n\
         diskMaxUsedSpaceRatio=95\n\
         {more}\n",
        port + 1,
        store.display(),
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
