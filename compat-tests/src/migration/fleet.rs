//! The servers of a cluster that is migrated. Each can be stopped, and started as one of another make on the same files and under
//! the same address, and, if there are to be faults, is killed in between.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result, bail, ensure};

use super::kills::{Kill, Kills};
use crate::cluster::Cluster;
use crate::group::MEMBERS;
use crate::machine::Signal;
use crate::moving::NEXT_BROKER;
use crate::node::Node;
use crate::target::{BROKER, Post, SETTINGS, Server};
use crate::wire;

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    NameServer(usize),
    /// The machine that is meant for this broker.
    Broker(Post),
    /// The machine of a group's member.
    Member(usize),
    /// Beside it, a member of the group that takes over.
    Next(usize),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameServer(number) => write!(f, "name server {number}"),
            Self::Broker(post) => write!(f, "machine {} of {}", post.id, post.broker()),
            Self::Member(number) => write!(f, "n{number}"),
            Self::Next(number) => write!(f, "n{number} of {NEXT_BROKER}"),
        }
    }
}

/// What it does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    NameServer,
    Broker(Post),
    /// Member of its group of three.
    Member,
    /// Member of a group that has no other.
    FirstMember,
    /// A master, on what was a member's files.
    Alone,
}

/// A server that runs, or is to.
#[derive(Clone, Debug)]
struct Running {
    at: At,
    make: Server,
    task: Task,
    /// Of a broker, if they are not the harness's.
    settings: Option<Arc<Path>>,
}

/// All of them.
pub(super) struct Fleet {
    pub(super) cluster: Arc<Cluster>,
    /// For the members of a group that takes over from another one.
    next: Vec<Node>,
    running: Mutex<Vec<Running>>,
    kills: Mutex<Kills>,
}

impl Fleet {
    /// Of which nothing runs yet, and nobody is killed.
    ///
    /// # Errors
    /// If the cluster's machines are not there.
    pub(super) fn new(cluster: Arc<Cluster>) -> Result<Self> {
        let next = if cluster.layout.group { cluster.next_members()? } else { Vec::new() };
        Ok(Self { cluster, next, running: Mutex::default(), kills: Mutex::new(Kills::none()) })
    }

    /// Has servers be killed from now on.
    pub(super) fn expose_to(&self, kills: Kills) {
        *self.kills() = kills;
    }

    /// Starts a server, and waits until it is at work.
    pub(super) async fn start(&self, at: At, make: Server, task: Task) -> Result<()> {
        self.start_with(at, make, task, None).await
    }

    /// The same, a broker with the settings in a file that somebody else wrote.
    pub(super) async fn start_with(&self, at: At, make: Server, task: Task, settings: Option<Arc<Path>>) -> Result<()> {
        let started = Running { at, make, task, settings };
        self.run(started.clone()).await?;
        self.disturb(started).await
    }

    /// Ends a server in order; or kills it, if that is what befalls it.
    pub(super) async fn stop(&self, at: At) -> Result<()> {
        let kill = self.kills().at_stop();
        self.forget(at)?;
        if kill {
            self.kills().note(format!("{at} was killed instead of stopped"));
        }
        self.node(at)?.end(if kill { Signal::Kill } else { Signal::Term }).await
    }

    /// Has a server of another make do what the one there did, on its files.
    pub(super) async fn replace(&self, at: At, make: Server) -> Result<()> {
        let task = self.task(at).with_context(|| format!("replace {at}, where nothing runs"))?;
        self.stop(at).await?;
        self.start(at, make, task).await
    }

    /// What the server there does, if one runs.
    pub(super) fn task(&self, at: At) -> Option<Task> {
        self.listed().into_iter().find(|running| running.at == at).map(|running| running.task)
    }

    /// Whether one of this make does this there.
    pub(super) fn is(&self, at: At, make: Server, task: Task) -> bool {
        self.listed().into_iter().any(|running| running.at == at && running.make == make && running.task == task)
    }

    /// Whether the tool that has just had `what` done is killed.
    pub(super) fn kills_tool(&self, what: &str) -> bool {
        let mut kills = self.kills();
        let kill = kills.at_stop();
        if kill {
            kills.note(format!("the tool was killed after {what}"));
        }
        kill
    }

    /// Where the server with this address is.
    pub(super) fn at(&self, address: &str) -> Result<At> {
        let servers = (0..self.cluster.name_servers.len()).map(At::NameServer);
        let brokers: Vec<_> = if self.cluster.layout.group {
            (0..MEMBERS).flat_map(|number| [At::Member(number), At::Next(number)]).collect()
        } else {
            self.cluster.layout.posts().map(At::Broker).collect()
        };
        let mut all = servers.chain(brokers);
        let found = all.find(|at| self.node(*at).is_ok_and(|node| node.address() == address));
        found.with_context(|| format!("nobody is at {address}"))
    }

    /// Names of the broker sets that have a broker.
    pub(super) fn sets(&self) -> BTreeSet<&'static str> {
        let sets = self.listed().into_iter().filter_map(|running| match (running.at, running.task) {
            (At::NameServer(_), _) => None,
            (At::Next(_), _) => Some(NEXT_BROKER),
            (_, Task::Broker(acts)) => Some(acts.broker()),
            _ => Some(BROKER),
        });
        sets.collect()
    }

    /// What was killed since the last time this was asked.
    pub(super) fn killed(&self) -> Vec<String> {
        self.kills().take()
    }

    async fn run(&self, started: Running) -> Result<()> {
        self.launch(&started).await.with_context(|| format!("start {:?} at {}", started.make, started.at))?;
        self.running.lock().expect("no holder panics").push(started);
        Ok(())
    }

    async fn launch(&self, Running { at, make, task, settings }: &Running) -> Result<()> {
        let (cluster, make) = (&self.cluster, *make);
        match (*at, *task) {
            (At::NameServer(number), Task::NameServer) => {
                cluster.start_name_server_of(number, make).await?;
                self.until_known_at(number).await
            }
            (At::Broker(post), Task::Broker(acts)) => match settings {
                Some(settings) => self.start_with_settings(post, make, acts, settings).await,
                None => cluster.start_as(post, make, acts).await,
            },
            (At::Member(number), Task::Member) => cluster.start_member_of(number, make).await,
            (At::Next(number), Task::Member) => cluster.start_next_member(&self.next, number).await,
            (At::Member(number), Task::Alone) => cluster.start_alone(number, make).await,
            (At::Member(number), Task::FirstMember) => {
                cluster.start_only_member(cluster.member(number)?, number, make).await
            }
            (at, task) => bail!("{task:?} is nothing for {at}"),
        }
    }

    async fn start_with_settings(&self, post: Post, make: Server, acts: Post, settings: &Path) -> Result<()> {
        let node = self.cluster.node(post)?;
        let settings = fs::read_to_string(settings).with_context(|| format!("read {}", settings.display()))?;
        let launch = self.cluster.launch_with(node, make, SETTINGS, &settings)?;
        node.run(make.broker_process(), &launch).await?;
        self.cluster.until_up(node, acts).await
    }

    /// Waits until a name server that was started has heard of all brokers.
    async fn until_known_at(&self, name_server: usize) -> Result<()> {
        let name_server = self.cluster.name_servers[name_server].address();
        for Running { at, task, .. } in self.listed() {
            let address = self.node(at)?.address();
            match task {
                Task::NameServer => {}
                Task::Broker(acts) => wire::until_listed(&name_server, acts.broker(), acts.id, &address).await?,
                Task::Member | Task::FirstMember | Task::Alone => {
                    wire::until_registered(&name_server, &address, true).await?;
                }
            }
        }
        Ok(())
    }

    /// What befalls the cluster once a server has started.
    async fn disturb(&self, started: Running) -> Result<()> {
        let others: Vec<_> = self.listed().into_iter().filter(|running| running.at != started.at).collect();
        let after = started.at;
        let victim = match self.kills().after_start(others.len()) {
            None => return Ok(()),
            Some(Kill::TheSame) => started,
            Some(Kill::Another(number)) => others[number].clone(),
        };
        self.kills().note(format!("{} was killed after {after} had started", victim.at));
        self.forget(victim.at)?;
        self.node(victim.at)?.end(Signal::Kill).await?;
        self.run(victim).await
    }

    fn kills(&self) -> MutexGuard<'_, Kills> {
        self.kills.lock().expect("no holder panics")
    }

    fn listed(&self) -> Vec<Running> {
        self.running.lock().expect("no holder panics").clone()
    }

    fn forget(&self, at: At) -> Result<()> {
        let mut running = self.running.lock().expect("no holder panics");
        let before = running.len();
        running.retain(|running| running.at != at);
        ensure!(running.len() < before, "nothing runs at {at}");
        Ok(())
    }

    pub(super) fn node(&self, at: At) -> Result<&Node> {
        match at {
            At::NameServer(number) => self.cluster.name_servers.get(number).context("find a name server"),
            At::Broker(post) => self.cluster.node(post),
            At::Member(number) => self.cluster.member(number),
            At::Next(number) => self.next.get(number).context("find a member of the next group"),
        }
    }
}
