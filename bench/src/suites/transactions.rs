//! What a transaction costs: a half message and its commit; and one that nobody ends: each time its producer is asked, and in
//! memory as long as it is not.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use remoting::frame::RemotingCommand;
use remoting::protocol::client::Heartbeat;
use remoting::protocol::transaction::EndTransaction;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::types::{Clock, PhysicalOffset, QueueOffset};
use tokio::task::JoinSet;

use super::{Bench, Load, cpu_per_million, create_topic, first_send};
use crate::produce::{GROUP, Send};
use crate::report::{Figure, Report};
use crate::target::{self, BROKER, Kind, Target};
use crate::wire::{Wire, all, refusal};

const TOPIC: &str = "bench_transactions";
const QUEUES: usize = 8;
/// Java: `MessageSysFlag.TRANSACTION_PREPARED_TYPE`, `TRANSACTION_COMMIT_TYPE`.
const PREPARED: i32 = 4;
const COMMIT: i32 = 8;
/// How often each one in doubt is asked about, of which the first times warm the JVM up.
const ASKED: usize = 6;
const WARM_UP: usize = 3;
/// Until what a burst of sends needed was given back.
const SETTLING: Duration = Duration::from_secs(10);

pub(super) async fn run(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    committed(kind, bench, report).await?;
    in_doubt(kind, bench, report).await
}

async fn committed(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    // Of those in doubt nobody is asked yet.
    let mut target = Target::start(kind, &bench.programs, dir.path(), &["transactionTimeOut=3600000"])?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let messages = bench.load.messages / 2;
    // The first round warms the JVM up.
    transactions(&bench.load, messages, true).await?;
    let (before, begun) = (target.broker_usage()?, Instant::now());
    transactions(&bench.load, messages, true).await?;
    report.add(Figure::TransactionRate, kind, messages as f64 / begun.elapsed().as_secs_f64());
    report.add(Figure::TransactionCpu, kind, cpu_per_million(before, target.broker_usage()?, messages));
    report.add(Figure::DoubtOwn, kind, target.broker_usage()?.own_mib);
    transactions(&bench.load, bench.load.pending, false).await?;
    tokio::time::sleep(SETTLING).await;
    report.add(Figure::DoubtOwnMany, kind, target.broker_usage()?.own_mib);
    target.check()
}

async fn in_doubt(kind: Kind, bench: &Bench, report: &mut Report) -> Result<()> {
    let dir = target::folder()?;
    let settings = ["transactionTimeOut=1000", "transactionCheckInterval=1000", "transactionCheckMax=1000"];
    let mut target = Target::start(kind, &bench.programs, dir.path(), &settings)?;
    first_send(&mut target).await?;
    create_topic(TOPIC, QUEUES).await?;
    let mut producer = Wire::connect(BROKER).await?;
    let heartbeat =
        format!(r#"{{"clientID":"bench","consumerDataSet":[],"producerDataSet":[{{"groupName":"{GROUP}"}}]}}"#);
    producer.call(RequestCode::HEART_BEAT, &Heartbeat {}, heartbeat.as_bytes()).await?;
    let messages = bench.load.messages / 20;
    transactions(&bench.load, messages, false).await?;
    let mut asked = 0;
    while asked < WARM_UP * messages {
        asked += producer.requests().await?;
    }
    let (before, from) = (target.broker_usage()?, asked);
    while asked < ASKED * messages {
        asked += producer.requests().await?;
    }
    report.add(Figure::CheckCpu, kind, cpu_per_million(before, target.broker_usage()?, asked - from));
    target.check()
}

/// So many transactions on all connections; with `commit`, each is committed once its half message is answered.
async fn transactions(load: &Load, messages: usize, commit: bool) -> Result<()> {
    let mut connections = JoinSet::new();
    for index in 0..load.connections {
        connections.spawn(connection(load.clone(), index, messages / load.connections, commit));
    }
    all(connections).await.map(drop)
}

/// The half message of transaction n is request 2n, its end request 2n + 1.
async fn connection(load: Load, index: usize, messages: usize, commit: bool) -> Result<()> {
    let mut wire = Wire::connect(BROKER).await?;
    let body = vec![b'x'; load.body_bytes];
    let (mut begun, mut ended) = (0, 0);
    let (mut answers, mut again) = (Vec::new(), Vec::new());
    while ended < messages {
        while begun < messages && begun - ended < load.in_flight {
            again.push(begun);
            begun += 1;
        }
        for number in again.drain(..) {
            wire.push(RequestCode::SEND_MESSAGE_V2, number * 2, &half(index, number), &body);
        }
        wire.flush().await?;
        wire.answers(&mut answers).await?;
        for answer in answers.drain(..) {
            let request = answer.opaque.0 as usize;
            match answer.response_code() {
                ResponseCode::SUCCESS if commit && request.is_multiple_of(2) => {
                    wire.push(RequestCode::END_TRANSACTION, request + 1, &end(&answer)?, b"");
                }
                ResponseCode::SUCCESS => ended += 1,
                // As a stock producer does: a busy broker is asked again.
                ResponseCode::SYSTEM_BUSY if request.is_multiple_of(2) => again.push(request / 2),
                _ => bail!("transaction: {}", refusal(&answer)),
            }
        }
    }
    Ok(())
}

fn half(connection: usize, number: usize) -> Send {
    let key = format!("7F000001{connection:08X}{number:016X}");
    let properties =
        [("UNIQ_KEY", key.as_str()), ("WAIT", "true"), ("TAGS", "TagA"), ("TRAN_MSG", "true"), ("PGROUP", GROUP)];
    Send {
        sys_flag: PREPARED,
        born_timestamp: Clock::system().now(),
        ..Send::stock(
            TOPIC,
            (connection + number) % QUEUES,
            properties.map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).concat(),
        )
    }
}

/// The commit of a half message that was answered so.
fn end(answer: &RemotingCommand) -> Result<EndTransaction> {
    let field = |name| answer.ext.get(name).with_context(|| format!("a half message's answer without {name}"));
    // Host, port and physical offset in hex.
    let offset = field("msgId")?.get(16..).context("a message id is too short")?;
    Ok(EndTransaction {
        topic: Some(TOPIC.into()),
        producer_group: GROUP.into(),
        tran_state_table_offset: QueueOffset(field("queueOffset")?.parse().context("a queue offset")?),
        commit_log_offset: PhysicalOffset(i64::from_str_radix(offset, 16).context("a physical offset")?),
        commit_or_rollback: COMMIT,
        from_transaction_check: Some(false),
        msg_id: field("transactionId")?.to_owned(),
        transaction_id: None,
    })
}
