//! Topics with queues of their own: what they cost in memory, and how long a start with them takes. Java maps a file for each
//! queue, of which Linux allows a process 65,530 (`vm.max_map_count`): it is measured with fewer than ours can have.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use remoting::protocol::RequestCode;
use tokio::time::sleep;

use super::pipeline::{on_all_connections, pipelined, pull_one_of_each};
use super::{Bench, first_send};
use crate::produce::Send;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const QUEUES: usize = 8;
/// Java's broker has room for their files, and for its others.
const SOME_TOPICS: usize = 4000;
const GROUP: &str = "bench_many";
/// Until what a burst of requests needed was given back.
const SETTLING: Duration = Duration::from_secs(10);

/// Resident memory, first send after a start, and resident memory after it.
type Figures = [Figure; 3];

const SOME: Figures = [Figure::SomeQueuesResident, Figure::SomeQueuesFirstSend, Figure::SomeQueuesResidentAgain];
const MANY: Figures = [Figure::ManyQueuesResident, Figure::ManyQueuesFirstSend, Figure::ManyQueuesResidentAgain];

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    measure(kind, bench, report, SOME_TOPICS, SOME).await?;
    if kind == Kind::Ferromq {
        measure(kind, bench, report, bench.load.many_topics, MANY).await?;
    }
    Ok(())
}

async fn measure(kind: Kind, bench: &Bench, report: &mut Report, topics: usize, figures: Figures) -> Result<()> {
    let [resident, start, resident_again] = figures;
    let queues = topics * QUEUES;
    let dir = target::folder()?;
    write_topics(&dir.path().join("store/config"), topics)?;
    let mut target = Target::start(kind, &bench.programs, dir.path(), &[])?;
    first_send(&mut target).await?;
    on_all_connections(queues, send).await?;
    sleep(SETTLING).await;
    report.add(resident, kind, target.broker_usage()?.resident_mib);
    target.check()?;
    target.stop_last()?;
    drop(target);
    let mut target = Target::start(kind, &bench.programs, dir.path(), &[])?;
    report.add(start, kind, first_send(&mut target).await?.as_secs_f64() * 1e3);
    sleep(SETTLING).await;
    report.add(resident_again, kind, target.broker_usage()?.resident_mib);
    // Each queue has its message still.
    on_all_connections(queues, read).await?;
    target.check()
}

async fn send(queues: Range<usize>) -> Result<()> {
    let one = |at: usize| Send::stock(&topic(queues.start + at), (queues.start + at) % QUEUES, String::new());
    pipelined(queues.len(), RequestCode::SEND_MESSAGE_V2, one, |_| Ok(())).await
}

async fn read(queues: Range<usize>) -> Result<()> {
    pull_one_of_each(queues, GROUP, |queue| (topic(queue), queue % QUEUES)).await
}

fn topic(queue: usize) -> String {
    format!("bench_{}", queue / QUEUES)
}

/// As both keep them: made one by one, they would take Java hours.
fn write_topics(folder: &Path, topics: usize) -> Result<()> {
    fs::create_dir_all(folder).context("make the folder of the settings")?;
    let mut text = String::from(r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1},"topicConfigTable":{"#);
    for number in 0..topics {
        let topic = topic(number * QUEUES);
        let comma = if number == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{comma}"{topic}":{{"attributes":{{}},"order":false,"perm":6,"readQueueNums":{QUEUES},"topicFilterType":"SINGLE_TAG","topicName":"{topic}","topicSysFlag":0,"writeQueueNums":{QUEUES}}}"#
        );
    }
    text.push_str("}}");
    fs::write(folder.join("topics.json"), text).context("write the topics")
}
