//! Stock Java and Go clients that produce and consume all the time, and whether everything is as it may be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::book::{Book, CHECK, Fate, LOCAL};
use super::fleet::Fleet;
use crate::clients::{Client, Consumer, Line};
use crate::events::{Received, Sent};
use crate::faults::Look;
use crate::faults::checker::{Checker, Ends, Order, Repeats};
use crate::faults::load::{stock, stock_consumer};
use crate::faults::senders::{Sender, Senders};
use crate::scenario::Run;

/// Queues that each topic has at each broker set.
const QUEUES: u32 = 4;
/// The level of delayed messages, and how long that is, see [`crate::target::DELAY_LEVELS`].
const DELAY_LEVEL: u32 = 2;
const DELAY_MS: i64 = 3000;
/// Of messages with a time of their own.
const TIMED_SECONDS: u32 = 4;

/// What kind of messages a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// To any queue.
    Plain,
    /// Each producer's to one queue, consumed one after the other.
    Ordered,
    Delayed,
    Transactional,
}

/// All of them, with those whose consumers there are.
const FLOWS: [(Flow, &[Client]); 4] = [
    (Flow::Plain, &[Client::Java55, Client::Java49, Client::Go]),
    (Flow::Ordered, &[Client::Java55, Client::Go]),
    (Flow::Delayed, &[Client::Java55, Client::Go]),
    (Flow::Transactional, &[Client::Java49, Client::Go]),
];

/// What a producer sends and how, and how many milliseconds apart.
type Source = (Client, Flow, &'static str, u32);

/// Go's asynchronous send ends its program when a call fails.
const SOURCES: [Source; 13] = [
    (Client::Java55, Flow::Plain, "sync", 25),
    (Client::Java49, Flow::Plain, "sync", 25),
    (Client::Go, Flow::Plain, "sync", 25),
    (Client::Java55, Flow::Plain, "async", 25),
    (Client::Java55, Flow::Ordered, "sync", 25),
    (Client::Java49, Flow::Ordered, "sync", 25),
    (Client::Go, Flow::Ordered, "sync", 25),
    (Client::Java55, Flow::Delayed, "sync", 100),
    (Client::Java49, Flow::Delayed, "sync", 100),
    (Client::Go, Flow::Delayed, "sync", 100),
    (Client::Java55, Flow::Transactional, "transaction", 200),
    (Client::Java49, Flow::Transactional, "transaction", 200),
    (Client::Go, Flow::Transactional, "transaction", 200),
];

impl Flow {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ordered => "ordered",
            Self::Delayed => "delayed",
            Self::Transactional => "transactional",
        }
    }

    fn order(self) -> Order {
        if self == Self::Ordered { Order::Queue } else { Order::Any }
    }

    fn nothing_seen(self) -> Seen {
        match self {
            Self::Plain | Self::Ordered => Seen::Places(Checker::default()),
            Self::Delayed => Seen::Keys(Book::new(Fate::Later(DELAY_MS))),
            Self::Transactional => Seen::Keys(Book::new(Fate::Transaction)),
        }
    }

    /// What a producer's role adds to its settings, and its stream to what all have.
    fn lines(self, client: Client, queues: u32) -> (Line, Line) {
        let (role, stream) = (Line::new("with"), Line::new("with"));
        match self {
            Self::Plain => (role, stream),
            // The last one is at another broker, if there are several; Go's program counts those of the first.
            Self::Ordered if client == Client::Java49 => (role, stream.with("queue", queues - 1)),
            Self::Ordered if client == Client::Java55 => (role, stream.with("queue", 1)),
            Self::Ordered => (role, stream.with("queue", 2)),
            Self::Delayed => (role, stream.with("delay", DELAY_LEVEL)),
            Self::Transactional => {
                let stream = stream.with("cycle.local", LOCAL.join(",")).with("cycle.check", CHECK.join(","));
                (role.with("transactional", true), stream)
            }
        }
    }
}

/// What was seen of the messages of a topic.
enum Seen {
    /// They are delivered from where they were acknowledged.
    Places(Checker),
    Keys(Book),
}

/// What was acknowledged until a moment and has to come, of each topic.
pub(super) struct Owed(Vec<OwedOf>);

impl Owed {
    /// Only what lies at these broker sets.
    pub(super) fn keep(&mut self, sets: &BTreeSet<&str>) {
        for owed in &mut self.0 {
            if let OwedOf::Ends(ends) = owed {
                ends.retain(|queue, _| sets.contains(queue.broker.as_str()));
            }
        }
    }
}

enum OwedOf {
    Ends(Ends),
    Keys(BTreeSet<String>),
}

/// A topic and who is at work on it.
struct Course {
    flow: Flow,
    topic: String,
    senders: Senders,
    consumers: Vec<Taker>,
    seen: Seen,
}

struct Taker {
    label: String,
    consumer: Consumer,
    since: Since,
}

/// When a consumer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    TheStart,
    /// Nothing is sent any more, and it reads everything from the beginning.
    TheEnd,
}

/// All clients.
pub(super) struct Load {
    run: Run,
    poll_ms: u64,
    courses: Vec<Course>,
}

impl Load {
    /// Makes topics, and starts all consumers and then all producers; with messages that have a time of their own if `timed`.
    pub(super) async fn start(run: &Run, fleet: &Fleet, timed: bool, poll_ms: u64) -> Result<Self> {
        let mut load = Self { run: run.clone(), poll_ms, courses: Vec::new() };
        for (flow, clients) in FLOWS {
            let topic = run.name(flow.name());
            fleet.cluster.create_topic(&topic, QUEUES, false).await?;
            let (senders, consumers, seen) = (Senders::default(), Vec::new(), flow.nothing_seen());
            load.courses.push(Course { flow, topic, senders, consumers, seen });
            for client in clients {
                load.consume(*client, flow, Since::TheStart).await?;
            }
        }
        for source in SOURCES {
            let (role, stream) = source.1.lines(source.0, QUEUES * u32::try_from(fleet.cluster.layout.masters)?);
            load.produce(source, source.2, role, stream).await?;
        }
        if timed {
            let line = Line::new("with").with("system.TIMER_DELAY_SEC", TIMED_SECONDS);
            load.produce((Client::Java55, Flow::Delayed, "sync", 100), "timed", Line::new("with"), line).await?;
        }
        Ok(load)
    }

    async fn produce(&mut self, source: Source, label: &str, role: Line, stream: Line) -> Result<()> {
        let (client, flow, mode, every_ms) = source;
        let course = self.courses.iter_mut().find(|course| course.flow == flow).context("find the topic")?;
        let label = format!("{}-{label}", flow.name());
        let key = format!("{}-{label}", client.tag());
        let every = Line::new("stream").with("topic", &course.topic).with("key", key).with("every", every_ms);
        let (run, role) = (self.run.with_client(client), stock(self.poll_ms).and(&role));
        course.senders.0.push(Sender::start(&run, &label, mode, role, every.and(&stream)).await?);
        Ok(())
    }

    async fn consume(&mut self, client: Client, flow: Flow, since: Since) -> Result<()> {
        let course = self.courses.iter_mut().find(|course| course.flow == flow).context("find the topic")?;
        let label = format!("{}-{}", flow.name(), if since == Since::TheStart { "consumer" } else { "newcomer" });
        let (run, settings) = (self.run.with_client(client), stock_consumer(self.poll_ms, flow.order()));
        let group = run.name(&format!("{label}-group"));
        let consumer = run.push_with(&label, &group, &course.topic, settings).await?;
        course.consumers.push(Taker { label: format!("{client} {label}"), consumer, since });
        Ok(())
    }

    /// Has new groups consume everything from the beginning that is delivered from where it was acknowledged.
    pub(super) async fn read_all_again(&mut self) -> Result<()> {
        for flow in [Flow::Plain, Flow::Ordered] {
            self.consume(Client::Java55, flow, Since::TheEnd).await?;
        }
        Ok(())
    }

    /// Producers that were not answered to any send they began after `moment`.
    pub(super) fn not_served_since(&self, moment: i64) -> Vec<String> {
        self.courses.iter().flat_map(|course| course.senders.not_served_since(moment)).collect()
    }

    /// Of plain messages, see [`Senders::longest_pauses`].
    pub(super) fn longest_pauses(&mut self, from: i64) -> BTreeMap<Client, i64> {
        let pauses = self.courses.iter_mut().map(|course| (course.flow, course.senders.longest_pauses(from)));
        let plain = pauses.filter(|(flow, _)| *flow == Flow::Plain).map(|(_, pauses)| pauses);
        plain.fold(BTreeMap::new(), |_, pauses| pauses)
    }

    /// Ends the sends, with all of them answered or failed.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for course in &self.courses {
            course.senders.stop().await?;
        }
        self.look()
    }

    /// What has been acknowledged until now.
    pub(super) fn owed(&self) -> Owed {
        let owed = self.courses.iter().map(|course| match &course.seen {
            Seen::Places(checker) => OwedOf::Ends(checker.ends()),
            Seen::Keys(book) => OwedOf::Keys(book.due().clone()),
        });
        Owed(owed.collect())
    }

    /// What those who came then have not had yet of that.
    pub(super) fn lacks(&self, owed: &Owed, since: Since) -> Vec<String> {
        let lacks = self.courses.iter().zip(&owed.0).flat_map(|(course, owed)| {
            let takers = course.consumers.iter().filter(|taker| taker.since == since);
            let consumers = takers.map(|taker| taker.label.as_str());
            match (&course.seen, owed) {
                (Seen::Places(checker), OwedOf::Ends(ends)) => checker.lacks(consumers, ends),
                (Seen::Keys(book), OwedOf::Keys(due)) => book.lacks(consumers, due),
                _ => unreachable!("what is owed was taken from what was seen"),
            }
        });
        lacks.collect()
    }

    /// Has it be an error if something is delivered again that was stored before that time.
    pub(super) fn settle(&mut self, before: i64) {
        for course in &mut self.courses {
            if let Seen::Places(checker) = &mut course.seen {
                checker.settle(before);
            }
        }
    }

    /// Messages that were acknowledged since the start, by kind.
    pub(super) fn acknowledged(&self) -> Vec<(Flow, usize)> {
        let counts = self.courses.iter().map(|course| match &course.seen {
            Seen::Places(checker) => (course.flow, checker.acknowledged_count()),
            Seen::Keys(book) => (course.flow, book.acknowledged_count()),
        });
        counts.collect()
    }

    pub(super) fn repeats(&self) -> Repeats {
        let repeats = self.courses.iter().map(|course| match &course.seen {
            Seen::Places(checker) => checker.repeats(),
            Seen::Keys(book) => book.repeats(),
        });
        repeats.fold(Repeats::default(), |sum, one| Repeats {
            delivered: sum.delivered + one.delivered,
            stored: sum.stored + one.stored,
        })
    }
}

impl Seen {
    fn acknowledged(&mut self, sender: &Sender, sent: &Sent) -> Result<()> {
        match self {
            Self::Places(checker) => checker.acknowledged(&sender.label, sender.ordered, sent),
            Self::Keys(book) => book.acknowledged(sent),
        }
    }

    fn delivered(&mut self, consumer: &str, order: Order, received: &Received) -> Result<()> {
        match self {
            Self::Places(checker) => checker.delivered(consumer, order, received),
            Self::Keys(book) => book.delivered(consumer, received),
        }
    }
}

impl Look for Load {
    fn look(&mut self) -> Result<()> {
        for Course { flow, senders, consumers, seen, .. } in &mut self.courses {
            senders.look(|sender, sent| seen.acknowledged(sender, sent))?;
            for Taker { label, consumer, .. } in consumers {
                for received in consumer.take_received()? {
                    seen.delivered(label, flow.order(), &received)?;
                }
            }
        }
        Ok(())
    }
}
