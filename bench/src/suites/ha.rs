//! A master and its slave: how far the slave is behind, and what it costs a master to wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use remoting::body::{KvTable, fastjson};
use remoting::header::{DecodeHeader, NoHeader};
use remoting::protocol::RequestCode;
use remoting::protocol::offset::{GetMaxOffset, OffsetReply};
use remoting::types::{QueueId, QueueOffset};

use super::beside::beside;
use super::{Bench, cpu_per_million, create_topic, first_send, produce, soon};
use crate::figures::Latencies;
use crate::produce::Produce;
use crate::report::{Figure, Report};
use crate::target::{self, BROKER, Kind, SLAVE, Target};
use crate::wire::Wire;

const TOPIC: &str = "bench_ha";
const QUEUES: usize = 8;
/// Of load at half speed.
const SECONDS: usize = 20;
/// Between two looks whether the slave shows a message: that much too late it is told.
const LOOK_PERIOD: Duration = Duration::from_micros(200);

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let sends = produce(&bench.load, TOPIC, QUEUES, bench.load.messages, None);
    let flush = format!("flushDiskType={}", bench.load.flush);
    let alone = {
        let dir = target::folder()?;
        let mut target = pair(kind, bench, &dir, &["brokerRole=ASYNC_MASTER", &flush]).await?;
        let Measured { rate, held_rate, cpu, .. } = closed_loop(&mut target, &sends).await?;
        report.add(Figure::HaAsyncRate, kind, rate);
        report.add(Figure::HaAsyncHeldRate, kind, held_rate);
        report.add(Figure::HaAsyncCpu, kind, cpu);
        let half = (rate / 2.0) as usize;
        let paced = produce(&bench.load, TOPIC, QUEUES, half * SECONDS, Some(half));
        let (_, mut lags) = beside(paced.run(), lags).await?;
        let [p50, p99] = lags.shares([0.5, 0.99]);
        report.add(Figure::HaLagP50, kind, p50 / 1000.0);
        report.add(Figure::HaLagP99, kind, p99 / 1000.0);
        target.check()?;
        (rate, held_rate)
    };
    let dir = target::folder()?;
    let settings = ["brokerRole=SYNC_MASTER", "inSyncReplicas=2", &flush];
    let mut target = pair(kind, bench, &dir, &settings).await?;
    let Measured { rate, held_rate, cpu, p99 } = closed_loop(&mut target, &sends).await?;
    report.add(Figure::HaSyncRate, kind, rate);
    report.add(Figure::HaSyncCpu, kind, cpu);
    report.add(Figure::HaSyncP99, kind, p99);
    report.add(Figure::HaSyncShare, kind, rate / alone.0);
    report.add(Figure::HaSyncHeldShare, kind, held_rate / alone.1);
    target.check()
}

struct Measured {
    rate: f64,
    /// Of the time until the slave has everything: what goes on for longer than memory allows.
    held_rate: f64,
    cpu: f64,
    p99: f64,
}

/// The second time: the first warms the JVM up.
async fn closed_loop(target: &mut Target, sends: &Produce) -> Result<Measured> {
    sends.run().await?;
    level(target).await?;
    let before = target.broker_usage()?;
    let began = Instant::now();
    let mut sent = sends.run().await?;
    let rate = sends.messages as f64 / sent.elapsed.as_secs_f64();
    // What the slave does for them counts, too.
    level(target).await?;
    let held_rate = sends.messages as f64 / began.elapsed().as_secs_f64();
    let cpu = cpu_per_million(before, target.broker_usage()?, sends.messages);
    let [p99] = sent.latencies.shares([0.99]);
    Ok(Measured { rate, held_rate, cpu, p99 })
}

/// A master and a slave that follows it, with the topic.
async fn pair(kind: Kind, bench: &Bench, dir: &tempfile::TempDir, settings: &[&str]) -> Result<Target> {
    let mut target = Target::start(kind, &bench.programs, dir.path(), settings)?;
    // Before there is a slave, a master may refuse what has to wait for one.
    soon(&mut target, "the topic", async || create_topic(TOPIC, QUEUES).await).await?;
    target.add_slave(&bench.programs, dir.path())?;
    first_send(&mut target).await?;
    level(&mut target).await?;
    Ok(target)
}

/// Waits until the slave has all that the master has.
pub(super) async fn level(target: &mut Target) -> Result<()> {
    let level = async || {
        let master = Standing::of(BROKER).await?;
        let slave = Standing::of(&target::member_address(SLAVE)).await?;
        if slave.end == master.end {
            Ok(())
        } else {
            Err(anyhow!("the slave is at {slave:?}, the master at {master:?}"))
        }
    };
    soon(target, "a slave that has everything", level).await
}

/// How far the log of a broker reaches, and how much of it is in no queue yet; bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) end: i64,
    pub(super) behind: i64,
}

impl Standing {
    pub(super) async fn of(broker: &str) -> Result<Self> {
        let table = Wire::connect(broker).await?.call(RequestCode::GET_BROKER_RUNTIME_INFO, &NoHeader, b"").await?;
        let KvTable { table } = fastjson::read(&table).context("read how a broker stands")?;
        let number = |name: &str| -> Result<i64> {
            let text = table.get(name).with_context(|| format!("a broker that does not tell its {name}"))?;
            text.parse().with_context(|| format!("{name} is {text}"))
        };
        Ok(Self { end: number("commitLogMaxOffset")?, behind: number("dispatchBehindBytes")? })
    }
}

/// How long messages that the master shows are not shown by the slave, until the load is over.
async fn lags(over: &AtomicBool) -> Result<Latencies> {
    let (mut master, mut slave) = (Wire::connect(BROKER).await?, Wire::connect(&target::member_address(SLAVE)).await?);
    let mut lags = Latencies::default();
    while !over.load(Ordering::Acquire) {
        let shown = max_offset(&mut master).await?;
        let since = Instant::now();
        while max_offset(&mut slave).await? < shown {
            thread::park_timeout(LOOK_PERIOD);
        }
        lags.push(since.elapsed());
        thread::park_timeout(LOOK_PERIOD);
    }
    Ok(lags)
}

async fn max_offset(wire: &mut Wire) -> Result<QueueOffset> {
    let header = GetMaxOffset { topic: TOPIC.into(), queue_id: QueueId(0), committed: None };
    wire.push(RequestCode::GET_MAX_OFFSET, 0, &header, b"");
    wire.flush().await?;
    let mut answers = Vec::new();
    wire.answers(&mut answers).await?;
    Ok(OffsetReply::decode(&answers[0].ext)?.offset)
}
