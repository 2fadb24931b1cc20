//! What a slave is good for: it knows what its master knows, hands out messages while that is gone or busy, and what consumers
//! committed to it is not lost.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::cluster::Layout;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, CLUSTER, Post, Server, Target};
use compat_tests::{scenario, wire};

use crate::check;
use crate::group::{far_behind_is, messages_got};
use crate::hand_over::count;
use crate::replication::{PAIR, begin, until_same};

const OURS: &[Target] = &[Target::Ferromq];
const ONE: &[Client] = &[Client::Java55];
const OLD: &[Client] = &[Client::Java49];

/// Without a timer Java 5.5.0 does not delete topics.
const WITH_TIMER: Layout = Layout { timer: true, ..Layout::PAIR };

const ASKS_THE_MASTER: &[(Client, &str)] =
    &[(Client::Go, "its new consumers ask nobody but the master where to begin, and those that go tell nobody else")];

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(topics_groups_and_offsets_reach_the_slave).alone_with(WITH_TIMER).with(ONE).allowing(&PAIR),
    scenario!(topics_groups_and_offsets_of_java_reach_its_slave)
        .alone_with(WITH_TIMER)
        .with(ONE)
        .on(OURS)
        .allowing(&PAIR),
    scenario!(topics_groups_and_offsets_reach_javas_slave).alone_with(WITH_TIMER).with(ONE).on(OURS).allowing(&PAIR),
    scenario!(topics_groups_and_offsets_of_java_4_9_reach_its_slave).alone_with(WITH_TIMER).with(OLD).allowing(&PAIR),
    scenario!(topics_groups_and_offsets_reach_the_slave_of_make_java_4_9)
        .alone_with(WITH_TIMER)
        .with(OLD)
        .allowing(&PAIR),
    scenario!(consumers_go_on_at_the_slave_while_the_master_is_gone)
        .alone_with(Layout::PAIR)
        .lacking(ASKS_THE_MASTER)
        .allowing(&PAIR),
    // Java's master does not ask, and its slave's offsets are overwritten by the older ones.
    // New consumers of the Go client ask nobody but the master where to begin.
    scenario!(offsets_committed_at_the_slave_count_at_the_master)
        .alone_with(Layout::PAIR)
        .with(&[Client::Java55, Client::Java49])
        .on(OURS)
        .allowing(&PAIR),
    scenario!(readers_far_behind_are_sent_to_the_slave).alone_with(Layout::PAIR).with(ONE).allowing(&PAIR),
    scenario!(mqadmin_shows_the_pair).alone_with(Layout::PAIR).with(&[Client::Mqadmin]).allowing(&PAIR),
];

async fn topics_groups_and_offsets_reach_the_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    tables_reach(&run, own, own).await
}

async fn topics_groups_and_offsets_of_java_reach_its_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    tables_reach(&run, Server::Java, own).await
}

async fn topics_groups_and_offsets_reach_javas_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    tables_reach(&run, own, Server::Java).await
}

async fn topics_groups_and_offsets_of_java_4_9_reach_its_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    tables_reach(&run, Server::OldJava, own).await
}

async fn topics_groups_and_offsets_reach_the_slave_of_make_java_4_9(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    tables_reach(&run, own, Server::OldJava).await
}

/// Java's slaves ask every 60 s.
async fn tables_reach(run: &Run, master: Server, slave: Server) -> Result<()> {
    let cluster = &run.cluster;
    begin(run, master, slave).await?;
    let (own, theirs) = (cluster.address_at(Post::MASTER)?, cluster.address_at(Post::SLAVE)?);
    let (topic, gone, group) = (run.topic("topic", 4).await?, run.topic("gone", 1).await?, run.name("group"));
    let done = |out: &str| out.contains("success");
    run.mqadmin_until(&["updateSubGroup", "-b", &own, "-g", &group, "-r", "7"], done).await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "first").with("count", 40)).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(40).await?)?;
    run.until_committed(&consumer, &group, &topic).await?;
    let committed = wire::offsets_of(&own, &topic, &group).await?;
    ensure!(committed.values().sum::<i64>() == 40, "the offsets are {committed:?}");

    cluster.until_known(Post::SLAVE, &topic).await?;
    cluster.until_known(Post::SLAVE, &gone).await?;
    let knows = async || Ok(wire::retries_of(&theirs, &group).await?.filter(|retries| *retries == 7));
    wire::eventually(&format!("settings of {group} at {theirs}"), knows).await?;
    if fetches_offsets(master, slave) {
        let has = async || Ok((wire::offsets_of(&theirs, &topic, &group).await? == committed).then_some(()));
        wire::eventually(&format!("offsets of {group} at {theirs}"), has).await?;
    }

    // What is deleted or changed there is so here.
    let deleted = run.mqadmin(&["deleteTopic", "-c", CLUSTER, "-t", &gone]).await?;
    ensure!(deleted.contains("success"), "{deleted}");
    run.mqadmin_until(&["updateSubGroup", "-b", &own, "-g", &group, "-r", "3"], done).await?;
    let forgot = async || Ok((!wire::has_topic(&theirs, &gone).await?).then_some(()));
    wire::eventually(&format!("{theirs} without {gone}"), forgot).await?;
    let knows = async || Ok(wire::retries_of(&theirs, &group).await?.filter(|retries| *retries == 3));
    wire::eventually(&format!("changed settings of {group} at {theirs}"), knows).await?;

    // It knows them also after a start.
    cluster.stop_at(Post::SLAVE).await?;
    cluster.stop_at(Post::MASTER).await?;
    cluster.start_at(Post::SLAVE, slave).await?;
    ensure!(wire::has_topic(&theirs, &topic).await?, "{theirs} has lost {topic}");
    ensure!(!wire::has_topic(&theirs, &gone).await?, "{theirs} has {gone} again");
    ensure!(wire::retries_of(&theirs, &group).await? == Some(3), "{theirs} has lost {group}");
    if fetches_offsets(master, slave) {
        let kept = wire::offsets_of(&theirs, &topic, &group).await?;
        ensure!(kept == committed, "the offsets were {committed:?} and are {kept:?}");
    }
    Ok(())
}

/// A slave of Java 5.5.0 cannot read the offsets of its master once there are offsets of pulls, too: the answer has numbers as keys
/// where its parser allows none.
fn fetches_offsets(master: Server, slave: Server) -> bool {
    (master, slave) != (Server::Java, Server::Java)
}

async fn consumers_go_on_at_the_slave_while_the_master_is_gone(run: Run) -> Result<()> {
    let (own, cluster) = (run.cluster.target.broker(), &run.cluster);
    begin(&run, own, own).await?;
    let (topic, group) = (run.topic("topic", 4).await?, run.name("group"));
    let producer = run.producer("producer").await?;
    let mut sent = producer.send(Line::send(&topic, "first").with("count", 40)).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    consumer.until_received(40).await?;
    run.until_committed(&consumer, &group, &topic).await?;
    cluster.until_known(Post::SLAVE, &topic).await?;
    cluster.until_known(Post::SLAVE, &format!("%RETRY%{group}")).await?;
    until_same(&run).await?;

    run.together("stop the master", async || cluster.stop_at(Post::MASTER).await).await?;
    let newcomer = run.push("newcomer", &run.name("new"), &topic).await?;
    check::arrived_once(&sent, &newcomer.until_received(40).await?)?;

    run.together("start the master", async || cluster.start_at(Post::MASTER, own).await).await?;
    let again = run.producer("again").await?;
    sent.extend(again.send(Line::send(&topic, "second").with("count", 40)).await?);
    for consumer in [&consumer, &newcomer] {
        let received = consumer.until_keys(&check::keys_sent(&sent)).await?;
        check::are_where_acknowledged(&sent, &received)?;
        ensure!(received.len() <= 2 * count(&sent), "{} deliveries of {} messages", received.len(), count(&sent));
    }
    run.until_committed(&consumer, &group, &topic).await?;
    until_same(&run).await
}

async fn offsets_committed_at_the_slave_count_at_the_master(run: Run) -> Result<()> {
    let (own, cluster) = (run.cluster.target.broker(), &run.cluster);
    begin(&run, own, own).await?;
    let (topic, group) = (run.topic("topic", 4).await?, run.name("group"));
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "first").with("count", 40)).await?;
    cluster.until_known(Post::SLAVE, &topic).await?;
    until_same(&run).await?;
    run.together("stop the master", async || cluster.stop_at(Post::MASTER).await).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(40).await?)?;
    let theirs = cluster.address_at(Post::SLAVE)?;
    let all = async |broker: &str| {
        let offsets = wire::offsets_of(broker, &topic, &group).await?;
        Ok((offsets.values().sum::<i64>() == 40).then_some(()))
    };
    wire::eventually("offsets at the slave", async || {
        consumer.command(Line::new("commit")).await?;
        all(&theirs).await
    })
    .await?;
    consumer.quit().await?;

    run.together("start the master", async || cluster.start_at(Post::MASTER, own).await).await?;
    let at_master = cluster.address_at(Post::MASTER)?;
    wire::eventually("offsets of the slave at the master", async || all(&at_master).await).await?;
    let more = run.producer("again").await?.send(Line::send(&topic, "second").with("count", 20)).await?;
    let next = run.push("next", &group, &topic).await?;
    check::arrived_once(&more, &next.until_received(20).await?)?;
    run.until_committed(&next, &group, &topic).await?;
    let ahead = wire::offsets_of(&at_master, &topic, &group).await?;
    ensure!(ahead.values().sum::<i64>() == 60, "{ahead:?}");
    wire::eventually("the same offsets at the slave", async || {
        Ok((wire::offsets_of(&theirs, &topic, &group).await? == ahead).then_some(()))
    })
    .await
}

async fn readers_far_behind_are_sent_to_the_slave(run: Run) -> Result<()> {
    let (own, cluster) = (run.cluster.target.broker(), &run.cluster);
    begin(&run, own, own).await?;
    let (topic, group) = (run.topic("topic", 1).await?, run.name("group"));
    let (at_master, at_slave) = (cluster.address_at(Post::MASTER)?, cluster.address_at(Post::SLAVE)?);
    // Whatever is not the last message counts as far behind.
    for broker in [&at_master, &at_slave] {
        far_behind_is(&run, broker, "0").await?;
    }
    let sent = run.producer("producer").await?.send(Line::send(&topic, "s").with("count", 400)).await?;
    cluster.until_known(Post::SLAVE, &topic).await?;
    until_same(&run).await?;
    let before = messages_got(&run, &at_slave).await?;
    let consumer = run.push("consumer", &group, &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(400).await?)?;
    let got = messages_got(&run, &at_slave).await? - before;
    ensure!(got > 200, "the slave handed out {got} of 400 messages");
    Ok(())
}

async fn mqadmin_shows_the_pair(run: Run) -> Result<()> {
    let (own, cluster) = (run.cluster.target.broker(), &run.cluster);
    begin(&run, own, own).await?;
    let (at_master, at_slave) = (cluster.address_at(Post::MASTER)?, cluster.address_at(Post::SLAVE)?);
    let list = run.mqadmin(&["clusterList"]).await?;
    for (id, address) in [("0", &at_master), ("1", &at_slave)] {
        check::row(&list, &[CLUSTER, BROKER, id, address])?;
    }
    let topic = run.topic("topic", 2).await?;
    run.with_client(Client::Java55).producer("producer").await?.send(Line::send(&topic, "s").with("count", 20)).await?;
    until_same(&run).await?;
    let end = wire::log_end(&at_master).await?.end.to_string();

    // The address of a slave is that of its connection, which has a port of its own.
    let host = at_slave.split(':').next().context("the slave's host")?;
    let level = |out: &str| {
        let row = out.lines().find(|line| line.contains(host)).map(|line| line.split_whitespace().collect::<Vec<_>>());
        row.is_some_and(|row| row.get(1) == Some(&end.as_str()) && row.get(2) == Some(&"0") && row.contains(&"OK"))
    };
    let status = run.mqadmin_until(&["haStatus", "-b", &at_master], level).await?;
    for (name, value) in [("#MasterAddr", at_master.as_str()), ("#MasterCommitLogMaxOffset", &end), ("#SlaveNum", "1")]
    {
        check::row(&status, &[name, value])?;
    }
    check::row(&status, &["#InSyncSlaveNum", "1"])?;
    let status = run.mqadmin(&["haStatus", "-b", &at_slave]).await?;
    let host = at_master.split(':').next().context("the master's host")?;
    ensure!(status.lines().any(|line| line.starts_with("#MasterAddr") && line.contains(host)), "{status}");
    check::row(&status, &["#CommitLogMaxOffset", &end])?;
    let of_cluster = run.mqadmin(&["haStatus", "-c", CLUSTER]).await?;
    check::row(&of_cluster, &["#MasterAddr", &at_master])?;

    for broker in [&at_master, &at_slave] {
        let status = run.mqadmin(&["brokerStatus", "-b", broker]).await?;
        let told = status.lines().any(|line| line.starts_with("commitLogMaxOffset") && line.contains(&end));
        ensure!(told, "{status}");
    }
    Ok(())
}
