//! A broker group of three replicas: one leader, and nothing acknowledged depends on it.
//!
//! Java's is DLedger. It needs six seconds and a vote until another leads, keeps topics, groups and offsets out of its log,
//! and has followers fetch them every ten seconds: scenarios wait for topics and groups on Java, and only there. Clients look at their
//! name server every second here, as in all scenarios (Go's every 30 s); `group_faults` has them as they come.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Consumer, Line, Producer};
use compat_tests::cluster::Layout;
use compat_tests::events::Sent;
use compat_tests::faults::{self, Plan};
use compat_tests::group::MEMBERS;
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER, Server, Target};
use tokio::time::sleep;

use crate::{check, dead_letter, delay, order, send, tags, transactions};

pub(crate) const SCENARIOS: &[Scenario] = &[
    // Java's broker that has had transactions takes all processors in a group, which others would miss.
    scenario!(group_serves_stock_clients).alone_with(Layout::GROUP).allowing(&CALM),
    scenario!(mqadmin_cluster_list_shows_the_group).in_group().with(&[Client::Mqadmin]).allowing(&logs::GROUP_FAULTS),
    scenario!(acknowledged_messages_survive_the_leader).in_group().allowing(&logs::GROUP_FAULTS),
    scenario!(topics_groups_and_offsets_survive_the_leader)
        .in_group()
        .with(&[Client::Java55, Client::Go])
        .allowing(&logs::GROUP_FAULTS),
    scenario!(begun_work_survives_the_leader).in_group().with(&[Client::Java55]).allowing(&WORK),
    scenario!(a_follower_serves_reads).in_group().with(&[Client::Java55, Client::Java49]).allowing(&logs::GROUP_FAULTS),
    scenario!(readers_far_behind_are_sent_to_a_follower)
        .in_group()
        .with(&[Client::Java55])
        .allowing(&logs::GROUP_FAULTS),
    scenario!(members_that_return_catch_up).in_group().with(&[Client::Java55]).allowing(&logs::GROUP_FAULTS),
    scenario!(a_member_that_lost_its_disk_is_filled_again)
        .in_group()
        .with(&[Client::Java55])
        .allowing(&logs::GROUP_FAULTS),
    // On Java's group it takes minutes, and `group_faults` has it for comparison.
    scenario!(rounds_of_faults_lose_nothing)
        .in_group()
        .with(&[Client::Java55])
        .allowing(&logs::GROUP_FAULTS)
        .on(&[Target::Ferromq]),
];

/// What stays in doubt is told of for as long as the group lives.
const CALM: [(&str, &str); 6] = with(with::<4, 5>(logs::GROUP, transactions::NOBODY), transactions::GIVEN_UP);
const WORK: [(&str, &str); 10] = with(logs::GROUP_FAULTS, transactions::NOBODY);

const fn with<const N: usize, const M: usize>(
    lines: [(&'static str, &'static str); N],
    more: (&'static str, &'static str),
) -> [(&'static str, &'static str); M] {
    assert!(M == N + 1, "one more than there were");
    let mut all = [more; M];
    let mut place = 0;
    while place < N {
        all[place] = lines[place];
        place += 1;
    }
    all
}

const QUEUES: i32 = 4;

async fn topic(run: &Run) -> Result<String> {
    run.topic("topic", QUEUES as u32).await
}

async fn group_serves_stock_clients(run: Run) -> Result<()> {
    // Some at a time: they mostly wait.
    tokio::try_join!(
        delay::delayed_messages_arrive_when_their_level_says(run.part("delay")),
        transactions::committed_transactions_arrive_and_rolled_back_ones_do_not(run.part("transactions")),
        dead_letter::failed_messages_come_back_until_taken(run.part("retry")),
        order::orderly_failure_holds_back_its_queue(run.part("held")),
    )?;
    tokio::try_join!(
        transactions::producers_are_asked_about_transactions_in_doubt(run.part("doubt")),
        send::sync_sends_arrive_as_sent(run.part("sync")),
        send::batch_keeps_order_at_consecutive_offsets(run.part("batch")),
        tags::tag_subscription_gets_its_tags_only(run.part("tags")),
        order::orderly_consumption_keeps_queue_order(run.part("orderly")),
    )?;
    Ok(())
}

async fn mqadmin_cluster_list_shows_the_group(run: Run) -> Result<()> {
    let leader = run.cluster.leader().await?;
    let out = run.mqadmin(&["clusterList"]).await?;
    for number in 0..MEMBERS {
        let id = if number == leader { 0 } else { number + 1 }.to_string();
        let address = run.cluster.member_address(number)?;
        let row = check::row(&out, &[CLUSTER, BROKER, &id, &address])?;
        let version = row.get(4).context("find the version")?;
        ensure!(version.starts_with('V'), "version {version} in\n{out}");
    }
    Ok(())
}

async fn acknowledged_messages_survive_the_leader(run: Run) -> Result<()> {
    let (topic, group) = (topic(&run).await?, run.name("group"));
    let consumer = run.push("consumer", &group, &topic).await?;
    let producer = streaming_producer(&run, &topic).await?;
    producer.until_sent(100).await?;
    consumer.until_received(50).await?;
    run.cluster.until_followers_know(&topic).await?;

    producer.until_sent(producer.sent().len() + 50).await?;
    let leader = run.cluster.leader().await?;
    run.cluster.kill_member(leader).await?;
    let before = producer.sent().len();
    run.cluster.until_led_by_another(leader).await?;
    producer.until_sent(before + 100).await?;
    run.cluster.start_member(leader).await?;
    run.cluster.until_whole().await?;
    producer.until_sent(producer.sent().len() + 50).await?;
    producer.stop_stream().await?;

    let sent = producer.sent();
    let received = consumer.until_keys(&check::keys_sent(&sent)).await?;
    check::are_where_acknowledged(&sent, &received)?;
    in_the_order_of_sends(&sent)?;
    let newcomer =
        run.push_with("newcomer", &run.name("newcomer"), &topic, Line::new("with").with("order", "orderly")).await?;
    let received = newcomer.until_keys(&check::keys_sent(&sent)).await?;
    check::are_where_acknowledged(&sent, &received)?;
    check::in_queue_order(&received)
}

/// One message after the other, so that each queue has them in the order of their numbers.
async fn streaming_producer(run: &Run, topic: &str) -> Result<Producer> {
    let producer = run.producer_with("producer", Line::new("with").with("timeout", 3000)).await?;
    producer.start_stream(Line::new("stream").with("topic", topic).with("key", "s").with("every", 5)).await?;
    Ok(producer)
}

fn in_the_order_of_sends(sent: &[Sent]) -> Result<()> {
    for queue in 0..QUEUES {
        let offsets: Vec<i64> = sent.iter().filter(|s| s.queue_id == queue).map(|s| s.queue_offset).collect();
        ensure!(offsets.is_sorted(), "queue {queue} has the messages in another order: {offsets:?}");
    }
    Ok(())
}

async fn topics_groups_and_offsets_survive_the_leader(run: Run) -> Result<()> {
    let (topic, group) = (run.name("topic"), run.name("group"));
    // The tool tells nothing of a moment without a leader.
    let done = |out: &str| out.contains("success");
    run.mqadmin_until(&["updateTopic", "-c", CLUSTER, "-t", &topic, "-r", "6", "-w", "6"], done).await?;
    run.mqadmin_until(&["topicRoute", "-t", &topic], |out| out.contains(BROKER)).await?;
    run.mqadmin_until(&["updateSubGroup", "-c", CLUSTER, "-g", &group, "-r", "7"], done).await?;
    let producer = run.producer("producer").await?;
    let first = producer.send(Line::send(&topic, "first").with("count", 60)).await?;
    let consumer = run.push("before", &group, &topic).await?;
    consumer.until_received(60).await?;
    run.until_committed(&consumer, &group, &topic).await?;
    check::arrived_once(&first, &consumer.quit().await?)?;
    let committed = run.cluster.offsets(&topic, &group).await?;
    // Ours gathers commits for up to 100 ms before they go through the log.
    sleep(Duration::from_millis(500)).await;
    run.cluster.until_followers_know(&topic).await?;
    run.cluster.until_followers_know(&format!("%RETRY%{group}")).await?;
    run.cluster.until_followers_know_group(&group, 7).await?;

    let leader = lose_the_leader(&run).await?;
    let offsets = run.cluster.offsets(&topic, &group).await?;
    ensure!(loses_offsets(&run) || offsets == committed, "the offsets were {committed:?} and are {offsets:?}");
    let settings = run.mqadmin(&["getConsumerConfig", "-g", &group]).await?;
    let retries = check::row(&settings.replace('=', " "), &["retryMaxTimes"])?;
    ensure!(retries.get(1).is_some_and(|times| times == "7"), "{settings}");
    let status = run.mqadmin_until(&["topicStatus", "-t", &topic], |out| out.contains(BROKER)).await?;
    ensure!(status.lines().filter(|line| line.starts_with(BROKER)).count() == 6, "six queues in\n{status}");

    // A producer that is new fails at once while none leads.
    run.cluster.until_routed(&topic).await?;
    let second = run.producer("second").await?.send(Line::send(&topic, "second").with("count", 60)).await?;
    let consumer = run.push("after", &group, &topic).await?;
    consumer.until_keys(&check::keys_sent(&second)).await?;
    run.until_committed(&consumer, &group, &topic).await?;
    let received = consumer.quit().await?;
    if !loses_offsets(&run) {
        check::arrived_once(&second, &received)?;
    }
    run.cluster.start_member(leader).await?;
    run.cluster.until_whole().await?;
    Ok(())
}

/// A follower of Java 5.5.0 cannot read the offsets that it fetches: once there are offsets of pulls, too, the answer has
/// numbers as keys where its parser allows none. The next leader knows none, and the group begins anew.
fn loses_offsets(run: &Run) -> bool {
    run.cluster.target.broker() == Server::Java
}

/// Kills the leader and waits for the next one; tells who it was.
async fn lose_the_leader(run: &Run) -> Result<usize> {
    let leader = run.cluster.leader().await?;
    run.cluster.kill_member(leader).await?;
    run.cluster.until_led_by_another(leader).await?;
    Ok(leader)
}

/// What is delayed, in doubt or to be tried again when the leader dies.
async fn begun_work_survives_the_leader(run: Run) -> Result<()> {
    let (delayed, doubtful, failing) =
        (run.topic("delayed", 2).await?, run.topic("doubtful", 2).await?, run.topic("failing", 1).await?);
    let group = run.name("failing");
    let fails = |failures: u32| Line::new("with").with("fail", failures);
    let producer = run.producer("producer").await?;
    let transactional = run.producer_with("transactional", Line::new("with").with("transactional", true)).await?;
    let member = run.push_with("fails", &group, &failing, fails(99)).await?;
    for topic in [&delayed, &doubtful, &failing] {
        run.cluster.until_followers_know(topic).await?;
    }
    run.cluster.until_followers_know(&format!("%RETRY%{group}")).await?;

    let to_fail = producer.send(Line::send(&failing, "fail").with("count", 5)).await?;
    member.until_received(10).await?;
    member.quit().await?;
    let line = |key: &str, check: &str| {
        let line = Line::send(&doubtful, key).with("count", 5).with("mode", "transaction");
        line.with("prop.local", "unknown").with("prop.check", check)
    };
    let committed = transactional.send(line("commit", "commit")).await?;
    transactional.send(line("rollback", "rollback")).await?;
    // Level 2 of `target::DELAY_LEVELS`: 3 s.
    let held = producer.send(Line::send(&delayed, "delayed").with("count", 10).with("delay", 2)).await?;
    let leader = lose_the_leader(&run).await?;

    let all = async |label: &str, topic: &str, sent: &[Sent]| {
        let consumer = run.push(label, &run.name(label), topic).await?;
        let received = consumer.until_keys(&check::keys_sent(sent)).await?;
        // What the dead leader was at may be done again, but nothing else comes.
        let keys: BTreeSet<String> = received.into_iter().map(|received| received.key).collect();
        ensure!(keys == check::keys_sent(sent), "received {keys:?}");
        Ok(())
    };
    all("after-delayed", &delayed, &held).await?;
    all("after-doubtful", &doubtful, &committed).await?;
    let again = run.push_with("takes", &group, &failing, fails(0)).await?;
    again.until_keys(&check::keys_sent(&to_fail)).await?;
    run.cluster.start_member(leader).await?;
    run.cluster.until_whole().await?;
    Ok(())
}

async fn a_follower_serves_reads(run: Run) -> Result<()> {
    let topic = topic(&run).await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "s").with("count", 80)).await?;
    run.cluster.until_followers_know(&topic).await?;
    run.cluster.until_followers_have(&topic, QUEUES).await?;
    let followers = run.cluster.followers().await?;
    let consumer = alone(&run, followers[0], &topic, &sent, "late").await?;
    run.cluster.until_whole().await?;
    if run.cluster.target.broker() == Server::Java {
        // Its next leader, just started, counts the offsets of the queues from 0 again (seen with 5.5.0).
        return Ok(());
    }
    // It goes on with the group, from where it was.
    let more = producer.send(Line::send(&topic, "more").with("count", 20)).await?;
    let received = consumer.until_keys(&check::keys_sent(&more)).await?;
    check::are_where_acknowledged(&[sent, more].concat(), &received)
}

/// Kills all members but `number`, without which none can lead, and has a new consumer get everything from it; the others
/// are then started again.
async fn alone(run: &Run, number: usize, topic: &str, sent: &[Sent], label: &str) -> Result<Consumer> {
    let others: Vec<usize> = (0..MEMBERS).filter(|other| *other != number).collect();
    for other in &others {
        run.cluster.kill_member(*other).await?;
    }
    let consumer = run.push(label, &run.name(label), topic).await?;
    let received = consumer.until_keys(&check::keys_sent(sent)).await?;
    check::are_where_acknowledged(sent, &received)?;
    for other in &others {
        run.cluster.start_member(*other).await?;
    }
    Ok(consumer)
}

async fn readers_far_behind_are_sent_to_a_follower(run: Run) -> Result<()> {
    let (topic, group) = (run.topic("topic", 1).await?, run.name("group"));
    let follower = run.cluster.followers().await?[0];
    let address = run.cluster.member_address(follower)?;
    // Whatever is not the last message counts as far behind.
    far_behind_is_everywhere(&run, "0").await?;
    let id = (follower + 1).to_string();
    let update = ["updateSubGroup", "-c", CLUSTER, "-g", &group, "-w", &id];
    run.mqadmin_until(&update, |out| out.contains("success")).await?;
    let sent = run.producer("producer").await?.send(Line::send(&topic, "s").with("count", 400)).await?;
    run.cluster.until_followers_know(&topic).await?;
    run.cluster.until_followers_have(&topic, 1).await?;
    let before = messages_got(&run, &address).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(400).await?)?;
    let got = messages_got(&run, &address).await? - before;
    far_behind_is_everywhere(&run, "40").await?;
    ensure!(got > 200, "n{follower} handed out {got} of 400 messages");
    Ok(())
}

/// Has all members take a reader for far behind from so many percent of the memory on.
async fn far_behind_is_everywhere(run: &Run, percent: &str) -> Result<()> {
    for number in 0..MEMBERS {
        far_behind_is(run, &run.cluster.member_address(number)?, percent).await?;
    }
    Ok(())
}

/// The same of one broker.
pub(crate) async fn far_behind_is(run: &Run, broker: &str, percent: &str) -> Result<()> {
    let update = ["updateBrokerConfig", "-b", broker, "-k", "accessMessageInMemoryMaxRatio", "-v", percent];
    let out = run.mqadmin(&update).await?;
    ensure!(out.contains("success"), "{out}");
    Ok(())
}

/// How many messages a broker has handed out since midnight.
pub(crate) async fn messages_got(run: &Run, broker: &str) -> Result<u64> {
    let out = run.mqadmin(&["brokerStatus", "-b", broker]).await?;
    let line = out.lines().find(|line| line.starts_with("msgGetTotalTodayNow")).with_context(|| out.clone())?;
    let (_, figure) = line.split_once(':').with_context(|| line.to_owned())?;
    figure.trim().parse().with_context(|| line.to_owned())
}

async fn members_that_return_catch_up(run: Run) -> Result<()> {
    let (topic, cluster) = (topic(&run).await?, &run.cluster);
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "before").with("count", 40)).await?;
    cluster.until_followers_know(&topic).await?;
    let follower = cluster.followers().await?[0];
    for fault in ["killed", "held", "cut"] {
        match fault {
            "killed" => cluster.kill_member(follower).await?,
            "held" => cluster.pause_member(follower).await?,
            _ => cluster.cut_member(follower).await?,
        }
        producer.send(Line::send(&topic, fault).with("count", 100)).await?;
        match fault {
            "killed" => cluster.start_member(follower).await?,
            "held" => cluster.resume_member(follower).await?,
            _ => cluster.mend_member(follower).await?,
        }
        cluster.until_whole().await?;
        cluster.until_member_has_the_same(follower, &topic, QUEUES).await?;
    }
    Ok(())
}

async fn a_member_that_lost_its_disk_is_filled_again(run: Run) -> Result<()> {
    let (topic, cluster) = (topic(&run).await?, &run.cluster);
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "before").with("count", 200)).await?;
    let follower = cluster.followers().await?[0];
    cluster.kill_member(follower).await?;
    cluster.wipe_member(follower).await?;
    producer.send(Line::send(&topic, "meanwhile").with("count", 100)).await?;
    cluster.start_member(follower).await?;
    cluster.until_whole().await?;
    cluster.until_followers_know(&topic).await?;
    cluster.until_member_has_the_same(follower, &topic, QUEUES).await
}

/// A kill, a pause and a cut of the leader, under the load of all clients with their own settings.
async fn rounds_of_faults_lose_nothing(run: Run) -> Result<()> {
    let plan = Plan { rounds: 3, seed: fastrand::u64(..), poll_ms: 30_000 };
    faults::run(&run, plan, |line| eprintln!("{line}")).await?;
    Ok(())
}
