//! Transactions: what is committed arrives, what is rolled back does not, and the broker asks about the rest.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line, Producer};
use compat_tests::events::Received;
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Server;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    // Where there have been transactions, Java goes on looking with most of a core, which others would miss.
    scenario!(committed_transactions_arrive_and_rolled_back_ones_do_not).alone().mixed(),
    // What stays in doubt is told in the log, which others would not expect.
    scenario!(producers_are_asked_about_transactions_in_doubt).alone().mixed().allowing(&[NOBODY, GIVEN_UP]),
    scenario!(another_producer_of_the_group_is_asked).alone().allowing(&[NOBODY]),
    scenario!(transactions_in_doubt_survive_a_restart).alone().allowing(&[NOBODY]),
    scenario!(transactions_in_doubt_survive_kill_9).alone().allowing(&[NOBODY, logs::KILLED]),
    scenario!(transactions_in_doubt_are_resolved_by_the_next_broker).alone().allowing(&[NOBODY]),
    scenario!(transactions_in_doubt_of_java_4_9_are_resolved)
        .alone()
        .with(&[Client::Java49])
        .allowing(&[NOBODY, logs::OLD_LEAVES]),
    scenario!(given_up_transactions_can_be_resumed).alone().with(&[Client::Java55]).allowing(&[NOBODY, GIVEN_UP]),
];

pub(crate) const NOBODY: (&str, &str) = logs::NOBODY_TO_ASK;
pub(crate) const GIVEN_UP: (&str, &str) = ("given up, as nobody says", "that is what happens here");

/// Longer than a look of the broker takes to come, and its answer.
const LOOKS: Duration = Duration::from_secs(4);

fn transactional() -> Line {
    Line::new("with").with("transactional", true)
}

/// Transactions that their producer ends as `local` says, and as `check` says when it is asked.
fn transactions(topic: &str, key: &str, count: usize, local: &str, check: &str) -> Line {
    let line = Line::send(topic, key).with("count", count).with("mode", "transaction").with("tag", "t");
    line.with("prop.local", local).with("prop.check", check).with("prop.p", "v")
}

fn keys(received: &[Received]) -> BTreeSet<String> {
    received.iter().map(|received| received.key.clone()).collect()
}

/// What consumers see of a committed transaction is the message that was sent.
fn is_as_sent(received: &[Received], topic: &str) -> Result<()> {
    for received in received {
        ensure!(received.topic == topic && received.tag.as_deref() == Some("t"), "{received:?}");
        ensure!(received.body.as_ref() == Some(&received.key), "{received:?}");
        ensure!(received.properties.get("p").map(String::as_str) == Some("v"), "{received:?}");
        ensure!(!received.properties.contains_key("REAL_TOPIC"), "{received:?}");
    }
    Ok(())
}

pub(crate) async fn committed_transactions_arrive_and_rolled_back_ones_do_not(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let tagged = Line::new("with").with("tags", "t");
    let consumer = run.push_with("consumer", &run.name("group"), &topic, tagged).await?;
    let producer = run.producer_with("producer", transactional()).await?;
    let committed = producer.send(transactions(&topic, "commit", 5, "commit", "rollback")).await?;
    producer.send(transactions(&topic, "rollback", 5, "rollback", "commit")).await?;
    consumer.until_received(5).await?;
    let received = consumer.until_quiet(LOOKS).await?;
    ensure!(check::keys_once(&received)? == check::keys_sent(&committed), "{received:?}");
    is_as_sent(&received, &topic)?;
    let asked = producer.checks("commit-0") + producer.checks("rollback-0");
    ensure!(asked == 0, "the broker asked about what it was told");
    Ok(())
}

pub(crate) async fn producers_are_asked_about_transactions_in_doubt(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let producer = run.producer_with("producer", transactional()).await?;
    // The broker looks soon after these.
    run.meet().await?;
    let committed = producer.send(transactions(&topic, "commit", 3, "unknown", "commit")).await?;
    let rolled_back = producer.send(transactions(&topic, "rollback", 3, "unknown", "rollback")).await?;
    let unknown = producer.send(transactions(&topic, "unknown", 1, "unknown", "unknown")).await?;
    ensure!(consumer.received().is_empty(), "{:?}", consumer.received());
    producer.until_checked(check::keys_sent(&[committed.clone(), rolled_back, unknown].concat()).iter()).await?;
    consumer.until_keys(&check::keys_sent(&committed)).await?;
    let received = consumer.until_quiet(LOOKS).await?;
    ensure!(keys(&received) == check::keys_sent(&committed), "{received:?}");
    is_as_sent(&received, &topic)?;
    ensure!(producer.checks("unknown-0") >= 2, "one that nobody knows of is asked about again");
    // Nobody else needs to be asked about it.
    producer.quit().await
}

async fn another_producer_of_the_group_is_asked(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let group = Line::new("with").with("transactional", true).with("group", run.name("producers"));
    let first = run.producer_with("first", group.clone()).await?;
    let committed = first.send(transactions(&topic, "commit", 3, "unknown", "commit")).await?;
    first.quit().await?;
    let second = heir(&run, &topic, group).await?;
    second.until_checked(&check::keys_sent(&committed)).await?;
    consumer.until_keys(&check::keys_sent(&committed)).await?;
    ensure!(keys(&consumer.received()) == check::keys_sent(&committed), "{:?}", consumer.received());
    Ok(())
}

/// A producer that has spoken to the broker: producers do so once they know a topic.
async fn heir(run: &Run, topic: &str, settings: Line) -> Result<Producer> {
    let producer = run.producer_with("second", settings).await?;
    producer.send(transactions(topic, "hello", 1, "rollback", "rollback")).await?;
    Ok(producer)
}

async fn transactions_in_doubt_survive_a_restart(run: Run) -> Result<()> {
    in_doubt_over_a_start(&run, async || run.stop_broker().await).await
}

async fn transactions_in_doubt_survive_kill_9(run: Run) -> Result<()> {
    in_doubt_over_a_start(&run, async || run.kill_broker().await).await
}

async fn in_doubt_over_a_start(run: &Run, end: impl AsyncFn() -> Result<()>) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer_with("producer", transactional()).await?;
    let done = producer.send(transactions(&topic, "done", 3, "commit", "commit")).await?;
    producer.send(transactions(&topic, "undone", 3, "rollback", "rollback")).await?;
    let before = run.push("before", &run.name("before"), &topic).await?;
    before.until_keys(&check::keys_sent(&done)).await?;
    before.quit().await?;
    // The end comes before the broker looks.
    run.meet().await?;
    let doubtful = producer.send(transactions(&topic, "commit", 3, "unknown", "commit")).await?;
    producer.send(transactions(&topic, "rollback", 3, "unknown", "rollback")).await?;
    end().await?;
    run.start_broker().await?;
    let after = run.push("after", &run.name("after"), &topic).await?;
    let wanted = check::keys_sent(&[done, doubtful].concat());
    after.until_keys(&wanted).await?;
    let received = after.until_quiet(LOOKS).await?;
    ensure!(keys(&received) == wanted, "{received:?}");
    is_as_sent(&received, &topic)
}

async fn given_up_transactions_can_be_resumed(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let broker = run.cluster.broker_address();
    let limit = async |times: &str| {
        run.mqadmin(&["updateBrokerConfig", "-b", &broker, "-k", "transactionCheckMax", "-v", times]).await
    };
    limit("1").await?;
    let group = Line::new("with").with("transactional", true).with("group", run.name("producers"));
    let first = run.producer_with("first", group.clone()).await?;
    let sent = first.send(transactions(&topic, "t", 1, "unknown", "commit")).await?;
    first.quit().await?;
    let given_up = "TRANS_CHECK_MAX_TIME_TOPIC";
    run.mqadmin_until(&["topicRoute", "-t", given_up], |out| out.contains("queueDatas")).await?;
    let undertaker = run.push("undertaker", &run.name("undertaker"), given_up).await?;
    let dead = undertaker.until_received(1).await?.remove(0);
    ensure!(check::keys_sent(&sent).contains(&dead.key), "{dead:?}");
    ensure!(dead.properties.get("TRANSACTION_CHECK_TIMES").map(String::as_str) == Some("1"), "{dead:?}");

    limit("15").await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let second = heir(&run, &topic, group).await?;
    run.mqadmin_until(&["resumeCheckHalfMessage", given_up, &dead.msg_id], |out| out.contains("true")).await?;
    second.until_checked(&check::keys_sent(&sent)).await?;
    consumer.until_keys(&check::keys_sent(&sent)).await?;
    Ok(())
}

async fn transactions_in_doubt_are_resolved_by_the_next_broker(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    handed_over(&run, &[Server::Java, own, Server::Java]).await
}

async fn transactions_in_doubt_of_java_4_9_are_resolved(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    handed_over(&run, &[Server::OldJava, own, Server::OldJava]).await
}

/// Each broker is left transactions in doubt, which its successor asks about: same files, same name, same address.
async fn handed_over(run: &Run, makes: &[Server]) -> Result<()> {
    run.begin_with(makes[0]).await?;
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer_with("producer", transactional()).await?;
    let mut wanted = BTreeSet::new();
    for (turn, next) in makes.iter().skip(1).enumerate() {
        // The end comes before the broker looks.
        run.meet().await?;
        for (key, local, check) in [
            ("done", "commit", "commit"),
            ("undone", "rollback", "rollback"),
            ("commit", "unknown", "commit"),
            ("rollback", "unknown", "rollback"),
        ] {
            let sent = producer.send(transactions(&topic, &format!("{key}-{turn}"), 3, local, check)).await?;
            if check == "commit" {
                wanted.extend(check::keys_sent(&sent));
            }
        }
        run.stop_broker().await?;
        run.start_broker_of(*next).await?;
        let member = run.push(&format!("after-{turn}"), &run.name(&format!("after-{turn}")), &topic).await?;
        member.until_keys(&wanted).await?;
        let received = member.until_quiet(LOOKS).await?;
        ensure!(keys(&received) == wanted, "{wanted:?} were committed, not {received:?}");
        member.quit().await?;
    }
    Ok(())
}
