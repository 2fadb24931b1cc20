//! An acknowledged message is never lost to a killed broker.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::cluster::Layout;
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Flush;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(acknowledged_messages_survive_kill_9).alone().allowing(&[logs::KILLED]),
    scenario!(acknowledged_messages_survive_kill_9_with_sync_flush)
        .alone_with(Layout { flush: Flush::Sync, ..Layout::SMALL })
        .allowing(&[logs::KILLED]),
];

async fn acknowledged_messages_survive_kill_9(run: Run) -> Result<()> {
    kill_in_the_middle_of_sends(run).await
}

async fn acknowledged_messages_survive_kill_9_with_sync_flush(run: Run) -> Result<()> {
    kill_in_the_middle_of_sends(run).await
}

async fn kill_in_the_middle_of_sends(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let producer = run.producer_with("producer", Line::new("with").with("timeout", 3000)).await?;
    // Nobody streams while others start.
    run.meet().await?;
    producer.start_stream(Line::new("stream").with("topic", &topic).with("key", "s")).await?;
    producer.until_sent(200).await?;
    run.kill_broker().await?;
    let before = producer.sent().len();
    run.start_broker().await?;
    producer.until_sent(before + 100).await?;
    producer.stop_stream().await?;

    let sent = producer.sent();
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let received = consumer.until_keys(&check::keys_sent(&sent)).await?;
    // A send that failed may be stored or not, and a retried one twice; an acknowledged one is where its answer said.
    let mut stored: BTreeMap<(i32, i64), &str> = BTreeMap::new();
    for received in &received {
        let place = (received.queue_id, received.queue_offset);
        let other = stored.insert(place, &received.key);
        ensure!(other.is_none_or(|other| other == received.key), "{other:?} is at the place of {received:?}");
        ensure!(received.body.as_ref() == Some(&received.key), "another body: {received:?}");
    }
    for (place, key) in check::places(&sent)? {
        ensure!(
            stored.get(&place) == Some(&key),
            "{key} was acknowledged at {place:?}, where {:?} is",
            stored.get(&place)
        );
    }
    Ok(())
}
