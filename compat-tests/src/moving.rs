//! From a DLedger group of Java's to ours: a member's files are imported, or the cluster gets another broker set that takes over.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{BROKER_PORT, Cluster};
use crate::group::MEMBERS;
use crate::machine::Signal;
use crate::node::Node;
use crate::target::{BROKER, Part, Post, SETTINGS, STORE, Seat, Server};
use crate::wire;

/// Name of the broker set that takes over.
pub const NEXT_BROKER: &str = Post::master_of(1).broker();
/// Where the files of a member go that is imported.
const OLD_STORE: &str = "java-store";
/// Of a member of the group that takes over: it runs on the machine of one of the old group.
const NEXT_STORE: &str = "next-store";
const NEXT_SETTINGS: &str = "next.conf";
/// From the port of the one to that of the other.
const TO_NEXT_PORT: u16 = 50;

/// A broker of another name in the same cluster.
#[derive(Debug)]
pub struct NextBroker(Node);

impl NextBroker {
    pub fn address(&self) -> String {
        self.0.address()
    }
}

impl Cluster {
    /// Has the group, which was just started, be one of Java's that holds nothing.
    ///
    /// # Errors
    /// If one does not end or the other not start in time.
    pub async fn begin_with_javas_group(&self) -> Result<()> {
        if self.target.broker() == Server::Java {
            return Ok(());
        }
        tokio::try_join!(self.kill_member(0), self.kill_member(1), self.kill_member(2))?;
        for number in 0..MEMBERS {
            self.wipe_member(number).await?;
        }
        let start = async |number| self.start_member_of(number, Server::Java).await;
        tokio::try_join!(start(0), start(1), start(2))?;
        self.until_whole().await?;
        Ok(())
    }

    /// Ends a member in order.
    ///
    /// # Errors
    /// If it stays.
    pub async fn stop_member(&self, number: usize) -> Result<()> {
        self.member(number)?.end(Signal::Term).await
    }

    /// Has our broker go on with the files of a member of Java's that was stopped, under its address; what the import told.
    ///
    /// # Errors
    /// If the import fails, or the broker does not start in time.
    pub async fn import_member(&self, number: usize) -> Result<String> {
        let told = self.import_files(number).await?;
        self.start_alone(number, Server::Ferromq).await?;
        Ok(told)
    }

    /// Term and index of the last entry that a member of Java's, which was stopped, would give to an import.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub(crate) async fn last_entry(&self, number: usize) -> Result<(i64, i64)> {
        let node = self.member(number)?;
        node.must_be_ended().await?;
        let program = self.stage.ferromq()?;
        let line = format!("'{program}' store import {STORE} {OLD_STORE}-none --dry-run --json");
        let told = node.machine.shell(&line).await?;
        let told: Value =
            serde_json::from_str(&told).with_context(|| format!("read what an import of n{number} tells"))?;
        let figure = |name: &str| told[name].as_i64().with_context(|| format!("find {name} in {told}"));
        Ok((figure("lastTerm")?, figure("lastIndex")?))
    }

    /// Makes a store of ours of the files of a member of Java's that was stopped; what the import told.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) async fn import_files(&self, number: usize) -> Result<String> {
        let node = self.member(number)?;
        node.must_be_ended().await?;
        let (store, old) = (node.store(), node.machine.dir().join(OLD_STORE));
        fs::rename(&store, &old).with_context(|| format!("move {}", store.display()))?;
        let launch = self.launch_on(node, Server::Ferromq, &Part::OfSet(Post::MASTER))?;
        node.machine.shell(&format!("'{}' store import {OLD_STORE} {STORE} -c {SETTINGS}", launch.program)).await
    }

    /// Starts a broker of this make on the files of a member that was stopped, as one of its own.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub async fn start_alone(&self, number: usize, server: Server) -> Result<()> {
        let node = self.member(number)?;
        self.start_on(node, server, &Part::OfSet(Post::MASTER)).await?;
        self.until_up(node, Post::MASTER).await
    }

    /// Starts our broker as the only member of a group, on the files of the broker that was stopped. Java's starts as it is: its
    /// groups keep their messages elsewhere.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub(crate) async fn start_first_member(&self, server: Server) -> Result<()> {
        if server != Server::Ferromq {
            return self.start_broker_of(server).await;
        }
        self.start_only_member(&self.broker, 0, server).await
    }

    /// Starts a broker on this node as the only member of a group, under this number.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub(crate) async fn start_only_member(&self, node: &Node, number: usize, server: Server) -> Result<()> {
        let seat = Seat { number, addresses: vec![(number, node.peer_address())] };
        self.start_on(node, server, &Part::OfGroup(seat)).await?;
        self.until_up(node, Post::MASTER).await
    }

    /// Starts a broker of this target's make beside the group, under [`NEXT_BROKER`].
    ///
    /// # Errors
    /// If it does not come up in time.
    pub async fn start_next_broker(&self) -> Result<NextBroker> {
        ensure!(self.layout.group, "the broker has the machine for itself");
        let server = self.target.broker();
        let machine = self.name_servers[0].machine.clone();
        let port = if machine.shares_ports() { self.stage.free_port()? } else { BROKER_PORT };
        let node = Node::new(machine, port);
        self.start_on(&node, server, &Part::OfSet(Post::master_of(1))).await?;
        for name_server in self.name_server_addresses() {
            wire::until_registered(&name_server, &node.address(), true).await?;
        }
        Ok(NextBroker(node))
    }

    /// Where the members of a group under [`NEXT_BROKER`] are to run: beside those of the group.
    pub(crate) fn next_members(&self) -> Result<Vec<Node>> {
        let nodes = (0..MEMBERS).map(|number| {
            let Node { machine, port, .. } = self.member(number)?;
            Ok(Node::new(machine.clone(), port + TO_NEXT_PORT))
        });
        nodes.collect()
    }

    /// Starts our broker as one of these `members`; whether it leads or follows is seen later.
    ///
    /// # Errors
    /// If it does not listen in time.
    pub(crate) async fn start_next_member(&self, members: &[Node], number: usize) -> Result<()> {
        let (node, server) = (&members[number], Server::Ferromq);
        let addresses = (0..).zip(members.iter().map(Node::peer_address));
        let part = Part::OfGroup(Seat { number, addresses: addresses.collect() });
        let dir = node.machine.dir();
        let [store, next_store] = [STORE, NEXT_STORE].map(|folder| dir.join(folder).display().to_string());
        let settings = server.broker_settings(&node.machine, node.port, self.layout, &part);
        let settings = settings.replace(BROKER, NEXT_BROKER).replace(&store, &next_store);
        let launch = self.launch_with(node, server, NEXT_SETTINGS, &settings)?;
        node.run(server.broker_process(), &launch).await?;
        wire::until_listening(&node.address()).await
    }
}
