//! What is measured: each suite starts brokers of its own, of each make in turn.

mod beside;
mod catch_up;
mod delay;
mod group;
mod ha;
mod ha_catch_up;
mod light;
mod load;
mod many_queues;
mod pipeline;
mod pop;
mod recovery;
mod refill;
mod replay;
mod sql92;
mod storm;
mod sync_flush;
mod transactions;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use remoting::protocol::RequestCode;
use remoting::protocol::topic::UpdateTopic;

use crate::consume::Consume;
use crate::figures::Usage;
use crate::produce::Produce;
use crate::report::Report;
use crate::target::{BROKER, Kind, Programs, Target};
use crate::wire::Wire;

/// How much is sent and read.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) paced_per_second: usize,
    pub(crate) body_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) java_threads: usize,
    pub(crate) java_messages: usize,
    /// Messages that wait for their time, and half messages that nobody ends, while memory is looked at.
    pub(crate) pending: usize,
    pub(crate) light_queues: usize,
    /// Of our broker alone; Java's cannot map as many files.
    pub(crate) many_topics: usize,
    /// Of the load suite.
    pub(crate) flush: String,
    /// How large a store the recovery suite kills, and how much a replica or a slave lacks.
    pub(crate) store_gib: usize,
}

/// All that a suite needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) client_path: PathBuf,
    pub(crate) load: Load,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Memory, start, and the cost of sends and reads on usual settings.
    Load,
    /// `SYNC_FLUSH` against what the disk allows.
    SyncFlush,
    /// Reading one queue against what loopback moves.
    CatchUp,
    /// Latency of sends while files are made and deleted and old messages read.
    Storm,
    /// Latency of sends while a backlog larger than memory is read.
    Replay,
    /// The start after `kill -9` with a large store.
    Recovery,
    /// Choosing messages by their properties.
    Sql92,
    /// Committing, and asking about what nobody commits.
    Transactions,
    /// Delivering messages at times of their own.
    Delay,
    /// Leasing messages and acknowledging them.
    Pop,
    /// Many queues that share messages.
    Light,
    /// Many topics with queues of their own.
    ManyQueues,
    /// Three replicas of one log.
    Group,
    /// A replica that lost its files, under load. Ours alone: Java's sends it the log entry by entry, for hours.
    Refill,
    /// A master with a slave: how far that is behind, and what waiting for it costs.
    Ha,
    /// A slave that was away catches up.
    HaCatchUp,
}

impl Suite {
    pub(crate) const ALL: [Self; 16] = [
        Self::Load,
        Self::SyncFlush,
        Self::CatchUp,
        Self::Storm,
        Self::Replay,
        Self::Recovery,
        Self::Sql92,
        Self::Transactions,
        Self::Delay,
        Self::Pop,
        Self::Light,
        Self::ManyQueues,
        Self::Group,
        Self::Refill,
        Self::Ha,
        Self::HaCatchUp,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::SyncFlush => "sync-flush",
            Self::CatchUp => "catch-up",
            Self::Storm => "storm",
            Self::Replay => "replay",
            Self::Recovery => "recovery",
            Self::Sql92 => "sql92",
            Self::Transactions => "transactions",
            Self::Delay => "delay",
            Self::Pop => "pop",
            Self::Light => "light",
            Self::ManyQueues => "many_queues",
            Self::Group => "group",
            Self::Refill => "refill",
            Self::Ha => "ha",
            Self::HaCatchUp => "ha_catch_up",
        }
    }

    pub(crate) async fn run(self, bench: &Bench, report: &mut Report) -> Result<()> {
        let nothing = async |_: &Load, _: &mut Report| Ok(());
        match self {
            Self::Load => self.rounds(bench, report, nothing, load::run).await,
            Self::SyncFlush => self.rounds(bench, report, sync_flush::limits, sync_flush::run).await,
            Self::CatchUp => self.rounds(bench, report, catch_up::limits, catch_up::run).await,
            Self::Storm => self.rounds(bench, report, nothing, storm::run).await,
            Self::Replay => self.rounds(bench, report, nothing, replay::run).await,
            Self::Sql92 => self.rounds(bench, report, nothing, sql92::run).await,
            Self::Transactions => self.rounds(bench, report, nothing, transactions::run).await,
            Self::Delay => self.rounds(bench, report, nothing, delay::run).await,
            Self::Pop => self.rounds(bench, report, nothing, pop::run).await,
            Self::Light => self.rounds(bench, report, nothing, light::run).await,
            Self::ManyQueues => self.rounds(bench, report, nothing, many_queues::run).await,
            Self::Group => self.rounds(bench, report, nothing, group::run).await,
            Self::Ha => self.rounds(bench, report, nothing, ha::run).await,
            Self::HaCatchUp => self.rounds(bench, report, ha_catch_up::limits, ha_catch_up::run).await,
            Self::Refill => refill::run(bench, report).await,
            // All brokers recover one store.
            Self::Recovery => recovery::run(bench, report).await,
        }
    }

    /// What the machine allows, then every make in turn, and again: makes alternate, because machines are noisy.
    async fn rounds(
        self,
        bench: &Bench,
        report: &mut Report,
        limits: impl AsyncFn(&Load, &mut Report) -> Result<()>,
        measure: impl AsyncFn(Kind, &Bench, &mut Report) -> Result<()>,
    ) -> Result<()> {
        for round in 1..=bench.rounds {
            limits(&bench.load, report).await?;
            for &kind in &bench.kinds {
                crate::progress(&format!("{}, round {round} of {}: {}", self.name(), bench.rounds, kind.name()));
                measure(kind, bench, report).await.with_context(|| format!("measure {}", kind.name()))?;
            }
        }
        Ok(())
    }
}

/// What a record has besides its body: fields, topic, and the properties of `Produce`.
const RECORD_BYTES: usize = 91 + 12 + 62;

const START_MAX: Duration = Duration::from_secs(300);

/// From the start of the broker's process to its first stored message.
async fn first_send(target: &mut Target) -> Result<Duration> {
    let one = Produce {
        addr: BROKER.to_owned(),
        topic: "bench_first".to_owned(),
        queues: 1,
        connections: 1,
        in_flight: 1,
        body_bytes: 1024,
        messages: 1,
        per_second: None,
        for_filters: false,
        due: None,
    };
    soon(target, "the first send", async || one.run().await).await?;
    Ok(target.broker_started.elapsed())
}

/// Tries until it works, while the target starts.
async fn soon<T>(target: &mut Target, what: &'static str, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(err) if target.broker_started.elapsed() > START_MAX => return Err(err).context(what),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        target.check()?;
    }
}

async fn create_topic(topic: &str, queues: usize) -> Result<()> {
    create_topic_at(BROKER, topic, queues).await
}

async fn create_topic_at(broker: &str, topic: &str, queues: usize) -> Result<()> {
    let header = UpdateTopic {
        topic: topic.into(),
        default_topic: "TBW102".into(),
        read_queue_nums: queues as i32,
        write_queue_nums: queues as i32,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".to_owned(),
        topic_sys_flag: Some(0),
        order: Some(false),
        attributes: None,
        force: None,
    };
    Wire::connect(broker).await?.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &header, b"").await?;
    Ok(())
}

/// CPU seconds of the broker per million messages.
fn cpu_per_million(before: Usage, after: Usage, messages: usize) -> f64 {
    (after.cpu - before.cpu).as_secs_f64() / messages as f64 * 1e6
}

/// Sends to all queues of `topic` in turn, on as many connections as the load has.
fn produce(load: &Load, topic: &str, queues: usize, messages: usize, per_second: Option<usize>) -> Produce {
    Produce {
        addr: BROKER.to_owned(),
        topic: topic.to_owned(),
        queues,
        connections: load.connections,
        in_flight: load.in_flight,
        body_bytes: load.body_bytes,
        // Whole rounds over connections and queues, so that consumers know what each queue gets.
        messages: messages / (queues * load.connections) * (queues * load.connections),
        per_second,
        for_filters: false,
        due: None,
    }
}

fn consume(topic: &str, group: &str) -> Consume {
    Consume {
        addr: BROKER.to_owned(),
        topic: topic.to_owned(),
        group: group.to_owned(),
        from: Vec::new(),
        connections: 4,
        messages: 0,
        pull_messages: 32,
        sql: None,
    }
}
