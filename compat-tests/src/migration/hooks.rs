//! The commands of an operator that `ferromq migrate` runs to have processes stopped and started: this program once more, which asks
//! the one that holds the processes, over a connection, and waits until it is done.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fleet::{At, Fleet, Task};
use crate::group::MEMBERS;
use crate::moving::NEXT_BROKER;
use crate::target::{Post, Server};

/// First argument of this program when it is such a command; the port follows.
pub(super) const VERB: &str = "hook";
const DONE: &str = "done";
const ACTS: [&str; 4] = ["stop-java", "start-java", "stop-ferromq", "start-ferromq"];

/// What is wanted, from the environment of the command.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    /// One of [`ACTS`].
    act: String,
    /// Empty: all members of a set that takes over.
    address: String,
    /// Broker name; empty for a name server.
    set: String,
    broker_id: String,
    /// A file with settings for our broker; it may be empty.
    config: PathBuf,
}

impl Wanted {
    fn of_environment() -> Result<Self> {
        let told = |name: &str| env::var(name).with_context(|| format!("read {name}"));
        Ok(Self {
            act: told("MIGRATE_ACT")?,
            address: told("MIGRATE_ADDRESS")?,
            set: told("MIGRATE_SET")?,
            broker_id: told("MIGRATE_BROKER_ID")?,
            config: told("MIGRATE_CONFIG")?.into(),
        })
    }

    fn task(&self) -> Result<Task> {
        if self.set.is_empty() {
            return Ok(Task::NameServer);
        }
        let set = (0..).map(Post::master_of).take(2).find(|post| post.broker() == self.set);
        let set = set.with_context(|| format!("find the broker set {}", self.set))?.set;
        let id = self.broker_id.parse().with_context(|| format!("read the broker id {:?}", self.broker_id))?;
        Ok(Task::Broker(Post { set, id }))
    }
}

/// The command: asks and waits.
pub(super) fn ask(port: &str) -> ExitCode {
    let asked = (|| {
        let wanted = Wanted::of_environment()?;
        let mut to = TcpStream::connect(format!("127.0.0.1:{port}")).context("reach who holds the processes")?;
        writeln!(to, "{}", serde_json::to_string(&wanted)?)?;
        let mut answer = String::new();
        BufReader::new(to).read_line(&mut answer)?;
        ensure!(answer.trim() == DONE, "{}", answer.trim());
        Ok(())
    })();
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Who does what the commands want.
pub(super) struct Hooks {
    listener: TcpListener,
    /// What a start of Java's means.
    java: Server,
}

impl Hooks {
    pub(super) async fn listen(java: Server) -> Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0").await.context("listen for hooks")?, java })
    }

    /// Writes the file that names the commands.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let program = env::current_exe().context("find this program")?;
        let (program, port) = (program.display(), self.listener.local_addr()?.port());
        let mut text = String::new();
        for section in ["brokers", "name servers", &format!("set {NEXT_BROKER}")] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "[{section}]");
            for act in ACTS {
                let _ = writeln!(text, "{act} = '{program}' {VERB} {port}");
            }
        }
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Does what one command wants, and tells what that was.
    pub(super) async fn serve(&self, fleet: &Fleet) -> Result<String> {
        let (mut connection, _) = self.listener.accept().await.context("take a hook's connection")?;
        let mut line = String::new();
        tokio::io::BufReader::new(&mut connection).read_line(&mut line).await.context("read what a hook wants")?;
        let wanted: Wanted = serde_json::from_str(&line).with_context(|| format!("read `{line}`"))?;
        let what = format!("{} of {} {}", wanted.act, wanted.set, wanted.address);
        self.act(fleet, wanted).await.with_context(|| what.clone())?;
        // The tool may have been killed meanwhile, and its command with it.
        let _ = connection.write_all(format!("{DONE}\n").as_bytes()).await;
        Ok(what)
    }

    /// What is so already is left so: a tool that was killed wants it again.
    async fn act(&self, fleet: &Fleet, wanted: Wanted) -> Result<()> {
        if wanted.address.is_empty() {
            ensure!(wanted.set == NEXT_BROKER, "there are no machines for {}", wanted.set);
            return self.act_on_next_group(fleet, &wanted.act).await;
        }
        let at = fleet.at(&wanted.address)?;
        // The members of a group share one log; Java's are told by their machines.
        let task = || if matches!(at, At::Member(_)) { Ok(Task::Member) } else { wanted.task() };
        let (make, task) = match wanted.act.as_str() {
            "stop-java" | "stop-ferromq" => {
                return if fleet.task(at).is_some() { fleet.stop(at).await } else { Ok(()) };
            }
            "start-java" => (self.java, task()?),
            "start-ferromq" => (Server::Ferromq, task()?),
            other => bail!("there is no act {other}"),
        };
        if fleet.is(at, make, task) {
            return Ok(());
        }
        let ours = make == Server::Ferromq && matches!(at, At::Broker(_)) && !wanted.config.as_os_str().is_empty();
        let settings = ours.then(|| Arc::from(wanted.config));
        fleet.start_with(at, make, task, settings).await
    }

    async fn act_on_next_group(&self, fleet: &Fleet, act: &str) -> Result<()> {
        for at in (0..MEMBERS).map(At::Next) {
            match (act, fleet.task(at)) {
                ("start-ferromq", None) => fleet.start(at, Server::Ferromq, Task::Member).await?,
                ("stop-ferromq", Some(_)) => fleet.stop(at).await?,
                ("start-ferromq" | "stop-ferromq", _) => {}
                (other, _) => bail!("{NEXT_BROKER} has no act {other}"),
            }
        }
        Ok(())
    }
}
