//! What is planned, what was written down, and how far it is: one JSON file, replaced before each step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use remoting::config::save_text;
use remoting::types::Clock;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::MigrateError;
use super::checks::Finding;
use super::hooks::Pid;
use super::notes::{NameServerNote, Note};
use super::plan::Stage;

/// Grows when a file of before is not understood any more.
const FORMAT: u32 = 1;

/// A lock may outlive its holder by the moment that a process needs to become a hook's command.
const LOCKED_MAX: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct State {
    pub(crate) format: u32,
    pub(crate) cluster: String,
    pub(crate) name_servers: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) stages: Vec<Standing>,
    /// By broker set.
    pub(crate) notes: BTreeMap<String, Note>,
    /// By address.
    pub(crate) name_server_notes: BTreeMap<String, NameServerNote>,
    /// `brokerPermission` before it was 4, by address.
    pub(crate) permissions: BTreeMap<String, String>,
    /// Broker sets that producers were told to leave.
    pub(crate) wiped: BTreeSet<String>,
    /// Settings for Ferromq in the place of each Java broker, without its role, by address.
    pub(crate) settings: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<Told>,
    /// What was done and when, the latest last.
    pub(crate) history: Vec<Event>,
}

/// A hook was run in the step that is being done: if that was ended in the middle, what it is for is yet to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    pub(crate) command: Pid,
    /// Of the process; empty for a broker set that is yet to be.
    pub(crate) address: String,
    pub(crate) starts: bool,
}

/// How far a stage is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    #[serde(flatten)]
    pub(crate) stage: Stage,
    pub(crate) at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum At {
    ToDo,
    /// This step, counted from 0, was begun.
    Doing(usize),
    Done,
    /// So many of the steps had been begun, and this one of those back was.
    Undoing {
        begun: usize,
        step: usize,
    },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) what: String,
}

impl Standing {
    pub(crate) fn new(stage: Stage) -> Self {
        Self { stage, at: At::ToDo }
    }

    /// Of the steps there, how many were begun.
    pub(crate) fn begun(&self) -> usize {
        match self.at {
            At::ToDo => 0,
            At::Doing(step) => step + 1,
            At::Done => self.stage.forward().len(),
            At::Undoing { begun, .. } => begun,
        }
    }
}

impl State {
    pub(crate) fn new(cluster: String, name_servers: Vec<String>) -> Self {
        Self { format: FORMAT, cluster, name_servers, ..Self::default() }
    }

    /// Whether anything was done.
    pub(crate) fn is_begun(&self) -> bool {
        self.stages.iter().any(|standing| standing.at != At::ToDo) || !self.history.is_empty()
    }

    pub(crate) fn log(&mut self, what: String) {
        self.history.push(Event { at: Clock::system().now().0, what });
    }

    /// `None`: there is no such file.
    ///
    /// # Errors
    /// The file is no state file.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, MigrateError> {
        let wrong = |why: String| MigrateError::State { path: path.display().to_string(), why };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(wrong(err.to_string())),
        };
        let state: Self = serde_json::from_str(&text).map_err(|err| wrong(err.to_string()))?;
        if state.format != FORMAT {
            return Err(wrong(format!("it is of format {}, and this program writes {FORMAT}", state.format)));
        }
        Ok(Some(state))
    }

    /// # Errors
    /// The disk does not take it.
    pub(crate) fn save(&self, path: &Path) -> Result<(), MigrateError> {
        let wrong = |why: String| MigrateError::State { path: path.display().to_string(), why };
        let text = serde_json::to_string_pretty(self).map_err(|err| wrong(err.to_string()))?;
        save_text(path, &text).map_err(|err| wrong(err.to_string()))
    }
}

/// Keeps others from acting on this state, until the file is closed.
///
/// # Errors
/// Another one does, or failing I/O.
pub(crate) async fn lock(state: &Path) -> Result<File, MigrateError> {
    let path = state.with_added_extension("lock");
    let shown = path.display().to_string();
    let wrong = |err: io::Error| MigrateError::State { path: shown.clone(), why: err.to_string() };
    let file = File::create(&path).map_err(wrong)?;
    let deadline = Instant::now() + LOCKED_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOOK).await,
            Err(TryLockError::WouldBlock) => return Err(MigrateError::Locked { path: shown }),
            Err(TryLockError::Error(err)) => return Err(wrong(err)),
        }
    }
}

/// Where settings for brokers are written: beside the state.
pub(crate) fn settings_folder(state: &Path) -> PathBuf {
    state.with_added_extension("settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("migration.json");
        assert_eq!(State::load(&path).unwrap(), None);
        let mut state = State::new("c".into(), vec!["a:9876".into()]);
        state.stages.push(Standing::new(Stage::NameServer { address: "a:9876".into() }));
        state.stages[0].at = At::Undoing { begun: 2, step: 1 };
        state.log("stop".into());
        state.save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), Some(state));
        assert_eq!(settings_folder(&path), folder.path().join("migration.json.settings"));
        std::fs::write(&path, r#"{"format":99}"#).unwrap();
        let err = State::load(&path).unwrap_err().to_string();
        assert!(err.ends_with("it is of format 99, and this program writes 1"), "{err}");
    }

    #[tokio::test]
    async fn one_at_a_time_acts_on_a_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("migration.json");
        let first = lock(&path).await.unwrap();
        assert!(matches!(lock(&path).await, Err(MigrateError::Locked { .. })));
        drop(first);
        lock(&path).await.unwrap();
    }
}
