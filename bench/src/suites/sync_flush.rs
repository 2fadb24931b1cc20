//! `SYNC_FLUSH`: every answer waits until its message is on disk. Group commit lets all that wait share one sync.

use anyhow::Result;

use super::{Bench, Load, RECORD_BYTES, create_topic, first_send, produce};
use crate::group_commit;
use crate::limits;
use crate::produce::Produce;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_sync";
const QUEUES: usize = 8;
/// Sends in flight on each connection. Few enough that the disk counts, and not only what sends cost in CPU.
const IN_FLIGHT: usize = 8;

/// The same sends to a server that does nothing but group commit; and what the disk does when nobody sends or answers: all sends
/// in flight in one sync, back to back.
pub(super) async fn limits(load: &Load, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut sent = group_commit::measure(dir.path(), &sends(load)).await?;
    report.add_limit(Figure::SyncRate, sends(load).messages as f64 / sent.elapsed.as_secs_f64());
    let [p99] = sent.latencies.shares([0.99]);
    report.add_limit(Figure::SyncP99, p99);
    let waiting = load.connections * IN_FLIGHT;
    let syncs = limits::synced_writes(dir.path(), waiting * (load.body_bytes + RECORD_BYTES))?;
    report.add_limit(Figure::SyncDiskRate, syncs * waiting as f64);
    Ok(())
}

fn sends(load: &Load) -> Produce {
    Produce { in_flight: IN_FLIGHT, ..produce(load, TOPIC, QUEUES, load.messages / 4, None) }
}

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &["flushDiskType=SYNC_FLUSH"])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let sends = sends(&bench.load);
    // The first round warms the JVM up.
    sends.run().await?;
    let mut sent = sends.run().await?;
    report.add(Figure::SyncRate, kind, sends.messages as f64 / sent.elapsed.as_secs_f64());
    let [p99] = sent.latencies.shares([0.99]);
    report.add(Figure::SyncP99, kind, p99);
    target.check()
}
