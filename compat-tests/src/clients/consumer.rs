//! A stock consumer, push or pull.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::timeout;

use super::{Line, Role};
use crate::dialogue::PATIENCE;
use crate::events::Received;

/// A running consumer.
#[derive(Debug)]
pub struct Consumer(pub(crate) Role);

impl Consumer {
    /// Waits for at least `count` deliveries and returns all there are.
    ///
    /// # Errors
    /// If they do not come in time.
    pub async fn until_received(&self, count: usize) -> Result<Vec<Received>> {
        self.0
            .dialogue()
            .until(&format!("receive {count} messages"), |journal| journal.received.len() >= count)
            .await?;
        Ok(self.received())
    }

    /// Waits until every one of `keys` was delivered at least once and returns all deliveries.
    ///
    /// # Errors
    /// If one does not come in time.
    pub async fn until_keys<'a>(&self, keys: impl IntoIterator<Item = &'a String>) -> Result<Vec<Received>> {
        self.until_keys_of("receive", keys, |_| true).await
    }

    /// Waits until every one of `keys` was delivered and consumed without failing, and returns all deliveries.
    ///
    /// # Errors
    /// If one is not in time.
    pub async fn until_taken<'a>(&self, keys: impl IntoIterator<Item = &'a String>) -> Result<Vec<Received>> {
        self.until_keys_of("take", keys, |received| received.ok).await
    }

    async fn until_keys_of<'a>(
        &self,
        what: &str,
        keys: impl IntoIterator<Item = &'a String>,
        counts: impl Fn(&Received) -> bool,
    ) -> Result<Vec<Received>> {
        let wanted: BTreeSet<&str> = keys.into_iter().map(String::as_str).collect();
        self.0
            .dialogue()
            .until(&format!("{what} {} keys", wanted.len()), |journal| {
                if journal.received.len() < wanted.len() {
                    return false;
                }
                let counted = journal.received.iter().filter(|received| counts(received));
                let seen: BTreeSet<&str> = counted.map(|received| received.key.as_str()).collect();
                wanted.is_subset(&seen)
            })
            .await?;
        Ok(self.received())
    }

    /// Waits until the last rebalance gave this consumer exactly `queues`.
    ///
    /// # Errors
    /// If none does in time.
    pub async fn until_assigned(&self, queues: &[i32]) -> Result<()> {
        self.until_assignment(&format!("get queues {queues:?}"), |assigned| assigned == queues).await
    }

    /// Waits until the last rebalance gave this consumer queues as wanted.
    ///
    /// # Errors
    /// If none does in time.
    pub async fn until_assignment(&self, what: &str, wanted: impl Fn(&[i32]) -> bool) -> Result<()> {
        // A client that missed a notice rebalances every 20 s.
        self.0
            .dialogue()
            .until(what, |journal| journal.assigned.last().is_some_and(|assigned| wanted(&assigned.queues)))
            .await
    }

    /// The queues the last rebalance gave to this consumer.
    pub fn assigned(&self) -> Vec<i32> {
        self.0
            .dialogue()
            .look(|journal| journal.assigned.last().map(|assigned| assigned.queues.clone()).unwrap_or_default())
    }

    /// All deliveries so far.
    pub fn received(&self) -> Vec<Received> {
        self.0.dialogue().look(|journal| journal.received.clone())
    }

    /// Takes the deliveries since the last time, so that a long run does not keep them all.
    ///
    /// # Errors
    /// If the consumer is gone.
    pub(crate) fn take_received(&self) -> Result<Vec<Received>> {
        let dialogue = self.0.dialogue();
        ensure!(!dialogue.look(|journal| journal.ended), "the consumer {} is gone", dialogue.name());
        Ok(dialogue.take(|journal| std::mem::take(&mut journal.received)))
    }

    /// Checks that nothing but the `count` deliveries known comes for a while.
    ///
    /// # Errors
    /// If there are more.
    pub async fn stays_at(&self, count: usize, quiet: Duration) -> Result<()> {
        tokio::time::sleep(quiet).await;
        let received = self.received();
        ensure!(received.len() == count, "{} deliveries instead of {count}: {:?}", received.len(), received.last());
        Ok(())
    }

    /// Waits until nothing has come for a while, however much comes before, and returns all deliveries.
    ///
    /// # Errors
    /// If there is no such while.
    pub async fn until_quiet(&self, quiet: Duration) -> Result<Vec<Received>> {
        let settled = timeout(PATIENCE, async {
            let mut before = self.received().len();
            loop {
                tokio::time::sleep(quiet).await;
                let now = self.received().len();
                if now == before {
                    return;
                }
                before = now;
            }
        });
        settled.await.context("wait until no more deliveries come")?;
        Ok(self.received())
    }

    /// Has a pull consumer do as `line` says and returns what it got by that.
    ///
    /// # Errors
    /// If the program fails.
    pub async fn command(&self, line: Line) -> Result<Vec<Received>> {
        let (received, failed) = self.0.dialogue().look(|journal| (journal.received.len(), journal.failed.len()));
        self.0.dialogue().command(line.text()).await?;
        self.0.dialogue().look(|journal| {
            ensure!(journal.failed.len() == failed, "{} failed: {:?}", line.text(), &journal.failed[failed..]);
            Ok(journal.received[received..].to_vec())
        })
    }

    /// Shuts the consumer down in order, which also commits its offsets.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn quit(self) -> Result<Vec<Received>> {
        self.0.quit().await?;
        Ok(self.received())
    }
}
