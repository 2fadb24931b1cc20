//! A group of three replicas beside a single broker: Java's DLedger and ours.

use anyhow::{Context, Result};
use remoting::body::{BrokerData, ClusterInfo, fastjson};
use remoting::protocol::RequestCode;
use remoting::protocol::route::GetClusterInfo;

use super::{Bench, Load, cpu_per_million, create_topic, create_topic_at, first_send, produce, soon};
use crate::produce::Produce;
use crate::report::{Figure, Report};
use crate::stock;
use crate::target::{self, BROKER, Kind, NAME_SERVER, Target};
use crate::wire::Wire;

const TOPIC: &str = "bench_group";
const QUEUES: usize = 8;
/// Java's group is given a share of the messages only: it takes some thousands per second.
const SHARE_OF_JAVA: usize = 8;

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let flush = format!("flushDiskType={}", bench.load.flush);
    let alone = alone(kind, bench, &flush).await?;

    let dir = target::folder()?;
    let mut target = Target::start_group(kind, &bench.programs, dir.path(), &[&flush])?;
    let mut note = |figure, value| report.add(figure, kind, value);
    let leader = soon(&mut target, "a leader", async || {
        let leader = leader().await?;
        create_topic_at(&leader, TOPIC, QUEUES).await?;
        sends(&bench.load, &leader, 1, None).run().await?;
        Ok(leader)
    });
    let leader = leader.await?;
    note(Figure::GroupStart, target.broker_started.elapsed().as_secs_f64() * 1e3);

    let messages = bench.load.messages / if kind == Kind::Java { SHARE_OF_JAVA } else { 1 };
    let closed = sends(&bench.load, &leader, messages, None);
    closed.run().await?;
    let before = target.broker_usage()?;
    let mut sent = closed.run().await?;
    let cpu = cpu_per_million(before, target.broker_usage()?, closed.messages);
    note(Figure::GroupRate, closed.messages as f64 / sent.elapsed.as_secs_f64());
    note(Figure::GroupCpu, cpu);
    note(Figure::GroupReplicaCost, cpu / 3.0 / alone);
    let [p50, p99, p999] = sent.latencies.shares([0.5, 0.99, 0.999]);
    for (figure, value) in [(Figure::GroupP50, p50), (Figure::GroupP99, p99), (Figure::GroupP999, p999)] {
        note(figure, value);
    }

    let rate = bench.load.paced_per_second / 8;
    let mut paced = sends(&bench.load, &leader, rate * 10, Some(rate)).run().await?;
    let [p99, p999] = paced.latencies.shares([0.99, 0.999]);
    note(Figure::GroupPacedP99, p99);
    note(Figure::GroupPacedP999, p999);

    let before = target.broker_usage()?;
    note(Figure::GroupStockRate, stock::producer(&bench.client_path, &bench.load, TOPIC).await?);
    let after = target.broker_usage()?;
    note(Figure::GroupStockCpu, cpu_per_million(before, after, bench.load.java_messages));
    note(Figure::GroupOwn, after.own_mib);
    target.check()
}

/// CPU seconds per million sends of a broker that belongs to no group.
async fn alone(kind: Kind, bench: &Bench, flush: &str) -> Result<f64> {
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &[flush])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let sends = sends(&bench.load, BROKER, bench.load.messages, None);
    sends.run().await?;
    let before = target.broker_usage()?;
    sends.run().await?;
    Ok(cpu_per_million(before, target.broker_usage()?, sends.messages))
}

/// At least one of each connection to each queue.
fn sends(load: &Load, broker: &str, messages: usize, per_second: Option<usize>) -> Produce {
    let messages = messages.max(QUEUES * load.connections);
    Produce { addr: broker.to_owned(), ..produce(load, TOPIC, QUEUES, messages, per_second) }
}

/// Whom the name server lists as the master of the set.
pub(super) async fn leader() -> Result<String> {
    let mut wire = Wire::connect(NAME_SERVER).await?;
    let brokers = wire.call(RequestCode::GET_BROKER_CLUSTER_INFO, &GetClusterInfo {}, b"").await?;
    let brokers: ClusterInfo = fastjson::read(&brokers).context("read the brokers")?;
    let leader = brokers.broker_addr_table.values().find_map(BrokerData::master);
    Ok(leader.context("nobody leads")?.to_owned())
}
