//! What is sent arrives as it was sent, whichever way it is sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use compat_tests::clients::Line;
use compat_tests::events::{Received, Sent};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(sync_sends_arrive_as_sent)];

async fn sync_sends_arrive_as_sent(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let producer = run.producer("producer").await?;
    let line = Line::new("send").with("topic", &topic).with("key", "k").with("count", 20).with("tag", "blue");
    let sent = producer.send(line).await?;
    ensure!(sent.len() == 20, "{} answers", sent.len());
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let received = consumer.until_received(20).await?;
    same_messages(&sent, &received)?;
    Ok(())
}

/// Every answered send was received once, at the place the answer named.
pub(crate) fn same_messages(sent: &[Sent], received: &[Received]) -> Result<()> {
    let mut expected: BTreeMap<(i32, i64), &str> = BTreeMap::new();
    for sent in sent {
        for (place, key) in (0..).zip(&sent.keys) {
            expected.insert((sent.queue_id, sent.queue_offset + place), key);
        }
    }
    for received in received {
        let place = (received.queue_id, received.queue_offset);
        let key = expected.remove(&place).with_context(|| format!("nothing was sent to {place:?}: {received:?}"))?;
        ensure!(received.key == key, "{place:?} holds {} instead of {key}", received.key);
    }
    ensure!(expected.is_empty(), "never received: {expected:?}");
    Ok(())
}
