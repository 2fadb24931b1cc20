//! A client at work: a program of its own, or one of many in a program that hosts them.
//!
//! Go's starts at once. A JVM does not, so each version of the Java client has one for the whole cluster, with a connection
//! to it for every role.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Client, Line};
use crate::cluster::Cluster;
use crate::dialogue::Dialogue;
use crate::process::Process;
use crate::target::java::jvm;

/// A client that was told what it is. Dropping it ends it.
#[derive(Debug)]
pub(crate) enum Role {
    Own(Box<Process>),
    Hosted(Dialogue),
}

impl Role {
    /// Starts `client` as what `role` says.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) async fn start(cluster: &Cluster, client: Client, name: &str, role: &Line) -> Result<Self> {
        let started = match client.java_version() {
            None => Self::Own(Box::new(go(cluster, name, role)?)),
            Some(version) => {
                let (from, to) = cluster.hosts.connect(cluster, version).await?.into_split();
                let dialogue = Dialogue::start(name, from, to, cluster.clients.dir())?;
                dialogue.write_line(role.text()).await?;
                Self::Hosted(dialogue)
            }
        };
        started.dialogue().until("start", |journal| journal.ready).await?;
        Ok(started)
    }

    pub(crate) fn dialogue(&self) -> &Dialogue {
        match self {
            Self::Own(process) => &process.dialogue,
            Self::Hosted(dialogue) => dialogue,
        }
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// If it does not end.
    pub(crate) async fn quit(&self) -> Result<()> {
        match self {
            Self::Own(process) => process.quit().await,
            Self::Hosted(dialogue) => {
                dialogue.close().await;
                dialogue.ended().await
            }
        }
    }
}

fn go(cluster: &Cluster, name: &str, role: &Line) -> Result<Process> {
    let home = cluster.clients.dir().join(format!("{name}.home"));
    let log = Line::new(role.verb()).with("log", home.join("client.log").display());
    let args: Vec<String> = log.words().chain(role.words().skip(1)).map(str::to_owned).collect();
    cluster.clients.run(name, &cluster.stage().artifacts.go_client().display().to_string(), &args)
}

/// The running hosts of a cluster, by version of the Java client.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<BTreeMap<&'static str, Process>>);

impl Hosts {
    /// A connection for one role, to a host that is started if there is none.
    async fn connect(&self, cluster: &Cluster, version: &'static str) -> Result<TcpStream> {
        let mut hosts = self.0.lock().await;
        let running = match hosts.remove(version) {
            Some(running) if running.runs().await => running,
            _ => host(cluster, version)?,
        };
        let host = hosts.entry(version).or_insert(running);
        host.dialogue.until("listen", |journal| journal.port.is_some()).await?;
        let port = host.dialogue.look(|journal| journal.port).context("ask for the host's port")?;
        let address = (cluster.clients.ip(), port);
        TcpStream::connect(address).await.with_context(|| format!("connect to {address:?}, the host of {version}"))
    }

    /// Ends them all.
    pub(crate) async fn clear(&self) {
        self.0.lock().await.clear();
    }
}

fn host(cluster: &Cluster, version: &str) -> Result<Process> {
    let name = format!("java-{version}");
    let machine = &cluster.clients;
    let artifacts = &cluster.stage().artifacts;
    let mut args = jvm(artifacts, &format!("client-{version}"));
    let home = machine.dir().join(format!("{name}.home"));
    args.extend(["-Xmx1g".to_owned(), format!("-Duser.home={}", home.display())]);
    args.extend(["-cp".to_owned(), artifacts.client_class_path(version), "ferromq.Main".to_owned(), "host".to_owned()]);
    machine.run(&name, "java", &args)
}
