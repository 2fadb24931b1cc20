//! Broadcasting: everyone gets everything, and keeps their own offsets.

use std::time::Duration;

use anyhow::Result;
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(broadcasting_reaches_every_consumer)];

async fn broadcasting_reaches_every_consumer(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let group = run.name("group");
    let start =
        async |label: &str| run.push_with(label, &group, &topic, Line::new("with").with("model", "broadcasting")).await;
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 20);

    let mut sent = producer.send(line("early")).await?;
    let (one, two) = (start("one").await?, start("two").await?);
    one.until_received(20).await?;
    two.until_received(20).await?;
    check::arrived_once(&sent, &one.quit().await?)?;

    let later = producer.send(line("late")).await?;
    sent.extend(later.clone());
    // The same instance comes back to the offsets it kept on its own disk.
    let one = start("one").await?;
    check::arrived_once(&later, &one.until_received(20).await?)?;
    check::arrived_once(&sent, &two.until_received(40).await?)?;
    one.stays_at(20, Duration::from_secs(1)).await
}
