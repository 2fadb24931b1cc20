//! A broker whose disk fills up serves what it has, takes nothing, and goes on by itself once there is space.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use compat_tests::clients::{Client, Line, Producer};
use compat_tests::cluster::Layout;
use compat_tests::events::{Failed, Sent};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(full_disk_refuses_sends_serves_reads_and_heals)
    .alone_with(Layout { disk_mib: Some(256), ..Layout::SMALL })
    .with(&[Client::Java55, Client::Go])
    .allowing(&[("the disk is nearly full", "it is, and operators have to know")])];

/// `SERVICE_NOT_AVAILABLE`.
const REFUSED: i32 = 14;
/// Brokers look at the disk every ten seconds.
const LOOKS_MAX: usize = 120;

async fn full_disk_refuses_sends_serves_reads_and_heals(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer_with("producer", Line::new("with").with("retries", 0)).await?;
    let mut sent = producer.send(Line::send(&topic, "before").with("count", 20)).await?;

    run.fill_broker_disk().await?;
    let (meanwhile, refusal) = until_refused(&producer, &topic).await?;
    sent.extend(meanwhile);
    ensure!(refusal.code == Some(REFUSED), "refused otherwise: {refusal:?}");
    ensure!(refusal.remark.contains("the broker's disk is full"), "no word of the disk: {refusal:?}");
    let reader = run.push("reader", &run.name("group"), &topic).await?;
    let count = sent.iter().map(|sent| sent.keys.len()).sum();
    check::arrived_once(&sent, &reader.until_received(count).await?)?;

    run.empty_broker_disk().await?;
    sent.push(until_taken(&producer, &topic).await?);
    check::arrived_once(&sent, &reader.until_received(count + 1).await?)?;
    check::places(&sent)?;
    Ok(())
}

/// Sends until the broker has noticed; what it took before, and how it refused.
async fn until_refused(producer: &Producer, topic: &str) -> Result<(Vec<Sent>, Failed)> {
    let mut sent = Vec::new();
    for look in 0..LOOKS_MAX {
        let mut answers = producer.try_send(Line::send(topic, format!("filling-{look}"))).await?;
        if let Some(refusal) = answers.failed.pop() {
            return Ok((sent, refusal));
        }
        sent.append(&mut answers.sent);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("a full disk is not noticed")
}

/// Sends until the broker takes a message again.
async fn until_taken(producer: &Producer, topic: &str) -> Result<Sent> {
    for look in 0..LOOKS_MAX {
        let mut answers = producer.try_send(Line::send(topic, format!("empty-{look}"))).await?;
        if let Some(sent) = answers.sent.pop() {
            return Ok(sent);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("an emptied disk is not noticed")
}
