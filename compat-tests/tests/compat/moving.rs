//! From a DLedger group of Java's to our brokers: the files of a member are imported while nothing runs, or another broker set takes
//! over while everything does. The steps are those of `docs/migration-dledger.md`.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::cluster::Layout;
use compat_tests::logs;
use compat_tests::moving::NEXT_BROKER;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER, Server, Target};

use crate::hand_over::{Topics, count};
use crate::{check, transactions};

pub(crate) const SCENARIOS: &[Scenario] = &[
    // Java does not do it; the files are its own.
    scenario!(a_dledger_member_is_imported)
        .alone_with(Layout { timer: true, ..Layout::GROUP })
        .with(&[Client::Java55])
        .on(&[Target::Ferromq])
        .allowing(&LEFT),
    scenario!(a_dledger_group_is_drained_into_another_broker_set)
        .alone_with(Layout::GROUP)
        .with(&[Client::Java55])
        .allowing(&LEFT),
];

const LEFT: [(&str, &str); 6] = [
    logs::GROUP[0],
    logs::GROUP[1],
    logs::GROUP[2],
    logs::GROUP[3],
    transactions::NOBODY,
    ("lost a broker's connection", "members of Java's group are stopped, which hang up"),
];

async fn a_dledger_member_is_imported(run: Run) -> Result<()> {
    let cluster = &run.cluster;
    cluster.begin_with_javas_group().await?;
    let topics = Topics::create(&run).await?;
    let (timed, doubtful) = (run.topic("timed", 2).await?, run.topic("doubtful", 2).await?);
    let producer = run.producer("producer").await?;
    let transactional = run.producer_with("transactional", Line::new("with").with("transactional", true)).await?;
    let line = Line::send(&doubtful, "decided").with("count", 5).with("mode", "transaction");
    let mut decided = transactional.send(line.with("prop.local", "commit")).await?;
    let left = topics.leave_work(&run, &producer, 0).await?;
    let timers = producer.send(Line::send(&timed, "timer").with("count", 6).with("system.TIMER_DELAY_SEC", 12)).await?;
    let in_doubt = |key: &str, check: &str| {
        let line = Line::send(&doubtful, key).with("count", 5).with("mode", "transaction");
        line.with("prop.local", "unknown").with("prop.check", check)
    };
    decided.extend(transactional.send(in_doubt("commit", "commit")).await?);
    transactional.send(in_doubt("rollback", "rollback")).await?;

    // Who leads first: what it knows of consumers and timers is the newest.
    let leader = cluster.leader().await?;
    let followers = cluster.followers().await?;
    cluster.stop_member(leader).await?;
    tokio::try_join!(cluster.stop_member(followers[0]), cluster.stop_member(followers[1]))?;
    let told = cluster.import_member(leader).await?;
    ensure!(told.contains(&format!("of the member n{leader} in java-store")), "{told}");

    topics.take_up_work(&run, 0, &left, false).await?;
    let all = run.push("timed", &run.name("timed"), &timed).await?;
    let received = all.until_keys(&check::keys_sent(&timers)).await?;
    ensure!(received.len() == 6, "timed messages came twice: {received:?}");
    let all = run.push("doubtful", &run.name("doubtful"), &doubtful).await?;
    let received = all.until_keys(&check::keys_sent(&decided)).await?;
    ensure!(received.iter().all(|received| !received.key.starts_with("rollback")), "{received:?}");

    let mut sent = left.plain;
    sent.extend(producer.send(Line::send(&topics.plain, "own").with("count", 40)).await?);
    check::places(&sent)?;
    let newcomer = run.push("newcomer", &run.name("new"), &topics.plain).await?;
    check::arrived_once(&sent, &newcomer.until_received(count(&sent)).await?)?;
    let key = &sent[0].keys[0];
    let found = |out: &str| {
        let mut rows = out.lines().filter(|line| !line.starts_with('#'));
        rows.any(|row| row.split_whitespace().nth(2).is_some_and(|offset| offset.parse::<i64>().is_ok()))
    };
    run.mqadmin_until(&["queryMsgByKey", "-t", &topics.plain, "-k", key], found).await?;

    // It is a store like any other: also Java goes on with it.
    cluster.stop_member(leader).await?;
    cluster.start_alone(leader, Server::Java).await?;
    sent.extend(producer.send(Line::send(&topics.plain, "back").with("count", 20)).await?);
    check::places(&sent)?;
    let newcomer = run.push("newest", &run.name("newest"), &topics.plain).await?;
    check::arrived_once(&sent, &newcomer.until_received(count(&sent)).await?)
}

async fn a_dledger_group_is_drained_into_another_broker_set(run: Run) -> Result<()> {
    let cluster = &run.cluster;
    cluster.begin_with_javas_group().await?;
    let (topic, delayed, group) = (run.topic("topic", 4).await?, run.topic("delayed", 2).await?, run.name("group"));
    let consumer = run.push("consumer", &group, &topic).await?;
    let later = run.push("later", &run.name("later"), &delayed).await?;
    let producer = run.producer_with("producer", Line::new("with").with("timeout", 3000)).await?;
    producer.start_stream(Line::new("stream").with("topic", &topic).with("key", "s").with("every", 10)).await?;
    producer.until_sent(100).await?;
    let other = run.producer("other").await?;
    let held = other.send(Line::send(&delayed, "held").with("count", 6).with("delay", 2)).await?;

    // 1. Another broker set in the cluster, with the same topics and groups.
    let next = cluster.start_next_broker().await?;
    let done = |out: &str| out.contains("success");
    for topic in [&topic, &delayed] {
        run.mqadmin_until(&["updateTopic", "-c", CLUSTER, "-t", topic, "-r", "4", "-w", "4"], done).await?;
        run.mqadmin_until(&["topicRoute", "-t", topic], |out| out.contains(NEXT_BROKER)).await?;
    }
    run.mqadmin_until(&["updateSubGroup", "-c", CLUSTER, "-g", &group], done).await?;

    // 2. Producers leave the old one.
    run.mqadmin_until(&["wipeWritePerm", "-b", BROKER], |out| out.contains(&format!("of broker[{BROKER}]"))).await?;
    let ends = async || {
        let leader = cluster.leader_address().await?;
        let mut ends = Vec::new();
        for queue in 0..4 {
            ends.push(compat_tests::wire::max_offset(&leader, &topic, queue).await?);
        }
        anyhow::Ok(ends)
    };
    let (mut before, mut quiet) = (ends().await?, 0);
    while quiet < 3 {
        producer.until_sent(producer.sent().len() + 50).await?;
        let now = ends().await?;
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }

    // 3. Nothing is left there: consumers have everything, and nothing waits.
    let has_all = |out: &str| {
        let rows = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let old: Vec<_> = rows.filter(|row| row.get(1) == Some(&BROKER)).collect();
        !old.is_empty() && old.iter().all(|row| row.get(5) == Some(&"0"))
    };
    run.mqadmin_until(&["consumerProgress", "-g", &group], has_all).await?;
    let leader = cluster.leader_address().await?;
    run.mqadmin_until(&["brokerStatus", "-b", &leader], nothing_is_delayed).await?;
    later.until_keys(&check::keys_sent(&held)).await?;

    // 4. It is stopped, and everything goes on.
    for number in 0..compat_tests::group::MEMBERS {
        cluster.stop_member(number).await?;
    }
    producer.until_sent(producer.sent().len() + 100).await?;
    producer.stop_stream().await?;
    let sent = producer.sent();
    let received = consumer.until_keys(&check::keys_sent(&sent)).await?;
    ensure!(received.iter().all(|received| received.body.as_ref() == Some(&received.key)), "another body");
    let held = other.send(Line::send(&delayed, "after").with("count", 6).with("delay", 2)).await?;
    later.until_keys(&check::keys_sent(&held)).await?;
    let list = run.mqadmin(&["clusterList"]).await?;
    check::row(&list, &[CLUSTER, NEXT_BROKER, "0", &next.address()]).context("the new set alone")?;
    Ok(())
}

/// Whether every delay level has delivered all that it had, in the words of `brokerStatus`.
fn nothing_is_delayed(status: &str) -> bool {
    let levels = status.lines().filter(|line| line.trim_start().starts_with("scheduleMessageOffset_"));
    let offsets = levels.filter_map(|line| line.split_once(':')?.1.trim().split_once(',')).collect::<Vec<_>>();
    !offsets.is_empty() && offsets.iter().all(|(delivered, end)| delivered == end)
}
