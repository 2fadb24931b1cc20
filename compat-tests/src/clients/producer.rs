//! A stock producer.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use super::{Line, Role};
use crate::events::{Failed, Replied, Sent};

/// What became of the sends of one command.
#[derive(Debug)]
pub struct Answers {
    pub sent: Vec<Sent>,
    pub failed: Vec<Failed>,
}

/// A running producer.
#[derive(Debug)]
pub struct Producer(pub(crate) Role);

impl Producer {
    /// Sends as `line` says, and tells what was answered and what failed.
    ///
    /// # Errors
    /// If the program does not finish.
    pub async fn try_send(&self, line: Line) -> Result<Answers> {
        let (sent, failed) = self.0.dialogue().look(|journal| (journal.sent.len(), journal.failed.len()));
        self.0.dialogue().command(line.text()).await?;
        Ok(self
            .0
            .dialogue()
            .look(|journal| Answers { sent: journal.sent[sent..].to_vec(), failed: journal.failed[failed..].to_vec() }))
    }

    /// Sends as `line` says; every send must be answered with `SEND_OK`.
    ///
    /// # Errors
    /// If one was not.
    pub async fn send(&self, line: Line) -> Result<Vec<Sent>> {
        let answers = self.try_send(line).await?;
        ensure!(answers.failed.is_empty(), "sends failed: {:?}", answers.failed);
        for sent in &answers.sent {
            ensure!(sent.status == "SEND_OK", "sent with {}: {sent:?}", sent.status);
        }
        Ok(answers.sent)
    }

    /// Sends requests as `line` says, and waits for their replies.
    ///
    /// # Errors
    /// If one fails or has no reply in time.
    pub async fn request(&self, line: Line) -> Result<Vec<Replied>> {
        let (replied, failed) = self.0.dialogue().look(|journal| (journal.replied.len(), journal.failed.len()));
        self.0.dialogue().command(line.text()).await?;
        self.0.dialogue().look(|journal| {
            ensure!(journal.failed.len() == failed, "requests failed: {:?}", &journal.failed[failed..]);
            Ok(journal.replied[replied..].to_vec())
        })
    }

    /// Takes back a timed message by its handle; the unique id of the message, or the refusal.
    ///
    /// # Errors
    /// If the program does not finish.
    pub async fn recall(&self, topic: &str, handle: &str) -> Result<Result<String, Failed>> {
        let before = self.0.dialogue().look(|journal| (journal.recalled.len(), journal.failed.len()));
        let line = Line::new("recall").with("topic", topic).with("handle", handle);
        self.0.dialogue().command(line.text()).await?;
        self.0.dialogue().look(|journal| match (journal.recalled.get(before.0), journal.failed.get(before.1)) {
            (Some(id), _) => Ok(Ok(id.clone())),
            (None, Some(failed)) => Ok(Err(failed.clone())),
            (None, None) => bail!("the recall was neither answered nor refused"),
        })
    }

    /// Starts sending one message after the other until [`Self::stop_stream`].
    ///
    /// # Errors
    /// If the program is gone.
    pub async fn start_stream(&self, line: Line) -> Result<()> {
        self.0.dialogue().command(line.text()).await
    }

    /// Ends the stream; every send so far is answered or failed.
    ///
    /// # Errors
    /// If the program is gone.
    pub async fn stop_stream(&self) -> Result<()> {
        self.0.dialogue().command("stop").await
    }

    /// Waits until `count` sends were answered since the start of the program.
    ///
    /// # Errors
    /// If they are not in time.
    pub async fn until_sent(&self, count: usize) -> Result<()> {
        self.0.dialogue().until(&format!("send {count} messages"), |journal| journal.sent.len() >= count).await
    }

    /// All answered sends since the start of the program.
    pub fn sent(&self) -> Vec<Sent> {
        self.0.dialogue().look(|journal| journal.sent.clone())
    }

    /// Waits until the broker has asked about the transactions of all these keys, since the start of the program.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn until_checked<'a>(&self, keys: impl IntoIterator<Item = &'a String>) -> Result<()> {
        let wanted: BTreeSet<&str> = keys.into_iter().map(String::as_str).collect();
        let what = format!("be asked about {} transactions", wanted.len());
        self.0
            .dialogue()
            .until(&what, |journal| {
                let asked: BTreeSet<&str> = journal.checked.iter().map(|checked| checked.key.as_str()).collect();
                wanted.is_subset(&asked)
            })
            .await
    }

    /// How often the broker has asked about a transaction, since the start of the program.
    pub fn checks(&self, key: &str) -> usize {
        self.0.dialogue().look(|journal| journal.checked.iter().filter(|checked| checked.key == key).count())
    }

    /// Shuts the producer down.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn quit(self) -> Result<()> {
        self.0.quit().await
    }
}
