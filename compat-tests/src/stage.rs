//! What all clusters of a run share: its files, our binary, free ports, and the list of what an interrupted run has to remove.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::artifacts::Artifacts;
use crate::machine::{Disk, Machine, Place};

/// What all clusters of one run have in common.
#[derive(Debug)]
pub struct Stage {
    pub artifacts: Artifacts,
    /// Files of this run.
    dir: PathBuf,
    /// The run's copy of our binary, below the mounted cache.
    ferromq: Option<PathBuf>,
    /// Plain processes on loopback instead of containers.
    loopback: bool,
    next_port: AtomicU16,
    next_cluster: AtomicU16,
    started: std::sync::Mutex<Started>,
}

/// What an interrupted run has to remove.
#[derive(Debug, Default)]
struct Started {
    /// Container ids.
    containers: Vec<String>,
    /// Network names, which carry the process id of this run.
    networks: Vec<String>,
    /// Machines that are about to be in the lists.
    starting: usize,
    /// Nothing is started any more.
    interrupted: bool,
}

/// A machine that is about to start; while there is one, [`Stage::abandon`] waits.
struct Starting<'a>(&'a Stage);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Ok(mut started) = self.0.started.lock() {
            started.starting -= 1;
        }
    }
}

impl Stage {
    /// Prepares a run's directory, with the Ferromq binary if a target needs it.
    ///
    /// # Errors
    /// If the set-up or the binary is missing.
    pub fn new(loopback: bool, with_ferromq: bool) -> Result<Self> {
        let artifacts = Artifacts::find()?;
        let dir = artifacts.cache.join("runs").join(std::process::id().to_string());
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let ferromq = if with_ferromq {
            let copy = dir.join("ferromq");
            fs::copy(artifacts.ferromq()?, &copy).context("copy the Ferromq binary")?;
            Some(copy)
        } else {
            None
        };
        Ok(Self {
            artifacts,
            dir,
            ferromq,
            loopback,
            next_port: AtomicU16::new(21_000),
            next_cluster: AtomicU16::new(0),
            started: std::sync::Mutex::default(),
        })
    }

    /// Path of our binary.
    ///
    /// # Errors
    /// If this run has no target that needs it.
    pub fn ferromq(&self) -> Result<String> {
        Ok(self.ferromq.as_ref().context("find the Ferromq binary")?.display().to_string())
    }

    /// Starts a machine, and notes it for [`Stage::abandon`].
    pub(crate) async fn machine(&self, place: &Place, dir: &Path, name: &str, disk: Option<Disk>) -> Result<Machine> {
        let _starting = self.starting()?;
        let machine = Machine::start(&self.artifacts, place, dir, name, disk).await?;
        self.note(&machine, place);
        Ok(machine)
    }

    fn starting(&self) -> Result<Starting<'_>> {
        let Ok(mut started) = self.started.lock() else { bail!("a test broke the list of machines") };
        ensure!(!started.interrupted, "the run was interrupted");
        started.starting += 1;
        Ok(Starting(self))
    }

    fn note(&self, machine: &Machine, place: &Place) {
        if let (Ok(mut started), Some(id), Place::Containers { network }) =
            (self.started.lock(), machine.container_id(), place)
        {
            started.containers.push(id.to_owned());
            if !started.networks.contains(network) {
                started.networks.push(network.clone());
            }
        }
    }

    /// Removes at once whatever this run started and did not remove yet, and its files: at its end, and when it is interrupted.
    pub async fn abandon(&self) {
        let (containers, networks) = loop {
            match self.started.lock() {
                Ok(mut started) => {
                    started.interrupted = true;
                    if started.starting == 0 {
                        break (std::mem::take(&mut started.containers), std::mem::take(&mut started.networks));
                    }
                }
                Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        for (what, names) in [(&["rm", "--force"][..], containers), (&["network", "rm"], networks)] {
            // Most of them are gone already; docker says so for each and goes on.
            let _ = Command::new("docker").args(what).args(names).output().await;
        }
        // What cannot be removed is below `target`, and no test depends on it.
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// Where a cluster's machines are, and its directory, which is called `name` and a number.
    pub(crate) fn place(&self, name: &str) -> (Place, PathBuf) {
        let number = self.next_cluster.fetch_add(1, Ordering::Relaxed);
        let place = if self.loopback {
            Place::Loopback
        } else {
            Place::Containers { network: format!("ferromq-compat-{}-{number}", std::process::id()) }
        };
        (place, self.dir.join(format!("{name}-{number}")))
    }

    /// A port with free neighbours: a broker also listens two below and two above.
    pub(crate) fn free_port(&self) -> Result<u16> {
        for _ in 0..1000 {
            let port = self.next_port.fetch_add(10, Ordering::Relaxed);
            if (port - 2..=port + 2).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
                return Ok(port);
            }
        }
        bail!("no free ports");
    }
}
