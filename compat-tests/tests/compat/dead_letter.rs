//! What fails comes back, and what keeps failing goes to the dead-letter queue.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(failed_messages_come_back_until_taken), scenario!(exhausted_messages_go_to_the_dead_letter_queue)];

pub(crate) async fn failed_messages_come_back_until_taken(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "r").with("count", 6).with("tag", "t")).await?;
    let failing = Line::new("with").with("fail", 2).with("tags", "t");
    let consumer = run.push_with("consumer", &run.name("group"), &topic, failing).await?;
    let received = consumer.until_received(18).await?;
    consumer.stays_at(18, Duration::from_secs(2)).await?;
    for sent in &sent {
        let deliveries: Vec<_> = received.iter().filter(|received| sent.keys.contains(&received.key)).collect();
        let times: Vec<i32> = deliveries.iter().map(|received| received.reconsume_times).collect();
        ensure!(times == [0, 1, 2], "{:?} was delivered with reconsume times {times:?}", sent.keys);
        for delivery in deliveries {
            ensure!(delivery.topic == topic && delivery.tag.as_deref() == Some("t"), "{delivery:?}");
            ensure!(delivery.body.as_ref() == Some(&delivery.key), "{delivery:?}");
            ensure!(delivery.msg_id == sent.msg_id, "unique id {} came back as {delivery:?}", sent.msg_id);
        }
    }
    Ok(())
}

async fn exhausted_messages_go_to_the_dead_letter_queue(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "d").with("count", 4).with("prop.p", "v")).await?;
    let hopeless = Line::new("with").with("fail", 1000).with("maxReconsume", 2);
    let consumer = run.push_with("consumer", &group, &topic, hopeless).await?;
    let received = consumer.until_received(12).await?;
    for key in check::keys_sent(&sent) {
        let times: Vec<i32> = received.iter().filter(|r| r.key == key).map(|r| r.reconsume_times).collect();
        ensure!(times == [0, 1, 2], "{key} was delivered with reconsume times {times:?}");
    }

    let dead_letters = format!("%DLQ%{group}");
    run.mqadmin_until(&["topicRoute", "-t", &dead_letters], |out| out.contains("queueDatas")).await?;
    let undertaker = run.push("undertaker", &run.name("undertaker"), &dead_letters).await?;
    let dead = undertaker.until_received(4).await?;
    ensure!(check::keys_once(&dead)? == check::keys_sent(&sent), "dead letters: {dead:?}");
    for dead in &dead {
        ensure!(dead.body.as_ref() == Some(&dead.key) && dead.topic == dead_letters, "{dead:?}");
        ensure!(dead.properties.get("p").map(String::as_str) == Some("v"), "properties of {dead:?}");
    }
    consumer.stays_at(12, Duration::from_secs(2)).await
}
