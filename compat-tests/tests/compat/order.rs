//! Orderly consumption keeps the order of each queue, also when messages fail.

use anyhow::{Result, ensure};
use compat_tests::clients::{Line, Producer};
use compat_tests::events::{Received, Sent};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(orderly_consumption_keeps_queue_order), scenario!(orderly_failure_holds_back_its_queue)];

async fn orderly_consumption_keeps_queue_order(run: Run) -> Result<()> {
    let topic = run.topic("topic", 3).await?;
    let producer = run.producer("producer").await?;
    let consumer =
        run.push_with("consumer", &run.name("group"), &topic, Line::new("with").with("order", "orderly")).await?;
    let sent = send_interleaved(&producer, &topic, 20).await?;
    let received = consumer.until_received(60).await?;
    check::arrived_once(&sent, &received)?;
    check::in_queue_order(&received)
}

async fn orderly_failure_holds_back_its_queue(run: Run) -> Result<()> {
    let topic = run.topic("topic", 3).await?;
    let producer = run.producer("producer").await?;
    let sent = send_interleaved(&producer, &topic, 3).await?;
    let failing = Line::new("with").with("order", "orderly").with("fail", 2);
    let consumer = run.push_with("consumer", &run.name("group"), &topic, failing).await?;
    let received = consumer.until_received(27).await?;
    let taken: Vec<Received> = received.iter().filter(|received| received.ok).cloned().collect();
    check::arrived_once(&sent, &taken)?;
    for queue in 0..3 {
        let offsets: Vec<i64> = received.iter().filter(|r| r.queue_id == queue).map(|r| r.queue_offset).collect();
        ensure!(offsets == [0, 0, 0, 1, 1, 1, 2, 2, 2], "queue {queue} was delivered as {offsets:?}");
    }
    Ok(())
}

/// Sends `count` messages to each of three queues, queue by queue in turn.
async fn send_interleaved(producer: &Producer, topic: &str, count: usize) -> Result<Vec<Sent>> {
    let mut sent = Vec::new();
    for n in 0..count {
        for queue in 0..3 {
            let key = format!("q{queue}n{n}");
            sent.extend(producer.send(Line::send(topic, key).with("queue", queue)).await?);
        }
    }
    Ok(sent)
}
