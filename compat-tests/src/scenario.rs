//! What a scenario is, and what it is given to work with.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::clients::{Client, Consumer, Line, Producer, Role};
use crate::cluster::{Cluster, Layout};
use crate::company::Member;
use crate::dialogue::PATIENCE;
use crate::target::{Server, Target};
use crate::wire;

/// The steps of a scenario. Each test blocks a thread of its own, so they need not be `Send`.
pub type Steps = fn(Run) -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// A promise to users, checked with stock clients. Made by [`scenario!`](macro@crate::scenario).
#[derive(Clone, Copy)]
pub struct Scenario {
    /// The promise, as a function name.
    pub name: &'static str,
    pub(crate) steps: Steps,
    /// A cluster of its own, if it disturbs others; else it shares one.
    pub(crate) own: Option<Layout>,
    pub(crate) clients: &'static [Client],
    /// On a broker group, which others of these get before or after it.
    pub(crate) in_group: bool,
    /// Only these targets, if there are any.
    pub(crate) targets: &'static [Target],
    /// Clients that cannot do this, and why.
    pub(crate) lacking: &'static [(Client, &'static str)],
    /// Also run with name server and broker of different kinds.
    pub(crate) mixed: bool,
    /// WARN or ERROR lines our servers write here and why that is right, beside [`crate::logs::ALLOWED`].
    pub(crate) allowed_lines: &'static [(&'static str, &'static str)],
}

/// A scenario from an `async fn name(run: Run) -> anyhow::Result<()>`.
#[macro_export]
macro_rules! scenario {
    ($name:ident) => {
        $crate::scenario::Scenario::new(stringify!($name), |run| Box::pin($name(run)))
    };
}

impl Scenario {
    #[doc(hidden)]
    pub const fn new(name: &'static str, steps: Steps) -> Self {
        Self {
            name,
            steps,
            own: None,
            in_group: false,
            targets: &[],
            clients: Client::MESSAGING,
            lacking: &[],
            mixed: false,
            allowed_lines: &[],
        }
    }

    /// Runs on a cluster of its own with one name server and `ASYNC_FLUSH`.
    #[must_use]
    pub const fn alone(self) -> Self {
        self.alone_with(Layout::SMALL)
    }

    /// Runs on a cluster of its own.
    #[must_use]
    pub const fn alone_with(self, layout: Layout) -> Self {
        Self { own: Some(layout), ..self }
    }

    /// Runs on a group of three brokers, which it has for itself and gets whole, and may stop, kill or cut off what it likes.
    #[must_use]
    pub const fn in_group(self) -> Self {
        Self { in_group: true, ..self }
    }

    /// Runs on these targets only.
    #[must_use]
    pub const fn on(self, targets: &'static [Target]) -> Self {
        Self { targets, ..self }
    }

    /// Runs with these clients instead of all that send and receive.
    #[must_use]
    pub const fn with(self, clients: &'static [Client]) -> Self {
        Self { clients, ..self }
    }

    /// Names clients that cannot do this, and why.
    #[must_use]
    pub const fn lacking(self, lacking: &'static [(Client, &'static str)]) -> Self {
        Self { lacking, ..self }
    }

    /// Also runs with a Java broker on our name server, and the other way round.
    #[must_use]
    pub const fn mixed(self) -> Self {
        Self { mixed: true, ..self }
    }

    /// Lists WARN or ERROR lines our servers rightly write here, each with the reason.
    #[must_use]
    pub const fn allowing(self, lines: &'static [(&'static str, &'static str)]) -> Self {
        Self { allowed_lines: lines, ..self }
    }

    pub(crate) fn runs_on(&self, target: Target) -> bool {
        (self.mixed || !target.is_mixed()) && (self.targets.is_empty() || self.targets.contains(&target))
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One execution of a scenario: the cluster, the client, and names nobody else uses.
#[derive(Clone, Debug)]
pub struct Run {
    pub cluster: Arc<Cluster>,
    pub client: Client,
    /// Part of every topic, group and instance name of this run.
    pub(crate) tag: String,
    /// Runs with other clients on the same cluster, if it is not shared with other scenarios.
    pub(crate) company: Option<Arc<Member>>,
}

impl Run {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        client: Client,
        scenario: &Scenario,
        try_tag: &str,
        company: Option<Member>,
    ) -> Self {
        Self { cluster, client, tag: tag(scenario, client) + try_tag, company: company.map(Arc::new) }
    }

    /// Waits for the runs of this scenario with other clients on the same cluster: before what must not be long ago when the
    /// cluster is disturbed, as they wait for each other then. Does not wait where nobody may disturb the cluster.
    ///
    /// # Errors
    /// If the others have come to something else.
    pub async fn meet(&self) -> Result<()> {
        match &self.company {
            Some(company) => company.together("meet", async || Ok(())).await,
            None => Ok(()),
        }
    }

    /// Ends the broker in order, once for all clients.
    ///
    /// # Errors
    /// If it stays.
    pub async fn stop_broker(&self) -> Result<()> {
        self.together("stop the broker", async || self.cluster.stop_broker().await).await
    }

    /// `kill -9` of the broker, once for all clients.
    ///
    /// # Errors
    /// If it stays.
    pub async fn kill_broker(&self) -> Result<()> {
        self.together("kill the broker", async || self.cluster.kill_broker().await).await
    }

    /// Starts the broker after it was stopped or killed, once for all clients.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub async fn start_broker(&self) -> Result<()> {
        self.start_broker_of(self.cluster.target.broker()).await
    }

    /// Starts a broker of this make on the same files and under the same name, once for all clients.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub async fn start_broker_of(&self, server: Server) -> Result<()> {
        self.together("start a broker", async || self.cluster.start_broker_of(server).await).await
    }

    /// Starts a broker of this make on the same files and under the same name, once for all clients; ours as the only member of a
    /// group.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub async fn start_first_member(&self, server: Server) -> Result<()> {
        self.together("start a member", async || self.cluster.start_first_member(server).await).await
    }

    /// Has the cluster, which was just started, go on with a broker of this make, once for all clients.
    ///
    /// # Errors
    /// If one does not end or the other not start in time.
    pub async fn begin_with(&self, server: Server) -> Result<()> {
        self.together("begin with another broker", async || self.cluster.begin_with(server).await).await
    }

    /// Ends name server `number` in order, once for all clients.
    ///
    /// # Errors
    /// If it stays.
    pub async fn stop_name_server(&self, number: usize) -> Result<()> {
        self.together("stop a name server", async || self.cluster.stop_name_server(number).await).await
    }

    /// Starts name server `number` after it was stopped, once for all clients.
    ///
    /// # Errors
    /// If it does not listen in time.
    pub async fn start_name_server(&self, number: usize) -> Result<()> {
        self.together("start a name server", async || self.cluster.start_name_server(number).await).await
    }

    /// Leaves but a mebibyte of the broker's own disk, once for all clients.
    ///
    /// # Errors
    /// If it has none.
    pub async fn fill_broker_disk(&self) -> Result<()> {
        self.together("fill the disk", async || self.cluster.fill_broker_disk().await).await
    }

    /// Undoes [`Self::fill_broker_disk`], once for all clients.
    ///
    /// # Errors
    /// If that was not done.
    pub async fn empty_broker_disk(&self) -> Result<()> {
        self.together("empty the disk", async || self.cluster.empty_broker_disk().await).await
    }

    /// Does something to the cluster, once for all clients.
    ///
    /// # Errors
    /// If it fails, or the others have come to something else.
    pub async fn together(&self, what: &str, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        let company =
            self.company.as_ref().context("disturb a cluster that other scenarios share: list it as `alone`")?;
        company.together(what, act).await
    }

    /// The same with another client.
    #[must_use]
    pub fn with_client(&self, client: Client) -> Self {
        Self { client, ..self.part(&client.tag()) }
    }

    /// A run with names of its own beside this one: for steps of another scenario.
    #[must_use]
    pub fn part(&self, label: &str) -> Self {
        Self { tag: self.name(label), ..self.clone() }
    }

    /// A name of this run's own for a topic or a group.
    pub fn name(&self, label: &str) -> String {
        format!("{}-{label}", self.tag)
    }

    /// Creates a topic of this run.
    ///
    /// # Errors
    /// If the broker refuses.
    pub async fn topic(&self, label: &str, queues: u32) -> Result<String> {
        let topic = self.name(label);
        self.cluster.create_topic(&topic, queues, false).await?;
        Ok(topic)
    }

    /// Starts a producer.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn producer(&self, label: &str) -> Result<Producer> {
        self.producer_with(label, Line::new("with")).await
    }

    /// Starts a producer with more settings.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn producer_with(&self, label: &str, settings: Line) -> Result<Producer> {
        let role = Line::new("producer").with("group", self.name(label)).and(&settings);
        Ok(Producer(self.start(label, &role).await?))
    }

    /// Starts a push consumer of `group` on `topic`.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn push(&self, label: &str, group: &str, topic: &str) -> Result<Consumer> {
        self.push_with(label, group, topic, Line::new("with")).await
    }

    /// Starts a push consumer with more settings, see `clients/java/ferromq/PushConsumer.java`.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn push_with(&self, label: &str, group: &str, topic: &str, settings: Line) -> Result<Consumer> {
        let role = Line::new("push").with("group", group).with("topic", topic).and(&settings);
        Ok(Consumer(self.start(label, &role).await?))
    }

    /// Starts a pull consumer with more settings, see `clients/java/ferromq/PullConsumer.java`.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn pull_with(&self, label: &str, group: &str, topic: &str, settings: Line) -> Result<Consumer> {
        let role = Line::new("pull").with("group", group).with("topic", topic).and(&settings);
        Ok(Consumer(self.start(label, &role).await?))
    }

    /// Starts a consumer of light queues, see `clients/java/ferromq/LightConsumer.java`; `topic` leads to their broker.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn light_consumer(&self, label: &str, group: &str, topic: &str) -> Result<Consumer> {
        let role = Line::new("light").with("group", group).with("topic", topic);
        Ok(Consumer(self.start(label, &role).await?))
    }

    /// Runs mqadmin against this cluster.
    ///
    /// # Errors
    /// If the tool does not answer; not if it fails, as its exit status says nothing either.
    pub async fn mqadmin(&self, args: &[&str]) -> Result<String> {
        self.cluster.mqadmin(args).await
    }

    /// Runs mqadmin again and again until its output is as wanted: statistics and offsets reach the broker in periods.
    ///
    /// # Errors
    /// If it never is, with the last output.
    pub async fn mqadmin_until(&self, args: &[&str], wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let looked = timeout(PATIENCE, async {
            loop {
                last = self.mqadmin(args).await?;
                if wanted(&last) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
        match looked {
            Ok(done) => done.map(|()| last),
            Err(_) => anyhow::bail!("`mqadmin {}` never printed what is wanted, but\n{last}", args.join(" ")),
        }
    }

    /// Has a push consumer of `group` commit until the broker knows that everything in `topic` was consumed.
    ///
    /// # Errors
    /// If that does not happen.
    pub async fn until_committed(&self, consumer: &Consumer, group: &str, topic: &str) -> Result<()> {
        let name_server = &self.cluster.name_server_addresses()[0];
        wire::eventually(&format!("a commit of all that {group} consumed"), async || {
            let broker = self.cluster.leader_address().await?;
            consumer.command(Line::new("commit")).await?;
            Ok(wire::has_read_all(name_server, &broker, topic, group).await?.then_some(()))
        })
        .await
    }

    /// Waits until the offsets `group` committed leave a backlog of `messages`: clients commit in periods.
    ///
    /// # Errors
    /// If that does not happen, with mqadmin's last `consumerProgress`.
    pub async fn until_backlog(&self, group: &str, messages: usize) -> Result<String> {
        let total = format!("Consume Diff Total: {messages}\n");
        self.mqadmin_until(&["consumerProgress", "-g", group], |out| out.contains(&total)).await
    }

    async fn start(&self, label: &str, role: &Line) -> Result<Role> {
        let name = self.name(label);
        let servers = self.cluster.name_servers();
        let role = Line::new(role.verb()).with("namesrv", servers).with("instance", &name).and(role);
        Role::start(&self.cluster, self.client, &name, &role).await
    }
}

pub(crate) fn tag(scenario: &Scenario, client: Client) -> String {
    format!("{}-{}", scenario.name, client.tag())
}
