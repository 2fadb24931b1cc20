//! mqadmin creates, shows and deletes topics.

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_topic_lives_from_update_to_delete).with(&[Client::Mqadmin]).mixed(),
    scenario!(mqadmin_topic_that_may_not_be_read_gives_nothing),
    scenario!(mqadmin_topic_status_shows_offsets).with(&[Client::Mqadmin]),
    scenario!(mqadmin_stats_all_lists_topic_and_group).with(&[Client::Java55]),
];

async fn mqadmin_topic_lives_from_update_to_delete(run: Run) -> Result<()> {
    let topic = run.name("topic");
    let broker = run.cluster.broker_address();
    let created = run.mqadmin(&["updateTopic", "-c", CLUSTER, "-t", &topic, "-r", "6", "-w", "5"]).await?;
    ensure!(created.contains(&format!("create topic to {broker} success.")), "updateTopic printed\n{created}");
    let listed = |out: &str| out.lines().any(|line| line.trim() == topic);
    run.mqadmin_until(&["topicList"], listed).await?;

    let queues = |reads: u32, writes: u32, perm: u32| {
        let parts = [
            format!("\"brokerName\":\"{BROKER}\""),
            format!("\"0\":\"{broker}\"").replace('"', ""),
            format!("\"readQueueNums\":{reads}"),
            format!("\"writeQueueNums\":{writes}"),
            format!("\"perm\":{perm}"),
        ];
        move |out: &str| {
            let compact: String = out.split_whitespace().collect();
            let unquoted = compact.replace('"', "");
            parts.iter().all(|part| unquoted.contains(&part.replace('"', "")))
        }
    };
    run.mqadmin_until(&["topicRoute", "-t", &topic], queues(6, 5, 6)).await?;
    let table = run.mqadmin(&["topicRoute", "-t", &topic, "-l"]).await?;
    check::row(&table, &[CLUSTER, BROKER, &format!("{{0={broker}}}"), "6", "5", "6"])?;

    let changed = run.mqadmin(&["updateTopic", "-b", &broker, "-t", &topic, "-r", "4", "-w", "4", "-p", "4"]).await?;
    ensure!(changed.contains(&format!("create topic to {broker} success.")), "updateTopic printed\n{changed}");
    run.mqadmin_until(&["topicRoute", "-t", &topic], queues(4, 4, 4)).await?;

    let invalid = run.mqadmin(&["updateTopic", "-b", &broker, "-t", "not/allowed"]).await?;
    ensure!(!invalid.contains("success"), "a topic with an illegal name was created\n{invalid}");

    let deleted = run.mqadmin(&["deleteTopic", "-c", CLUSTER, "-t", &topic]).await?;
    for part in [
        format!("delete topic [{topic}] from cluster [{CLUSTER}] success."),
        format!("delete topic [{topic}] from NameServer success."),
    ] {
        ensure!(deleted.contains(&part), "no `{part}` in\n{deleted}");
    }
    run.mqadmin_until(&["topicList"], |out| !listed(out)).await?;
    let gone = run.mqadmin(&["topicRoute", "-t", &topic]).await?;
    ensure!(
        gone.contains("CODE: 17") && gone.contains("No topic route info in name server"),
        "topicRoute printed\n{gone}"
    );
    Ok(())
}

async fn mqadmin_topic_status_shows_offsets(run: Run) -> Result<()> {
    let topic = run.topic("topic", 3).await?;
    for (queue, count) in [("0", 1), ("2", 4)] {
        for n in 0..count {
            let body = format!("body {n}");
            let sent = run.mqadmin(&["sendMessage", "-t", &topic, "-p", &body, "-b", BROKER, "-i", queue]).await?;
            check::row(&sent, &[BROKER, queue, "SEND_OK"])?;
        }
    }
    let out = run.mqadmin(&["topicStatus", "-t", &topic]).await?;
    check::row(&out, &[BROKER, "0", "0", "1"])?;
    check::row(&out, &[BROKER, "1", "0", "0"])?;
    let row = check::row(&out, &[BROKER, "2", "0", "4"])?;
    ensure!(row.len() > 4, "no time of the last update in {row:?}");

    let unknown = run.mqadmin(&["topicStatus", "-t", &run.name("unknown")]).await?;
    ensure!(unknown.contains("CODE: 17"), "topicStatus of an unknown topic printed\n{unknown}");
    Ok(())
}

async fn mqadmin_stats_all_lists_topic_and_group(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "s").with("count", 20)).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    consumer.until_received(20).await?;
    // The tool cuts names to 64 characters.
    let cut = |name: &str| name.chars().take(64).collect::<String>();
    let (shown_topic, shown_group) = (cut(&topic), cut(&group));
    run.mqadmin_until(&["statsAll", "-t", &topic], |out| check::row(out, &[&shown_topic, &shown_group, "0"]).is_ok())
        .await?;
    Ok(())
}

async fn mqadmin_topic_that_may_not_be_read_gives_nothing(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let broker = run.cluster.broker_address();
    let permit = async |permission: &str| {
        let out = run.mqadmin(&["updateTopicPerm", "-b", &broker, "-t", &topic, "-p", permission]).await?;
        ensure!(out.contains("success"), "updateTopicPerm printed\n{out}");
        Ok(())
    };
    let producer = run.producer("producer").await?;
    let mut sent = producer.send(Line::send(&topic, "before").with("count", 3)).await?;
    permit("2").await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    sent.extend(producer.send(Line::send(&topic, "meanwhile").with("count", 3)).await?);
    consumer.stays_at(0, std::time::Duration::from_secs(3)).await?;
    permit("6").await?;
    check::arrived_once(&sent, &consumer.until_received(6).await?)
}
