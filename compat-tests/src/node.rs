//! One server process on its machine.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;

use crate::machine::{Machine, Signal};
use crate::process::Process;
use crate::target::{Launch, STORE};

/// From a group member's port to the one that it speaks with the others at.
const TO_PEER_PORT: u16 = 2;

/// A place for a server, which comes and goes.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) machine: Arc<Machine>,
    pub(crate) port: u16,
    pub(crate) process: Mutex<Option<Process>>,
}

impl Node {
    pub(crate) fn new(machine: Arc<Machine>, port: u16) -> Self {
        Self { machine, port, process: Mutex::default() }
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.machine.ip(), self.port)
    }

    /// Where a member of a group speaks with the others.
    pub(crate) fn peer_address(&self) -> String {
        format!("{}:{}", self.machine.ip(), self.port + TO_PEER_PORT)
    }

    /// Folder of a broker's store.
    pub(crate) fn store(&self) -> PathBuf {
        self.machine.dir().join(STORE)
    }

    /// Starts a server whose output goes to files called `name`, and waits for nothing.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) async fn run(&self, name: &str, launch: &Launch) -> Result<()> {
        let process = self.machine.run(name, &launch.program, &launch.args)?;
        *self.process.lock().await = Some(process);
        Ok(())
    }

    /// Whether a server was started, and not ended.
    pub(crate) async fn runs(&self) -> bool {
        self.process.lock().await.is_some()
    }

    /// Ends the server and waits until it is gone.
    ///
    /// # Errors
    /// If none runs, or it stays.
    pub(crate) async fn end(&self, signal: Signal) -> Result<()> {
        let process = self.process.lock().await.take().context("end a server that does not run")?;
        self.machine.end(&process, signal).await
    }

    /// Sends the server a signal that does not end it.
    ///
    /// # Errors
    /// If none runs.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.lock().await;
        self.machine.send(process.as_ref().context("signal a server that does not run")?, signal).await
    }

    /// # Errors
    /// If a server was started, and not ended.
    pub(crate) async fn must_be_ended(&self) -> Result<()> {
        ensure!(!self.runs().await, "the server at {} is not ended", self.address());
        Ok(())
    }

    /// Removes what the broker, which was ended, has stored.
    ///
    /// # Errors
    /// If it runs, or files cannot be removed.
    pub(crate) async fn wipe(&self) -> Result<()> {
        self.must_be_ended().await?;
        let store = self.store();
        tokio::fs::remove_dir_all(&store).await.with_context(|| format!("remove {}", store.display()))
    }
}
