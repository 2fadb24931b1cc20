//! mqadmin shows and changes what consumer groups do.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_update_sub_group_sets_the_retry_queues),
    scenario!(mqadmin_disabled_group_gets_nothing),
    scenario!(mqadmin_group_that_may_not_broadcast_gets_nothing),
    scenario!(mqadmin_consumer_progress_counts_the_backlog),
    scenario!(mqadmin_lists_connected_clients),
    scenario!(mqadmin_reset_offset_by_time_moves_a_group),
];

async fn mqadmin_update_sub_group_sets_the_retry_queues(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let group = run.name("group");
    let out = run.mqadmin(&["updateSubGroup", "-c", CLUSTER, "-g", &group, "-q", "3"]).await?;
    let said = format!("create subscription group to {} success.", run.cluster.broker_address());
    ensure!(out.contains(&said), "updateSubGroup printed\n{out}");
    // The retry topic is made when the group is first seen, with the group's number of queues.
    let _consumer = run.push("consumer", &group, &topic).await?;
    let retry_topic = format!("%RETRY%{group}");
    run.mqadmin_until(&["topicRoute", "-t", &retry_topic], |out| {
        let compact: String = out.split_whitespace().collect();
        compact.contains("\"readQueueNums\":3") && compact.contains("\"writeQueueNums\":3")
    })
    .await?;
    Ok(())
}

async fn mqadmin_disabled_group_gets_nothing(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let (group, broker) = (run.name("group"), run.cluster.broker_address());
    let enable = async |enabled: &str| {
        let out = run.mqadmin(&["updateSubGroup", "-b", &broker, "-g", &group, "-s", enabled]).await?;
        ensure!(out.contains("success"), "updateSubGroup printed\n{out}");
        Ok(())
    };
    enable("false").await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "m").with("count", 5)).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    consumer.stays_at(0, std::time::Duration::from_secs(3)).await?;
    enable("true").await?;
    check::arrived_once(&sent, &consumer.until_received(5).await?)
}

async fn mqadmin_group_that_may_not_broadcast_gets_nothing(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let (group, broker) = (run.name("group"), run.cluster.broker_address());
    let allow = async |allowed: &str| {
        let out = run.mqadmin(&["updateSubGroup", "-b", &broker, "-g", &group, "-d", allowed]).await?;
        ensure!(out.contains("success"), "updateSubGroup printed\n{out}");
        Ok(())
    };
    allow("false").await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "m").with("count", 5)).await?;
    let consumer = run.push_with("consumer", &group, &topic, Line::new("with").with("model", "broadcasting")).await?;
    consumer.stays_at(0, std::time::Duration::from_secs(3)).await?;
    allow("true").await?;
    check::arrived_once(&sent, &consumer.until_received(5).await?)
}

async fn mqadmin_consumer_progress_counts_the_backlog(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("queue", 1);
    producer.send(line("done").with("count", 30)).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    consumer.until_received(30).await?;
    run.until_committed(&consumer, &group, &topic).await?;
    run.until_backlog(&group, 0).await?;
    consumer.quit().await?;

    producer.send(line("backlog").with("count", 12)).await?;
    let out = run.until_backlog(&group, 12).await?;
    let shown: String = topic.chars().take(64).collect();
    check::row(&out, &[&shown, BROKER, "1", "42", "30", "12"])?;
    Ok(())
}

async fn mqadmin_lists_connected_clients(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let (group, producers) = (run.name("group"), run.name("producer"));
    let producer = run.producer("producer").await?;
    // A producer tells the broker of itself once it knows a topic there.
    producer.send(Line::send(&topic, "m")).await?;
    let consumer = run.push_with("consumer", &group, &topic, Line::new("with").with("tags", "a || b")).await?;
    consumer.until_assigned(&[0]).await?;
    let language = if run.client == Client::Go { "GO" } else { "JAVA" };
    let version = match run.client {
        Client::Java49 => "V4_9_7",
        Client::Go => "V",
        Client::Java55 | Client::Mqadmin => "V5_5_0",
    };

    let out = run.mqadmin_until(&["consumerConnection", "-g", &group], |out| out.contains(&topic)).await?;
    let client = format!("@{}", run.name("consumer"));
    let row = out.lines().find(|line| line.contains(&client)).with_context(|| format!("no {client} in\n{out}"))?;
    ensure!(row.contains(language) && row.contains(version), "language and version in `{row}`");
    check::row(&out, &[&topic, "a", "||", "b"])?;
    for said in
        ["ConsumeType: CONSUME_PASSIVELY", "MessageModel: CLUSTERING", "ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET"]
    {
        ensure!(out.contains(said), "no `{said}` in\n{out}");
    }

    let connected = ["producerConnection", "-g", &producers, "-t", &topic];
    let client = format!("@{producers}");
    let out = run.mqadmin_until(&connected, |out| out.contains(&client)).await?;
    let row = out.lines().find(|line| line.contains(&client)).unwrap_or_default();
    ensure!(row.contains(language) && row.contains(version), "language and version in `{row}`");

    consumer.quit().await?;
    let gone =
        run.mqadmin_until(&["consumerConnection", "-g", &group], |out| !out.contains("CONSUME_PASSIVELY")).await?;
    ensure!(gone.contains("CODE: 206"), "consumerConnection of a group without members printed\n{gone}");
    Ok(())
}

async fn mqadmin_reset_offset_by_time_moves_a_group(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 20);
    let early = producer.send(line("early")).await?;
    // Store times are milliseconds; the second half must be younger than the first by a few.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let late = producer.send(line("late")).await?;
    let consumer = run.push("before", &group, &topic).await?;
    let received = consumer.until_received(40).await?;
    consumer.quit().await?;
    check::arrived_once(&[early, late.clone()].concat(), &received)?;

    let from = received.iter().filter(|r| r.key.starts_with("late")).map(|r| r.store_time).min();
    let from = from.context("find the time of the second half")?.to_string();
    let out = run.mqadmin(&["resetOffsetByTime", "-g", &group, "-t", &topic, "-s", &from]).await?;
    for queue in 0..2 {
        let first = late.iter().filter(|sent| sent.queue_id == queue).map(|sent| sent.queue_offset).min();
        let first = first.context("both queues got messages")?.to_string();
        check::row(&out, &[BROKER, &queue.to_string(), &first])?;
    }
    let consumer = run.push("after", &group, &topic).await?;
    consumer.until_received(20).await?;
    consumer.stays_at(20, std::time::Duration::from_secs(1)).await?;
    check::arrived_once(&late, &consumer.received())
}
