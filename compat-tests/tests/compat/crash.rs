//! An acknowledged message is never lost to a killed broker.

use anyhow::Result;
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
    check::are_where_acknowledged(&sent, &received)
}
