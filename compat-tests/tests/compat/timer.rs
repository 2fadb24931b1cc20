//! Messages with a delivery time of their own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::cluster::Layout;
use compat_tests::events::Received;
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Server;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(timed_messages_arrive_at_their_time),
    scenario!(a_time_that_cannot_be_is_refused).with(&[Client::Java55]),
    scenario!(a_recalled_message_is_not_delivered).with(&[Client::Java55]),
    scenario!(timed_messages_survive_a_restart).alone_with(Layout::WITH_TIMER).with(&[Client::Java55]),
    scenario!(timed_messages_survive_kill_9)
        .alone_with(Layout::WITH_TIMER)
        .with(&[Client::Java55])
        .allowing(&logs::KILLED_WHILE_WRITING),
    scenario!(timed_messages_are_handed_over_and_back).alone_with(Layout::WITH_TIMER).with(&[Client::Java55]),
    scenario!(timed_messages_are_handed_over_and_back_by_kill_9)
        .alone_with(Layout::WITH_TIMER)
        .with(&[Client::Java55])
        .allowing(&logs::KILLED_WHILE_WRITING),
];

/// `TIMER_DELAY_MS` and its like; stock clients have setters for them in Java 5.x only.
fn timed(topic: &str, key: &str, property: &str, value: i64) -> Line {
    Line::send(topic, key).with(&format!("system.{property}"), value)
}

async fn timed_messages_arrive_at_their_time(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    let now = producer.send(Line::send(&topic, "now")).await?;
    ensure!(now[0].recall_handle.is_empty(), "a handle of a message that does not wait: {now:?}");
    let line = timed(&topic, "late", "TIMER_DELAY_MS", 5300).with("tag", "t").with("prop.p", "v");
    producer.send(line).await?;
    producer.send(timed(&topic, "soon", "TIMER_DELAY_SEC", 2)).await?;
    let first = consumer.until_received(1).await?;
    // The clients' machine has the same clock.
    let at = first[0].store_time + 3700;
    producer.send(timed(&topic, "at", "TIMER_DELIVER_MS", at)).await?;
    producer.send(timed(&topic, "past", "TIMER_DELIVER_MS", 1000)).await?;
    let received = consumer.until_received(5).await?;
    // By store times, as consumers are concurrent.
    let by_key = |key: &str| received.iter().find(|received| received.key == key).context("find one");
    let (soon, late) = (by_key("soon")?, by_key("late")?);
    let past = by_key("past")?;
    let dues =
        [(past, past.born_time), (soon, soon.born_time + 2000), (by_key("at")?, at), (late, late.born_time + 5300)];
    for (received, due) in dues {
        let lateness = received.store_time - due;
        ensure!((0..5000).contains(&lateness), "{} came {lateness} ms late", received.key);
        ensure!(received.topic == topic && received.body.as_ref() == Some(&received.key), "{received:?}");
    }
    ensure!(late.tag.as_deref() == Some("t"), "tag of {late:?}");
    ensure!(late.properties.get("p").map(String::as_str) == Some("v"), "properties of {late:?}");
    Ok(())
}

async fn a_time_that_cannot_be_is_refused(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer("producer").await?;
    for (key, property, value) in [("far", "TIMER_DELAY_SEC", 259_300), ("farther", "TIMER_DELIVER_MS", i64::MAX / 2)] {
        let answers = producer.try_send(timed(&topic, key, property, value)).await?;
        let failed = answers.failed.first().with_context(|| format!("{key} was taken: {answers:?}"))?;
        ensure!(failed.code == Some(13), "{key}: {failed:?}");
        ensure!(failed.remark.contains("should not be bigger than the max delay 259200000ms"), "{key}: {failed:?}");
    }
    Ok(())
}

async fn a_recalled_message_is_not_delivered(run: Run) -> Result<()> {
    let (topic, other) = (run.topic("topic", 1).await?, run.topic("other", 1).await?);
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    let keep = producer.send(timed(&topic, "keep", "TIMER_DELAY_MS", 4000)).await?;
    let drop = producer.send(timed(&topic, "drop", "TIMER_DELAY_MS", 4000)).await?;
    let handle = &drop[0].recall_handle;
    ensure!(!handle.is_empty() && *handle != keep[0].recall_handle, "handles of {keep:?} and {drop:?}");
    let recalled = producer.recall(&topic, handle).await?;
    ensure!(recalled.as_ref().is_ok_and(|id| *id == drop[0].msg_id), "recalled {recalled:?} of {drop:?}");
    let refused = producer.recall(&other, handle).await?;
    ensure!(refused.is_err(), "recalled by another topic: {refused:?}");
    // Of a message that has been delivered.
    let received = consumer.until_received(1).await?;
    ensure!(received[0].key == "keep", "received {received:?}");
    consumer.stays_at(1, Duration::from_secs(3)).await?;
    let refused = producer.recall(&topic, handle).await?;
    let failed = refused.err().context("recalled what must have come by now")?;
    ensure!((failed.code, failed.remark.as_str()) == (Some(604), "recall failed, timestamp invalid"), "{failed:?}");
    Ok(())
}

async fn timed_messages_survive_a_restart(run: Run) -> Result<()> {
    let (received, keys) = over_a_break(&run, false).await?;
    ensure!(check::keys_once(&received)? == keys, "{keys:?} were sent, {received:?} came");
    Ok(())
}

async fn timed_messages_survive_kill_9(run: Run) -> Result<()> {
    // What was just being delivered may come again.
    over_a_break(&run, true).await.map(drop)
}

/// Messages that are due before, while, and after the broker is away.
async fn over_a_break(run: &Run, kill: bool) -> Result<(Vec<Received>, std::collections::BTreeSet<String>)> {
    let topic = run.topic("topic", 1).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    let mut sent = Vec::new();
    for number in 0..40 {
        sent.extend(producer.send(timed(&topic, &format!("k{number}"), "TIMER_DELAY_MS", 1000 + 400 * number)).await?);
    }
    consumer.until_received(3).await?;
    if kill {
        run.kill_broker().await?;
    } else {
        run.stop_broker().await?;
    }
    run.start_broker().await?;
    let keys = check::keys_sent(&sent);
    consumer.until_keys(&keys).await?;
    let received = consumer.until_quiet(Duration::from_secs(2)).await?;
    for received in &received {
        let number: i64 = received.key[1..].parse().context("the number of a key")?;
        ensure!(received.store_time >= received.born_time + 1000 + 400 * number, "early: {received:?}");
    }
    Ok((received, keys))
}

async fn timed_messages_are_handed_over_and_back(run: Run) -> Result<()> {
    let received = handed_over(&run, false).await?;
    check::keys_once(&received).map(drop)
}

async fn timed_messages_are_handed_over_and_back_by_kill_9(run: Run) -> Result<()> {
    handed_over(&run, true).await.map(drop)
}

/// Java, ours and Java again, each with messages of those before it and some that it delivers itself.
async fn handed_over(run: &Run, kill: bool) -> Result<Vec<Received>> {
    let own = run.cluster.target.broker();
    run.begin_with(Server::Java).await?;
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer("producer").await?;
    let mut sent = Vec::new();
    for (turn, next) in [Some(own), Some(Server::Java), None].into_iter().enumerate() {
        let lasting = [2000, 12_000, 25_000, 25_300].into_iter().take(4 - turn);
        for delay in lasting {
            let line = timed(&topic, &format!("{turn}-{delay}"), "TIMER_DELAY_MS", delay);
            sent.extend(producer.send(line).await?);
        }
        let recalled = producer.send(timed(&topic, "recalled", "TIMER_DELAY_MS", 25_000)).await?;
        let answer = producer.recall(&topic, &recalled[0].recall_handle).await?;
        ensure!(answer.is_ok(), "{answer:?}");
        let Some(next) = next else { break };
        if kill {
            run.kill_broker().await?;
        } else {
            run.stop_broker().await?;
        }
        run.start_broker_of(next).await?;
    }
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    consumer.until_keys(&check::keys_sent(&sent)).await?;
    let received = consumer.until_quiet(Duration::from_secs(2)).await?;
    for received in &received {
        let delay = received.key.split_once('-').and_then(|(_, delay)| delay.parse::<i64>().ok());
        let delay = delay.with_context(|| format!("a message that was recalled: {received:?}"))?;
        ensure!(received.store_time >= received.born_time + delay, "early: {received:?}");
    }
    Ok(received)
}
