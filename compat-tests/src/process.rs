//! One running program: its standard input, and what it printed, kept by kind.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::events::{Assigned, Event, Failed, Received, Sent};

/// Longest wait for anything a client or server has to do; far above what it takes, so that a busy machine passes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Everything a program printed so far.
#[derive(Debug, Default)]
pub struct Journal {
    pub sent: Vec<Sent>,
    pub failed: Vec<Failed>,
    pub received: Vec<Received>,
    pub assigned: Vec<Assigned>,
    /// Runs of mqadmin: standard output and error.
    pub outputs: Vec<(String, String)>,
    /// The role is started.
    pub ready: bool,
    /// Highest command id that is over.
    pub done: u64,
    /// The role ended in order.
    pub stopped: bool,
    /// Standard output was closed: the program is gone.
    pub ended: bool,
}

impl Journal {
    fn note(&mut self, event: Event) {
        match event {
            Event::Ready => self.ready = true,
            Event::Done { id } => self.done = self.done.max(id),
            Event::Stopped => self.stopped = true,
            Event::Sent(sent) => self.sent.push(sent),
            Event::Failed(failed) => self.failed.push(failed),
            Event::Received(received) => self.received.push(received),
            Event::Assigned(assigned) => self.assigned.push(assigned),
            Event::Output { out, err } => self.outputs.push((out, err)),
        }
    }
}

/// A running program. Dropping it closes its standard input, which ends our clients, and kills it if it is local.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    journal: watch::Receiver<Journal>,
    reader: JoinHandle<()>,
    commands: AtomicU64,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with its output kept under `dir` as `<name>.out` and `<name>.err`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(crate) fn start(name: &str, mut command: Command, dir: &Path) -> Result<Self> {
        // A program started again adds to what it printed before.
        let log = |end: &str| {
            let path = dir.join(format!("{name}.{end}"));
            File::options().create(true).append(true).open(&path).with_context(|| format!("open {}", path.display()))
        };
        let mut out = log("out")?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log("err")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("take standard output")?;

        let (journal_tx, journal) = watch::channel(Journal::default());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // Losing a line of the kept copy does not change what the test sees.
                let _ = writeln!(out, "{line}");
                if let Ok(event) = serde_json::from_str(&line) {
                    journal_tx.send_modify(|journal| journal.note(event));
                }
            }
            journal_tx.send_modify(|journal| journal.ended = true);
        });
        Ok(Self {
            name: name.to_owned(),
            child: Mutex::new(child),
            stdin: Mutex::new(stdin),
            journal,
            reader,
            commands: AtomicU64::new(0),
            stderr: dir.join(format!("{name}.err")),
        })
    }

    /// What the process is called in messages and log files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads what was printed so far.
    pub fn look<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.journal.borrow())
    }

    /// Waits until `reached` holds; `what` completes the sentence "… did not".
    ///
    /// # Errors
    /// After `limit`, or when the program ends without getting there.
    pub async fn until_within(&self, limit: Duration, what: &str, reached: impl Fn(&Journal) -> bool) -> Result<()> {
        let mut journal = self.journal.clone();
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
                bail!("{} ended and did not {what}: {}; see {}", self.name, self.look(seen), self.stderr.display())
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

    /// Writes one line to standard input.
    ///
    /// # Errors
    /// If the program is gone.
    pub async fn write_line(&self, line: &str) -> Result<()> {
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().with_context(|| format!("{} was told to end", self.name))?;
        stdin.write_all(format!("{line}\n").as_bytes()).await.with_context(|| format!("tell {}", self.name))?;
        stdin.flush().await.with_context(|| format!("tell {}", self.name))
    }

    /// Sends a command line and waits until the program says it is done with it.
    ///
    /// # Errors
    /// If the program is gone or does not answer.
    pub async fn command(&self, line: &str) -> Result<()> {
        let id = self.commands.fetch_add(1, Ordering::Relaxed) + 1;
        self.write_line(&format!("{line} id={id}")).await?;
        self.until(&format!("finish `{line}`"), |journal| journal.done >= id).await
    }

    /// Closes standard input, which our client programs take as `quit`, and waits for the end.
    ///
    /// # Errors
    /// If the program does not end.
    pub async fn quit(&self) -> Result<()> {
        drop(self.stdin.lock().await.take());
        self.ended().await
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// If it does not come.
    pub async fn ended(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        timeout(PATIENCE, child.wait()).await.with_context(|| format!("{} does not end", self.name))??;
        drop(child);
        let mut journal = self.journal.clone();
        timeout(PATIENCE, journal.wait_for(|journal| journal.ended)).await.context("read the rest")??;
        Ok(())
    }

    /// Whether the program still runs.
    pub async fn runs(&self) -> bool {
        matches!(self.child.lock().await.try_wait(), Ok(None))
    }

    /// The host's process id, if the program runs.
    pub(crate) async fn pid(&self) -> Option<u32> {
        self.child.lock().await.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
