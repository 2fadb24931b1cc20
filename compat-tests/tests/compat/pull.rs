//! Pull consumers read when and where they want.

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::BROKER;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(lite_pull_continues_at_its_committed_offset), scenario!(lite_pull_reads_from_where_it_seeks)];

async fn lite_pull_continues_at_its_committed_offset(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "m").with("count", 60)).await?;

    let batch = Line::new("with").with("batch", 5);
    let first = run.pull_with("first", &group, &topic, batch.clone()).await?;
    let mut received = first.command(Line::new("poll").with("count", 20)).await?;
    ensure!((20..60).contains(&received.len()), "polled {}", received.len());
    first.command(Line::new("commit")).await?;
    first.quit().await?;

    let second = run.pull_with("second", &group, &topic, batch).await?;
    let rest = 60 - received.len();
    received.extend(second.command(Line::new("poll").with("count", rest)).await?);
    check::arrived_once(&sent, &received)?;
    check::in_queue_order(&received)
}

async fn lite_pull_reads_from_where_it_seeks(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let line = Line::send(&topic, "m").with("count", 30).with("queue", 1);
    let sent = producer.send(line).await?;
    let consumer =
        run.pull_with("reader", &run.name("group"), &topic, Line::new("with").with("mode", "assign")).await?;
    for start in [12, 3, 29] {
        let read = Line::new("read").with("broker", BROKER).with("queue", 1).with("offset", start).with("count", 1);
        let received = consumer.command(read).await?;
        let [first, ..] = received.as_slice() else { anyhow::bail!("nothing at {start}") };
        ensure!(first.queue_offset == start, "started at {} instead of {start}", first.queue_offset);
        check::in_queue_order(&received)?;
        let places = check::places(&sent)?;
        for received in &received {
            let key = places.get(&(received.queue_id, received.queue_offset));
            ensure!(key == Some(&received.key.as_str()), "{key:?} came as {received:?}");
        }
    }
    Ok(())
}
