//! A consumer that is far behind reads one queue as fast as it can, with one pull at a time.

use std::time::Duration;

use anyhow::Result;
use remoting::types::QueueOffset;

use super::{Bench, Load, RECORD_BYTES, consume, create_topic, first_send, produce};
use crate::consume::Consume;
use crate::limits;
use crate::read_queue;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_catch_up";
/// At least; the queue is read again and again.
const FOR: Duration = Duration::from_secs(5);
/// A stock consumer's request.
const PULL_BYTES: usize = 400;
/// Messages asked for at a time: by a stock consumer, and the most that a broker gives.
const PULLS: [(Figure, i32); 2] = [(Figure::CatchUpMib, 32), (Figure::CatchUpLargeMib, 1024)];

/// The same exchanges of requests and answers with a peer that does nothing, and what loopback and memory move at most.
pub(super) async fn limits(load: &Load, report: &mut Report) -> Result<()> {
    for (figure, messages) in PULLS {
        let answer = messages as usize * (load.body_bytes + RECORD_BYTES);
        report.add_limit(figure, limits::loopback_exchange(PULL_BYTES, answer)?);
    }
    report.add_limit(Figure::LoopbackMib, limits::loopback_stream()?);
    report.add_limit(Figure::MemoryMib, limits::memory_copy());
    Ok(())
}

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    // Else answers end at 256 KiB, whatever is asked for.
    let settings = ["maxTransferBytesOnMessageInMemory=4194304", "maxTransferCountOnMessageInMemory=1024"];
    let mut target = Target::start(kind, &bench.programs, dir.path(), &settings)?;
    first_send(&mut target).await?;
    create_topic(TOPIC, 1).await?;
    let sends = produce(&bench.load, TOPIC, 1, bench.load.messages, None);
    sends.run().await?;
    for (figure, pull_messages) in PULLS {
        let from = vec![QueueOffset(0)];
        let reads = Consume { from, messages: sends.messages, pull_messages, ..consume(TOPIC, "bench_catch_up") };
        // The first time warms the JVM up.
        read_queue::run(&reads)?;
        let (mut messages, mut elapsed) = (0, Duration::ZERO);
        while elapsed < FOR {
            elapsed += read_queue::run(&reads)?;
            messages += sends.messages;
        }
        let bytes = messages * (bench.load.body_bytes + RECORD_BYTES);
        report.add(figure, kind, bytes as f64 / 1048576.0 / elapsed.as_secs_f64());
    }
    target.check()
}
