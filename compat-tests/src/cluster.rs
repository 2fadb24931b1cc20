//! Name servers, brokers and a machine for clients, on a network of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::Mutex;

use crate::clients::{Hosts, Mqadmin};
use crate::group::MEMBERS;
use crate::machine::{Disk, Machine, Signal};
use crate::node::Node;
use crate::stage::Stage;
use crate::target::{Copies, Flush, Launch, Part, Post, SETTINGS, STORE, Server, Target};
use crate::wire;

/// Name server port in a container of its own.
const NAME_SERVER_PORT: u16 = 9876;
/// Broker port in a container of its own.
pub(crate) const BROKER_PORT: u16 = 10911;

/// What a cluster is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub name_servers: usize,
    pub flush: Flush,
    /// Whether a Java broker runs its timer wheel: that doubles the cost of its start, and without it Java 5.5.0 fails
    /// `deleteTopic`.
    pub timer: bool,
    /// Whether transactions end all the time: then Java's broker writes that down in its usual time.
    pub transactions: bool,
    /// The broker's store is on a disk of its own, of so many MiB; containers only.
    pub disk_mib: Option<u32>,
    /// Whether the broker has light queues.
    pub light: bool,
    /// Broker sets, each with a master of its own, see `sets.rs`.
    pub masters: usize,
    /// Masters that are started with the cluster, and none after them; scenarios start the others.
    pub begins_with: usize,
    /// Slaves that each master may have; scenarios start them.
    pub slaves: usize,
    /// What a master waits for.
    pub copies: Copies,
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
        transactions: false,
        disk_mib: None,
        light: false,
        masters: 1,
        begins_with: 1,
        slaves: 0,
        copies: Copies::Own,
        group: false,
        followers_take_writes: false,
    };
    /// The same with the timer.
    pub const WITH_TIMER: Self = Self { timer: true, ..Self::SMALL };
    /// A broker group.
    pub const GROUP: Self = Self { group: true, ..Self::SMALL };
    /// Two masters without slaves, of which one runs at first.
    pub const MASTERS: Self = Self { masters: 2, ..Self::SMALL };
    /// A master and a slave.
    pub const PAIR: Self = Self { slaves: 1, ..Self::SMALL };
    /// The same, and the master waits for its slave.
    pub const SYNC_PAIR: Self = Self { copies: Copies::Two, ..Self::PAIR };

    /// Brokers that may run at a time.
    pub const fn brokers(self) -> usize {
        if self.group { MEMBERS } else { self.masters * (1 + self.slaves) }
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
    /// The master of the first set; of a group, the first member.
    pub(crate) broker: Node,
    /// The other members of a group; or those for the other posts, see `sets.rs`.
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
        let (place, dir) = stage.place(target.name());
        let machine = async |name: &str, disk| stage.machine(&place, &dir, name, disk).await.map(Arc::new);
        let node = |machine: Arc<Machine>, port: u16| {
            let port = if machine.shares_ports() { stage.free_port()? } else { port };
            anyhow::Ok(Node::new(machine, port))
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
            let mut others = Vec::new();
            for post in layout.posts().skip(1) {
                let name = format!("{}-{}", post.broker(), post.id);
                others.push(node(machine(&name, None).await?, BROKER_PORT)?);
            }
            (node(servers, BROKER_PORT)?, others)
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

    /// Starts all servers but slaves, and waits until the brokers are registered everywhere, or the group has a leader.
    ///
    /// # Errors
    /// If any of it does not come up.
    pub async fn start(&self) -> Result<()> {
        for number in 0..self.name_servers.len() {
            self.start_name_server(number).await?;
        }
        if self.layout.group {
            return self.start_group().await;
        }
        for set in 0..self.layout.begins_with {
            self.start_at(Post::master_of(set), self.target.broker()).await?;
        }
        Ok(())
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

    /// Output of those servers that are ours.
    pub fn own_logs(&self) -> Vec<PathBuf> {
        // Others may be replaced by ours; a file that is not there has no lines.
        let own = Server::Ferromq;
        let name_servers = self.name_servers.iter().map(|node| node.machine.dir().join(own.name_server_process()));
        let brokers = [&self.broker].into_iter().chain(&self.others);
        let brokers = brokers.map(|node| node.machine.dir().join(own.broker_process()));
        let files: Vec<_> = name_servers.chain(brokers).collect();
        files.iter().flat_map(|path| [path.with_extension("out"), path.with_extension("err")]).collect()
    }

    /// Starts name server `number`, new or after it was stopped.
    ///
    /// # Errors
    /// If it does not listen in time.
    pub async fn start_name_server(&self, number: usize) -> Result<()> {
        self.start_name_server_of(number, self.target.name_server()).await
    }

    /// The same, of this make.
    ///
    /// # Errors
    /// If it does not listen in time.
    pub(crate) async fn start_name_server_of(&self, number: usize, server: Server) -> Result<()> {
        let node = &self.name_servers[number];
        let launch = server.name_server(&self.stage, &node.machine, node.port)?;
        node.run(server.name_server_process(), &launch).await?;
        wire::until_listening(&node.address()).await
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

    /// Starts the broker, new or after it was stopped or killed, of this make, on the same files and under the same name, and waits
    /// until all running name servers list it.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub(crate) async fn start_broker_of(&self, server: Server) -> Result<()> {
        self.start_at(Post::MASTER, server).await
    }

    /// Writes the settings of a broker of this make on `node` and tells how to start it.
    pub(crate) fn launch_on(&self, node: &Node, server: Server, part: &Part) -> Result<Launch> {
        let settings = server.broker_settings(&node.machine, node.port, self.layout, part);
        self.launch_with(node, server, SETTINGS, &settings)
    }

    /// The same with these settings, in a file of this name.
    pub(crate) fn launch_with(&self, node: &Node, server: Server, file: &str, settings: &str) -> Result<Launch> {
        server.broker(&self.stage, &node.machine, &self.name_servers(), file, settings)
    }

    /// Starts a broker of this make on `node`, and waits for nothing.
    pub(crate) async fn start_on(&self, node: &Node, server: Server, part: &Part) -> Result<()> {
        let launch = self.launch_on(node, server, part)?;
        node.run(server.broker_process(), &launch).await
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
    pub async fn stop_name_server(&self, number: usize) -> Result<()> {
        self.name_servers[number].end(Signal::Term).await
    }

    /// Creates a topic at every master that runs and waits until all running name servers route to it.
    ///
    /// # Errors
    /// If none runs, one refuses, or the route does not come.
    pub async fn create_topic(&self, topic: &str, queues: u32, order: bool) -> Result<()> {
        if !self.layout.group {
            let mut created = false;
            for set in 0..self.layout.masters {
                if self.runs_at(Post::master_of(set)).await? {
                    self.create_topic_at(Post::master_of(set), topic, queues, order).await?;
                    created = true;
                }
            }
            ensure!(created, "no master runs that could create topic {topic}");
            return Ok(());
        }
        let running = self.running_name_servers().await;
        // Who led a moment ago may refuse.
        wire::eventually(&format!("topic {topic}"), async || {
            wire::create_topic(&self.leader_address().await?, &running, topic, queues, order).await.map(Some)
        })
        .await
    }

    pub(crate) async fn running_name_servers(&self) -> Vec<String> {
        let mut running = Vec::new();
        for node in &self.name_servers {
            if node.runs().await {
                running.push(node.address());
            }
        }
        running
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
