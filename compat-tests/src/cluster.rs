//! Name servers, a broker and a machine for clients, on a network of their own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::artifacts::Artifacts;
use crate::clients::{Hosts, Mqadmin};
use crate::machine::{Disk, Machine, Place, Signal};
use crate::process::Process;
use crate::target::{Flush, STORE, Server, Target};
use crate::wire;

/// Name server port in a container of its own.
const NAME_SERVER_PORT: u16 = 9876;
/// Broker port in a container of its own.
pub(crate) const BROKER_PORT: u16 = 10911;

/// What all clusters of one run have in common.
#[derive(Debug)]
pub struct Stage {
    pub artifacts: Artifacts,
    /// Files of this run.
    dir: PathBuf,
    /// The run's copy of our binary, below the mounted cache.
    ferromq: Option<PathBuf>,
    /// Plain processes on loopback instead of containers.
    loopback: bool,
    next_port: AtomicU16,
    next_cluster: AtomicU16,
    started: std::sync::Mutex<Started>,
}

/// What an interrupted run has to remove.
#[derive(Debug, Default)]
struct Started {
    /// Container ids.
    containers: Vec<String>,
    /// Network names, which carry the process id of this run.
    networks: Vec<String>,
    /// Machines that are about to be in the lists.
    starting: usize,
    /// Nothing is started any more.
    interrupted: bool,
}

/// A machine that is about to start; while there is one, [`Stage::abandon`] waits.
struct Starting<'a>(&'a Stage);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Ok(mut started) = self.0.started.lock() {
            started.starting -= 1;
        }
    }
}

impl Stage {
    /// Prepares a run's directory, with the Ferromq binary if a target needs it.
    ///
    /// # Errors
    /// If the set-up or the binary is missing.
    pub fn new(loopback: bool, with_ferromq: bool) -> Result<Self> {
        let artifacts = Artifacts::find()?;
        let dir = artifacts.cache.join("runs").join(std::process::id().to_string());
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let ferromq = if with_ferromq {
            let copy = dir.join("ferromq");
            fs::copy(artifacts.ferromq()?, &copy).context("copy the Ferromq binary")?;
            Some(copy)
        } else {
            None
        };
        Ok(Self {
            artifacts,
            dir,
            ferromq,
            loopback,
            next_port: AtomicU16::new(21_000),
            next_cluster: AtomicU16::new(0),
            started: std::sync::Mutex::default(),
        })
    }

    /// Path of our binary.
    ///
    /// # Errors
    /// If this run has no target that needs it.
    pub fn ferromq(&self) -> Result<String> {
        Ok(self.ferromq.as_ref().context("find the Ferromq binary")?.display().to_string())
    }

    /// Removes the run's files.
    pub fn clear(&self) {
        // What cannot be removed is below `target`, and no test depends on it.
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// Starts a machine, and notes it for [`Stage::abandon`].
    async fn machine(&self, place: &Place, dir: &Path, name: &str, disk: Option<Disk>) -> Result<Machine> {
        let _starting = self.starting()?;
        let machine = Machine::start(&self.artifacts, place, dir, name, disk).await?;
        self.note(&machine, place);
        Ok(machine)
    }

    fn starting(&self) -> Result<Starting<'_>> {
        let Ok(mut started) = self.started.lock() else { bail!("a test broke the list of machines") };
        ensure!(!started.interrupted, "the run was interrupted");
        started.starting += 1;
        Ok(Starting(self))
    }

    fn note(&self, machine: &Machine, place: &Place) {
        if let (Ok(mut started), Some(id), Place::Containers { network }) =
            (self.started.lock(), machine.container_id(), place)
        {
            started.containers.push(id.to_owned());
            if !started.networks.contains(network) {
                started.networks.push(network.clone());
            }
        }
    }

    /// Removes at once whatever this run started and did not remove yet: at its end, and when it is interrupted.
    pub async fn abandon(&self) {
        let (containers, networks) = loop {
            match self.started.lock() {
                Ok(mut started) => {
                    started.interrupted = true;
                    if started.starting == 0 {
                        break (std::mem::take(&mut started.containers), std::mem::take(&mut started.networks));
                    }
                }
                Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        for (what, names) in [(&["rm", "--force"][..], containers), (&["network", "rm"], networks)] {
            // Most of them are gone already; docker says so for each and goes on.
            let _ = Command::new("docker").args(what).args(names).output().await;
        }
        self.clear();
    }

    /// A port with free neighbours: a broker also listens two below and two above.
    pub(crate) fn free_port(&self) -> Result<u16> {
        for _ in 0..1000 {
            let port = self.next_port.fetch_add(10, Ordering::Relaxed);
            if (port - 2..=port + 2).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
                return Ok(port);
            }
        }
        bail!("no free ports");
    }
}

/// What a cluster is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub name_servers: usize,
    pub flush: Flush,
    /// Whether a Java broker runs its timer wheel: that doubles the cost of its start, and without it Java 5.5.0 fails
    /// `deleteTopic`.
    pub timer: bool,
    /// The broker's store is on a disk of its own, of so many MiB; containers only.
    pub disk_mib: Option<u32>,
    /// Whether the broker has light queues.
    pub light: bool,
    /// Three brokers of one name that share a log, see `group.rs`, instead of one.
    pub group: bool,
    /// Whether our group shows all of its members to producers (`followersTakeWrites`); Java's has nothing like it.
    pub followers_take_writes: bool,
}

impl Layout {
    /// One name server, one broker, `ASYNC_FLUSH`, no timer, no disk of its own, no light queues.
    pub const SMALL: Self = Self {
        name_servers: 1,
        flush: Flush::Async,
        timer: false,
        disk_mib: None,
        light: false,
        group: false,
        followers_take_writes: false,
    };
    /// The same with the timer.
    pub const WITH_TIMER: Self = Self { timer: true, ..Self::SMALL };
    /// A broker group.
    pub const GROUP: Self = Self { group: true, ..Self::SMALL };
}

/// One server process on its machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) machine: Arc<Machine>,
    pub(crate) port: u16,
    pub(crate) process: Mutex<Option<Process>>,
}

impl Node {
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.machine.ip(), self.port)
    }

    pub(crate) async fn end(&self, signal: Signal) -> Result<()> {
        let process = self.process.lock().await.take().context("end a server that does not run")?;
        self.machine.end(&process, signal).await
    }
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    pub target: Target,
    pub(crate) stage: Arc<Stage>,
    pub(crate) layout: Layout,
    dir: PathBuf,
    pub(crate) name_servers: Vec<Node>,
    /// Of a group, the first member.
    pub(crate) broker: Node,
    /// The other members of a group.
    pub(crate) others: Vec<Node>,
    /// Which member led when the group was last whole.
    pub(crate) led: AtomicUsize,
    /// Where client programs run.
    pub clients: Machine,
    pub(crate) hosts: Hosts,
    mqadmin: Mutex<Option<Mqadmin>>,
}

impl Cluster {
    /// Brings up the machines of a cluster; [`Self::start`] then starts its servers.
    ///
    /// # Errors
    /// If one of them does not come up.
    pub async fn prepare(stage: &Arc<Stage>, target: Target, layout: Layout) -> Result<Self> {
        let number = stage.next_cluster.fetch_add(1, Ordering::Relaxed);
        let dir = stage.dir.join(format!("{target}-{number}"));
        let place = if stage.loopback {
            Place::Loopback
        } else {
            Place::Containers { network: format!("ferromq-compat-{}-{number}", std::process::id()) }
        };
        let machine = async |name: &str, disk| stage.machine(&place, &dir, name, disk).await.map(Arc::new);
        let node = |machine: Arc<Machine>, port: u16| {
            let port = if machine.shares_ports() { stage.free_port()? } else { port };
            anyhow::Ok(Node { machine, port, process: Mutex::new(None) })
        };
        // A broker's machine has a name server, too, which saves the start of another one; that of a group is never cut off.
        let servers = machine("servers", layout.disk_mib.map(|mib| Disk { folder: STORE, mib })).await?;
        let mut name_servers = vec![node(servers.clone(), NAME_SERVER_PORT)?];
        for number in 1..layout.name_servers {
            name_servers.push(node(machine(&format!("namesrv-{number}"), None).await?, NAME_SERVER_PORT)?);
        }
        let (broker, others) = if layout.group {
            let members =
                tokio::try_join!(machine("broker-0", None), machine("broker-1", None), machine("broker-2", None));
            let (first, second, third) = members?;
            (node(first, BROKER_PORT)?, vec![node(second, BROKER_PORT)?, node(third, BROKER_PORT)?])
        } else {
            (node(servers, BROKER_PORT)?, Vec::new())
        };
        let clients = stage.machine(&place, &dir, "clients", None).await?;
        let (hosts, mqadmin) = (Hosts::default(), Mutex::new(None));
        let led = AtomicUsize::new(0);
        Ok(Self {
            target,
            stage: stage.clone(),
            layout,
            dir,
            name_servers,
            broker,
            others,
            led,
            clients,
            hosts,
            mqadmin,
        })
    }

    /// Starts all servers and waits until the broker is registered everywhere, or the group has a leader.
    ///
    /// # Errors
    /// If any of it does not come up.
    pub async fn start(&self) -> Result<()> {
        for number in 0..self.name_servers.len() {
            self.start_name_server(number).await?;
        }
        if self.layout.group { self.start_group().await } else { self.start_broker().await }
    }

    /// The run this cluster belongs to.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// All files of the cluster.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Addresses of all name servers, as `-n` takes them.
    pub fn name_servers(&self) -> String {
        self.name_server_addresses().join(";")
    }

    /// Address of each name server.
    pub fn name_server_addresses(&self) -> Vec<String> {
        self.name_servers.iter().map(Node::address).collect()
    }

    /// The broker's address; of a group, that of who led when it was last whole.
    pub fn broker_address(&self) -> String {
        let led = self.led.load(Ordering::Relaxed);
        self.others.get(led.wrapping_sub(1)).unwrap_or(&self.broker).address()
    }

    /// Directory with the broker's store and configuration.
    pub fn broker_dir(&self) -> &Path {
        self.broker.machine.dir()
    }

    /// Output of those servers that are ours.
    pub fn own_logs(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if self.target.name_server() == Server::Ferromq {
            files.extend(self.name_servers.iter().map(|node| node.machine.dir().join("namesrv")));
        }
        // Others may hand their store over to ours; a file that is not there has no lines.
        let brokers = [&self.broker].into_iter().chain(&self.others);
        files.extend(brokers.map(|node| node.machine.dir().join(Server::Ferromq.broker_process())));
        files.iter().flat_map(|path| [path.with_extension("out"), path.with_extension("err")]).collect()
    }

    /// Starts name server `number`, new or after it was stopped.
    ///
    /// # Errors
    /// If it does not listen in time.
    pub(crate) async fn start_name_server(&self, number: usize) -> Result<()> {
        let node = &self.name_servers[number];
        let launch = self.target.name_server().name_server(&self.stage, &node.machine, node.port)?;
        let process = node.machine.run("namesrv", &launch.program, &launch.args)?;
        *node.process.lock().await = Some(process);
        wire::until_listening(&node.address()).await
    }

    /// Starts the broker, new or after it was stopped or killed, and waits until all running name servers list it.
    ///
    /// # Errors
    /// If that does not happen in time.
    async fn start_broker(&self) -> Result<()> {
        self.start_broker_of(self.target.broker()).await
    }

    /// Has the cluster, which was just started, go on with a broker of this make.
    ///
    /// # Errors
    /// If one does not end or the other not start in time.
    pub(crate) async fn begin_with(&self, server: Server) -> Result<()> {
        if server == self.target.broker() {
            return Ok(());
        }
        self.stop_broker().await?;
        self.start_broker_of(server).await
    }

    /// As [`Self::start_broker`], but a broker of this make, on the same files and under the same name.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub(crate) async fn start_broker_of(&self, server: Server) -> Result<()> {
        let node = &self.broker;
        let name_servers = self.name_servers();
        let launch = server.broker(&self.stage, &node.machine, node.port, &name_servers, self.layout, None)?;
        let process = node.machine.run(server.broker_process(), &launch.program, &launch.args)?;
        *node.process.lock().await = Some(process);
        wire::until_listening(&node.address()).await?;
        for name_server in &self.name_servers {
            if name_server.process.lock().await.is_some() {
                wire::until_registered(&name_server.address(), &node.address(), true).await?;
            }
        }
        Ok(())
    }

    /// Ends the broker in order and waits until it is gone.
    ///
    /// # Errors
    /// If it stays.
    pub(crate) async fn stop_broker(&self) -> Result<()> {
        self.broker.end(Signal::Term).await
    }

    /// `kill -9` of the broker.
    ///
    /// # Errors
    /// If it stays.
    pub(crate) async fn kill_broker(&self) -> Result<()> {
        self.broker.end(Signal::Kill).await
    }

    /// Leaves but a mebibyte of the broker's own disk.
    ///
    /// # Errors
    /// If it has none.
    pub(crate) async fn fill_broker_disk(&self) -> Result<()> {
        let fill = format!(
            "left=$(df --block-size=1 --output=avail {STORE} | tail -n 1) && fallocate --length $((left - 1048576)) {STORE}/ballast"
        );
        self.broker.machine.shell(&fill).await?;
        Ok(())
    }

    /// Undoes [`Self::fill_broker_disk`].
    ///
    /// # Errors
    /// If it was not done.
    pub(crate) async fn empty_broker_disk(&self) -> Result<()> {
        self.broker.machine.shell(&format!("rm {STORE}/ballast")).await?;
        Ok(())
    }

    /// Ends name server `number` in order.
    ///
    /// # Errors
    /// If it stays.
    pub(crate) async fn stop_name_server(&self, number: usize) -> Result<()> {
        self.name_servers[number].end(Signal::Term).await
    }

    /// Creates a topic at the broker and waits until all running name servers route to it.
    ///
    /// # Errors
    /// If the broker refuses or the route does not come.
    pub async fn create_topic(&self, topic: &str, queues: u32, order: bool) -> Result<()> {
        let mut running = Vec::new();
        for node in &self.name_servers {
            if node.process.lock().await.is_some() {
                running.push(node.address());
            }
        }
        if !self.layout.group {
            return wire::create_topic(&self.broker_address(), &running, topic, queues, order).await;
        }
        // Who led a moment ago may refuse.
        wire::eventually(&format!("topic {topic}"), async || {
            wire::create_topic(&self.leader_address().await?, &running, topic, queues, order).await.map(Some)
        })
        .await
    }

    /// Runs one mqadmin command and returns what it printed to standard output.
    ///
    /// # Errors
    /// If the tool does not answer.
    pub async fn mqadmin(&self, args: &[&str]) -> Result<String> {
        let mut mqadmin = self.mqadmin.lock().await;
        let running = match mqadmin.take() {
            Some(running) if running.runs().await => running,
            _ => Mqadmin::start(self).await?,
        };
        let output = running.run(args).await;
        *mqadmin = Some(running);
        output
    }

    /// CPU time that the machines of servers and of clients took so far.
    pub(crate) fn cpu_times(&self) -> [Option<Duration>; 2] {
        // A broker that is alone has the first name server beside it.
        let name_servers = self.name_servers.iter().skip(usize::from(!self.layout.group));
        let servers = name_servers.chain(&self.others).chain([&self.broker]).map(|node| node.machine.cpu_time()).sum();
        [servers, self.clients.cpu_time()]
    }

    /// Ends everything and removes the containers; the network goes with the last of them.
    pub async fn remove(&self) {
        drop(self.mqadmin.lock().await.take());
        self.hosts.clear().await;
        let servers = self.name_servers.iter().chain([&self.broker]).chain(&self.others).map(|node| &*node.machine);
        // One that two servers share is removed once.
        for machine in [&self.clients].into_iter().chain(servers) {
            machine.remove().await;
        }
        for node in self.name_servers.iter().chain([&self.broker]).chain(&self.others) {
            drop(node.process.lock().await.take());
        }
    }
}
