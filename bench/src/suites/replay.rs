//! A consumer that reads a backlog larger than memory, beside producers at a pace: their latency must hardly show it.

use std::time::Duration;

use anyhow::Result;

use super::beside::beside;
use super::storm::replay;
use super::{Bench, consume, create_topic, first_send, produce};
use crate::bound::MemoryBound;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_beside";
const BACKLOG: &str = "bench_large";
const QUEUES: usize = 8;
/// What the broker may use, with the page cache of its files. A JVM with a heap of 1 GiB needs most of it.
const MEMORY_BYTES: u64 = 2 << 30;
const BACKLOG_BYTES: usize = 6 << 30;
const BACKLOG_BODY_BYTES: usize = 8 << 10;
const FOR: Duration = Duration::from_secs(20);
/// What a gigabit link carries, in bytes a second.
const LINK: f64 = 125e6;

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    // Made first, so that it goes last.
    let bound = MemoryBound::new(MEMORY_BYTES)?;
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &[])?;
    bound.take(target.broker_process())?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    create_topic(BACKLOG, QUEUES).await?;
    let mut backlog = produce(&bench.load, BACKLOG, QUEUES, BACKLOG_BYTES / BACKLOG_BODY_BYTES, None);
    (backlog.body_bytes, backlog.in_flight) = (BACKLOG_BODY_BYTES, 16);
    backlog.run().await?;

    let rate = bench.load.paced_per_second;
    let paced = || produce(&bench.load, TOPIC, QUEUES, rate * FOR.as_secs() as usize, Some(rate));
    // The first time warms the JVM up, and lets the disk write what was just sent.
    paced().run().await?;
    let mut calm = paced().run().await?;
    let [p99] = calm.latencies.shares([0.99]);
    report.add(Figure::BoundCalmP99, kind, p99);
    for (pace, latency, rate) in [
        (Some(LINK), Figure::BoundLinkP99, Figure::BoundLinkMib),
        (None, Figure::BoundReplayP99, Figure::BoundReplayMib),
    ] {
        let reads = consume(BACKLOG, "bench_replay_large");
        let (mut sent, replayed) = beside(paced().run(), async move |over| replay(&reads, pace, over).await).await?;
        let [p99] = sent.latencies.shares([0.99]);
        report.add(latency, kind, p99);
        report.add(rate, kind, replayed as f64 / 1048576.0 / FOR.as_secs_f64());
    }
    target.check()
}
