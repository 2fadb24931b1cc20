//! Stock producers and consumers with their usual settings.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::Moment;
use super::checker::Checker;
use crate::clients::{Client, Consumer, Line, Producer};
use crate::scenario::Run;

/// Queues of the topic.
const QUEUES: u32 = 4;
/// Milliseconds between two sends of a producer.
const EVERY_MS: u32 = 10;
/// Producers that wait for an answer before they send on, so that their messages have an order; and, of Java's clients, one
/// each that does not: an application with many threads is served again before the one call that met the fault is over.
/// Go's asynchronous send ends its program when a call fails.
const PRODUCERS: [(Client, &str); 5] = [
    (Client::Java55, "sync"),
    (Client::Java49, "sync"),
    (Client::Go, "sync"),
    (Client::Java55, "async"),
    (Client::Java49, "async"),
];
const CONSUMERS: [Client; 2] = [Client::Java55, Client::Go];

/// One producer and the sends it had an answer to in this round.
struct Sender {
    client: Client,
    label: String,
    /// Waits for each answer.
    ordered: bool,
    producer: Producer,
    answered: Vec<Answered>,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    began: i64,
    time: i64,
}

/// All clients at work.
pub(super) struct Load {
    senders: Vec<Sender>,
    consumers: Vec<(String, Consumer)>,
    checker: Checker,
}

impl Load {
    pub(super) async fn start(run: &Run, poll_ms: u64) -> Result<Self> {
        let topic = run.topic("topic", QUEUES).await?;
        // The harness's own settings are more patient than the stock ones.
        let stock = || {
            let line = Line::new("with").with("timeout", 3000).with("apiTimeout", 3000);
            line.with("poll", poll_ms).with("heartbeat", 30_000)
        };
        let mut load = Self { senders: Vec::new(), consumers: Vec::new(), checker: Checker::default() };
        for client in CONSUMERS {
            let (run, settings) = (run.with_client(client), stock().with("persist", 5000).with("order", "orderly"));
            let consumer = run.push_with("consumer", &run.name("group"), &topic, settings).await?;
            load.consumers.push((client.to_string(), consumer));
        }
        for (client, mode) in PRODUCERS {
            let label = format!("{client} {mode}");
            let producer = run.with_client(client).producer_with(mode, stock()).await?;
            let stream = Line::new("stream").with("topic", &topic).with("key", format!("{}-{mode}", client.tag()));
            producer.start_stream(stream.with("every", EVERY_MS).with("mode", mode)).await?;
            load.senders.push(Sender { client, label, ordered: mode == "sync", producer, answered: Vec::new() });
        }
        Ok(load)
    }

    /// Takes in what the clients told since the last look.
    ///
    /// # Errors
    /// If a client is gone, or something is not as it must be.
    pub(super) fn look(&mut self) -> Result<()> {
        for sender in &mut self.senders {
            let dialogue = sender.producer.0.dialogue();
            ensure!(!dialogue.look(|journal| journal.ended), "{} is gone", sender.label);
            let sent = dialogue.take(|journal| {
                // What failed may be stored or not.
                journal.failed.clear();
                std::mem::take(&mut journal.sent)
            });
            for sent in sent {
                sender.answered.push(Answered { began: sent.began, time: sent.time });
                // Others than `SEND_OK` promise nothing.
                if sent.status == "SEND_OK" {
                    self.checker.acknowledged(&sender.label, sender.ordered, &sent)?;
                }
            }
        }
        for (label, consumer) in &self.consumers {
            let dialogue = consumer.0.dialogue();
            ensure!(!dialogue.look(|journal| journal.ended), "the consumer {label} is gone");
            for received in dialogue.take(|journal| std::mem::take(&mut journal.received)) {
                self.checker.delivered(label, &received)?;
            }
        }
        Ok(())
    }

    /// Producers that were not answered to any send they began after `moment`.
    pub(super) fn not_served_since(&self, moment: i64) -> Vec<String> {
        let served = |sender: &&Sender| sender.answered.iter().any(|answered| answered.began > moment);
        self.senders.iter().filter(|sender| !served(sender)).map(|sender| sender.label.clone()).collect()
    }

    /// Milliseconds from a fault to the first answer to a send that was begun after it, by client: each client's best.
    /// Forgets the round's answers.
    pub(super) fn served_after(&mut self, moment: Moment) -> BTreeMap<Client, i64> {
        let mut first = BTreeMap::new();
        for sender in &mut self.senders {
            let after =
                std::mem::take(&mut sender.answered).into_iter().filter(|answered| answered.began > moment.over);
            if let Some(time) = after.map(|answered| answered.time).min() {
                let gap = time - moment.from;
                first.entry(sender.client).and_modify(|best: &mut i64| *best = gap.min(*best)).or_insert(gap);
            }
        }
        first
    }

    /// When the last answer came until `moment`.
    pub(super) fn last_answer_until(&self, moment: i64) -> i64 {
        let times = self.senders.iter().flat_map(|sender| &sender.answered).map(|answered| answered.time);
        times.filter(|time| *time <= moment).max().unwrap_or_default()
    }

    /// Ends the sends, with all of them answered or failed.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for sender in &self.senders {
            sender.producer.stop_stream().await?;
        }
        self.look()
    }

    /// What consumers have not had yet of what was acknowledged.
    pub(super) fn lacks(&self) -> Vec<String> {
        self.checker.lacks(self.consumers.iter().map(|(label, _)| label.as_str()))
    }

    /// Messages that were acknowledged since the start.
    pub(super) fn acknowledged(&self) -> usize {
        self.checker.acknowledged_count()
    }
}
