//! Producers and consumers, who note what they are told.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use remoting::types::{Host, QueueId};
use store::message::Message;
use store::{AppendError, Confirmation};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, Running};
use super::invariants::{Acknowledgement, Prefix, QUEUES, Reigns, messages_in, topic};
use super::world::note;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How one client goes about it.
pub(super) struct Client {
    pub(super) cluster: Arc<Cluster>,
    pub(super) name: String,
    pub(super) chance: Rng,
    pub(super) stopping: CancellationToken,
    /// Whom it asks first.
    pub(super) believes: u64,
}

/// What becomes of a batch.
enum Sent {
    /// Offset in the queue and place in the log of each message.
    Stored(Vec<(i64, i64)>),
    Refused,
    /// It may be stored, or come to be.
    InDoubt,
}

impl Client {
    /// Has a member do something, and waits for the answer; `None`: there was none, and whether it was done is not known.
    async fn ask<T, F>(&mut self, member: u64, act: impl FnOnce(Arc<Running>) -> F + Send + 'static) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let cluster = Arc::clone(&self.cluster);
        let deadline = Instant::now() + PATIENCE;
        let asked = async move {
            sleep(cluster.net.delay()).await;
            let running = cluster.running(member)?;
            let acting = Arc::clone(&running);
            // Not done if nobody waits for it any more: what came of it would be told of as late as that.
            let act = async move { if Instant::now() < deadline { Some(act(acting).await) } else { None } };
            let answer = running.life.spawn(act).await.ok()??;
            sleep(cluster.net.delay()).await;
            Some(answer)
        };
        timeout(PATIENCE, asked).await.ok().flatten()
    }

    /// Somebody else to ask, as this one was of no use.
    async fn look_around(&mut self) {
        let members = self.cluster.members();
        let leader = self.cluster.leader().filter(|_| self.chance.u8(0..4) > 0);
        let leader = leader.map(|running| running.life.member);
        self.believes = leader.or_else(|| self.chance.choice(members)).unwrap_or(1);
        self.wait(5, 100).await;
    }

    async fn wait(&mut self, from_ms: u64, to_ms: u64) {
        sleep(Duration::from_millis(self.chance.u64(from_ms..to_ms))).await;
    }

    /// Sends batches until it is to stop.
    pub(super) async fn produce(mut self) {
        let mut number = 0;
        while !self.stopping.is_cancelled() {
            let count = if self.chance.u8(0..4) == 0 { self.chance.usize(2..6) } else { 1 };
            let queue = self.chance.usize(0..QUEUES);
            let bodies: Vec<String> = (number..number + count).map(|number| self.body(number)).collect();
            number += count;
            if !self.send(queue, bodies).await {
                self.look_around().await;
            }
            self.wait(1, 120).await;
        }
    }

    fn body(&mut self, number: usize) -> String {
        let len = if self.chance.u8(0..16) == 0 { self.chance.usize(0..6000) } else { self.chance.usize(0..200) };
        format!("{}-{number}:{}", self.name, "x".repeat(len))
    }

    /// Sends a batch; whether it was acknowledged.
    pub(super) async fn send(&mut self, queue: usize, bodies: Vec<String>) -> bool {
        let names: Vec<String> = bodies.iter().map(|body| body.split(':').next().unwrap_or_default().into()).collect();
        let newest = self.cluster.invariants.lock().reigns.newest();
        let cluster = Arc::clone(&self.cluster);
        let sent = self.ask(self.believes, move |running| append(cluster, running, queue, bodies)).await;
        let (first, member) = (&names[0], self.believes);
        match sent {
            Some(Sent::Stored(places)) => {
                note!(self.cluster.world, "{first} is stored by member {member} at {:?} of queue {queue}", places[0]);
                let invariants = &mut *self.cluster.invariants.lock();
                for (name, (offset, at)) in names.into_iter().zip(places) {
                    let world = &self.cluster.world;
                    world.check(Reigns::acknowledges(&invariants.ledger, &name, at, newest));
                    let of = Acknowledgement { name, queue, offset, at };
                    world.check(invariants.acknowledged.hear(of, &invariants.queues));
                }
                true
            }
            Some(Sent::Refused) => false,
            Some(Sent::InDoubt) | None => {
                note!(self.cluster.world, "{first} is in doubt, sent to member {member}");
                false
            }
        }
    }

    /// Reads all queues from one member after another, and commits how far it is, until it is to stop; what it has seen.
    pub(super) async fn consume(mut self) -> Prefix {
        let mut seen = Prefix::default();
        while !self.stopping.is_cancelled() {
            let queue = self.chance.usize(0..QUEUES);
            let member = self.chance.choice(self.cluster.members()).unwrap_or(1);
            self.read(member, queue, &mut seen).await;
            if self.chance.u8(0..4) == 0 {
                self.commit(queue, seen.len(queue) as u64).await;
            }
            self.wait(5, 200).await;
        }
        seen
    }

    /// Reads a queue from where it is, or from a little before.
    pub(super) async fn read(&mut self, member: u64, queue: usize, seen: &mut Prefix) {
        let from = seen.len(queue).saturating_sub(self.chance.usize(0..4));
        let read = self.ask(member, async move |running| messages_in(&running.store, queue, from, 32)).await;
        match read {
            Some(Ok(messages)) => self.cluster.world.check(seen.read(member, queue, from, messages)),
            Some(Err(wrong)) => self.cluster.world.wrong(format!("member {member}, queue {queue}: {wrong}")),
            None => {}
        }
    }

    async fn commit(&mut self, queue: usize, offset: u64) {
        let name = format!("{}-{queue}", self.name);
        let change = format!("{name}={offset}");
        let committed =
            self.ask(self.believes, async move |running| match running.log.append_state(change.as_bytes()) {
                Ok(end) => running.log.agreed(end).await == Confirmation::Confirmed,
                Err(_) => false,
            });
        match committed.await {
            Some(true) => {
                note!(self.cluster.world, "{name} is committed as {offset} by member {}", self.believes);
                self.cluster.invariants.lock().offsets.acknowledge(&name, offset);
            }
            Some(false) | None => self.look_around().await,
        }
    }
}

/// What a broker does with a batch.
async fn append(cluster: Arc<Cluster>, running: Arc<Running>, queue: usize, bodies: Vec<String>) -> Sent {
    let (topic, host) = (topic(), Host { ip: [127, 0, 0, 1].into(), port: 1 });
    let mut batch = running.store.batch();
    for body in &bodies {
        let message = Message::new(&topic, QueueId(queue as i32), body.as_bytes(), host);
        batch.push(&message).expect("a legal message");
    }
    let (places, end) = match running.store.append(&mut batch) {
        Ok(appended) => {
            let place = |position: &store::Position| (position.queue_offset.0, position.physical_offset.0);
            (appended.positions.iter().map(place).collect(), appended.end)
        }
        Err(AppendError::NotLeader) => return Sent::Refused,
        Err(_) => return Sent::InDoubt,
    };
    match running.store.confirmation(end).await {
        Confirmation::Confirmed => {
            cluster.look(&running);
            Sent::Stored(places)
        }
        Confirmation::FlushTimeout | Confirmation::Failed => Sent::InDoubt,
    }
}
