//! mqadmin sends a message and finds messages by id.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::BROKER;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_sent_message_is_stored_as_told).with(&[Client::Mqadmin]),
    scenario!(mqadmin_finds_a_message_by_its_offset_id),
];

async fn mqadmin_sent_message_is_stored_as_told(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let send = ["sendMessage", "-t", &topic, "-p", "a body with blanks", "-k", "the-key", "-c", "the-tag"];
    let out = run.mqadmin(&send).await?;
    let row = out.lines().find(|line| line.contains("SEND_OK")).with_context(|| format!("not sent\n{out}"))?;
    ensure!(row.starts_with(BROKER), "sent to another broker: {row}");
    let chosen = run.mqadmin(&[&send[..], &["-b", BROKER, "-i", "1"]].concat()).await?;
    check::row(&chosen, &[BROKER, "1", "SEND_OK"])?;

    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    for received in consumer.until_received(2).await? {
        ensure!(received.body.as_deref() == Some("a body with blanks"), "{received:?}");
        ensure!(received.key == "the-key" && received.tag.as_deref() == Some("the-tag"), "{received:?}");
        ensure!(out.contains(&received.msg_id) || chosen.contains(&received.msg_id), "id of {received:?} in\n{out}");
    }
    Ok(())
}

async fn mqadmin_finds_a_message_by_its_offset_id(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let line = Line::send(&topic, "the-key").with("tag", "the-tag").with("count", 3);
    for sent in producer.send(line).await? {
        let [key] = sent.keys.as_slice() else { anyhow::bail!("one key each: {sent:?}") };
        let out = run.mqadmin(&["queryMsgById", "-t", &topic, "-i", &sent.offset_msg_id, "-f", "UTF-8"]).await?;
        let said = |what: &str, value: &str| {
            let found = out.lines().find_map(|line| line.strip_prefix(what)).map(str::trim);
            ensure!(found == Some(value), "{what} is {found:?}, not {value} in\n{out}");
            Ok(())
        };
        said("OffsetID:", &sent.offset_msg_id)?;
        said("Topic:", &topic)?;
        said("Tags:", "[the-tag]")?;
        said("Keys:", &format!("[{key}]"))?;
        said("Queue ID:", &sent.queue_id.to_string())?;
        said("Queue Offset:", &sent.queue_offset.to_string())?;
        said("Reconsume Times:", "0")?;
        said("Store Host:", &run.cluster.broker_address())?;
        said("Message Body:", key)?;
        ensure!(out.contains(&format!("UNIQ_KEY={}", sent.msg_id)), "no unique id {} in\n{out}", sent.msg_id);
    }
    // An offset where no message begins.
    let broken = {
        let mut sent = producer.send(Line::send(&topic, "other")).await?;
        let mut id = sent.pop().context("sent one")?.offset_msg_id;
        id.replace_range(16.., "00000FFFFFFFFFF0");
        id
    };
    let out = run.mqadmin(&["queryMsgById", "-t", &topic, "-i", &broken]).await?;
    ensure!(!out.contains("Store Host:"), "found something at {broken}\n{out}");
    Ok(())
}
