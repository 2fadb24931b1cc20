//! A group goes on where it stopped, whoever was restarted meanwhile.

use std::time::Duration;

use anyhow::Result;
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(group_goes_on_after_a_consumer_restart),
    scenario!(messages_and_offsets_survive_a_broker_restart).alone(),
];

async fn group_goes_on_after_a_consumer_restart(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 40);
    let first = producer.send(line("first")).await?;
    let consumer = run.push("before", &group, &topic).await?;
    consumer.until_received(40).await?;
    // What a client commits with its last breath can be lost with its connection, on Java's broker too.
    run.until_committed(&consumer, &group, &topic).await?;
    check::arrived_once(&first, &consumer.quit().await?)?;

    let second = producer.send(line("second")).await?;
    let consumer = run.push("after", &group, &topic).await?;
    consumer.until_received(40).await?;
    consumer.stays_at(40, Duration::from_secs(1)).await?;
    check::arrived_once(&second, &consumer.received())
}

async fn messages_and_offsets_survive_a_broker_restart(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 50);
    let first = producer.send(line("first")).await?;
    let consumer = run.push("before", &group, &topic).await?;
    consumer.until_received(50).await?;
    run.until_committed(&consumer, &group, &topic).await?;
    check::arrived_once(&first, &consumer.quit().await?)?;

    run.stop_broker().await?;
    run.start_broker().await?;

    // The producer lived through it.
    let second = producer.send(line("second")).await?;
    let consumer = run.push("after", &group, &topic).await?;
    consumer.until_received(50).await?;
    consumer.stays_at(50, Duration::from_secs(1)).await?;
    check::arrived_once(&second, &consumer.received())?;

    let newcomer = run.push("newcomer", &run.name("new-group"), &topic).await?;
    check::arrived_once(&[first, second].concat(), &newcomer.until_received(100).await?)
}
