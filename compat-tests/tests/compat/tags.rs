//! A subscription by tags gets its tags and nothing else.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(tag_subscription_gets_its_tags_only)];

/// `AaAa` and `BBBB` have the same hash code in Java, by which brokers filter: clients must still tell them apart.
const TAGS: [&str; 4] = ["AaAa", "BBBB", "red", "blue"];

pub(crate) async fn tag_subscription_gets_its_tags_only(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let mut sent = Vec::new();
    for round in 0..10 {
        for tag in TAGS {
            let line = Line::send(&topic, format!("{tag}-{round}")).with("tag", tag);
            sent.extend(producer.send(line).await?);
        }
        sent.extend(producer.send(Line::send(&topic, format!("none-{round}"))).await?);
    }
    let some = run.push_with("some", &run.name("some"), &topic, Line::new("with").with("tags", "AaAa || red")).await?;
    let all = run.push("all", &run.name("all"), &topic).await?;
    check::arrived_once(&sent, &all.until_received(50).await?)?;

    let wanted: BTreeSet<String> = ["AaAa", "red"].iter().flat_map(|tag| check::numbered(tag, 10)).collect();
    some.until_keys(&wanted).await?;
    // One more that is wanted, behind all that are not: what should not come would have come before it.
    for queue in 0..2 {
        let last = Line::new("send").with("topic", &topic).with("tag", "red").with("queue", queue);
        producer.send(last.with("key", format!("last-{queue}"))).await?;
    }
    let received = some.until_received(22).await?;
    let keys = check::keys_once(&received)?;
    let expected: BTreeSet<String> = wanted.into_iter().chain(check::numbered("last", 2)).collect();
    ensure!(keys == expected, "received {keys:?}");
    for received in &received {
        ensure!(["AaAa", "red"].contains(&received.tag.as_deref().unwrap_or_default()), "received {received:?}");
    }
    Ok(())
}
