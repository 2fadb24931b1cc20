//! Name server and broker understand each other, also when one of them is Java's and the other ours.

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER};
use compat_tests::wire;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(messages_flow_through_neighbours).mixed(),
    scenario!(restarted_broker_registers_with_its_neighbour).alone().mixed(),
];

async fn messages_flow_through_neighbours(run: Run) -> Result<()> {
    let topic = run.name("topic");
    let created = run.mqadmin(&["updateTopic", "-c", CLUSTER, "-t", &topic, "-r", "4", "-w", "4"]).await?;
    ensure!(created.contains("success"), "updateTopic printed\n{created}");
    wire::until_routed(&run.cluster.name_servers(), &topic, &run.cluster.broker_address(), true).await?;
    let producer = run.producer("producer").await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let sent = producer.send(Line::send(&topic, "n").with("count", 30)).await?;
    check::arrived_once(&sent, &consumer.until_received(30).await?)?;

    let deleted = run.mqadmin(&["deleteTopic", "-c", CLUSTER, "-t", &topic]).await?;
    ensure!(deleted.contains("success"), "deleteTopic printed\n{deleted}");
    wire::until_routed(&run.cluster.name_servers(), &topic, &run.cluster.broker_address(), false).await
}

async fn restarted_broker_registers_with_its_neighbour(run: Run) -> Result<()> {
    let (name_server, broker) = (run.cluster.name_servers(), run.cluster.broker_address());
    let topic = run.topic("topic", 3).await?;
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 10);
    let mut sent = producer.send(line("before")).await?;

    // A broker that ends in order leaves the name server's lists at once.
    run.stop_broker().await?;
    wire::until_registered(&name_server, &broker, false).await?;
    wire::until_routed(&name_server, &topic, &broker, false).await?;

    run.start_broker().await?;
    wire::until_routed(&name_server, &topic, &broker, true).await?;
    let listed = run.mqadmin(&["clusterList"]).await?;
    let row = listed.lines().find(|line| line.contains(BROKER)).unwrap_or_default();
    ensure!(row.contains(CLUSTER) && row.contains(&broker), "clusterList printed\n{listed}");
    sent.extend(producer.send(line("after")).await?);
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(20).await?)
}
