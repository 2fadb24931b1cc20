//! A broker on its usual settings: memory, the time of its start, and what sends and reads cost, phase by phase.

use std::time::Duration;

use anyhow::Result;
use remoting::types::QueueOffset;

use super::{Bench, Load, consume, cpu_per_million, create_topic, first_send, produce};
use crate::consume::{Consume, ends};
use crate::report::{Figure, Report};
use crate::stock;
use crate::target::{self, BROKER, Kind, Target};

const TOPIC: &str = "bench_topic";
const QUEUES: usize = 8;

/// Runs all phases on a fresh target.
pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let Bench { programs, client_path, load, .. } = bench;
    let dir = target::folder()?;
    let mut target = Target::start(kind, programs, dir.path(), &[&format!("flushDiskType={}", load.flush)])?;
    let mut note = |figure, value| report.add(figure, kind, value);
    note(Figure::FirstSend, first_send(&mut target).await?.as_secs_f64() * 1e3);
    create_topic(TOPIC, QUEUES).await?;
    // Long enough for what a process does after its start; the figure is of a broker that has nothing to do.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = target.broker_usage()?;
    note(Figure::IdleResident, idle.resident_mib);
    note(Figure::IdleOwn, idle.own_mib);

    // The JVM compiles what it runs often: the figures are of a warm broker, for both.
    produce(load, TOPIC, QUEUES, load.messages, None).run().await?;

    let before = target.broker_usage()?;
    let mut sent = produce(load, TOPIC, QUEUES, load.messages, None).run().await?;
    note(Figure::SendRate, load.messages as f64 / sent.elapsed.as_secs_f64());
    note(Figure::SendMib, (load.messages * load.body_bytes) as f64 / sent.elapsed.as_secs_f64() / 1048576.0);
    let send_cpu = cpu_per_million(before, target.broker_usage()?, load.messages);
    note(Figure::SendCpu, send_cpu);
    let [p50, p99, p999, max] = sent.latencies.shares([0.5, 0.99, 0.999, 1.0]);
    for (figure, value) in
        [(Figure::SendP50, p50), (Figure::SendP99, p99), (Figure::SendP999, p999), (Figure::SendMax, max)]
    {
        note(figure, value);
    }

    let paced_messages = load.paced_per_second * 10;
    let before = target.broker_usage()?;
    let mut paced = produce(load, TOPIC, QUEUES, paced_messages, Some(load.paced_per_second)).run().await?;
    let paced_cpu = cpu_per_million(before, target.broker_usage()?, paced_messages);
    note(Figure::PacedCpu, paced_cpu);
    let [p50, p99, p999] = paced.latencies.shares([0.5, 0.99, 0.999]);
    for (figure, value) in [(Figure::PacedP50, p50), (Figure::PacedP99, p99), (Figure::PacedP999, p999)] {
        note(figure, value);
    }

    // Sends with consumers at the tail. What the reads cost is what the broker uses more than for the sends alone, just
    // before and just after: a JVM still gets faster meanwhile.
    let rate = Some(load.paced_per_second);
    let both = tail(&target, load, paced_messages, rate).await?;
    let after = sends(&target, load, paced_messages, rate).await?;
    note(Figure::PacedBothCpu, both);
    note(Figure::TailCpu, both - (paced_cpu + after) / 2.0);
    let both = tail(&target, load, load.messages, None).await?;
    let after = sends(&target, load, load.messages, None).await?;
    note(Figure::BothCpu, both);
    note(Figure::FullTailCpu, both - (send_cpu + after) / 2.0);

    let from = vec![QueueOffset(0); QUEUES];
    let backlog = Consume { from, messages: load.messages, ..consume(TOPIC, "bench_backlog") };
    let before = target.broker_usage()?;
    let elapsed = backlog.run().await?;
    note(Figure::BacklogRate, load.messages as f64 / elapsed.as_secs_f64());
    note(Figure::BacklogCpu, cpu_per_million(before, target.broker_usage()?, load.messages));

    let before = target.broker_usage()?;
    let rate = stock::producer(client_path, load, TOPIC).await?;
    note(Figure::StockRate, rate);
    note(Figure::StockCpu, cpu_per_million(before, target.broker_usage()?, load.java_messages));

    let loaded = target.broker_usage()?;
    note(Figure::PeakResident, loaded.resident_peak_mib);
    note(Figure::LoadedOwn, loaded.own_mib);
    target.check()
}

/// CPU seconds of the broker per million messages that are sent.
async fn sends(target: &Target, load: &Load, messages: usize, per_second: Option<usize>) -> Result<f64> {
    let before = target.broker_usage()?;
    produce(load, TOPIC, QUEUES, messages, per_second).run().await?;
    Ok(cpu_per_million(before, target.broker_usage()?, messages))
}

/// CPU seconds of the broker per million messages that are sent and read at the tail.
async fn tail(target: &Target, load: &Load, messages: usize, per_second: Option<usize>) -> Result<f64> {
    let from = ends(BROKER, TOPIC, QUEUES).await?;
    let tail = Consume { from, messages, ..consume(TOPIC, "bench_tail") };
    let before = target.broker_usage()?;
    let sends = async {
        // The consumers' first pulls wait at the tail before the first message comes.
        tokio::time::sleep(Duration::from_millis(200)).await;
        produce(load, TOPIC, QUEUES, messages, per_second).run().await
    };
    let (sent, read) = tokio::join!(sends, tail.run());
    sent?;
    read?;
    Ok(cpu_per_million(before, target.broker_usage()?, messages))
}
