//! Latency of sends while everything happens that brokers do beside: segments roll, old ones are deleted, and a consumer reads
//! messages that only the disk has.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use remoting::header::{DecodeHeader, NoHeader};
use remoting::protocol::pull::{PullMessage, PullMessageReply, PullSysFlag};
use remoting::protocol::{RequestCode, ResponseCode};
use rustix::fs::{Advice, fadvise};
use tokio::time::{Instant, sleep_until};

use super::beside::beside;
use super::{Bench, consume, create_topic, first_send, produce};
use crate::consume::Consume;
use crate::report::{Figure, Report};
use crate::target::{self, BROKER, Kind, Target};
use crate::wire::{Wire, refusal};

const TOPIC: &str = "bench_storm";
const BACKLOG: &str = "bench_old";
const QUEUES: usize = 8;
const BACKLOG_BYTES: usize = 2 << 30;
const BACKLOG_BODY_BYTES: usize = 8 << 10;
const CALM: Duration = Duration::from_secs(10);
const STORM: Duration = Duration::from_secs(30);

/// A roll every few seconds, and a few files deleted every five.
const SETTINGS: [&str; 4] =
    ["mappedFileSizeCommitLog=67108864", "fileReservedTime=0", "cleanResourceInterval=5000", "deleteFileBatchMax=3"];

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &SETTINGS)?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    create_topic(BACKLOG, QUEUES).await?;
    let mut backlog = produce(&bench.load, BACKLOG, QUEUES, BACKLOG_BYTES / BACKLOG_BODY_BYTES, None);
    (backlog.body_bytes, backlog.in_flight) = (BACKLOG_BODY_BYTES, 16);
    backlog.run().await?;

    let rate = bench.load.paced_per_second;
    let paced = |time: Duration| produce(&bench.load, TOPIC, QUEUES, rate * time.as_secs() as usize, Some(rate));
    // The first time warms the JVM up.
    paced(CALM).run().await?;
    let mut calm = paced(CALM).run().await?;
    let [p99] = calm.latencies.shares([0.99]);
    report.add(Figure::CalmP99, kind, p99);

    forget_pages(&dir.path().join("store/commitlog"))?;
    // From now on every look at the files deletes some.
    Wire::connect(BROKER).await?.call(RequestCode::DELETE_EXPIRED_COMMITLOG, &NoHeader, b"").await?;
    let reads = consume(BACKLOG, "bench_replay");
    let (mut sent, replayed) = beside(paced(STORM).run(), async move |over| replay(&reads, None, over).await).await?;
    let [p99, p999, max] = sent.latencies.shares([0.99, 0.999, 1.0]);
    for (figure, value) in [(Figure::StormP99, p99), (Figure::StormP999, p999), (Figure::StormMax, max)] {
        report.add(figure, kind, value);
    }
    report.add(Figure::ReplayMib, kind, replayed as f64 / 1048576.0 / STORM.as_secs_f64());
    target.check()
}

/// Has the page cache let go of the messages, as it would of old ones on a machine with more of them than memory.
fn forget_pages(commit_log: &Path) -> Result<()> {
    for entry in fs::read_dir(commit_log).context("list the commit log")? {
        let file = File::open(entry?.path())?;
        file.sync_data()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Reads all queues from their beginning, again and again, with at most so many bytes a second; the bytes of the answers. Has a
/// thread of its own, which leaves the processor to the producers, as one on another machine would.
pub(super) async fn replay(reads: &Consume, pace: Option<f64>, over: &AtomicBool) -> Result<usize> {
    rustix::process::nice(10)?;
    let began = Instant::now();
    let mut wire = Wire::connect(&reads.addr).await?;
    // Not held at the end of a queue: it begins again.
    let pull = |wire: &mut Wire, queue: usize, offset: i64| {
        let header = PullMessage { sys_flag: PullSysFlag::SUBSCRIPTION, ..reads.header(queue, offset) };
        wire.push(RequestCode::PULL_MESSAGE, queue, &header, b"");
    };
    let mut bytes = 0;
    let mut answers = Vec::new();
    (0..QUEUES).for_each(|queue| pull(&mut wire, queue, 0));
    while !over.load(Ordering::Relaxed) {
        if let Some(pace) = pace {
            sleep_until(began + Duration::from_secs_f64(bytes as f64 / pace)).await;
        }
        wire.flush().await?;
        let Ok(read) = tokio::time::timeout(Duration::from_secs(1), wire.answers(&mut answers)).await else { continue };
        read?;
        for answer in answers.drain(..) {
            let queue = answer.opaque.0 as usize;
            bytes += answer.body.len();
            let next = PullMessageReply::decode(&answer.ext).map(|reply| reply.next_begin_offset.0);
            match answer.response_code() {
                // Files go while they are read: the answer says where the queue begins now.
                ResponseCode::SUCCESS | ResponseCode::PULL_OFFSET_MOVED | ResponseCode::PULL_RETRY_IMMEDIATELY => {
                    pull(&mut wire, queue, next?);
                }
                ResponseCode::PULL_NOT_FOUND | ResponseCode::SYSTEM_BUSY => pull(&mut wire, queue, 0),
                _ => bail!("pull: {}", refusal(&answer)),
            }
        }
    }
    Ok(bytes)
}
