//! Orderly consumption keeps the order of each queue, also when messages fail.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line, Producer};
use compat_tests::dialogue::PATIENCE;
use compat_tests::events::{Received, Sent};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::BROKER;
use tokio::time::timeout;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(orderly_consumption_keeps_queue_order),
    scenario!(orderly_failure_holds_back_its_queue),
    scenario!(order_settings_of_a_topic_name_the_queues_that_are_sent_to)
        .lacking(&[(Client::Go, "it sends to all queues of the route, whatever the order settings say")]),
    scenario!(orderly_consumption_keeps_queue_order_over_restarts_of_the_broker).alone().allowing(&KILLED),
];

const KILLED: [(&str, &str); 1] = [("lost a broker's connection", "the name server tells of the kill")];

pub(crate) async fn orderly_consumption_keeps_queue_order(run: Run) -> Result<()> {
    let topic = run.topic("topic", 3).await?;
    let producer = run.producer("producer").await?;
    let consumer =
        run.push_with("consumer", &run.name("group"), &topic, Line::new("with").with("order", "orderly")).await?;
    let sent = send_interleaved(&producer, &topic, 20).await?;
    let received = consumer.until_received(60).await?;
    check::arrived_once(&sent, &received)?;
    check::in_queue_order(&received)
}

pub(crate) async fn orderly_failure_holds_back_its_queue(run: Run) -> Result<()> {
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

async fn order_settings_of_a_topic_name_the_queues_that_are_sent_to(run: Run) -> Result<()> {
    let topic = run.name("topic");
    let create = ["updateTopic", "-c", "DefaultCluster", "-t", &topic, "-r", "4", "-w", "4", "-o", "true"];
    let created = run.mqadmin(&create).await?;
    ensure!(created.contains("set cluster orderConf"), "{created}");
    // All four queues, as the tool has counted them.
    run.mqadmin_until(&["topicRoute", "-t", &topic], |out| out.contains(&format!("{BROKER}:4"))).await?;
    ensure!(queues_sent_to(&run, "four", &topic).await? == BTreeSet::from([0, 1, 2, 3]), "not all queues");

    let conf = format!("{BROKER}:2");
    let put = run.mqadmin(&["updateOrderConf", "-m", "put", "-t", &topic, "-v", &conf]).await?;
    ensure!(put.contains("update orderConf success"), "{put}");
    let got = run.mqadmin(&["updateOrderConf", "-m", "get", "-t", &topic]).await?;
    ensure!(got.contains(&conf), "{got}");
    run.mqadmin_until(&["topicRoute", "-t", &topic], |out| out.contains(&conf)).await?;
    ensure!(queues_sent_to(&run, "two", &topic).await? == BTreeSet::from([0, 1]), "the settings are not kept to");
    // A consumer still reads all of them.
    let settings = Line::new("with").with("order", "orderly");
    let consumer = run.push_with("consumer", &run.name("group"), &topic, settings).await?;
    check::in_queue_order(&consumer.until_received(32).await?)?;

    let deleted = run.mqadmin(&["updateOrderConf", "-m", "delete", "-t", &topic]).await?;
    ensure!(deleted.contains("delete orderConf success"), "{deleted}");
    run.mqadmin_until(&["topicRoute", "-t", &topic], |out| !out.contains(&conf)).await?;
    ensure!(queues_sent_to(&run, "none", &topic).await? == BTreeSet::from([0, 1, 2, 3]), "not all queues again");
    Ok(())
}

/// A new producer asks for the route.
async fn queues_sent_to(run: &Run, label: &str, topic: &str) -> Result<BTreeSet<i32>> {
    let producer = run.producer(label).await?;
    let sent = producer.send(Line::send(topic, label).with("count", 16)).await?;
    Ok(sent.iter().map(|sent| sent.queue_id).collect())
}

async fn orderly_consumption_keeps_queue_order_over_restarts_of_the_broker(run: Run) -> Result<()> {
    let (topic, group) = (run.topic("topic", 4).await?, run.name("group"));
    let orderly = || Line::new("with").with("order", "orderly");
    let one = run.push_with("one", &group, &topic, orderly()).await?;
    let two = run.push_with("two", &group, &topic, orderly()).await?;
    one.until_assignment("get half of the queues", |queues| queues.len() == 2).await?;
    two.until_assignment("get half of the queues", |queues| queues.len() == 2).await?;
    let producer = run.producer_with("producer", Line::new("with").with("timeout", 3000)).await?;
    // Nobody streams while others start.
    run.meet().await?;
    producer.start_stream(Line::new("stream").with("topic", &topic).with("key", "s")).await?;
    for kill in [false, true] {
        let before = producer.sent().len();
        producer.until_sent(before + 50).await?;
        if kill {
            run.kill_broker().await?;
        } else {
            run.stop_broker().await?;
        }
        let down = producer.sent().len();
        run.start_broker().await?;
        producer.until_sent(down + 50).await?;
    }
    producer.stop_stream().await?;

    let sent = producer.sent();
    let wanted = check::keys_sent(&sent);
    let all = async || {
        loop {
            let both = [one.received(), two.received()];
            let keys: BTreeSet<&String> = both.iter().flatten().map(|received| &received.key).collect();
            if wanted.iter().all(|key| keys.contains(key)) {
                return both;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let [one, two] = timeout(PATIENCE, all()).await.context("wait for all that was sent")?;
    never_skips(&one, &two)?;
    never_skips(&two, &one)
}

/// A queue may go back, to what was not committed, and never leaves out what the other consumer has not had either.
fn never_skips(received: &[Received], others: &[Received]) -> Result<()> {
    let place = |received: &Received| (received.queue_id, received.queue_offset);
    let others: BTreeSet<(i32, i64)> = others.iter().map(place).collect();
    let mut seen = BTreeSet::new();
    for received in received {
        let (queue, offset) = place(received);
        let before = (queue, offset - 1);
        ensure!(
            offset == 0 || seen.contains(&before) || others.contains(&before),
            "{before:?} was left out: {received:?}"
        );
        seen.insert((queue, offset));
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
