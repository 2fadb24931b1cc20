//! Delay levels hold messages back for their time.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(delayed_messages_arrive_when_their_level_says)];

pub(crate) async fn delayed_messages_arrive_when_their_level_says(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    // Levels 2 and 1 of `target::DELAY_LEVELS`: 3 s and 1 s.
    let line = |key: &str| Line::send(&topic, key);
    producer.send(line("late").with("delay", 2).with("tag", "t").with("prop.p", "v")).await?;
    producer.send(line("soon").with("delay", 1)).await?;
    producer.send(line("now")).await?;
    let received = consumer.until_received(3).await?;
    let of = |key: &str| received.iter().find(|received| received.key == key).with_context(|| format!("no {key}"));
    // Stored again when due: the store time tells the delay, the born time stays the producer's.
    for (received, delay_ms) in [(of("now")?, 0), (of("soon")?, 1000), (of("late")?, 3000)] {
        let held = received.store_time - received.born_time;
        ensure!((delay_ms - 20..delay_ms + 5000).contains(&held), "{} was held for {held} ms", received.key);
        ensure!(received.topic == topic && received.body.as_ref() == Some(&received.key), "{received:?}");
    }
    let late = of("late")?;
    ensure!(late.tag.as_deref() == Some("t"), "tag of {late:?}");
    ensure!(late.properties.get("p").map(String::as_str) == Some("v"), "properties of {late:?}");
    Ok(())
}
