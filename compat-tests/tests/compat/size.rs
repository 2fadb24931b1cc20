//! Bodies up to the limit arrive unchanged, larger ones are refused without harm.

use anyhow::{Result, ensure};
use compat_tests::body::{Fill, crc};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(four_mib_bodies_arrive_unchanged), scenario!(oversize_body_is_refused_and_the_connection_lives)];

const MIB: usize = 1024 * 1024;
/// Java: `ResponseCode.MESSAGE_ILLEGAL`.
const MESSAGE_ILLEGAL: i32 = 13;

async fn four_mib_bodies_arrive_unchanged(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let line = |key: &str| Line::send(&topic, key).with("size", 4 * MIB);
    let plain = run.producer_with("plain", Line::new("with").with("compressOver", 16 * MIB)).await?;
    plain.send(line("noise").with("fill", "noise")).await?;
    let compressing = run.producer("compressing").await?;
    compressing.send(line("text").with("fill", "text")).await?;

    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let received = consumer.until_received(2).await?;
    for (received, (key, fill)) in received.iter().zip([("noise", Fill::Noise), ("text", Fill::Text)]) {
        ensure!(received.key == key && received.size == 4 * MIB, "{key} came as {received:?}");
        ensure!(received.crc == crc(key, 4 * MIB, fill), "the body of {key} changed");
    }
    Ok(())
}

async fn oversize_body_is_refused_and_the_connection_lives(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let careless = Line::new("with").with("maxSize", 16 * MIB).with("compressOver", 16 * MIB).with("retries", 0);
    let producer = run.producer_with("producer", careless).await?;
    let line = |key: &str| Line::send(&topic, key);
    let mut sent = producer.send(line("before")).await?;
    let refused = producer.try_send(line("large").with("size", 4 * MIB + 1)).await?;
    ensure!(refused.sent.is_empty(), "taken: {:?}", refused.sent);
    let [failed] = refused.failed.as_slice() else { anyhow::bail!("failed: {:?}", refused.failed) };
    ensure!(failed.code == Some(MESSAGE_ILLEGAL), "refused with {failed:?}");
    ensure!(failed.remark.starts_with("the message is illegal"), "refused with {failed:?}");
    sent.extend(producer.send(line("after")).await?);

    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    crate::check::arrived_once(&sent, &consumer.until_received(2).await?)
}
