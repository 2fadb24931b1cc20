//! Stock producers that send one message after the other, and when they were answered.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::Moment;
use crate::clients::{Client, Line, Producer};
use crate::events::Sent;
use crate::scenario::Run;

/// One producer and the sends it had an answer to of late.
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) label: String,
    /// Waits for each answer.
    pub(crate) ordered: bool,
    producer: Producer,
    answered: Vec<Answered>,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    began: i64,
    time: i64,
}

impl Sender {
    /// Has a producer with these `settings` send as `stream` says, in this `mode`.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) async fn start(run: &Run, label: &str, mode: &str, settings: Line, stream: Line) -> Result<Self> {
        let producer = run.producer_with(label, settings).await?;
        producer.start_stream(stream.with("mode", mode)).await?;
        let (client, label) = (run.client, format!("{} {label}", run.client));
        Ok(Self { client, label, ordered: mode == "sync", producer, answered: Vec::new() })
    }

    fn take(&mut self) -> Result<Vec<Sent>> {
        let dialogue = self.producer.0.dialogue();
        ensure!(!dialogue.look(|journal| journal.ended), "{} is gone", self.label);
        let sent = dialogue.take(|journal| {
            // What failed may be stored or not.
            journal.failed.clear();
            journal.checked.clear();
            std::mem::take(&mut journal.sent)
        });
        self.answered.extend(sent.iter().map(|sent| Answered { began: sent.began, time: sent.time }));
        Ok(sent)
    }
}

/// All producers at work.
#[derive(Default)]
pub(crate) struct Senders(pub(crate) Vec<Sender>);

impl Senders {
    /// Takes in what they were answered since the last look, and tells of what was acknowledged.
    ///
    /// # Errors
    /// If one is gone, or `acknowledged` fails.
    pub(crate) fn look(&mut self, mut acknowledged: impl FnMut(&Sender, &Sent) -> Result<()>) -> Result<()> {
        for sender in &mut self.0 {
            for sent in sender.take()? {
                // Others than `SEND_OK` promise nothing.
                if sent.status == "SEND_OK" {
                    acknowledged(sender, &sent)?;
                }
            }
        }
        Ok(())
    }

    /// Producers that were not answered to any send they began after `moment`.
    pub(crate) fn not_served_since(&self, moment: i64) -> Vec<String> {
        let served = |sender: &&Sender| sender.answered.iter().any(|answered| answered.began > moment);
        self.0.iter().filter(|sender| !served(sender)).map(|sender| sender.label.clone()).collect()
    }

    /// Milliseconds from a fault to the first answer to a send that was begun after it, by client: each client's best.
    /// Forgets the answers.
    pub(crate) fn served_after(&mut self, moment: Moment) -> BTreeMap<Client, i64> {
        let mut first = BTreeMap::new();
        for sender in &mut self.0 {
            let after =
                std::mem::take(&mut sender.answered).into_iter().filter(|answered| answered.began > moment.over);
            if let Some(time) = after.map(|answered| answered.time).min() {
                let gap = time - moment.from;
                first.entry(sender.client).and_modify(|best: &mut i64| *best = gap.min(*best)).or_insert(gap);
            }
        }
        first
    }

    /// Longest time since `from` in which a client had no answer, in milliseconds, by client. Forgets the answers.
    pub(crate) fn longest_pauses(&mut self, from: i64) -> BTreeMap<Client, i64> {
        let mut times: BTreeMap<Client, Vec<i64>> = BTreeMap::new();
        for sender in &mut self.0 {
            let answered = std::mem::take(&mut sender.answered).into_iter().map(|answered| answered.time);
            times.entry(sender.client).or_default().extend(answered.filter(|time| *time > from));
        }
        let longest = |(client, mut times): (_, Vec<i64>)| {
            times.push(from);
            times.sort_unstable();
            (client, times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default())
        };
        times.into_iter().map(longest).collect()
    }

    /// When the last answer came until `moment`.
    pub(crate) fn last_answer_until(&self, moment: i64) -> i64 {
        let times = self.0.iter().flat_map(|sender| &sender.answered).map(|answered| answered.time);
        times.filter(|time| *time <= moment).max().unwrap_or_default()
    }

    /// Ends the sends, with all of them answered or failed.
    pub(crate) async fn stop(&self) -> Result<()> {
        for sender in &self.0 {
            sender.producer.stop_stream().await?;
        }
        Ok(())
    }
}
