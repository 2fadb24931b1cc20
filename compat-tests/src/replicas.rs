//! A Java slave and one of ours under one master, which gets many messages of all kinds: in the end all three have the same log and
//! the same queues, byte by byte.
//!
//! `REPLICA_MESSAGES=1000000 cargo test --workspace --test replicas`. Each slave is killed or stopped once in the middle.
#![expect(clippy::print_stdout, reason = "tells how it goes")]

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use crate::clients::{Client, Line, Producer};
use crate::cluster::{Cluster, Layout};
use crate::program::{self, chosen, number};
use crate::scenario::Run;
use crate::stage::Stage;
use crate::stores::Since;
use crate::target::{Post, Server, Target};

const LAYOUT: Layout = Layout { slaves: 2, timer: true, ..Layout::SMALL };
const SLAVES: [(Post, Server); 2] = [(Post { set: 0, id: 1 }, Server::Java), (Post { set: 0, id: 2 }, Server::Ferromq)];
const PRODUCERS: [Client; 3] = [Client::Java55, Client::Java49, Client::Go];
const QUEUES: u32 = 8;

/// Sends `REPLICA_MESSAGES` messages (20,000) to a master of each of `COMPAT_TARGETS` (`java` and `ferromq`).
pub fn main() -> ExitCode {
    program::ended(run_all())
}

fn run_all() -> Result<ExitCode> {
    let targets = chosen("COMPAT_TARGETS", &[Target::Java, Target::Ferromq], |target| target.name())?;
    let messages = usize::try_from(number("REPLICA_MESSAGES", 20_000)?).context("count the messages")?;
    program::run(true, async |stage| all(stage, &targets, messages).await)
}

async fn all(stage: &Arc<Stage>, targets: &[Target], messages: usize) -> Result<()> {
    for &target in targets {
        let name = format!("replicas-{target}");
        let compared =
            program::on_cluster(stage, target, LAYOUT, &name, async |cluster| under(cluster, messages).await);
        compared.await.with_context(|| format!("under a master of {target}"))?;
    }
    Ok(())
}

/// Replicas under one master.
async fn under(cluster: &Arc<Cluster>, messages: usize) -> Result<()> {
    cluster.start().await?;
    for (slave, make) in SLAVES {
        cluster.start_at(slave, make).await?;
    }
    let run = Run { cluster: cluster.clone(), client: Client::Java55, tag: "replicas".to_owned(), company: None };
    let mut load = Load::begin(&run).await?;
    let began = Instant::now();
    for (part, (slave, make)) in (1..).zip(SLAVES) {
        load.send_until(messages * part / 3).await?;
        // One of them at its work; the other in order, and it misses something.
        if make == Server::Ferromq {
            cluster.kill_at(slave).await?;
        } else {
            cluster.stop_at(slave).await?;
        }
        load.send_until(messages * part / 3 + messages / 10).await?;
        cluster.start_at(slave, make).await?;
    }
    load.send_until(messages).await?;
    println!("{}: {} messages in {:?}", cluster.target, load.sent, began.elapsed());
    for (slave, make) in SLAVES {
        let equal = cluster.until_same(Post::MASTER, slave, Since::Beginning).await?;
        ensure!(equal.entries >= messages as u64, "only {equal:?}");
        println!("{}: the slave of make {make:?} has the same {equal:?}", cluster.target);
    }
    Ok(())
}

/// Stock producers, which send messages of all kinds in turns.
struct Load {
    topics: [String; 2],
    producers: Vec<(Client, Producer, Producer)>,
    sent: usize,
    turn: usize,
}

impl Load {
    async fn begin(run: &Run) -> Result<Self> {
        let topics = [run.topic("one", QUEUES).await?, run.topic("other", 1).await?];
        let mut producers = Vec::new();
        for client in PRODUCERS {
            let run = run.with_client(client);
            let transactional = Line::new("with").with("transactional", true);
            let transactional = run.producer_with("transactional", transactional).await?;
            producers.push((client, run.producer("plain").await?, transactional));
        }
        Ok(Self { topics, producers, sent: 0, turn: 0 })
    }

    async fn send_until(&mut self, total: usize) -> Result<()> {
        while self.sent < total {
            let load = &*self;
            let sends = load.producers.iter().map(|(client, plain, transactional)| async move {
                for (line, in_doubt) in load.lines(*client) {
                    let producer = if in_doubt { transactional } else { plain };
                    let answers = producer.try_send(line).await?;
                    ensure!(answers.failed.is_empty(), "{client}: {:?}", answers.failed.first());
                }
                let mut sent = 0;
                for producer in [plain, transactional] {
                    // A long run keeps no list of them.
                    let answered = producer.0.dialogue().take(|journal| std::mem::take(&mut journal.sent));
                    sent += answered.iter().map(|sent| sent.keys.len()).sum::<usize>();
                }
                anyhow::Ok(sent)
            });
            let sent = futures_util::future::try_join_all(sends).await?;
            self.sent += sent.into_iter().sum::<usize>();
            self.turn += 1;
        }
        Ok(())
    }

    /// A turn of one producer, and whether it is a transaction.
    fn lines(&self, client: Client) -> Vec<(Line, bool)> {
        let [one, other] = &self.topics;
        let line = |topic: &str, what: &str, count: usize| {
            Line::send(topic, format!("{client}-{what}-{}", self.turn)).with("count", count)
        };
        let mut lines: Vec<_> = (0..BATCHES)
            .map(|number| line(one, &format!("batch-{number}"), BATCH).with("mode", "batch").with("tag", "b"))
            .collect();
        // Go's asynchronous send ends its program when a call fails.
        let mode = if client == Client::Go { "sync" } else { "async" };
        let size = 1 + self.turn * 37 % 3000;
        lines.push(line(one, "plain", 100).with("mode", mode).with("tag", "t").with("prop.p", "v").with("size", size));
        lines.push(line(other, "ordered", 30).with("queue", 0));
        lines.push(line(other, "delayed", 20).with("mode", mode).with("delay", 1 + self.turn % 2));
        if client != Client::Java49 {
            lines.push(line(other, "timed", 10).with("mode", mode).with("system.TIMER_DELAY_SEC", 1 + self.turn % 5));
        }
        lines.push(line(one, "large", 2).with("size", 60_000).with("fill", "text"));
        let mut lines: Vec<_> = lines.into_iter().map(|line| (line, false)).collect();
        for end in ["commit", "rollback"] {
            let line = line(one, end, 5).with("mode", "transaction").with("prop.local", end).with("prop.check", end);
            lines.push((line, true));
        }
        lines
    }
}

/// Of a producer in each turn.
const BATCHES: usize = 10;
/// Messages of one.
const BATCH: usize = 50;
