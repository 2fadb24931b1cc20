//! A replica loses its files while the others serve: how long until it has everything again, and what producers feel of it.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use remoting::body::{RaftGroupStatus, RaftRole, fastjson};
use remoting::protocol::RequestCode;
use remoting::protocol::raft::GetGroupStatus;

use super::group::leader;
use super::{Bench, create_topic_at, produce, soon};
use crate::figures::Latencies;
use crate::produce::Produce;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};
use crate::wire::Wire;

const TOPIC: &str = "bench_refill";
const QUEUES: usize = 8;
const BODY_BYTES: usize = 32 << 10;
/// Entries that a replica may lack at any moment under load.
const LACKS_MAX: u64 = 1000;
/// Seconds of load between two looks at how far the replica is.
const LOOK_SECONDS: usize = 2;

pub(super) async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let kind = Kind::Ferromq;
    let dir = target::folder()?;
    crate::progress(&format!("refill: filling three replicas with {} GiB each", bench.load.store_gib));
    let mut target = Target::start_group(kind, &bench.programs, dir.path(), &["diskMaxUsedSpaceRatio=99"])?;
    let leader = soon(&mut target, "a leader", async || {
        let leader = leader().await?;
        create_topic_at(&leader, TOPIC, QUEUES).await?;
        Ok(leader)
    });
    let leader = leader.await?;
    let to_leader = |send: Produce| Produce { addr: leader.clone(), ..send };
    let bytes = bench.load.store_gib << 30;
    let fill = Produce {
        body_bytes: BODY_BYTES,
        in_flight: 16,
        ..produce(&bench.load, TOPIC, QUEUES, bytes / BODY_BYTES, None)
    };
    to_leader(fill).run().await?;

    let rate = bench.load.paced_per_second;
    let paced = |seconds: usize| to_leader(produce(&bench.load, TOPIC, QUEUES, rate * seconds, Some(rate)));
    let mut calm = paced(20).run().await?;
    let [p99] = calm.latencies.shares([0.99]);
    report.add(Figure::RefillCalmP99, kind, p99);

    let number = follower(&status(&leader).await?)?;
    crate::progress(&format!("refill: n{number} loses its files"));
    target.wipe_member(&bench.programs, dir.path(), number)?;
    let wiped = Instant::now();
    let mut latencies = Latencies::default();
    loop {
        latencies.extend(paced(LOOK_SECONDS).run().await?.latencies);
        target.check()?;
        let status = status(&leader).await?;
        if status.role != RaftRole::Leader {
            bail!("the leader was lost while a replica was filled");
        }
        // The member itself: the leader may not have noticed yet that it has forgotten all.
        let filled = self::status(&target::member_address(number)).await;
        if filled.is_ok_and(|filled| filled.applied + LACKS_MAX >= status.entries) {
            break;
        }
    }
    let took = wiped.elapsed().as_secs_f64();
    let [p99] = latencies.shares([0.99]);
    report.add(Figure::RefillP99, kind, p99);
    report.add(Figure::RefillSeconds, kind, took);
    report.add(Figure::RefillMib, kind, bytes as f64 / 1048576.0 / took);
    target.check()
}

async fn status(broker: &str) -> Result<RaftGroupStatus> {
    let status = Wire::connect(broker).await?.call(RequestCode::GROUP_STATUS, &GetGroupStatus {}, b"").await?;
    fastjson::read(&status).context("read the state of the group")
}

/// The place of a follower among the brokers.
fn follower(status: &RaftGroupStatus) -> Result<usize> {
    let other = status.members.iter().find(|member| Some(member.number) != status.leader);
    let number = other.context("a group without followers")?.number.0;
    usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).context("a member's number")
}
