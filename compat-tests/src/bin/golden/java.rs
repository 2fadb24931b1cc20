//! The Java name server and broker behind the proxy.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use compat_tests::artifacts::{Artifacts, JAVA_SERVER};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{BEHIND, BROKER_PORT, NAME_SERVER_PORT, PROXY};

pub(crate) struct Java {
    broker: Child,
    name_server: Child,
}

const START_MAX: Duration = Duration::from_secs(60);

impl Java {
    /// Paths are relative to the scratch folder, as some are told in answers.
    pub(crate) async fn start(artifacts: &Artifacts, scratch: &Path) -> Result<Self> {
        let name_server = format!(
            "listenPort={NAME_SERVER_PORT}\nbindAddress={BEHIND}\nkvConfigPath=kv.json\nnotifyMinBrokerIdChanged=true\n"
        );
        let name_server =
            java(artifacts, scratch, "namesrv", "org.apache.rocketmq.namesrv.NamesrvStartup", &name_server)?;
        up(NAME_SERVER_PORT).await?;
        let broker = format!(
            "brokerClusterName=golden\nbrokerName=golden-a\nbrokerIP1={PROXY}\nbindAddress={BEHIND}\nlistenPort={BROKER_PORT}\n\
             namesrvAddr={PROXY}:{NAME_SERVER_PORT}\nstorePathRootDir=store\nmappedFileSizeCommitLog=67108864\n\
             maxHashSlotNum=5000\nmaxIndexNum=20000\ntransactionTimeOut=2000\ntransactionCheckInterval=3000\nenableSlaveActingMaster=true\ndiskMaxUsedSpaceRatio=95\n\
             recallMessageEnable=true\n"
        );
        let broker = java(artifacts, scratch, "broker", "org.apache.rocketmq.broker.BrokerStartup", &broker)?;
        up(BROKER_PORT).await?;
        Ok(Self { broker, name_server })
    }

    /// The broker unregisters as it ends, so it goes first.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for child in [&mut self.broker, &mut self.name_server] {
            if let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("end a process")?;
            }
            child.wait().await.context("wait for a process")?;
        }
        Ok(())
    }
}

fn java(artifacts: &Artifacts, scratch: &Path, name: &str, main: &str, settings: &str) -> Result<Child> {
    let config = format!("{name}.conf");
    fs::write(scratch.join(&config), settings).context("write settings")?;
    let log = File::create(scratch.join(name).with_extension("log")).context("create a log")?;
    Command::new("java")
        .args(["-Xmx512m", "-XX:+UseSerialGC"])
        .current_dir(scratch)
        .args([
            "-Duser.home=.",
            "-Drocketmq.home.dir=.",
            "-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99",
            "-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98",
        ])
        .args(["-cp", &artifacts.server_class_path(JAVA_SERVER), main, "-c"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share the log")?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {name}"))
}

async fn up(port: u16) -> Result<()> {
    let connected = async {
        while TcpStream::connect((BEHIND, port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(START_MAX, connected).await.with_context(|| format!("nothing listens on {port}"))
}
