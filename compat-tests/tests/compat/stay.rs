//! What waits in a Java broker's store survives a stay with a broker that does not serve it yet.
//!
//! On ours the broker in the middle is ours, which keeps timed messages and transactions in doubt where they are; on Java's
//! target all are Java.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::cluster::Layout;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Server;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[scenario!(what_waits_in_javas_store_survives_a_stay)
    .alone_with(Layout { timer: true, ..Layout::SMALL })
    .with(&[Client::Java55])];

/// Longer than the stay takes.
const DELAY_SECONDS: i64 = 30;

async fn what_waits_in_javas_store_survives_a_stay(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    run.cluster.stop_broker().await?;
    run.cluster.start_broker_of(Server::Java).await?;
    let (timed, in_doubt, failing) =
        (run.topic("timed", 1).await?, run.topic("in-doubt", 2).await?, run.topic("failing", 1).await?);
    let producer = run.producer_with("producer", Line::new("with").with("transactional", true)).await?;

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
    let later = producer.send(Line::send(&timed, "later").with("count", 5).with("delaySeconds", DELAY_SECONDS)).await?;
    let doubtful = |key: &str, check: &str| {
        Line::send(&in_doubt, key).with("count", 4).with("mode", "transaction").with("prop.check", check)
    };
    let committed = producer.send(doubtful("commit", "commit")).await?;
    producer.send(doubtful("rollback", "rollback")).await?;

    run.cluster.stop_broker().await?;
    run.cluster.start_broker_of(own).await?;
    let undertaker = run.push("undertaker", &run.name("undertaker"), &dead_letters).await?;
    let buried = undertaker.until_received(3).await?;
    ensure!(check::keys_once(&buried)? == check::keys_sent(&dead), "dead letters: {buried:?}");
    undertaker.quit().await?;

    run.cluster.stop_broker().await?;
    run.cluster.start_broker_of(Server::Java).await?;
    let member = run.push("committed", &run.name("committed"), &in_doubt).await?;
    member.until_keys(&check::keys_sent(&committed)).await?;
    let member_of_timed = run.push("timed", &run.name("timed"), &timed).await?;
    let received = member_of_timed.until_received(5).await?;
    ensure!(check::keys_once(&received)? == check::keys_sent(&later), "timed messages: {received:?}");
    for received in received {
        ensure!(received.store_time >= received.born_time + DELAY_SECONDS * 1000, "too early: {received:?}");
    }
    // A check that is repeated before its answer counts commits twice; what is rolled back never comes.
    let keys = member.until_quiet(Duration::from_secs(2)).await?.into_iter().map(|received| received.key).collect();
    let wanted = check::keys_sent(&committed);
    ensure!(wanted == keys, "{wanted:?} were committed, {keys:?} came");
    Ok(())
}
