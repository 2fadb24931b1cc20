//! Push consumers get everything once, and at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use tokio::time::Instant;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(concurrent_consumption_delivers_each_message_once), scenario!(waiting_consumer_is_woken_by_a_send)];

async fn concurrent_consumption_delivers_each_message_once(run: Run) -> Result<()> {
    let topic = run.topic("topic", 8).await?;
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 150);
    let mut sent = producer.send(line("before").with("mode", "async")).await?;
    let first = run.push("first", &run.name("group"), &topic).await?;
    sent.extend(producer.send(line("during")).await?);
    first.until_received(300).await?;

    // A second group sees the same messages, whatever the first did.
    let second = run.push("second", &run.name("other-group"), &topic).await?;
    check::arrived_once(&sent, &second.until_received(300).await?)?;
    first.stays_at(300, Duration::from_secs(1)).await?;
    check::arrived_once(&sent, &first.received())
}

async fn waiting_consumer_is_woken_by_a_send(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "first")).await?;
    consumer.until_received(1).await?;
    // By now a pull is held. Without a wake-up it would be looked at every few seconds only.
    let started = Instant::now();
    for count in 2..=9 {
        producer.send(Line::send(&topic, count)).await?;
        consumer.until_received(count).await?;
    }
    ensure!(started.elapsed() < Duration::from_secs(8), "eight deliveries took {:?}", started.elapsed());
    check::in_queue_order(&consumer.received())
}
