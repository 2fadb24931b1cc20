//! A request is answered by a consumer, and the answer reaches the producer that asked.

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(request_gets_the_consumers_reply), scenario!(request_that_nobody_answers_fails_in_time)];

async fn request_gets_the_consumers_reply(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let text = format!("here you are {}", "again ".repeat(10));
    let replier = run.push_with("replier", &run.name("group"), &topic, Line::new("with").with("reply", &text)).await?;
    let producer = run.producer("producer").await?;
    // The broker passes replies to producers that it knows, and clients say hello to brokers that they know.
    producer.send(Line::send(run.topic("other", 1).await?, "hello")).await?;
    let known = ["producerConnection", "-g", &run.name("producer"), "-t", &topic];
    run.mqadmin_until(&known, |out| out.contains(&format!("@{}", run.name("producer")))).await?;
    let line = |key: &str| Line::new("request").with("topic", &topic).with("key", key).with("within", 30_000);
    let mut replies = producer.request(line("first")).await?;
    replies.extend(producer.request(line("more").with("count", 5)).await?);
    ensure!(replies.len() == 6, "replies: {replies:?}");
    for reply in &replies {
        ensure!(reply.body == text, "another reply: {reply:?}");
        for property in ["CORRELATION_ID", "REPLY_TO_CLIENT", "PUSH_REPLY_TIME"] {
            ensure!(reply.properties.contains_key(property), "no {property}: {reply:?}");
        }
    }
    replier.until_received(6).await?;
    // Replies are stored, too, for whoever looks for them.
    let stored = ["topicStatus", "-t", "DefaultCluster_REPLY_TOPIC"];
    let last = |line: &str| line.split_whitespace().nth(3).and_then(|column| column.parse::<i64>().ok());
    run.mqadmin_until(&stored, |out| out.lines().filter_map(last).sum::<i64>() >= 6).await?;
    Ok(())
}

async fn request_that_nobody_answers_fails_in_time(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer("producer").await?;
    let line = Line::new("request").with("topic", &topic).with("key", "lost").with("within", 1000);
    ensure!(producer.request(line).await.is_err(), "a request without a reply succeeded");
    Ok(())
}
