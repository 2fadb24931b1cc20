//! What waits in a Java broker's store survives a stay with another broker.
//!
//! On ours the broker in the middle is ours; on Java's target all are Java.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::cluster::Layout;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Server;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] =
    &[scenario!(what_waits_in_javas_store_survives_a_stay).alone_with(Layout::WITH_TIMER).with(&[Client::Java55])];

/// Longer than the stay takes.
const DELAY_SECONDS: i64 = 30;

async fn what_waits_in_javas_store_survives_a_stay(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    run.begin_with(Server::Java).await?;
    let (timed, failing) = (run.topic("timed", 1).await?, run.topic("failing", 1).await?);
    let producer = run.producer("producer").await?;

    let (dead, dead_letters) = {
        let group = run.name("failing-group");
        let dead = producer.send(Line::send(&failing, "dead").with("count", 3)).await?;
        let hopeless = Line::new("with").with("fail", 1000).with("maxReconsume", 1);
        let member = run.push_with("hopeless", &group, &failing, hopeless).await?;
        member.until_received(6).await?;
        let dead_letters = format!("%DLQ%{group}");
        run.mqadmin_until(&["topicRoute", "-t", &dead_letters], |out| out.contains("queueDatas")).await?;
        member.stays_at(6, Duration::from_secs(2)).await?;
        member.quit().await?;
        (dead, dead_letters)
    };
    let later = producer
        .send(Line::send(&timed, "later").with("count", 5).with("system.TIMER_DELAY_SEC", DELAY_SECONDS))
        .await?;

    run.stop_broker().await?;
    run.start_broker_of(own).await?;
    let undertaker = run.push("undertaker", &run.name("undertaker"), &dead_letters).await?;
    let buried = undertaker.until_received(3).await?;
    ensure!(check::keys_once(&buried)? == check::keys_sent(&dead), "dead letters: {buried:?}");
    undertaker.quit().await?;

    run.stop_broker().await?;
    run.start_broker_of(Server::Java).await?;
    let member = run.push("timed", &run.name("timed"), &timed).await?;
    let received = member.until_received(5).await?;
    ensure!(check::keys_once(&received)? == check::keys_sent(&later), "timed messages: {received:?}");
    for received in received {
        ensure!(received.store_time >= received.born_time + DELAY_SECONDS * 1000, "too early: {received:?}");
    }
    Ok(())
}
