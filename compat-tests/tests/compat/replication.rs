//! A slave copies its master's log, whoever made either of them: byte by byte, from wherever it was.
//!
//! On Java's target both are Java's, which proves the steps; on ours one of them is ours, or both.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line, Producer};
use compat_tests::cluster::Layout;
use compat_tests::events::Sent;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::stores::Since;
use compat_tests::target::{Post, Server, Target};
use compat_tests::{logs, scenario, wire};

use crate::hand_over::count;
use crate::{check, transactions};

const OURS: &[Target] = &[Target::Ferromq];
/// One client is enough where it is the brokers that differ.
const ONE: &[Client] = &[Client::Java55];
const OLD: &[Client] = &[Client::Java49];

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(slave_has_the_same_files).alone_with(Layout::PAIR).allowing(&PAIR),
    scenario!(slave_of_java_has_the_same_files).alone_with(Layout::PAIR).with(ONE).on(OURS).allowing(&PAIR),
    scenario!(javas_slave_has_the_same_files).alone_with(Layout::PAIR).with(ONE).on(OURS).allowing(&PAIR),
    scenario!(slave_of_java_4_9_has_the_same_files).alone_with(Layout::PAIR).with(OLD).allowing(&PAIR),
    scenario!(slave_of_make_java_4_9_has_the_same_files).alone_with(Layout::PAIR).with(OLD).allowing(&PAIR),
    scenario!(slave_that_comes_late_has_what_it_needs).alone_with(Layout::PAIR).with(ONE).allowing(&PAIR),
    scenario!(slave_that_comes_late_to_java_has_what_it_needs)
        .alone_with(Layout::PAIR)
        .with(ONE)
        .on(OURS)
        .allowing(&PAIR),
    scenario!(javas_slave_that_comes_late_begins_with_the_last_file)
        .alone_with(Layout::PAIR)
        .with(ONE)
        .on(OURS)
        .allowing(&PAIR),
    // The Go client waits no longer than the master does.
    scenario!(sync_master_tells_what_its_slave_has)
        .alone_with(Layout::SYNC_PAIR)
        .with(&[Client::Java55, Client::Java49])
        .allowing(&PAIR),
    scenario!(sync_master_waits_for_javas_slave).alone_with(Layout::SYNC_PAIR).with(ONE).on(OURS).allowing(&PAIR),
    scenario!(sync_master_of_java_waits_for_its_slave).alone_with(Layout::SYNC_PAIR).with(ONE).on(OURS).allowing(&PAIR),
    scenario!(sync_master_of_java_4_9_waits_for_its_slave).alone_with(Layout::SYNC_PAIR).with(OLD).allowing(&PAIR),
    // Java's slave compares nothing: it goes on where it was, in the middle of another message if need be.
    scenario!(slave_with_another_log_is_refused).alone_with(Layout::PAIR).with(ONE).on(OURS).allowing(&REFUSED),
    scenario!(slave_with_another_log_than_javas_is_refused)
        .alone_with(Layout::PAIR)
        .with(ONE)
        .on(OURS)
        .allowing(&REFUSED),
    scenario!(slave_that_is_ahead_is_refused).alone_with(Layout::PAIR).with(ONE).on(OURS).allowing(&REFUSED),
];

/// Of scenarios that stop a master or a slave.
pub(crate) const PAIR: [(&str, &str); 5] = [
    (
        "lost a broker's connection",
        "one of the pair was killed, or is Java 4.9's and hangs up before it says that it leaves",
    ),
    logs::MASTER_GOES[0],
    logs::MASTER_GOES[1],
    ("a slave is let go", "it was held still for too long"),
    transactions::NOBODY,
];

const REFUSED: [(&str, &str); 7] = [
    PAIR[0],
    PAIR[1],
    PAIR[2],
    PAIR[3],
    PAIR[4],
    ("the master is not followed", "that is what happens here"),
    ("a slave is refused", "and so does the master tell it"),
];

const QUEUES: u32 = 4;
/// Longest wait for a slave to be connected; it asks a name server where its master is.
const CONNECTED_MAX: Duration = Duration::from_secs(60);

/// Has the cluster, which was just started, go on with an empty master and an empty slave of these makes.
pub(crate) async fn begin(run: &Run, master: Server, slave: Server) -> Result<()> {
    begin_master(run, master).await?;
    run.together("start the slave", async || run.cluster.start_at(Post::SLAVE, slave).await).await
}

async fn begin_master(run: &Run, master: Server) -> Result<()> {
    let cluster = &run.cluster;
    if master == cluster.target.broker() {
        return Ok(());
    }
    run.together("begin with another master", async || {
        cluster.stop_at(Post::MASTER).await?;
        cluster.wipe_at(Post::MASTER).await?;
        cluster.start_at(Post::MASTER, master).await
    })
    .await
}

pub(crate) async fn until_same(run: &Run) -> Result<()> {
    run.together("compare the files", async || {
        let equal = run.cluster.until_same(Post::MASTER, Post::SLAVE, Since::Beginning).await?;
        ensure!(equal.entries > 0, "no entries in {equal:?}");
        Ok(())
    })
    .await
}

async fn slave_has_the_same_files(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    the_same_files(&run, own, own).await
}

async fn slave_of_java_has_the_same_files(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    the_same_files(&run, Server::Java, own).await
}

async fn javas_slave_has_the_same_files(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    the_same_files(&run, own, Server::Java).await
}

async fn slave_of_java_4_9_has_the_same_files(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    the_same_files(&run, Server::OldJava, own).await
}

async fn slave_of_make_java_4_9_has_the_same_files(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    the_same_files(&run, own, Server::OldJava).await
}

/// Messages of all kinds are at the slave, also of those times when one of the two was away.
async fn the_same_files(run: &Run, master: Server, slave: Server) -> Result<()> {
    let cluster = &run.cluster;
    begin(run, master, slave).await?;
    let work = Work::begin(run).await?;
    let mut sent = work.send(0).await?;
    until_same(run).await?;

    run.together("stop the slave", async || cluster.stop_at(Post::SLAVE).await).await?;
    sent.extend(work.send(1).await?);
    run.together("start the slave again", async || cluster.start_at(Post::SLAVE, slave).await).await?;
    sent.extend(work.send(2).await?);
    until_same(run).await?;

    run.together("kill the slave", async || cluster.kill_at(Post::SLAVE).await).await?;
    sent.extend(work.send(3).await?);
    run.together("start it after the kill", async || cluster.start_at(Post::SLAVE, slave).await).await?;
    until_same(run).await?;

    run.together("start the master anew", async || {
        cluster.stop_at(Post::MASTER).await?;
        cluster.start_at(Post::MASTER, master).await
    })
    .await?;
    let work = work.anew(run).await?;
    sent.extend(work.send(4).await?);
    until_same(run).await?;
    work.is_received(run, &sent).await
}

/// Producers of a run.
struct Work {
    plain: String,
    doubtful: String,
    producer: Producer,
    transactional: Producer,
}

impl Work {
    async fn begin(run: &Run) -> Result<Self> {
        Self::on(run, "", run.topic("plain", QUEUES).await?, run.topic("doubtful", 2).await?).await
    }

    /// The same topics with new producers: Go's forget a topic for 30 s if they look for its route when no broker is there.
    async fn anew(&self, run: &Run) -> Result<Self> {
        Self::on(run, "-anew", self.plain.clone(), self.doubtful.clone()).await
    }

    async fn on(run: &Run, label: &str, plain: String, doubtful: String) -> Result<Self> {
        let transactional = Line::new("with").with("transactional", true);
        let transactional = run.producer_with(&format!("transactional{label}"), transactional).await?;
        Ok(Self { plain, doubtful, producer: run.producer(&format!("producer{label}")).await?, transactional })
    }

    /// Messages of all kinds; those of the topic `plain`, but for delayed ones, which the broker places.
    async fn send(&self, turn: usize) -> Result<Vec<Sent>> {
        let plain = |what: &str, count: usize| Line::send(&self.plain, format!("{what}-{turn}")).with("count", count);
        let mut sent = self.producer.send(plain("tagged", 40).with("tag", "t").with("prop.p", "v")).await?;
        sent.extend(self.producer.send(plain("batch", 10).with("mode", "batch")).await?);
        let other =
            |what: &str, count: usize| Line::send(&self.doubtful, format!("{what}-{turn}")).with("count", count);
        self.producer.send(other("large", 3).with("size", 100_000)).await?;
        self.producer.send(other("late", 5).with("delay", 1)).await?;
        for (end, count) in [("commit", 3), ("rollback", 2), ("unknown", 1)] {
            let line = other(end, count).with("mode", "transaction").with("prop.local", end);
            self.transactional.send(line.with("prop.check", "commit")).await?;
        }
        Ok(sent)
    }

    async fn is_received(&self, run: &Run, sent: &[Sent]) -> Result<()> {
        let consumer = run.push("consumer", &run.name("group"), &self.plain).await?;
        check::arrived_once(sent, &consumer.until_received(count(sent)).await?)
    }
}

async fn slave_that_comes_late_has_what_it_needs(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    comes_late(&run, own, own).await
}

async fn slave_that_comes_late_to_java_has_what_it_needs(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    comes_late(&run, Server::Java, own).await
}

async fn javas_slave_that_comes_late_begins_with_the_last_file(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    comes_late(&run, own, Server::Java).await
}

/// The log's first file holds 64 MiB. Java's slave begins with the last file, ours with the first that its master keeps.
async fn comes_late(run: &Run, master: Server, slave: Server) -> Result<()> {
    let cluster = &run.cluster;
    begin_master(run, master).await?;
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer_with("producer", Line::new("with").with("compressOver", 4 << 20)).await?;
    let large = |key: &str, count: usize| Line::send(&topic, key).with("count", count).with("size", 4_000_000);
    producer.send(large("first", 17)).await?;
    let begun = wire::log_end(&cluster.address_at(Post::MASTER)?).await?.end;
    ensure!(begun > 64 << 20, "the log has one file only, up to {begun}");
    cluster.start_at(Post::SLAVE, slave).await?;
    let last = producer.send(Line::send(&topic, "last").with("count", 20)).await?;
    let since = if slave == Server::Java { Since::LaterFile } else { Since::Beginning };
    let equal = cluster.until_same(Post::MASTER, Post::SLAVE, since).await?;
    ensure!(
        since == Since::Beginning || equal.log < 32 << 20,
        "the slave copied also what is before the last file: {equal:?}"
    );
    // And it can be started again with that.
    cluster.kill_at(Post::SLAVE).await?;
    cluster.start_at(Post::SLAVE, slave).await?;
    producer.send(large("second", 1)).await?;
    cluster.until_same(Post::MASTER, Post::SLAVE, since).await?;
    cluster.until_known(Post::SLAVE, &topic).await?;
    let at_slave = cluster.address_at(Post::SLAVE)?;
    let at = last[0].queue_offset;
    let (theirs, own) = (wire::read(&at_slave, &topic, 0, at).await?, cluster.address_at(Post::MASTER)?);
    ensure!(theirs.is_some() && theirs == wire::read(&own, &topic, 0, at).await?, "the slave hands out {theirs:?}");
    Ok(())
}

async fn sync_master_tells_what_its_slave_has(run: Run) -> Result<()> {
    let (own, cluster) = (run.cluster.target.broker(), &run.cluster);
    begin(&run, own, own).await?;
    let topic = run.topic("topic", QUEUES).await?;
    let producer = run.producer("producer").await?;
    let line = |key: &str, count: usize| Line::send(&topic, key).with("count", count);
    let mut sent = until_held(&producer, line("begin", 1)).await?;
    sent.extend(producer.send(line("both", 50)).await?);
    sent.extend(producer.send(line("batch", 10).with("mode", "batch")).await?);

    let late = |sent: &Sent| sent.status == "FLUSH_SLAVE_TIMEOUT";
    run.together("hold the slave still", async || cluster.pause_at(Post::SLAVE).await).await?;
    let answers = producer.try_send(line("held", 2)).await?;
    ensure!(answers.sent.len() == 2 && answers.sent.iter().all(late), "{answers:?}");
    // Who does not want to wait is not made to.
    let at_once = producer.send(line("at-once", 5).with("system.WAIT", false)).await?;
    sent.extend(answers.sent.into_iter().chain(at_once));
    run.together("let the slave go on", async || cluster.resume_at(Post::SLAVE).await).await?;
    sent.extend(until_held(&producer, line("resumed", 1)).await?);

    run.together("stop the slave", async || cluster.stop_at(Post::SLAVE).await).await?;
    let answers = producer.try_send(line("stopped", 2)).await?;
    ensure!(answers.sent.len() == 2 && answers.sent.iter().all(late), "{answers:?}");
    sent.extend(answers.sent);
    run.together("start the slave again", async || cluster.start_at(Post::SLAVE, own).await).await?;
    sent.extend(until_held(&producer, line("again", 1)).await?);
    until_same(&run).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    check::arrived_once(&sent, &consumer.until_received(count(&sent)).await?)
}

/// Sends until the slave is there and holds what was sent; what was sent so far.
async fn until_held(producer: &Producer, line: Line) -> Result<Vec<Sent>> {
    let mut sent = Vec::new();
    let since = Instant::now();
    while since.elapsed() < CONNECTED_MAX {
        // A master without its slave answers at once.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answers = producer.try_send(line.clone()).await?;
        ensure!(answers.failed.is_empty(), "{answers:?}");
        sent.extend(answers.sent);
        if sent.last().is_some_and(|sent: &Sent| sent.status == "SEND_OK") {
            return Ok(sent);
        }
    }
    anyhow::bail!("the slave never held a message: {sent:?}")
}

async fn sync_master_waits_for_javas_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    waits(&run, own, Server::Java).await
}

async fn sync_master_of_java_waits_for_its_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    waits(&run, Server::Java, own).await
}

async fn sync_master_of_java_4_9_waits_for_its_slave(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    waits(&run, Server::OldJava, own).await
}

/// What is acknowledged is at the slave, also when the master is gone in the next moment.
async fn waits(run: &Run, master: Server, slave: Server) -> Result<()> {
    begin(run, master, slave).await?;
    let topic = run.topic("topic", QUEUES).await?;
    let producer = run.producer("producer").await?;
    let line = |key: &str, count: usize| Line::send(&topic, key).with("count", count);
    let mut sent = until_held(&producer, line("begin", 1)).await?;
    run.cluster.until_known(Post::SLAVE, &topic).await?;
    sent.extend(producer.send(line("both", 100)).await?);
    run.cluster.kill_at(Post::MASTER).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let received = consumer.until_keys(&check::keys_sent(&sent)).await?;
    check::are_where_acknowledged(&sent, &received)
}

async fn slave_with_another_log_is_refused(run: Run) -> Result<()> {
    refused(&run, Server::Ferromq, 20).await
}

async fn slave_with_another_log_than_javas_is_refused(run: Run) -> Result<()> {
    refused(&run, Server::Java, 20).await
}

async fn slave_that_is_ahead_is_refused(run: Run) -> Result<()> {
    refused(&run, Server::Ferromq, 0).await
}

/// The slave was a master of its own for a while; its old master got so many messages meanwhile.
async fn refused(run: &Run, master: Server, meanwhile: usize) -> Result<()> {
    let (cluster, slave) = (&run.cluster, Server::Ferromq);
    begin(run, master, slave).await?;
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer("producer").await?;
    let line = |key: &str, count: usize| Line::send(&topic, key).with("count", count);
    producer.send(line("both", 20)).await?;
    until_same(run).await?;
    cluster.until_known(Post::SLAVE, &topic).await?;

    cluster.stop_at(Post::SLAVE).await?;
    cluster.stop_at(Post::MASTER).await?;
    cluster.start_as(Post::SLAVE, slave, Post::MASTER).await?;
    run.producer("other").await?.send(line("alone", 5)).await?;
    cluster.stop_at(Post::SLAVE).await?;
    cluster.start_at(Post::MASTER, master).await?;
    if meanwhile > 0 {
        run.producer("next").await?.send(line("meanwhile", meanwhile)).await?;
    }
    cluster.start_at(Post::SLAVE, slave).await?;
    cluster.until_told(Post::SLAVE, "the master is not followed master=").await?;
    let (own, theirs) = (cluster.address_at(Post::MASTER)?, cluster.address_at(Post::SLAVE)?);
    let before = wire::log_end(&theirs).await?;
    // The first one may have looked for the route while the slave was a master.
    run.producer("last").await?.send(line("after", 50)).await?;
    ensure!(wire::log_end(&theirs).await? == before, "it goes on from {before:?}");
    ensure!(wire::max_offset(&own, &topic, 0).await? == (20 + meanwhile + 50) as i64, "the master is disturbed");

    // What it is told to do helps.
    cluster.stop_at(Post::SLAVE).await?;
    cluster.wipe_at(Post::SLAVE).await?;
    cluster.start_at(Post::SLAVE, slave).await?;
    until_same(run).await
}
