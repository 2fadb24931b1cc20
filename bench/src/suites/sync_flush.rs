//! `SYNC_FLUSH`: every answer waits until its message is on disk. Group commit lets all that wait share one sync.

use anyhow::Result;

use super::{Bench, Load, RECORD_BYTES, create_topic, first_send, produce};
use crate::limits;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_sync";
const QUEUES: usize = 8;
/// Sends in flight on each connection. Few enough that the disk is the limit, and not what sends cost in CPU.
const IN_FLIGHT: usize = 8;

/// All sends in flight in one sync, back to back: more than that group commit cannot do.
pub(super) fn limits(load: &Load, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let waiting = load.connections * IN_FLIGHT;
    let syncs = limits::synced_writes(dir.path(), waiting * (load.body_bytes + RECORD_BYTES))?;
    report.add_limit(Figure::SyncRate, syncs * waiting as f64);
    report.add_limit(Figure::SyncP99, 1e6 / syncs);
    Ok(())
}

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &["flushDiskType=SYNC_FLUSH"])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let messages = bench.load.messages / 4;
    let mut sends = produce(&bench.load, TOPIC, QUEUES, messages, None);
    sends.in_flight = IN_FLIGHT;
    // The first round warms the JVM up.
    sends.run().await?;
    let mut sent = sends.run().await?;
    report.add(Figure::SyncRate, kind, sends.messages as f64 / sent.elapsed.as_secs_f64());
    let [p99] = sent.latencies.shares([0.99]);
    report.add(Figure::SyncP99, kind, p99);
    target.check()
}
