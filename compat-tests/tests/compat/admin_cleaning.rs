//! mqadmin has the broker delete what nobody needs any more.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_cleaning_leaves_what_is_in_use).with(&[Client::Java55]),
    scenario!(expired_files_go_when_asked_and_queues_follow).with(&[Client::Java55]).alone(),
];

const MIB: usize = 1024 * 1024;
/// Size of a commit log file of the brokers under test.
const LOG_FILE_BYTES: usize = 64 * MIB;

async fn mqadmin_cleaning_leaves_what_is_in_use(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::new("send").with("topic", &topic).with("key", "s").with("count", 10)).await?;
    let broker = run.cluster.broker_address();
    for command in ["deleteExpiredCommitLog", "cleanExpiredCQ", "cleanUnusedTopic"] {
        for to in [["-b", broker.as_str()], ["-c", CLUSTER]] {
            let out = run.mqadmin(&[command, to[0], to[1]]).await?;
            ensure!(out.contains("success"), "{command} printed\n{out}");
        }
    }
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(10).await?)
}

async fn expired_files_go_when_asked_and_queues_follow(run: Run) -> Result<()> {
    let (large, small) = (run.topic("large", 1).await?, run.topic("small", 1).await?);
    let broker = run.cluster.broker_address();
    let producer = run.producer_with("producer", Line::new("with").with("compressOver", 16 * MIB)).await?;
    let one = || Line::new("send").with("topic", &small).with("key", "one");
    producer.send(one()).await?;
    // More than one file of them.
    const COUNT: usize = LOG_FILE_BYTES / (4 * MIB) + 2;
    for n in 0..COUNT {
        let line = Line::new("send").with("topic", &large).with("key", format!("l{n}")).with("size", 4 * MIB);
        producer.send(line.with("fill", "noise")).await?;
    }

    // What was written an hour ago at the latest has expired: everything. The newest file stays all the same.
    run.mqadmin(&["updateBrokerConfig", "-b", &broker, "-k", "fileReservedTime", "-v", "0"]).await?;
    let asked = run.mqadmin(&["deleteExpiredCommitLog", "-b", &broker]).await?;
    ensure!(asked.contains("success"), "deleteExpiredCommitLog printed\n{asked}");
    let first = format!("{LOG_FILE_BYTES}");
    let begins_there = |out: &str| {
        out.lines()
            .filter_map(|line| line.split_once(':'))
            .any(|(key, value)| key.trim() == "commitLogMinOffset" && value.trim() == first)
    };
    run.mqadmin_until(&["brokerStatus", "-b", &broker], begins_there).await?;

    let min = |out: &str| check::row(out, &[BROKER, "0"]).ok().and_then(|row| row.get(2)?.parse::<usize>().ok());
    let status = run.mqadmin_until(&["topicStatus", "-t", &large], |out| min(out).is_some_and(|min| min > 0)).await?;
    let left = COUNT - min(&status).context("the first offset")?;
    ensure!((1..COUNT).contains(&left), "{left} of {COUNT} are left");
    check::row(&status, &[BROKER, "0", &(COUNT - left).to_string(), &COUNT.to_string()])?;
    let consumer = run.push("consumer", &run.name("group"), &large).await?;
    let received = consumer.until_received(left).await?;
    let expected: Vec<_> = (COUNT - left..COUNT).map(|n| format!("l{n}")).collect();
    let mut keys: Vec<_> = received.iter().map(|received| (received.queue_offset, received.key.clone())).collect();
    keys.sort();
    let keys: Vec<_> = keys.into_iter().map(|(_, key)| key).collect();
    ensure!(keys == expected, "{keys:?} came, not {expected:?}");

    // A queue without messages goes on where it was, unless it is cleaned away.
    run.mqadmin_until(&["topicStatus", "-t", &small], |out| check::row(out, &[BROKER, "0", "1", "1"]).is_ok()).await?;
    let cleaned = run.mqadmin(&["cleanExpiredCQ", "-b", &broker]).await?;
    ensure!(cleaned.contains("success"), "cleanExpiredCQ printed\n{cleaned}");
    run.mqadmin_until(&["topicStatus", "-t", &small], |out| check::row(out, &[BROKER, "0", "0", "0"]).is_ok()).await?;
    let anew = producer.send(one()).await?;
    ensure!(anew[0].queue_offset == 0, "a queue that was cleaned away begins at {}", anew[0].queue_offset);
    Ok(())
}
