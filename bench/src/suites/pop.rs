//! What it costs to lease messages and acknowledge each, up to when the broker has worked the leases off.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use remoting::frame::RemotingCommand;
use remoting::header::DecodeHeader;
use remoting::protocol::pop::{AckMessage, PopMessage, PopMessageReply};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::types::{QueueId, QueueOffset};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Bench, Load, cpu_per_million, create_topic, first_send, produce};
use crate::report::{Figure, Report};
use crate::target::{self, BROKER, Kind, Target};
use crate::wire::{Wire, all, records, refusal};

const TOPIC: &str = "bench_pop";
const GROUP: &str = "bench_pop";
const QUEUES: usize = 8;
const INVISIBLE: Duration = Duration::from_secs(10);
/// Java looks at leases that ended a few seconds ago.
const WORKED_OFF: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(300);
/// The opaque of pops; that of acknowledgements is any other.
const POP: usize = 1;
const ACK: usize = 2;

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    // Refused for having waited in a queue, acknowledgements would be lost and not late.
    let mut target = Target::start(kind, &bench.programs, dir.path(), &["waitTimeMillsInAckQueue=60000"])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let sends = produce(&bench.load, TOPIC, QUEUES, bench.load.messages / 4, None);
    // The first round warms the JVM up.
    for measured in [false, true] {
        sends.run().await?;
        let before = target.broker_usage()?;
        timeout(PATIENCE, consume(&bench.load, sends.messages)).await.context("pop all messages")??;
        sleep(INVISIBLE + WORKED_OFF).await;
        if measured {
            report.add(Figure::PopCpu, kind, cpu_per_million(before, target.broker_usage()?, sends.messages));
        }
    }
    target.check()
}

/// Pops on all connections until all messages are acknowledged.
async fn consume(load: &Load, messages: usize) -> Result<()> {
    let left = Arc::new(AtomicI64::new(messages as i64));
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        connections.spawn(connection(Arc::clone(&left)));
    }
    all(connections).await?;
    let left = left.load(Ordering::Relaxed);
    ensure!(left == 0, "{left} messages are left, though every one is acknowledged in time");
    Ok(())
}

/// One pop at a time, as stock consumers do; acknowledgements meanwhile.
async fn connection(left: Arc<AtomicI64>) -> Result<()> {
    let mut wire = Wire::connect(BROKER).await?;
    let (mut popping, mut unanswered, mut answers) = (true, 0_usize, Vec::new());
    pop(&mut wire);
    while popping || unanswered > 0 {
        wire.flush().await?;
        wire.answers(&mut answers).await?;
        for answer in answers.drain(..) {
            if answer.opaque.0 as usize == ACK {
                ensure!(answer.response_code() == ResponseCode::SUCCESS, "ack: {}", refusal(&answer));
                unanswered -= 1;
                continue;
            }
            match answer.response_code() {
                ResponseCode::SUCCESS => {
                    let leased = acknowledge(&mut wire, &answer)?;
                    unanswered += leased;
                    left.fetch_sub(leased as i64, Ordering::Relaxed);
                }
                ResponseCode::PULL_NOT_FOUND | ResponseCode::POLLING_TIMEOUT | ResponseCode::POLLING_FULL => {}
                _ => bail!("pop: {}", refusal(&answer)),
            }
            popping = left.load(Ordering::Relaxed) > 0;
            if popping {
                pop(&mut wire);
            }
        }
    }
    Ok(())
}

fn pop(wire: &mut Wire) {
    let header = PopMessage {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        queue_id: QueueId(-1),
        max_msg_nums: 32,
        invisible_time: INVISIBLE.as_millis() as i64,
        poll_time: 500,
        born_time: None,
        init_mode: 0,
        expression_type: Some("TAG".to_owned()),
        expression: Some("*".to_owned()),
        order: Some(false),
        attempt_id: None,
    };
    wire.push(RequestCode::POP_MESSAGE, POP, &header, b"");
}

/// One request for each message, as stock consumers do; how many.
fn acknowledge(wire: &mut Wire, answer: &RemotingCommand) -> Result<usize> {
    let reply = PopMessageReply::decode(&answer.ext)?;
    let starts = reply.start_offset_info.context("an answer without the starts of its leases")?;
    // Kind, queue, and where its lease starts.
    let items = starts.split(';').map(|item| item.split(' ').collect::<Vec<_>>());
    let starts: HashMap<i32, &str> =
        items.filter_map(|words| Some((words.get(1)?.parse().ok()?, *words.get(2)?))).collect();
    let mut count = 0;
    for record in records(&answer.body) {
        let record = record?;
        let queue = i32::from_be_bytes(*record[12..].first_chunk().context("a short record")?);
        let offset = i64::from_be_bytes(*record[20..].first_chunk().context("a short record")?);
        let start = starts.get(&queue).context("a queue without a start")?;
        let (popped, invisible, revive) = (reply.pop_time, reply.invisible_time, reply.revive_queue);
        let header = AckMessage {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(queue),
            extra_info: format!("{start} {} {invisible} {revive} 0 {} {queue} {offset}", popped.0, target::BROKER_NAME),
            offset: QueueOffset(offset),
        };
        wire.push(RequestCode::ACK_MESSAGE, ACK, &header, b"");
        count += 1;
    }
    Ok(count)
}
