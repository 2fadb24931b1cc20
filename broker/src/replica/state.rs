//! What a group keeps beside the messages: the tables of `config/*.json`, changed through the log.
//!
//! ```text
//! leader: a table is saved ─ what changed ─▶ entry of the log ─ agreed on ─▶ applied by all members ─▶ saved
//! ```
//!
//! Each member holds the tables as they were agreed on, and writes them to its `config` folder every few seconds, with the
//! index up to which they are (`raft/state.json`). A start goes on from there in the log; changes say what entries are now,
//! so it does no harm to meet some again. When somebody begins to lead, its features read their tables from here.
//!
//! Before old entries go from the log, the files have what these changed; and a member that lacks them gets the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use dledger::State;
use parking_lot::Mutex;
use remoting::config::{SaveError, save_text};
use remoting::types::PhysicalOffset;
use serde::{Deserialize, Serialize};
use store::{AppendError, Confirmation, RaftLog};
use tokio::sync::watch;

use super::patch::{Patch, Table};

/// Longest wait for the group to agree on a change.
const AGREEMENT_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one change in the log; larger ones are several.
const CHANGE_BYTES_MAX: usize = 512 << 10;

/// Why a change cannot be agreed on at this broker's word.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum NotLeading {
    #[error("this broker does not lead its group any more")]
    AnyMore,
    #[error("this broker has lost the lead before its group agreed")]
    LongEnough,
}

impl NotLeading {
    pub(crate) fn is_cause_of(err: &SaveError) -> bool {
        err.cause.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

/// Told of changes as they are agreed on: the file, and what changed.
pub(crate) type Observer = Arc<dyn Fn(&str, &Patch) + Send + Sync>;

pub(crate) struct GroupState {
    folder: PathBuf,
    position: PathBuf,
    log: RaftLog,
    agreed: Mutex<Agreed>,
    /// Held while files are written: an older position must not follow a newer one.
    writing: Mutex<()>,
    /// Held by whoever makes changes, so that they are made one after the other.
    proposed: Mutex<Proposed>,
    applied: watch::Sender<u64>,
}

#[derive(Default)]
struct Agreed {
    tables: BTreeMap<String, Table>,
    /// Files that have changed since they were written.
    changed: BTreeSet<String>,
    /// Index of the first entry that may be missing, and the one that the files say.
    next: u64,
    written_next: u64,
    observer: Option<Observer>,
}

/// The tables as the leader has proposed them; those it has not touched are as agreed on.
#[derive(Default)]
struct Proposed {
    term: Option<u64>,
    tables: BTreeMap<String, Table>,
    /// Where the last change ends in the log.
    end: Option<PhysicalOffset>,
}

/// `raft/state.json`.
#[derive(Serialize, Deserialize)]
struct Position {
    next: u64,
    files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Change {
    file: String,
    patch: Patch,
}

impl GroupState {
    /// `root`: the store's folder.
    ///
    /// # Errors
    /// What was written cannot be read.
    pub(crate) fn open(root: &Path, log: RaftLog) -> io::Result<Self> {
        let (folder, position) = (root.join("config"), root.join(super::FOLDER).join("state.json"));
        let mut agreed = Agreed::default();
        if let Some(Position { next, files }) = read_position(&position)? {
            (agreed.next, agreed.written_next) = (next, next);
            for file in files {
                let path = folder.join(&file);
                let text = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
                let table = Table::parse(&text).map_err(|error| named(&path, &error))?;
                agreed.tables.insert(file, table);
            }
        }
        let applied = watch::Sender::new(agreed.next);
        let (agreed, writing, proposed) = (Mutex::new(agreed), Mutex::default(), Mutex::default());
        Ok(Self { folder, position, log, agreed, writing, proposed, applied })
    }

    /// The folder that the tables are written to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A table as it was agreed on.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        self.agreed.lock().tables.get(file).map(Table::to_text)
    }

    /// One entry of a table as it was agreed on, of the member `member`.
    pub(crate) fn entry(&self, file: &str, member: &str, key: &str) -> Option<serde_json::Value> {
        self.agreed.lock().tables.get(file)?.entry(member, key).cloned()
    }

    /// Moves with each change that was agreed on.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// This broker leads from now on; what another of its reigns would still propose is refused.
    pub(crate) fn reign(&self, term: u64) {
        *self.proposed.lock() = Proposed { term: Some(term), ..Proposed::default() };
    }

    /// Tells `observer` all there is now, as changes of empty tables, and every change from now on; `None`: nobody.
    pub(crate) fn observe(&self, observer: Option<Observer>) {
        let mut agreed = self.agreed.lock();
        if let Some(observer) = &observer {
            agreed.tables.iter().for_each(|(file, table)| observer(file, &table.whole()));
        }
        agreed.observer = observer;
    }

    /// Has the group agree on a table; returns once it has. Blocks.
    ///
    /// # Errors
    /// [`SaveError`]: this broker does not lead in `term`, or there is no majority to agree. In the latter case it may
    /// agree later.
    pub(crate) fn put(&self, term: u64, file: &str, text: &str) -> Result<(), SaveError> {
        self.propose(term, file, text).map_err(|cause| SaveError { path: file.into(), cause })
    }

    fn propose(&self, term: u64, file: &str, text: &str) -> io::Result<()> {
        let newer = Table::parse(text)?;
        let mut proposed = self.proposed.lock();
        if proposed.term != Some(term) {
            return Err(io::Error::other(NotLeading::AnyMore));
        }
        let patch = match proposed.tables.get(file) {
            Some(known) => known.patch_to(&newer),
            None => match self.agreed.lock().tables.get(file) {
                Some(known) => known.patch_to(&newer),
                None => newer.whole(),
            },
        };
        for patch in patch.split(CHANGE_BYTES_MAX) {
            let change = serde_json::to_vec(&Change { file: file.to_owned(), patch })?;
            let end = self.log.append_state(&change).map_err(|error| match error {
                AppendError::NotLeader => io::Error::other(NotLeading::AnyMore),
                error => io::Error::other(error),
            })?;
            proposed.end = Some(end);
        }
        proposed.tables.insert(file.to_owned(), newer);
        // Also if nothing differs: what was proposed before may not be agreed on yet.
        let end = proposed.end;
        drop(proposed);
        let Some(end) = end else { return Ok(()) };
        let (tell, told) = mpsc::sync_channel(1);
        self.log.when_agreed(end, Box::new(move |what| _ = tell.send(what)));
        match told.recv_timeout(AGREEMENT_PATIENCE) {
            Ok(Confirmation::Confirmed) => Ok(()),
            Ok(Confirmation::FlushTimeout | Confirmation::Failed) => Err(io::Error::other(NotLeading::LongEnough)),
            Err(_) => Err(io::Error::other("no majority of the group has agreed in time")),
        }
    }

    /// Writes the tables that have changed, and up to where they are. Blocks.
    ///
    /// # Errors
    /// [`SaveError`]; what was not written is tried again next time.
    pub(crate) fn export(&self) -> Result<(), SaveError> {
        let _writing = self.writing.lock();
        let (texts, position) = {
            let mut agreed = self.agreed.lock();
            if agreed.changed.is_empty() && agreed.next == agreed.written_next {
                return Ok(());
            }
            let changed = std::mem::take(&mut agreed.changed);
            let texts: Vec<_> = changed.into_iter().map(|file| (agreed.tables[&file].to_text(), file)).collect();
            (texts, agreed.position())
        };
        // The log first: after a crash of the machine it must have what the tables say. The position last: what stands before
        // it is in the files.
        let agreed = position.next.checked_sub(1);
        let flushed = agreed
            .map_or(Ok(()), |last| self.log.sync(last))
            .map_err(|cause| SaveError { path: self.position.clone(), cause });
        let written =
            flushed.and_then(|()| texts.iter().try_for_each(|(text, file)| save_text(&self.folder.join(file), text)));
        let written = written.and_then(|()| {
            let text = serde_json::to_string(&position).expect("numbers and strings are JSON");
            save_text(&self.position, &text)
        });
        let mut agreed = self.agreed.lock();
        if written.is_err() {
            agreed.changed.extend(texts.into_iter().map(|(_, file)| file));
        } else {
            agreed.written_next = position.next;
        }
        written
    }
}

impl Agreed {
    fn position(&self) -> Position {
        Position { next: self.next, files: self.tables.keys().cloned().collect() }
    }
}

impl State for GroupState {
    fn next(&self) -> u64 {
        self.agreed.lock().next
    }

    fn apply(&self, index: u64, change: &[u8]) -> io::Result<()> {
        let Change { file, patch } = serde_json::from_slice(change)?;
        if file.contains('/') {
            return Err(io::Error::other(format!("{file} is no name of a table")));
        }
        let mut agreed = self.agreed.lock();
        if let Some(observer) = &agreed.observer {
            observer(&file, &patch);
        }
        agreed.tables.entry(file.clone()).or_default().apply(patch);
        agreed.changed.insert(file);
        agreed.next = index + 1;
        drop(agreed);
        self.applied.send_replace(index + 1);
        Ok(())
    }

    fn keep(&self, next: u64) -> io::Result<()> {
        {
            let mut agreed = self.agreed.lock();
            agreed.next = agreed.next.max(next);
        }
        self.export().map_err(io::Error::other)
    }

    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let agreed = self.agreed.lock();
        let tables = agreed.tables.iter().map(|(file, table)| (format!("config/{file}"), table.to_text().into_bytes()));
        let position = serde_json::to_vec(&agreed.position())?;
        Ok(tables.chain([("raft/state.json".to_owned(), position)]).collect())
    }
}

fn read_position(path: &Path) -> io::Result<Option<Position>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| named(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &error)),
    }
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use remoting::types::Timestamp;
    use store::{Store, StoreConfig};

    use super::*;

    fn open(root: &Path, log: &RaftLog) -> GroupState {
        GroupState::open(root, log.clone()).unwrap()
    }

    fn change(file: &str, key: &str) -> Vec<u8> {
        let mut newer = Table::default();
        newer.apply(serde_json::from_value(serde_json::json!({ "set": { "t": { key: 1 } } })).unwrap());
        serde_json::to_vec(&Change { file: file.into(), patch: newer.whole() }).unwrap()
    }

    #[test]
    fn what_the_log_is_about_to_lack_is_in_the_files_and_another_member_starts_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let clock = remoting::types::Clock::fixed(Timestamp(1000));
        let (_store, log, _) = Store::open_raft(StoreConfig::new(folder.path().join("log")), clock).unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        let state = open(&own, &log);
        state.apply(3, &change("a.json", "x")).unwrap();
        state.keep(10).unwrap();
        let again = open(&own, &log);
        assert_eq!((again.next(), again.text("a.json")), (10, state.text("a.json")));
        // Nothing has changed since, but the log goes on.
        again.keep(20).unwrap();
        again.keep(15).unwrap();
        assert_eq!(open(&own, &log).next(), 20);
        again.apply(21, &change("b.json", "y")).unwrap();
        for (path, bytes) in again.files().unwrap() {
            let path = other.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let filled = open(&other, &log);
        assert_eq!((filled.next(), filled.text("a.json")), (22, again.text("a.json")));
        assert_eq!(filled.entry("b.json", "t", "y"), Some(1.into()));
    }
}
