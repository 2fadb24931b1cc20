//! mqadmin moves groups in their topics.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::CLUSTER;

use crate::check;

/// What is asked is the broker, and its answers do not depend on the client.
const ONE: &[Client] = &[Client::Java55];

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_skips_what_a_group_has_not_consumed).with(ONE),
    scenario!(mqadmin_clones_the_progress_of_a_group).with(ONE),
];

async fn mqadmin_skips_what_a_group_has_not_consumed(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "taken").with("count", 10)).await?;
    let consumer = run.push("before", &group, &topic).await?;
    consumer.until_received(10).await?;
    run.until_committed(&consumer, &group, &topic).await?;
    consumer.quit().await?;

    producer.send(Line::send(&topic, "skipped").with("count", 12)).await?;
    run.until_backlog(&group, 12).await?;
    let out = run.mqadmin(&["skipAccumulatedMessage", "-g", &group, "-t", &topic]).await?;
    run.until_backlog(&group, 0).await.with_context(|| format!("skipAccumulatedMessage printed\n{out}"))?;
    let consumer = run.push("after", &group, &topic).await?;
    consumer.until_assigned(&[0, 1]).await?;
    let sent = producer.send(Line::send(&topic, "new").with("count", 2)).await?;
    check::arrived_once(&sent, &consumer.until_received(2).await?)
}

async fn mqadmin_clones_the_progress_of_a_group(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let (source, copy) = (run.name("source"), run.name("copy"));
    let producer = run.producer("producer").await?;
    let line = |key: &str, queue: u8, count: u8| Line::send(&topic, key).with("queue", queue).with("count", count);
    producer.send(line("taken", 0, 7)).await?;
    producer.send(line("taken-too", 1, 3)).await?;
    let consumer = run.push("consumer", &source, &topic).await?;
    consumer.until_received(10).await?;
    run.until_committed(&consumer, &source, &topic).await?;
    consumer.quit().await?;

    // The tool asks nobody to make the group.
    let made = run.mqadmin(&["updateSubGroup", "-c", CLUSTER, "-g", &copy]).await?;
    ensure!(made.contains("success"), "updateSubGroup printed\n{made}");
    let out = run.mqadmin(&["cloneGroupOffset", "-s", &source, "-d", &copy, "-t", &topic, "-o", "true"]).await?;
    ensure!(out.contains("clone group offset success"), "cloneGroupOffset printed\n{out}");
    let sent = producer.send(line("new", 1, 2)).await?;
    let consumer = run.push("clone", &copy, &topic).await?;
    consumer.until_received(2).await?;
    consumer.stays_at(2, Duration::from_secs(1)).await?;
    check::arrived_once(&sent, &consumer.received())
}
