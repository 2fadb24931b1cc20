//! One running program of this machine or of a container.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::dialogue::{Dialogue, PATIENCE, log};

/// A running program. Dropping it closes its standard input, which ends our clients, and kills it if it is local.
#[derive(Debug)]
pub struct Process {
    /// By its standard input and output.
    pub dialogue: Dialogue,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `command` with its output kept under `dir` as `<name>.out` and `<name>.err`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(crate) fn start(name: &str, mut command: Command, dir: &Path) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(dir, name, "err")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        let stdin = child.stdin.take().context("take standard input")?;
        let stdout = child.stdout.take().context("take standard output")?;
        Ok(Self { dialogue: Dialogue::start(name, stdout, stdin, dir)?, child: Mutex::new(child) })
    }

    /// What the process is called in messages and log files.
    pub fn name(&self) -> &str {
        self.dialogue.name()
    }

    /// Closes standard input, which our client programs take as `quit`, and waits for the end.
    ///
    /// # Errors
    /// If the program does not end.
    pub async fn quit(&self) -> Result<()> {
        self.dialogue.close().await;
        self.ended().await
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// If it does not come.
    pub async fn ended(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        timeout(PATIENCE, child.wait()).await.with_context(|| format!("{} does not end", self.name()))??;
        drop(child);
        self.dialogue.ended().await
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
