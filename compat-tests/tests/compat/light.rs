//! Light queues: a message of an ordinary topic is in each that it names, too.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Consumer, Line, Producer};
use compat_tests::cluster::Layout;
use compat_tests::events::Received;
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, Server};

use crate::pop::{self, Popper};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(light_queues_have_offsets_of_their_own_through_stop_and_kill_9)
        .alone_with(LIGHT)
        .with(&[Client::Java55, Client::Java49])
        .allowing(&logs::KILLED_WHILE_WRITING),
    scenario!(light_queues_are_popped).alone_with(Layout { timer: true, ..LIGHT }).with(&[Client::Java55]),
    scenario!(light_queues_are_taken_over_and_handed_back)
        .alone_with(LIGHT)
        .with(&[Client::Java55])
        .allowing(&logs::KILLED_WHILE_WRITING),
];

const LIGHT: Layout = Layout { light: true, ..Layout::SMALL };

/// Two light queues that messages of one topic go to: every message to one, every other one to both.
struct Light {
    topic: String,
    every: String,
    second: String,
    sent: usize,
}

impl Light {
    async fn new(run: &Run) -> Result<Self> {
        let topic = run.topic("topic", 2).await?;
        Ok(Self { topic, every: format!("%LMQ%{}", run.name("e")), second: format!("%LMQ%{}", run.name("s")), sent: 0 })
    }

    /// Sends so many, an even number.
    async fn send(&mut self, producer: &Producer, count: usize) -> Result<()> {
        for number in self.sent..self.sent + count {
            let names = match number % 4 {
                1 => format!("{},{}", self.every, self.second),
                3 => format!("{},{}", self.second, self.every),
                _ => self.every.clone(),
            };
            let line = Line::send(&self.topic, format!("m-{number}")).with("system.INNER_MULTI_DISPATCH", names);
            producer.send(line).await?;
        }
        self.sent += count;
        Ok(())
    }

    /// Pulls what a queue has from `offset` on, or from where the group stands; `from` is the place this has to be.
    async fn pull(&self, consumer: &Consumer, queue: &str, offset: Option<usize>, from: usize) -> Result<()> {
        let keys: Vec<String> = if queue == self.every {
            (0..self.sent).map(|number| format!("m-{number}")).collect()
        } else {
            (0..self.sent).filter(|number| number % 2 == 1).map(|number| format!("m-{number}")).collect()
        };
        let line = Line::new("pull").with("queue", queue).with("broker", BROKER).with("count", keys.len() - from);
        let line = offset.into_iter().fold(line, |line, offset| line.with("offset", offset));
        let received = consumer.command(line).await?;
        let got: Vec<&String> = received.iter().map(|received| &received.key).collect();
        ensure!(got == keys[from..].iter().collect::<Vec<_>>(), "{queue} from {from} on has {got:?}");
        for (place, received) in (from..).zip(&received) {
            ensure!(received.topic == self.topic, "of another topic: {received:?}");
            ensure!(offset_in(received, queue)? == place, "not at {place} of {queue}: {received:?}");
        }
        Ok(())
    }
}

fn offset_in(received: &Received, queue: &str) -> Result<usize> {
    let property = |name| received.properties.get(name).with_context(|| format!("no {name} in {received:?}"));
    let names = property("INNER_MULTI_DISPATCH")?.split(',');
    let mut pairs = names.zip(property("INNER_MULTI_QUEUE_OFFSET")?.split(','));
    let (_, offset) = pairs.find(|(name, _)| *name == queue).with_context(|| format!("not for {queue}"))?;
    Ok(offset.parse()?)
}

async fn light_queues_have_offsets_of_their_own_through_stop_and_kill_9(run: Run) -> Result<()> {
    let mut light = Light::new(&run).await?;
    let producer = run.producer("producer").await?;
    let (own, light_group) = (run.name("group"), format!("%LMQ%{}", run.name("g")));
    light.send(&producer, 14).await?;
    for group in [&own, &light_group] {
        let consumer = run.light_consumer(&format!("first-{}", group.len()), group, &light.topic).await?;
        light.pull(&consumer, &light.every, Some(0), 0).await?;
        light.pull(&consumer, &light.second, Some(0), 0).await?;
        light.pull(&consumer, &light.second, Some(3), 3).await?;
        consumer.quit().await?;
    }
    // One that waits is woken; then the group goes on where it stands.
    let waiting = run.light_consumer("waiting", &own, &light.topic).await?;
    let line = Line::new("pull").with("queue", &light.second).with("broker", BROKER).with("count", 1);
    let (woken, sent) = tokio::join!(waiting.command(line), light.send(&producer, 2));
    sent?;
    ensure!(woken?.len() == 1, "the waiting pull was not woken");
    waiting.quit().await?;

    run.stop_broker().await?;
    run.start_broker().await?;
    light.send(&producer, 4).await?;
    let after_stop = run.light_consumer("after-stop", &light_group, &light.topic).await?;
    light.pull(&after_stop, &light.second, None, 7).await?;
    light.pull(&after_stop, &light.every, None, 14).await?;
    after_stop.quit().await?;

    run.kill_broker().await?;
    run.start_broker().await?;
    light.send(&producer, 4).await?;
    let after_kill = run.light_consumer("after-kill", &own, &light.topic).await?;
    light.pull(&after_kill, &light.every, Some(0), 0).await?;
    light.pull(&after_kill, &light.second, Some(0), 0).await
}

async fn light_queues_are_popped(run: Run) -> Result<()> {
    let mut light = Light::new(&run).await?;
    let producer = run.producer("producer").await?;
    light.send(&producer, 12).await?;
    let popper = Popper { run: &run, group: run.name("group"), topic: light.second.clone() };
    let leased = popper.lease(6, 4).await?;
    let offsets: Vec<_> = leased.iter().map(|leased| (leased.body.as_str(), leased.offset.as_str())).collect();
    let wanted = [("m-1", "0"), ("m-3", "1"), ("m-5", "2"), ("m-7", "3"), ("m-9", "4"), ("m-11", "5")];
    ensure!(offsets == wanted, "not by the offsets of the light queue: {offsets:?}");
    popper.only_these_come_again(&pop::keys(&leased[4..])).await
}

async fn light_queues_are_taken_over_and_handed_back(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    let mut light = Light::new(&run).await?;
    let producer = run.producer("producer").await?;
    light.send(&producer, 12).await?;
    let group = format!("%LMQ%{}", run.name("g"));
    let first = run.light_consumer("first", &group, &light.topic).await?;
    light.pull(&first, &light.every, Some(0), 0).await?;
    first.quit().await?;
    for (turn, (kill, next)) in
        [(false, Server::Java), (false, own), (true, Server::Java), (true, own)].into_iter().enumerate()
    {
        let stood = light.sent;
        if kill {
            run.kill_broker().await?;
        } else {
            run.stop_broker().await?;
        }
        run.start_broker_of(next).await?;
        light.send(&producer, 4).await?;
        let consumer = run.light_consumer(&format!("turn-{turn}"), &group, &light.topic).await?;
        if !kill {
            light.pull(&consumer, &light.every, None, stood).await?;
        }
        light.pull(&consumer, &light.second, Some(0), 0).await?;
        light.pull(&consumer, &light.every, Some(0), 0).await?;
        consumer.quit().await?;
    }
    Ok(())
}
