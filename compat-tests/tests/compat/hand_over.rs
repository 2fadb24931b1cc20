//! A broker is replaced in place by one of another make: same files, same name, same address.
//!
//! On Java's target both are Java, which proves the steps; on ours one of them is.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Consumer, Line, Producer};
use compat_tests::events::{Received, Sent};
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Server;

use crate::check;

// What a killed or an old broker leaves behind does not depend on the clients, so one of them is enough there.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(store_is_taken_over_from_java_in_place).alone(),
    scenario!(store_is_taken_over_from_a_killed_java)
        .alone()
        .with(&[Client::Java55])
        .allowing(&logs::KILLED_WHILE_WRITING),
    scenario!(store_is_handed_back_to_java).alone(),
    scenario!(store_is_handed_back_to_java_after_kill_9)
        .alone()
        .with(&[Client::Go])
        .allowing(&logs::KILLED_WHILE_WRITING),
    scenario!(store_of_java_4_9_is_taken_over_and_handed_back)
        .alone()
        .with(&[Client::Java49])
        .allowing(&[logs::OLD_LEAVES]),
    scenario!(store_of_java_becomes_a_groups_first_member_and_goes_back)
        .alone()
        .with(&[Client::Java55, Client::Go])
        .allowing(&logs::GROUP),
    scenario!(store_of_java_4_9_becomes_a_groups_first_member_and_goes_back)
        .alone()
        .with(&[Client::Java49])
        .allowing(&FIRST_MEMBER_ON_OLD_FILES),
    scenario!(inner_batches_are_taken_over_and_handed_back).alone().lacking(&[
        (Client::Java49, "it does not know inner batches"),
        (Client::Go, "it sends no unique id with a batch, which is what makes it an inner one"),
    ]),
];

const FIRST_MEMBER_ON_OLD_FILES: [(&str, &str); 5] =
    [logs::GROUP[0], logs::GROUP[1], logs::GROUP[2], logs::GROUP[3], logs::OLD_LEAVES];

async fn store_is_taken_over_from_java_in_place(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    hand_over(&run, &[Server::Java, own], false).await
}

async fn store_is_taken_over_from_a_killed_java(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    hand_over(&run, &[Server::Java, own], true).await
}

async fn store_is_handed_back_to_java(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    hand_over(&run, &[own, Server::Java, own], false).await
}

async fn store_is_handed_back_to_java_after_kill_9(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    hand_over(&run, &[own, Server::Java, own], true).await
}

async fn store_of_java_4_9_is_taken_over_and_handed_back(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    hand_over(&run, &[Server::OldJava, own, Server::OldJava], false).await
}

async fn store_of_java_becomes_a_groups_first_member_and_goes_back(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    change_hands(&run, &[Server::Java, own, Server::Java], false, As::FirstMember).await
}

async fn store_of_java_4_9_becomes_a_groups_first_member_and_goes_back(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    change_hands(&run, &[Server::OldJava, own, Server::OldJava], false, As::FirstMember).await
}

/// What our broker is on the files of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Broker,
    /// Of a group that has no other yet.
    FirstMember,
}

async fn hand_over(run: &Run, makes: &[Server], kill: bool) -> Result<()> {
    change_hands(run, makes, kill, As::Broker).await
}

/// Everything that lies in the store at one change of brokers has to be there after it, for every broker in turn.
async fn change_hands(run: &Run, makes: &[Server], kill: bool, own: As) -> Result<()> {
    run.begin_with(makes[0]).await?;
    let topics = Topics::create(run).await?;
    let producer = run.producer("producer").await?;
    let mut sent = Vec::new();
    for (turn, next) in makes.iter().skip(1).enumerate() {
        let left = topics.leave_work(run, &producer, turn).await?;
        if kill {
            run.kill_broker().await?;
        } else {
            run.stop_broker().await?;
        }
        match own {
            As::Broker => run.start_broker_of(*next).await?,
            As::FirstMember => run.start_first_member(*next).await?,
        }
        topics.take_up_work(run, turn, &left, kill).await?;
        sent.extend(left.plain);
        // The new broker's own messages go behind those of the old one, and are there for everybody.
        sent.extend(producer.send(Line::send(&topics.plain, format!("own-{turn}")).with("count", 30)).await?);
        check::places(&sent)?;
        let newcomer = run.push(&format!("newcomer-{turn}"), &run.name(&format!("new-{turn}")), &topics.plain).await?;
        check::arrived_once(&sent, &newcomer.until_received(count(&sent)).await?)?;
        newcomer.quit().await?;
        let group = topics.member(run, &format!("catch-up-{turn}"), &topics.plain).await?;
        group.until_received(30).await?;
        topics.committed(run, &group, &topics.plain).await?;
        ensure!(group.received().len() == 30, "more than was new: {:?}", group.received());
        group.quit().await?;
    }
    Ok(())
}

pub(crate) fn count(sent: &[Sent]) -> usize {
    sent.iter().map(|sent| sent.keys.len()).sum()
}

/// Topics that keep their messages and groups through all changes.
pub(crate) struct Topics {
    pub(crate) plain: String,
    delayed: String,
    failing: String,
}

/// What was begun before a change of brokers.
pub(crate) struct Left {
    /// Of which the group has had all but `unread`.
    pub(crate) plain: Vec<Sent>,
    unread: Vec<Sent>,
    delayed: Vec<Sent>,
    failing: Vec<Sent>,
}

fn group_of(topic: &str) -> String {
    format!("{topic}-group")
}

impl Topics {
    pub(crate) async fn create(run: &Run) -> Result<Self> {
        Ok(Self {
            plain: run.topic("plain", 4).await?,
            delayed: run.topic("delayed", 2).await?,
            failing: run.topic("failing", 1).await?,
        })
    }

    async fn member(&self, run: &Run, label: &str, topic: &str) -> Result<Consumer> {
        self.failing_member(run, label, topic, 0).await
    }

    /// A member that fails the first deliveries of each message.
    async fn failing_member(&self, run: &Run, label: &str, topic: &str, failures: u32) -> Result<Consumer> {
        run.push_with(label, &group_of(topic), topic, Line::new("with").with("fail", failures)).await
    }

    /// The broker knows that the group is done with all messages of the topic.
    async fn committed(&self, run: &Run, member: &Consumer, topic: &str) -> Result<()> {
        run.until_committed(member, &group_of(topic), topic).await
    }

    /// Messages that were read and that were not, that are being delayed, and that failed and wait to be tried again.
    pub(crate) async fn leave_work(&self, run: &Run, producer: &Producer, turn: usize) -> Result<Left> {
        let key = |what: &str| format!("{what}-{turn}");
        let mut plain = producer.send(Line::send(&self.plain, key("read")).with("count", 40).with("tag", "t")).await?;
        plain.extend(
            producer.send(Line::send(&self.plain, key("batch")).with("count", 10).with("mode", "batch")).await?,
        );
        let member = self.member(run, &format!("before-{turn}"), &self.plain).await?;
        member.until_received(count(&plain)).await?;
        self.committed(run, &member, &self.plain).await?;
        check::arrived_once(&plain, &member.quit().await?)?;
        let unread = producer.send(Line::send(&self.plain, key("unread")).with("count", 20)).await?;
        plain.extend(unread.clone());

        let failing = producer.send(Line::send(&self.failing, key("fail")).with("count", 5)).await?;
        let member = self.failing_member(run, &format!("fails-{turn}"), &self.failing, 99).await?;
        member.until_received(4 * 5).await?;
        self.committed(run, &member, &self.failing).await?;
        member.quit().await?;
        // Level 2 of `target::DELAY_LEVELS` is 3 s: the change begins before that.
        run.meet().await?;
        let delayed =
            producer.send(Line::send(&self.delayed, key("delayed")).with("count", 6).with("delay", 2)).await?;
        Ok(Left { plain, unread, delayed, failing })
    }

    /// The next broker goes on with it.
    pub(crate) async fn take_up_work(&self, run: &Run, turn: usize, left: &Left, killed: bool) -> Result<()> {
        let member = self.member(run, &format!("after-{turn}"), &self.plain).await?;
        member.until_keys(&check::keys_sent(&left.unread)).await?;
        self.committed(run, &member, &self.plain).await?;
        let received = member.quit().await?;
        // Offsets are saved every few seconds: after a kill some messages may come again.
        if !killed {
            check::arrived_once(&left.unread, &received)?;
        }

        let delayed = self.member(run, &format!("delayed-{turn}"), &self.delayed).await?;
        came(&left.delayed, &delayed.until_keys(&check::keys_sent(&left.delayed)).await?, 0)?;
        delayed.quit().await?;

        let again = self.failing_member(run, &format!("again-{turn}"), &self.failing, 0).await?;
        let attempt = if killed { 0 } else { 1 };
        came(&left.failing, &again.until_keys(&check::keys_sent(&left.failing)).await?, attempt)?;
        again.quit().await?;
        Ok(())
    }
}

/// All of these came, each message with its body, on at least this attempt. Clients may be given one twice.
fn came(sent: &[Sent], received: &[Received], attempt: i32) -> Result<()> {
    let (keys, wanted): (BTreeSet<String>, _) =
        (received.iter().map(|received| received.key.clone()).collect(), check::keys_sent(sent));
    ensure!(keys.is_superset(&wanted), "only {keys:?} came");
    for received in received.iter().filter(|received| wanted.contains(&received.key)) {
        ensure!(received.body.as_ref() == Some(&received.key), "another body: {received:?}");
        ensure!(received.reconsume_times >= attempt, "not attempt {attempt}: {received:?}");
    }
    Ok(())
}

async fn inner_batches_are_taken_over_and_handed_back(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    run.begin_with(Server::Java).await?;
    let topic = run.name("batches");
    let broker = run.cluster.broker_address();
    let create = ["updateTopic", "-b", &broker, "-t", &topic, "-r", "1", "-w", "1", "-a", "+queue.type=BatchCQ"];
    run.mqadmin(&create).await?;
    run.mqadmin_until(&["topicRoute", "-t", &topic], |out| out.contains(&broker)).await?;
    let producer = run.producer("producer").await?;
    let mut sent = Vec::new();
    for (turn, next) in [own, Server::Java, own].into_iter().enumerate() {
        for size in [3, 1, 50] {
            let key = format!("b-{turn}-{size}");
            sent.extend(producer.send(Line::send(&topic, &key).with("count", size).with("mode", "batch")).await?);
        }
        let newcomer = run.push(&format!("newcomer-{turn}"), &run.name(&format!("new-{turn}")), &topic).await?;
        let received = newcomer.until_received(count(&sent)).await?;
        check::arrived_once(&sent, &received)?;
        newcomer.quit().await?;
        run.stop_broker().await?;
        run.start_broker_of(next).await?;
    }
    let last = run.push("last", &run.name("last"), &topic).await?;
    let received = last.until_received(count(&sent)).await?;
    check::arrived_once(&sent, &received)
}
