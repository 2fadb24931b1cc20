//! mqadmin asks and orders clients about, by way of the broker they are connected to.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::Line;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::CLUSTER;
use compat_tests::wire;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_asks_a_consumer_what_it_does),
    scenario!(mqadmin_has_a_consumer_take_a_message_again),
    scenario!(connections_and_heartbeats_are_counted).alone(),
];

const VIEW_BROKER_STATS_DATA: i32 = 315;
const SUCCESS: i64 = 0;

/// The id of the one client of the group, as the broker lists it.
async fn client_id(run: &Run, group: &str) -> Result<String> {
    let is_id = |word: &&str| word.contains('@');
    let connected = ["consumerConnection", "-g", group];
    let out = run.mqadmin_until(&connected, |out| out.split_whitespace().any(|word| is_id(&word))).await?;
    out.split_whitespace().find(is_id).map(str::to_owned).context("find the client's id")
}

async fn mqadmin_asks_a_consumer_what_it_does(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let group = run.name("group");
    let consumer = run.push("consumer", &group, &topic).await?;
    consumer.until_assigned(&[0, 1]).await?;
    let client = client_id(&run, &group).await?;
    let out = run.mqadmin(&["consumerStatus", "-g", &group, "-i", &client]).await?;
    for part in ["#Consumer Properties#", "#Consumer Subscription#", &topic, "PROP_CONSUME_TYPE"] {
        ensure!(out.contains(part), "no `{part}` in\n{out}");
    }
    let nobody = run.mqadmin(&["consumerStatus", "-g", &group, "-i", "nobody@0"]).await?;
    ensure!(nobody.contains("The Consumer <") && nobody.contains("not online"), "of a client unknown:\n{nobody}");
    Ok(())
}

async fn mqadmin_has_a_consumer_take_a_message_again(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let group = run.name("group");
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "again")).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(1).await?)?;
    let client = client_id(&run, &group).await?;
    let id = &sent.first().context("one message was sent")?.msg_id;
    let push = ["queryMsgByUniqueKey", "-t", &topic, "-i", id, "-g", &group, "-d", &client];
    // The index follows the log.
    let out = run.mqadmin_until(&push, |out| out.contains("consumeResult")).await?;
    ensure!(out.contains("consumeResult=CR_SUCCESS"), "queryMsgByUniqueKey printed\n{out}");
    let received = consumer.until_received(2).await?;
    ensure!(received.iter().all(|received| received.key == received_key(&sent)), "deliveries: {received:?}");
    Ok(())
}

fn received_key(sent: &[compat_tests::events::Sent]) -> &str {
    sent.first().and_then(|sent| sent.keys.first()).map_or("", String::as_str)
}

async fn connections_and_heartbeats_are_counted(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "m")).await?;
    consumer.until_received(1).await?;
    for (name, key) in
        [("CHANNEL_ACTIVITY", "CONNECT"), ("CONSUMER_REGISTER_TIME", CLUSTER), ("PRODUCER_REGISTER_TIME", CLUSTER)]
    {
        until_counted(&run, name, key).await?;
    }
    // It lets a last answer go unread, or not: the connection is closed in either case.
    consumer.quit().await?;
    producer.quit().await?;
    until_counted(&run, "CHANNEL_ACTIVITY", "CLOSE").await
}

/// A figure exists from the first time that something was counted.
async fn until_counted(run: &Run, name: &str, key: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let fields = json!({"statsName": name, "statsKey": key});
        let answer = wire::call(&run.cluster.broker_address(), VIEW_BROKER_STATS_DATA, fields, &[]).await?;
        if answer.code == SUCCESS {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{name} of {key} was never counted: {answer:?}");
        sleep(Duration::from_millis(500)).await;
    }
}
