//! What it costs a broker to deliver messages at times of their own, how late it is, and what many that wait cost in memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use remoting::header::DecodeHeader;
use remoting::protocol::pull::PullMessageReply;
use remoting::types::{Clock, QueueOffset, Timestamp};

use super::{Bench, consume, cpu_per_million, create_topic, first_send, produce};
use crate::consume::{Consume, ends};
use crate::figures::Latencies;
use crate::produce::{Due, Produce};
use crate::report::{Figure, Report};
use crate::target::{self, BROKER, Kind, Target};
use crate::wire::{Wire, records};

const TOPIC: &str = "bench_delay";
const QUEUES: usize = 8;

/// From the first send to the first delivery; sending takes less.
const AHEAD: Duration = Duration::from_secs(15);
/// Over which the deliveries are spread.
const OVER: Duration = Duration::from_secs(10);
/// After this, what has not come never does.
const GIVE_UP: Duration = Duration::from_secs(180);
/// Far enough ahead that none of those that wait is due.
const FAR_AHEAD: Duration = Duration::from_secs(3600);

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &[])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let few = produce(&bench.load, TOPIC, QUEUES, bench.load.messages / 10, None);
    // The first time warms the JVM up.
    for counts in [false, true] {
        let from = all_ends().await?;
        let before = target.broker_usage()?;
        let due = Due { first: Clock::system().now().after(AHEAD), over: OVER };
        Produce { due: Some(due), ..few.clone() }.run().await?;
        ensure!(Clock::system().now() < due.first, "sending took longer than the messages wait");
        delivered(&from, few.messages).await?;
        if counts {
            report.add(Figure::DelayCpu, kind, cpu_per_million(before, target.broker_usage()?, few.messages));
            let [p50, p99] = lateness(&from, few.messages).await?.shares([0.5, 0.99]);
            report.add(Figure::DelayP50, kind, p50 / 1000.0);
            report.add(Figure::DelayP99, kind, p99 / 1000.0);
        }
    }
    report.add(Figure::DelayOwn, kind, target.broker_usage()?.own_mib);
    let due = Due { first: Clock::system().now().after(FAR_AHEAD), over: FAR_AHEAD };
    Produce { due: Some(due), ..produce(&bench.load, TOPIC, QUEUES, bench.load.pending, None) }.run().await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    report.add(Figure::DelayOwnMany, kind, target.broker_usage()?.own_mib);
    target.check()
}

async fn all_ends() -> Result<Vec<QueueOffset>> {
    ends(BROKER, TOPIC, QUEUES).await
}

/// Waits until so many messages are in the queues behind `from`.
async fn delivered(from: &[QueueOffset], messages: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let now = all_ends().await?;
        let count: i64 = now.iter().zip(from).map(|(now, from)| now.0 - from.0).sum();
        if count >= messages as i64 {
            return Ok(());
        }
        ensure!(begun.elapsed() < GIVE_UP, "{count} of {messages} timed messages were delivered");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// From the time that each message names to the one at which it was stored for consumers.
async fn lateness(from: &[QueueOffset], messages: usize) -> Result<Latencies> {
    let mut wire = Wire::connect(BROKER).await?;
    let reads = Consume { from: from.to_vec(), ..consume(TOPIC, "bench_delay") };
    let goals = all_ends().await?;
    let (mut found, mut count, mut answers) = (Latencies::default(), 0, Vec::new());
    for (queue, goal) in goals.iter().enumerate() {
        let mut next = from[queue];
        while next < *goal {
            reads.pull(&mut wire, queue, next.0);
            wire.flush().await?;
            wire.answers(&mut answers).await?;
            for answer in answers.drain(..) {
                next = PullMessageReply::decode(&answer.ext)?.next_begin_offset;
                for record in records(&answer.body) {
                    let (stored, due) = times(record?).context("a timed message without its times")?;
                    ensure!(stored >= due, "a message due at {due} was delivered at {stored}");
                    found.push(stored.since(due));
                    count += 1;
                }
            }
        }
    }
    ensure!(count == messages, "{count} messages came instead of {messages}");
    Ok(found)
}

/// When a record was stored, and when it was to be.
fn times(record: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const STORED_AT: usize = 56;
    const NAME: &[u8] = b"TIMER_DELIVER_MS\x01";
    let stored = i64::from_be_bytes(*record.get(STORED_AT..)?.first_chunk()?);
    let at = record.windows(NAME.len()).position(|bytes| bytes == NAME)? + NAME.len();
    let due = record[at..].split(|byte| *byte == 2).next()?;
    Some((Timestamp(stored), Timestamp(std::str::from_utf8(due).ok()?.parse().ok()?)))
}
