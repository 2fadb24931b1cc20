//! Brokers of all makes in one cluster, with topics that are spread over them: Java's, ours and Java 4.9's, behind name servers of
//! either.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::cluster::Layout;
use compat_tests::events::{Received, Sent};
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{CLUSTER, Post, Server, Target};
use compat_tests::{logs, scenario};

use crate::{check, transactions};

const LAYOUT: Layout = Layout { masters: 3, ..Layout::SMALL };

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(topics_are_spread_over_brokers_of_all_makes).alone_with(LAYOUT).mixed().allowing(&LINES),
    scenario!(mqadmin_sees_one_cluster_of_brokers_of_all_makes)
        // Without a timer Java 5.5.0 does not delete topics.
        .alone_with(Layout { timer: true, ..LAYOUT })
        .with(&[Client::Mqadmin])
        .mixed()
        .allowing(&LINES),
];

const LINES: [(&str, &str); 2] = [logs::OLD_LEAVES, transactions::NOBODY];

const SETS: usize = 3;
/// Bytes of a topic that `topicList -c` shows.
const LISTED: usize = 64;
/// Of each topic at each broker.
const QUEUES: u32 = 2;

/// The broker of each set. Java's target has one of the older release beside two of the newer.
fn makes(target: Target) -> [Server; SETS] {
    let own = target.broker();
    let other = match own {
        Server::Java if target == Target::Java => Server::Java,
        Server::Java => Server::Ferromq,
        _ => Server::Java,
    };
    [own, other, Server::OldJava]
}

async fn begin(run: &Run) -> Result<()> {
    run.together("start the other brokers", async || {
        for (set, make) in makes(run.cluster.target).into_iter().enumerate().skip(1) {
            run.cluster.start_at(Post::master_of(set), make).await?;
        }
        Ok(())
    })
    .await
}

fn brokers() -> BTreeSet<&'static str> {
    (0..SETS).map(|set| Post::master_of(set).broker()).collect()
}

/// Every broker got some of it, and all of it came once, from where it was sent to.
fn arrived_once(sent: &[Sent], received: &[Received]) -> Result<()> {
    let by_broker = check::by_broker(sent, received)?;
    let used: BTreeSet<&str> = by_broker.keys().map(String::as_str).collect();
    ensure!(used == brokers(), "messages were sent to {used:?}");
    by_broker.values().try_for_each(|(sent, received)| check::arrived_once(sent, received))
}

async fn topics_are_spread_over_brokers_of_all_makes(run: Run) -> Result<()> {
    begin(&run).await?;
    let (plain, other) = (run.topic("plain", QUEUES).await?, run.topic("other", QUEUES).await?);
    let producer = run.producer("producer").await?;
    let transactional = Line::new("with").with("transactional", true);
    let transactional = run.producer_with("transactional", transactional).await?;
    let consumer = run.push("consumer", &run.name("group"), &plain).await?;
    let failing = Line::new("with").with("fail", 1);
    let failing = run.push_with("failing", &run.name("failing"), &plain, failing).await?;
    let mut sent = producer.send(Line::send(&plain, "plain").with("count", 60).with("tag", "t")).await?;
    arrived_once(&sent, &consumer.until_received(60).await?)?;

    let others = run.push("others", &run.name("others"), &other).await?;
    let delayed = producer.send(Line::send(&other, "delayed").with("count", 12).with("delay", 1)).await?;
    let line = |key: &str| {
        let line = Line::send(&other, key).with("count", 12).with("mode", "transaction").with("prop.local", key);
        line.with("prop.check", key)
    };
    let committed = transactional.send(line("commit")).await?;
    transactional.send(line("rollback")).await?;
    for kind in [&delayed, &committed] {
        let used: BTreeSet<&str> = kind.iter().map(|sent| sent.broker.as_str()).collect();
        ensure!(used == brokers(), "messages were sent to {used:?}");
    }
    let expected = check::keys_sent(&[delayed, committed].concat());
    let received = others.until_keys(&expected).await?;
    ensure!(check::keys_once(&received)? == expected, "received {received:?}");

    // A broker may go, and come back with what it has.
    let away = Post::master_of(1);
    let make = makes(run.cluster.target)[1];
    run.together("stop a broker", async || run.cluster.stop_at(away).await).await?;
    let without = producer.send(Line::send(&plain, "without").with("count", 20)).await?;
    run.together("start it again", async || run.cluster.start_at(away, make).await).await?;
    sent.extend(without);
    arrived_once(&sent, &consumer.until_received(80).await?)?;
    // Some fail more than once, where the broker that they are sent back to was away.
    failing.until_taken(&check::keys_sent(&sent)).await?;

    let orderly = Line::new("with").with("order", "orderly");
    let orderly = run.push_with("orderly", &run.name("orderly"), &plain, orderly).await?;
    let received = orderly.until_received(80).await?;
    arrived_once(&sent, &received)?;
    check::by_broker(&sent, &received)?.values().try_for_each(|(_, received)| check::in_queue_order(received))
}

async fn mqadmin_sees_one_cluster_of_brokers_of_all_makes(run: Run) -> Result<()> {
    begin(&run).await?;
    let posts = (0..SETS).map(Post::master_of).collect::<Vec<_>>();
    let list = run.mqadmin(&["clusterList"]).await?;
    for post in &posts {
        check::row(&list, &[CLUSTER, post.broker(), "0", &run.cluster.address_at(*post)?])?;
    }
    let (topic, group) = (run.name("topic"), run.name("group"));
    let everywhere = |out: &str| brokers().iter().all(|broker| out.contains(broker));
    let create = ["updateTopic", "-c", CLUSTER, "-t", &topic, "-r", "2", "-w", "2"];
    let created = run.mqadmin(&create).await?;
    ensure!(created.matches("success").count() == SETS, "{created}");
    run.mqadmin_until(&["topicRoute", "-t", &topic], everywhere).await?;
    let created = run.mqadmin(&["updateSubGroup", "-c", CLUSTER, "-g", &group]).await?;
    ensure!(created.matches("success").count() >= SETS, "{created}");

    let run_java = run.with_client(Client::Java55);
    let producer = run_java.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "s").with("count", 60)).await?;
    let consumer = run_java.push("consumer", &group, &topic).await?;
    arrived_once(&sent, &consumer.until_received(60).await?)?;
    // `topicStatus` and `consumerProgress` of 5.5.0 ask all brokers for what 4.9.7 does not know.
    let list = run.mqadmin(&["topicList", "-c"]).await?;
    // Longer names are cut.
    let shown = topic.get(..LISTED).unwrap_or(&topic);
    ensure!(list.lines().any(|line| line.contains(CLUSTER) && line.contains(shown)), "{list}");

    let deleted = run.mqadmin(&["deleteTopic", "-c", CLUSTER, "-t", &topic]).await?;
    ensure!(deleted.contains("success"), "{deleted}");
    run.mqadmin_until(&["topicList"], |out| !out.lines().any(|line| line.trim() == topic)).await?;
    Ok(())
}
