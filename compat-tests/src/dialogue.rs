//! A conversation with one program or role: the lines it is told, and what it printed, kept by kind.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::events::{Assigned, Checked, Event, Failed, Received, Replied, Sent};

/// Longest wait for anything a client or server has to do; far above what it takes, so that a busy machine passes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that was printed so far.
#[derive(Debug, Default)]
pub struct Journal {
    pub sent: Vec<Sent>,
    pub failed: Vec<Failed>,
    /// Unique ids.
    pub recalled: Vec<String>,
    pub received: Vec<Received>,
    pub replied: Vec<Replied>,
    pub assigned: Vec<Assigned>,
    pub checked: Vec<Checked>,
    /// Runs of mqadmin: standard output and error.
    pub outputs: Vec<(String, String)>,
    /// The role is started.
    pub ready: bool,
    /// Highest command id that is over.
    pub done: u64,
    /// The role ended in order.
    pub stopped: bool,
    /// Where roles are hosted, if it is a program that hosts them.
    pub port: Option<u16>,
    /// Nothing more comes: the program or role is gone.
    pub ended: bool,
}

impl Journal {
    fn note(&mut self, event: Event) {
        match event {
            Event::Ready => self.ready = true,
            Event::Listening { port } => self.port = Some(port),
            Event::Done { id } => self.done = self.done.max(id),
            Event::Stopped => self.stopped = true,
            Event::Sent(sent) => self.sent.push(sent),
            Event::Failed(failed) => self.failed.push(failed),
            Event::Recalled { msg_id } => self.recalled.push(msg_id),
            Event::Received(received) => self.received.push(received),
            Event::Replied(replied) => self.replied.push(replied),
            Event::Assigned(assigned) => self.assigned.push(assigned),
            Event::Checked(checked) => self.checked.push(checked),
            Event::Output { out, err } => self.outputs.push((out, err)),
        }
    }
}

/// Dropping it ends what is said to the other side, which ends our clients.
pub struct Dialogue {
    name: String,
    to: Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>,
    journal: Arc<watch::Sender<Journal>>,
    reader: JoinHandle<()>,
    commands: AtomicU64,
}

impl Dialogue {
    /// Notes what is read `from` the other side, with a copy in `<name>.out` under `dir`.
    ///
    /// # Errors
    /// If the copy cannot be opened.
    pub(crate) fn start(
        name: &str,
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
        dir: &Path,
    ) -> Result<Self> {
        let mut copy = log(dir, name, "out")?;
        let journal = Arc::new(watch::Sender::new(Journal::default()));
        let journal_tx = journal.clone();
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // Losing a line of the kept copy does not change what the test sees.
                let _ = writeln!(copy, "{line}");
                if let Ok(event) = serde_json::from_str(&line) {
                    journal_tx.send_modify(|journal| journal.note(event));
                }
            }
            journal_tx.send_modify(|journal| journal.ended = true);
        });
        let to: Box<dyn AsyncWrite + Send + Unpin> = Box::new(to);
        Ok(Self { name: name.to_owned(), to: Mutex::new(Some(to)), journal, reader, commands: AtomicU64::new(0) })
    }

    /// What the other side is called in messages and log files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads what was printed so far.
    pub fn look<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.journal.borrow())
    }

    /// Takes something out of what was printed so far, so that a long run does not keep it all.
    pub fn take<T>(&self, take: impl FnOnce(&mut Journal) -> T) -> T {
        let mut taken = None;
        self.journal.send_if_modified(|journal| {
            taken = Some(take(journal));
            false
        });
        taken.expect("the closure is called")
    }

    /// Waits until `reached` holds; `what` completes the sentence "… did not".
    ///
    /// # Errors
    /// After `limit`, or when the other side ends without getting there.
    pub async fn until_within(&self, limit: Duration, what: &str, reached: impl Fn(&Journal) -> bool) -> Result<()> {
        let mut journal = self.journal.subscribe();
        let waited = timeout(limit, journal.wait_for(|journal| reached(journal) || journal.ended)).await;
        let seen = |journal: &Journal| {
            format!(
                "{} sent, {} failed {:?}, {} received, last assignment {:?}",
                journal.sent.len(),
                journal.failed.len(),
                journal.failed.last(),
                journal.received.len(),
                journal.assigned.last(),
            )
        };
        match waited {
            Ok(Ok(journal)) if reached(&journal) => Ok(()),
            Ok(_) => {
                bail!("{} ended and did not {what}: {}; see what it printed", self.name, self.look(seen))
            }
            Err(_) => bail!("{} did not {what} within {limit:?}: {}", self.name, self.look(seen)),
        }
    }

    /// [`Self::until_within`] the usual [`PATIENCE`].
    ///
    /// # Errors
    /// See there.
    pub async fn until(&self, what: &str, reached: impl Fn(&Journal) -> bool) -> Result<()> {
        self.until_within(PATIENCE, what, reached).await
    }

    /// Says one line.
    ///
    /// # Errors
    /// If the other side is gone.
    pub async fn write_line(&self, line: &str) -> Result<()> {
        let mut to = self.to.lock().await;
        let to = to.as_mut().with_context(|| format!("{} was told to end", self.name))?;
        to.write_all(format!("{line}\n").as_bytes()).await.with_context(|| format!("tell {}", self.name))?;
        to.flush().await.with_context(|| format!("tell {}", self.name))
    }

    /// Sends a command line and waits until the other side says it is done with it.
    ///
    /// # Errors
    /// If it is gone or does not answer.
    pub async fn command(&self, line: &str) -> Result<()> {
        let id = self.commands.fetch_add(1, Ordering::Relaxed) + 1;
        self.write_line(&format!("{line} id={id}")).await?;
        self.until(&format!("finish `{line}`"), |journal| journal.done >= id).await
    }

    /// Says nothing more, which our client programs take as `quit`.
    pub async fn close(&self) {
        drop(self.to.lock().await.take());
    }

    /// Waits until nothing more comes.
    ///
    /// # Errors
    /// If there is no end.
    pub async fn ended(&self) -> Result<()> {
        let mut journal = self.journal.subscribe();
        let ended = timeout(PATIENCE, journal.wait_for(|journal| journal.ended)).await;
        ended.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialogue({})", self.name)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// `<name>.<end>` under `dir`; what is started again adds to what it printed before.
pub(crate) fn log(dir: &Path, name: &str, end: &str) -> Result<File> {
    let path = dir.join(format!("{name}.{end}"));
    File::options().create(true).append(true).open(&path).with_context(|| format!("open {}", path.display()))
}
