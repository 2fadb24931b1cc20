//! The four ways to run a cluster, each behind three name servers: masters without slaves, masters with slaves that follow or are
//! waited for, and a group that elects its leader. The settings that are shipped for them are tried by `tests/modes.rs`.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Consumer, Line, Producer};
use compat_tests::cluster::Layout;
use compat_tests::events::Sent;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{Copies, Post};
use compat_tests::{logs, scenario, wire};

use crate::{check, replication};

const MASTERS: Layout = Layout { name_servers: 3, begins_with: 2, ..Layout::MASTERS };
const ASYNC: Layout = Layout { slaves: 1, ..MASTERS };
const SYNC: Layout = Layout { copies: Copies::Two, ..ASYNC };
const GROUP: Layout = Layout { name_servers: 3, ..Layout::GROUP };

const ONE: &[Client] = &[Client::Java55];

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(masters_share_the_load_and_go_on_without_one).alone_with(MASTERS).with(ONE).allowing(&GONE),
    scenario!(asynchronous_slaves_hand_out_what_their_master_had).alone_with(ASYNC).with(ONE).allowing(&GONE),
    scenario!(synchronous_slaves_have_all_that_was_acknowledged).alone_with(SYNC).with(ONE).allowing(&GONE),
    scenario!(a_group_behind_three_name_servers_goes_on_without_its_leader)
        .alone_with(GROUP)
        .with(ONE)
        .allowing(&logs::GROUP_FAULTS),
    scenario!(a_master_that_is_added_takes_traffic).alone_with(Layout::MASTERS),
];

const GONE: [(&str, &str); 7] = [
    replication::PAIR[0],
    replication::PAIR[1],
    replication::PAIR[2],
    replication::PAIR[3],
    replication::PAIR[4],
    logs::NAME_SERVER_GOES[0],
    logs::NAME_SERVER_GOES[1],
];

const QUEUES: u32 = 4;

/// A producer that sends all the time, and a consumer.
struct Load {
    topic: String,
    producer: Producer,
    consumer: Consumer,
}

impl Load {
    async fn begin(run: &Run) -> Result<Self> {
        let topic = run.topic("topic", QUEUES).await?;
        let consumer = run.push("consumer", &run.name("group"), &topic).await?;
        let producer = run.producer_with("producer", Line::new("with").with("timeout", 5000)).await?;
        producer.start_stream(Line::new("stream").with("topic", &topic).with("key", "s").with("every", 5)).await?;
        producer.until_sent(200).await?;
        Ok(Self { topic, producer, consumer })
    }

    /// Waits for so many more answers.
    async fn goes_on(&self, more: usize) -> Result<()> {
        self.producer.until_sent(self.producer.sent().len() + more).await
    }

    /// Broker sets that answered since so many answers.
    fn used_since(&self, before: usize) -> BTreeSet<String> {
        self.producer.sent()[before..].iter().map(|sent| sent.broker.clone()).collect()
    }

    /// What was promised so far: other answers than `SEND_OK` promise nothing, such as those of a master that waits for its slave.
    fn acknowledged(&self) -> Vec<Sent> {
        let mut sent = self.producer.sent();
        sent.retain(|sent| sent.status == "SEND_OK");
        sent
    }

    /// Ends the sends; those that were acknowledged, all of which the consumer has had, from where they were sent to.
    async fn end(self) -> Result<Vec<Sent>> {
        self.producer.stop_stream().await?;
        let sent = self.acknowledged();
        let received = self.consumer.until_keys(&check::keys_sent(&sent)).await?;
        for (sent, received) in check::by_broker(&sent, &received)?.values() {
            check::are_where_acknowledged(sent, received)?;
        }
        Ok(sent)
    }
}

async fn masters_share_the_load_and_go_on_without_one(run: Run) -> Result<()> {
    let (cluster, own) = (&run.cluster, run.cluster.target.broker());
    let load = Load::begin(&run).await?;
    ensure!(load.used_since(0).len() == 2, "all of it went to {:?}", load.used_since(0));
    cluster.stop_name_server(1).await?;
    cluster.stop_at(Post::master_of(1)).await?;
    load.goes_on(200).await?;
    cluster.start_at(Post::master_of(1), own).await?;
    cluster.start_name_server(1).await?;
    let before = load.producer.sent().len();
    while load.used_since(before).len() < 2 {
        load.goes_on(50).await?;
    }
    load.end().await?;
    Ok(())
}

async fn asynchronous_slaves_hand_out_what_their_master_had(run: Run) -> Result<()> {
    slaves_hand_out(&run, false).await
}

async fn synchronous_slaves_have_all_that_was_acknowledged(run: Run) -> Result<()> {
    slaves_hand_out(&run, true).await
}

/// A master is killed in the middle of its work: its slave hands out what was acknowledged, all of it if it was waited for.
async fn slaves_hand_out(run: &Run, waited_for: bool) -> Result<()> {
    let (cluster, own) = (&run.cluster, run.cluster.target.broker());
    for set in 0..2 {
        cluster.start_at(Post { set, id: 1 }, own).await?;
    }
    for set in 0..2 {
        cluster.until_followed(Post::master_of(set), Post { set, id: 1 }).await?;
    }
    let load = Load::begin(run).await?;
    for set in 0..2 {
        cluster.until_known(Post { set, id: 1 }, &load.topic).await?;
    }
    load.goes_on(200).await?;
    if !waited_for {
        // What was sent a moment ago may not be at the slave; that is what this mode is.
        load.producer.stop_stream().await?;
        cluster.until_followed(Post::MASTER, Post::SLAVE).await?;
    }
    cluster.kill_at(Post::MASTER).await?;
    if !waited_for {
        let line = Line::new("stream").with("topic", &load.topic).with("key", "t").with("every", 5);
        load.producer.start_stream(line).await?;
    }
    let before = load.acknowledged();
    let gone = Post::MASTER.broker();
    ensure!(before.iter().any(|sent| sent.broker == gone), "{gone} acknowledged nothing that its slave could hand out");
    let newcomer = run.push("newcomer", &run.name("newcomer"), &load.topic).await?;
    // Stock Java clients do not start if the one name server that they try is not there.
    cluster.stop_name_server(1).await?;
    newcomer.until_keys(&check::keys_sent(&before)).await?;
    load.goes_on(200).await?;
    cluster.start_name_server(1).await?;
    cluster.start_at(Post::MASTER, own).await?;
    load.goes_on(200).await?;
    let sent = load.end().await?;
    let received = newcomer.until_keys(&check::keys_sent(&sent)).await?;
    check::by_broker(&sent, &received)?.values().try_for_each(|(s, r)| check::are_where_acknowledged(s, r))?;
    for set in 0..2 {
        cluster.until_followed(Post::master_of(set), Post { set, id: 1 }).await?;
    }
    Ok(())
}

async fn a_group_behind_three_name_servers_goes_on_without_its_leader(run: Run) -> Result<()> {
    let cluster = &run.cluster;
    let load = Load::begin(&run).await?;
    cluster.until_followers_know(&load.topic).await?;
    let leader = cluster.leader().await?;
    cluster.kill_member(leader).await?;
    cluster.until_led_by_another(leader).await?;
    load.goes_on(200).await?;
    cluster.start_member(leader).await?;
    cluster.until_whole().await?;
    load.goes_on(100).await?;
    load.end().await?;
    Ok(())
}

async fn a_master_that_is_added_takes_traffic(run: Run) -> Result<()> {
    let (cluster, own) = (&run.cluster, run.cluster.target.broker());
    let load = Load::begin(&run).await?;
    let added = Post::master_of(1);
    run.together("start another master", async || cluster.start_at(added, own).await).await?;
    let before = load.producer.sent().len();
    cluster.create_topic_at(added, &load.topic, QUEUES, false).await?;
    // Go's producers look for routes every 30 s.
    while !load.used_since(before).contains(added.broker()) {
        load.goes_on(20).await?;
    }
    let at = cluster.address_at(added)?;
    let in_use = async || {
        let mut messages = 0;
        for queue in 0..QUEUES as i32 {
            messages += wire::max_offset(&at, &load.topic, queue).await?;
        }
        Ok((messages >= 50).then_some(()))
    };
    wire::eventually("traffic at the master that was added", in_use).await?;
    load.end().await?;
    Ok(())
}
