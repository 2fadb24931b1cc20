//! What it costs a broker to choose messages by an SQL 92 expression over their properties.

use anyhow::Result;
use remoting::types::QueueOffset;

use super::{Bench, consume, cpu_per_million, create_topic, first_send, produce};
use crate::consume::Consume;
use crate::produce::Produce;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_sql92";
const QUEUES: usize = 8;

/// Nearly all messages, and one of a hundred; `n` goes from 0 to 99.
const PICKS: [(Figure, &str); 2] = [
    (Figure::SqlAllCpu, "n BETWEEN 0 AND 99 AND (region = 'east' OR region IS NULL) AND TAGS IN ('TagA', 'TagB')"),
    (Figure::SqlFewCpu, "n = 7 AND region = 'east'"),
];

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &["enablePropertyFilter=true"])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let sends = Produce { for_filters: true, ..produce(&bench.load, TOPIC, QUEUES, bench.load.messages, None) };
    sends.run().await?;
    for (figure, sql) in PICKS {
        let from = vec![QueueOffset(0); QUEUES];
        let reads = Consume { from, messages: sends.messages, sql: Some(sql), ..consume(TOPIC, "bench_sql92") };
        // The first times warm the JVM up.
        for _ in 0..2 {
            reads.run().await?;
        }
        let before = target.broker_usage()?;
        reads.run().await?;
        report.add(figure, kind, cpu_per_million(before, target.broker_usage()?, sends.messages));
    }
    target.check()
}
