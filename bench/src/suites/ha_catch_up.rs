//! A slave that was away while its master took gigabytes: how fast it copies what it missed, and has it in its queues.
//!
//! The log has messages of the usual length: a slave looks at each of them. What loopback moves one way is the measure beside it, and what
//! a new file takes at all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::ha::{Standing, level};
use super::{Bench, Load, RECORD_BYTES, create_topic, first_send, produce, soon};
use crate::limits;
use crate::report::{Figure, Report};
use crate::target::{self, BROKER, Kind, SLAVE, Target};

const TOPIC: &str = "bench_ha_catch_up";
const QUEUES: usize = 8;
const MIB: f64 = 1048576.0;
const LOOK_PERIOD: Duration = Duration::from_millis(10);
/// After this, what has not come never does.
const GIVE_UP: Duration = Duration::from_secs(1800);

pub(super) async fn limits(_: &Load, report: &mut Report) -> Result<()> {
    let loopback = limits::loopback_stream()?;
    report.add_limit(Figure::HaCatchUpMib, loopback);
    report.add_limit(Figure::HaCatchUpReadMib, loopback);
    report.add_limit(Figure::NewFileMib, limits::new_file(target::folder()?.path())?);
    Ok(())
}

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut target =
        Target::start(kind, &bench.programs, dir.path(), &["brokerRole=ASYNC_MASTER", "diskMaxUsedSpaceRatio=99"])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    // Where its log begins is settled before: without one, Java's slave would begin with the last file, and ours with the first.
    target.add_slave(&bench.programs, dir.path())?;
    level(&mut target).await?;
    target.stop_last()?;
    let messages = (bench.load.store_gib << 30) / (bench.load.body_bytes + RECORD_BYTES);
    crate::progress(&format!("ha_catch_up: the master takes {} GiB", bench.load.store_gib));
    produce(&bench.load, TOPIC, QUEUES, messages, None).run().await?;
    // What the disk still has to do for the master is not the slave's.
    rustix::fs::sync();

    let end = Standing::of(BROKER).await?.end;
    let slave = target::member_address(SLAVE);
    target.add_slave(&bench.programs, dir.path())?;
    let first = soon(&mut target, "a slave that answers", async || Standing::of(&slave).await).await?;
    let mut begun = (first.end, Instant::now());
    let mut copied = None;
    let shown = loop {
        let now = Standing::of(&slave).await?;
        if now.end == first.end {
            // It has yet to find its master.
            begun = (now.end, Instant::now());
        } else if now.end >= end && copied.is_none() {
            copied = Some(begun.1.elapsed());
        }
        if now.end >= end && now.behind == 0 {
            break begun.1.elapsed();
        }
        ensure!(begun.1.elapsed() < GIVE_UP, "the slave is at {now:?}, the master at {end}");
        target.check()?;
        tokio::time::sleep(LOOK_PERIOD).await;
    };
    let mib = |took: Duration| (end - begun.0) as f64 / MIB / took.as_secs_f64();
    report.add(Figure::HaCatchUpMib, kind, mib(copied.unwrap_or(shown)));
    report.add(Figure::HaCatchUpReadMib, kind, mib(shown));
    target.check()
}
