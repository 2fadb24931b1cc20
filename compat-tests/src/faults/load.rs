//! Stock producers and consumers with their usual settings.

use std::collections::BTreeMap;

use anyhow::Result;

use super::checker::{Checker, Order};
use super::senders::{Sender, Senders};
use super::{Look, Moment};
use crate::clients::{Client, Consumer, Line};
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

/// What an application sets if it sets nothing; the harness's own settings are more patient. Java's clients look at the name
/// server every `poll_ms`.
pub(crate) fn stock(poll_ms: u64) -> Line {
    let line = Line::new("with").with("timeout", 3000).with("apiTimeout", 3000);
    line.with("poll", poll_ms).with("heartbeat", 30_000)
}

/// What a consumer adds to that.
pub(crate) fn stock_consumer(poll_ms: u64, order: Order) -> Line {
    let order = if order == Order::Queue { "orderly" } else { "concurrent" };
    stock(poll_ms).with("persist", 5000).with("order", order)
}

/// All clients at work.
pub(super) struct Load {
    senders: Senders,
    consumers: Vec<(String, Consumer)>,
    checker: Checker,
}

impl Load {
    pub(super) async fn start(run: &Run, poll_ms: u64) -> Result<Self> {
        let topic = run.topic("topic", QUEUES).await?;
        let mut load = Self { senders: Senders::default(), consumers: Vec::new(), checker: Checker::default() };
        for client in CONSUMERS {
            let (run, settings) = (run.with_client(client), stock_consumer(poll_ms, Order::Queue));
            let consumer = run.push_with("consumer", &run.name("group"), &topic, settings).await?;
            load.consumers.push((client.to_string(), consumer));
        }
        for (client, mode) in PRODUCERS {
            let stream = Line::new("stream").with("topic", &topic).with("key", format!("{}-{mode}", client.tag()));
            let (run, stream) = (run.with_client(client), stream.with("every", EVERY_MS));
            load.senders.0.push(Sender::start(&run, mode, mode, stock(poll_ms), stream).await?);
        }
        Ok(load)
    }

    /// Producers that were not answered to any send they began after `moment`.
    pub(super) fn not_served_since(&self, moment: i64) -> Vec<String> {
        self.senders.not_served_since(moment)
    }

    /// See [`Senders::served_after`].
    pub(super) fn served_after(&mut self, moment: Moment) -> BTreeMap<Client, i64> {
        self.senders.served_after(moment)
    }

    /// When the last answer came until `moment`.
    pub(super) fn last_answer_until(&self, moment: i64) -> i64 {
        self.senders.last_answer_until(moment)
    }

    /// Ends the sends, with all of them answered or failed.
    pub(super) async fn stop(&mut self) -> Result<()> {
        self.senders.stop().await?;
        self.look()
    }

    /// What consumers have not had yet of what was acknowledged.
    pub(super) fn lacks(&self) -> Vec<String> {
        self.checker.lacks(self.consumers.iter().map(|(label, _)| label.as_str()), &self.checker.ends())
    }

    /// Messages that were acknowledged since the start.
    pub(super) fn acknowledged(&self) -> usize {
        self.checker.acknowledged_count()
    }
}

impl Look for Load {
    fn look(&mut self) -> Result<()> {
        let checker = &mut self.checker;
        self.senders.look(|sender, sent| checker.acknowledged(&sender.label, sender.ordered, sent))?;
        for (label, consumer) in &self.consumers {
            for received in consumer.take_received()? {
                self.checker.delivered(label, Order::Queue, &received)?;
            }
        }
        Ok(())
    }
}
