//! What is sent arrives as it was sent, whichever way it is sent.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::wire;
use serde_json::json;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(sync_sends_arrive_as_sent),
    scenario!(async_sends_arrive_as_sent),
    scenario!(one_way_sends_arrive),
    scenario!(batch_keeps_order_at_consecutive_offsets),
    scenario!(first_send_creates_its_topic),
    scenario!(topic_that_may_not_be_made_is_refused)
        .with(&[Client::Java55])
        .allowing(&[("no topic is created", "that is what is refused here")]),
];

const SEND_MESSAGE_V2: i32 = 310;
const TOPIC_NOT_EXIST: i64 = 17;

pub(crate) async fn sync_sends_arrive_as_sent(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let producer = run.producer("producer").await?;
    let line = || Line::new("send").with("topic", &topic);
    let mut sent = producer.send(line().with("key", "spread").with("count", 20)).await?;
    for queue in 0..4 {
        let key = format!("chosen{queue}");
        let chosen = producer.send(line().with("key", &key).with("count", 5).with("queue", queue)).await?;
        ensure!(chosen.iter().all(|sent| sent.queue_id == queue), "queue {queue} was asked for: {chosen:?}");
        sent.extend(chosen);
    }
    let dressed =
        line().with("key", "dressed").with("tag", "blue").with("prop.colour", "grün = green").with("prop.n", 7);
    sent.extend(producer.send(dressed.with("body", "dressed")).await?);
    for sent in &sent {
        ensure!(sent.offset_msg_id.len() == 32, "offset id of an IPv4 broker: {sent:?}");
        ensure!(sent.broker == compat_tests::target::BROKER, "sent to {}", sent.broker);
    }

    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let received = consumer.until_received(sent.len()).await?;
    check::arrived_once(&sent, &received)?;

    let dressed = received.iter().find(|received| received.key == "dressed").context("find the dressed one")?;
    ensure!(dressed.tag.as_deref() == Some("blue"), "tag of {dressed:?}");
    let property = |name: &str| dressed.properties.get(name).map(String::as_str);
    ensure!(property("colour") == Some("grün = green") && property("n") == Some("7"), "properties of {dressed:?}");
    let unique = sent.last().map(|sent| sent.msg_id.as_str());
    ensure!(unique == Some(&dressed.msg_id), "unique id of {dressed:?} is not {unique:?}");
    ensure!(dressed.topic == topic && dressed.reconsume_times == 0, "{dressed:?}");
    Ok(())
}

async fn async_sends_arrive_as_sent(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let producer = run.producer("producer").await?;
    let sent = producer
        .send(Line::new("send").with("mode", "async").with("topic", &topic).with("key", "a").with("count", 100))
        .await?;
    ensure!(check::keys_sent(&sent) == check::numbered("a", 100), "answered: {sent:?}");
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(100).await?)
}

async fn one_way_sends_arrive(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    let answered = producer
        .send(Line::new("send").with("mode", "oneway").with("topic", &topic).with("key", "o").with("count", 50))
        .await?;
    ensure!(answered.is_empty(), "one-way sends have no answer: {answered:?}");
    let keys = check::numbered("o", 50);
    let received = consumer.until_keys(&keys).await?;
    ensure!(check::keys_once(&received)? == keys, "received {received:?}");
    ensure!(received.iter().all(|received| received.body.as_ref() == Some(&received.key)), "bodies of {received:?}");
    Ok(())
}

pub(crate) async fn batch_keeps_order_at_consecutive_offsets(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let mut sent = Vec::new();
    for batch in ["x", "y", "z"] {
        let line = Line::new("send").with("mode", "batch").with("topic", &topic).with("key", batch).with("count", 10);
        sent.extend(producer.send(line.with("tag", batch)).await?);
    }
    ensure!(sent.len() == 3, "one answer per batch: {sent:?}");
    for batch in &sent {
        ensure!(batch.offset_msg_id.split(',').count() == 10, "one offset id per message: {batch:?}");
    }
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let received = consumer.until_received(30).await?;
    check::arrived_once(&sent, &received)?;
    for received in &received {
        ensure!(received.tag.as_deref() == received.key.get(..1), "tag of {received:?}");
    }
    Ok(())
}

async fn first_send_creates_its_topic(run: Run) -> Result<()> {
    let topic = run.name("new");
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "n").with("count", 8)).await?;
    // The client asks for 4 queues, fewer than the 8 of the template.
    let route = run.mqadmin_until(&["topicRoute", "-t", &topic], |out| out.contains("queueDatas")).await?;
    for part in ["\"readQueueNums\":4", "\"writeQueueNums\":4", "\"perm\":6"] {
        ensure!(route.replace(": ", ":").contains(part), "no {part} in the route\n{route}");
    }
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(8).await?)
}

/// A new topic takes its settings from another one, which says by its permission whether it may be made.
async fn topic_that_may_not_be_made_is_refused(run: Run) -> Result<()> {
    let (topic, model) = (run.name("topic"), run.topic("model", 1).await?);
    let fields = json!({
        "a": "group", "b": topic, "c": model, "d": "4", "e": "0", "f": "0", "g": "0", "h": "0", "i": "", "j": "0",
        "k": "false", "m": "false",
    });
    let answer = wire::call(&run.cluster.broker_address(), SEND_MESSAGE_V2, fields, b"x").await?;
    ensure!(answer.code == TOPIC_NOT_EXIST, "{answer:?}");
    ensure!(answer.remark.starts_with(&format!("topic[{topic}] not exist, apply first please!")), "{answer:?}");
    Ok(())
}
