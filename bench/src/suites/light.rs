//! What many light queues cost in memory: when they hold messages, when a group has read them all, and after a start.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use remoting::frame::RemotingCommand;
use remoting::header::DecodeHeader;
use remoting::protocol::RequestCode;
use remoting::protocol::offset::{OffsetReply, QueryConsumerOffset, UpdateConsumerOffset};
use remoting::types::{QueueId, QueueOffset};
use tokio::time::sleep;

use super::pipeline::{CONNECTIONS, on_all_connections, pipelined, pull_one_of_each};
use super::{Bench, create_topic, first_send};
use crate::produce::Send;
use crate::report::{Figure, Report};
use crate::target::{self, Kind, Target};

const TOPIC: &str = "bench_light";
const GROUP: &str = "bench_light";
/// How many each message is in.
const NAMES: usize = 50;
const MESSAGES_EACH: usize = 2;
/// Until what a burst of requests needed was given back, and offsets are saved.
const SETTLING: Duration = Duration::from_secs(10);

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let queues = bench.load.light_queues.next_multiple_of(NAMES * CONNECTIONS);
    let dir = target::folder()?;
    let settings = ["enableLmq=true", "enableMultiDispatch=true"];
    let mut target = Target::start(kind, &bench.programs, dir.path(), &settings)?;
    first_send(&mut target).await?;
    create_topic(TOPIC, 1).await?;
    report.add(Figure::LightOwn, kind, target.broker_usage()?.own_mib);
    on_all_connections(queues, send).await?;
    sleep(SETTLING).await;
    report.add(Figure::LightOwnMany, kind, target.broker_usage()?.own_mib);
    on_all_connections(queues, read).await?;
    sleep(SETTLING).await;
    report.add(Figure::LightOwnRead, kind, target.broker_usage()?.own_mib);
    target.check()?;
    // In order.
    drop(target);
    let mut target = Target::start(kind, &bench.programs, dir.path(), &settings)?;
    report.add(Figure::LightFirstSend, kind, first_send(&mut target).await?.as_secs_f64() * 1000.0);
    sleep(SETTLING).await;
    report.add(Figure::LightOwnAgain, kind, target.broker_usage()?.own_mib);
    on_all_connections(queues, look).await?;
    target.check()
}

fn name(queue: usize) -> String {
    format!("%LMQ%{queue}")
}

/// Messages that are in all the queues.
async fn send(queues: Range<usize>) -> Result<()> {
    let mut sends = Vec::new();
    for first in queues.step_by(NAMES) {
        let names = (first..first + NAMES).map(name).collect::<Vec<_>>().join(",");
        sends.extend(std::iter::repeat_n(format!("INNER_MULTI_DISPATCH\u{1}{names}\u{2}"), MESSAGES_EACH));
    }
    pipelined(sends.len(), RequestCode::SEND_MESSAGE_V2, |at| Send::stock(TOPIC, 0, sends[at].clone()), |_| Ok(()))
        .await
}

/// A pull of one message of each queue, and a commit behind it.
async fn read(queues: Range<usize>) -> Result<()> {
    pull_one_of_each(queues.clone(), GROUP, |queue| (name(queue), 0)).await?;
    let commits = |at: usize| UpdateConsumerOffset {
        consumer_group: GROUP.into(),
        topic: name(queues.start + at).as_str().into(),
        queue_id: QueueId(0),
        commit_offset: QueueOffset(1),
        forward: None,
    };
    pipelined(queues.len(), RequestCode::UPDATE_CONSUMER_OFFSET, commits, |_| Ok(())).await
}

/// The group stands where it stood in each queue.
async fn look(queues: Range<usize>) -> Result<()> {
    let asked = |at: usize| QueryConsumerOffset {
        consumer_group: GROUP.into(),
        topic: name(queues.start + at).as_str().into(),
        queue_id: QueueId(0),
        set_zero_if_not_found: Some(false),
    };
    let stands = |answer: &RemotingCommand| {
        let offset = OffsetReply::decode(&answer.ext)?.offset;
        ensure!(offset == QueueOffset(1), "the group stands at {offset}");
        Ok(())
    };
    pipelined(queues.len(), RequestCode::QUERY_CONSUMER_OFFSET, asked, stands).await
}
