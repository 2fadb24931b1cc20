//! Name servers may come and go.

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Consumer, Line, Producer};
use compat_tests::cluster::Layout;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::{logs, scenario, wire};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(clients_outlive_a_name_server_restart).alone().allowing(&logs::NAME_SERVER_GOES),
    scenario!(one_name_server_of_three_is_enough)
        .alone_with(Layout { name_servers: 3, ..Layout::SMALL })
        .allowing(&logs::NAME_SERVER_GOES),
];

/// Starts of a client that hits one of two dead name servers with two chances in three each time.
const ATTEMPTS: usize = 25;

/// What the 5.5.0 client says then.
const LOST: &str = "RemotingConnectException";

/// Key of the message a new producer starts with.
const FIRST: &str = "first";

async fn clients_outlive_a_name_server_restart(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let producer = run.producer("producer").await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let line = |key: &str| Line::send(&topic, key).with("count", 20);
    let mut sent = producer.send(line("before")).await?;
    consumer.until_received(20).await?;

    run.stop_name_server(0).await?;
    sent.extend(producer.send(line("without")).await?);
    check::arrived_once(&sent, &consumer.until_received(40).await?)?;

    // It starts empty and learns of the broker when that registers again.
    run.start_name_server(0).await?;
    let name_servers = run.cluster.name_server_addresses();
    wire::until_registered(&name_servers[0], &run.cluster.broker_address(), true).await?;
    wire::until_routed(&name_servers[0], &topic, &run.cluster.broker_address(), true).await?;
    sent.extend(producer.send(line("after")).await?);
    check::arrived_once(&sent, &consumer.until_received(60).await?)?;

    // The old producer finds a new topic, and a new consumer finds everything.
    let new_topic = run.topic("new-topic", 2).await?;
    let new = producer.send(Line::send(&new_topic, "new").with("count", 10)).await?;
    let newcomer = run.push("newcomer", &run.name("new-group"), &new_topic).await?;
    check::arrived_once(&new, &newcomer.until_received(10).await?)
}

async fn one_name_server_of_three_is_enough(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let line = |topic: &str, key: &str| Line::send(topic, key).with("count", 20);
    let producer = run.producer("producer").await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let mut sent = producer.send(line(&topic, "three")).await?;
    consumer.until_received(20).await?;

    run.stop_name_server(0).await?;
    run.stop_name_server(1).await?;
    sent.extend(producer.send(line(&topic, "one")).await?);
    check::arrived_once(&sent, &consumer.until_received(40).await?)?;

    // New topics and new clients that know all three addresses need the third only.
    let new_topic = run.topic("new-topic", 2).await?;
    let new_producer = run.producer("new-producer").await?;
    send_as_often_as_needed(&run, &new_producer, &new_topic).await?;
    let new = new_producer.send(line(&new_topic, "new")).await?;
    let newcomer = start_as_often_as_needed(&run, &new_topic).await?;
    let received = newcomer.until_received(21).await?;
    check::arrived_once(&new, &received.into_iter().filter(|received| received.key != FIRST).collect::<Vec<_>>())
}

/// Java's 5.5.0 client picks a name server at random and gives up what it is about if that one is down, as 4.9.7 and Go
/// do not. Its next try may have picked another one.
async fn send_as_often_as_needed(run: &Run, producer: &Producer, topic: &str) -> Result<()> {
    for attempt in 1.. {
        let answers = producer.try_send(Line::send(topic, FIRST)).await?;
        let may_try_again = run.client == Client::Java55 && attempt < ATTEMPTS;
        match answers.failed.first() {
            None => break,
            Some(failed) => ensure!(may_try_again && failed.remark.contains(LOST), "{failed:?}"),
        }
    }
    Ok(())
}

/// As for sends: whoever runs an application starts it again.
async fn start_as_often_as_needed(run: &Run, topic: &str) -> Result<Consumer> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match run.push(&format!("newcomer{attempt}"), &run.name("new-group"), topic).await {
            Err(err) if run.client == Client::Java55 && attempt < ATTEMPTS && err.to_string().contains(LOST) => {}
            outcome => return outcome,
        }
    }
}
