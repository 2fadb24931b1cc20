//! Queues are shared out among the consumers that are there.

use anyhow::{Result, ensure};
use compat_tests::clients::Line;
use compat_tests::events::Received;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(queues_move_when_a_consumer_joins_and_leaves)];

async fn queues_move_when_a_consumer_joins_and_leaves(run: Run) -> Result<()> {
    let topic = run.topic("topic", 8).await?;
    let group = run.name("group");
    let all: Vec<i32> = (0..8).collect();
    let producer = run.producer("producer").await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 40);

    let stays = run.push("stays", &group, &topic).await?;
    stays.until_assigned(&all).await?;
    let alone = producer.send(line("alone")).await?;
    check::arrived_once(&alone, &stays.until_received(40).await?)?;
    // Whoever takes over a queue starts at its committed offset.
    run.until_committed(&stays, &group, &topic).await?;

    let leaves = run.push("leaves", &group, &topic).await?;
    leaves.until_assignment("get four queues", |queues| queues.len() == 4).await?;
    stays.until_assignment("give up four queues", |queues| queues.len() == 4).await?;
    let (mut shared, theirs) = (stays.assigned(), leaves.assigned());
    shared.extend(&theirs);
    shared.sort_unstable();
    ensure!(shared == all, "{:?} and {theirs:?} are not all queues", stays.assigned());

    let together = producer.send(line("together")).await?;
    let (for_us, for_them): (Vec<_>, Vec<_>) = together.into_iter().partition(|sent| !theirs.contains(&sent.queue_id));
    let (own, all_of_theirs) = (40 + for_us.len(), for_them.len());
    let received = stays.until_received(own).await?;
    check::arrived_once(&for_us, &received[40..])?;
    check::arrived_once(&for_them, &leaves.until_received(all_of_theirs).await?)?;
    leaves.quit().await?;

    stays.until_assigned(&all).await?;
    let again = producer.send(line("again")).await?;
    let received: Vec<Received> = stays.until_received(own + 40).await?.split_off(own);
    check::arrived_once(&again, &received)
}
