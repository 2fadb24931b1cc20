//! `kill -9` with a large store: how long until the next broker takes a message. All recover the very same store in turn.

use anyhow::Result;

use super::{Bench, create_topic, first_send, produce};
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_recovery";
const QUEUES: usize = 8;
const BODY_BYTES: usize = 32 << 10;

pub(super) async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    crate::progress(&format!("recovery: filling a store with {} GiB", bench.load.store_gib));
    let mut target = Target::start(Kind::Ferromq, &bench.programs, dir.path(), &[])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let mut fill = produce(&bench.load, TOPIC, QUEUES, (bench.load.store_gib << 30) / BODY_BYTES, None);
    (fill.body_bytes, fill.in_flight) = (BODY_BYTES, 16);
    fill.run().await?;
    for round in 1..=bench.rounds {
        for &kind in &bench.kinds {
            crate::progress(&format!("recovery, round {round} of {}: {}", bench.rounds, kind.name()));
            // What was sent last makes the end of the log as a busy broker leaves it.
            produce(&bench.load, TOPIC, QUEUES, bench.load.messages / 10, None).run().await?;
            target.kill()?;
            target = Target::start(kind, &bench.programs, dir.path(), &[])?;
            report.add(Figure::RecoverySend, kind, first_send(&mut target).await?.as_secs_f64() * 1e3);
        }
    }
    target.check()
}
