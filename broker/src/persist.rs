//! Tables kept in small JSON files that are replaced as a whole: `config/topics.json` and its like.
//!
//! A crash leaves the old or the new file, never a part. A broker that belongs to a Raft group keeps the same tables in the
//! group ([`GroupState`]): they are saved once a majority has them. Java: `ConfigManager`, `MixAll.string2File`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use remoting::body::fastjson;
use remoting::config::{SaveError, save_text};
use serde::de::DeserializeOwned;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::replica::{GroupState, NotLeading};

/// A file that exists but cannot be used, and neither can its backup.
///
/// Java would start with an empty table; losing topics or offsets without a word is worse than not starting.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("read {}: {cause}", .path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{} is damaged and so is its .bak, or there is none (move both away to start without them): {cause}", .path.display())]
    Damaged { path: PathBuf, cause: serde_json::Error },
}

/// Reads a table from its file or, if that is missing, empty or damaged, from `<file>.bak`.
///
/// `None` if there is neither: the first start. Reads what any version of Java writes.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LoadError> {
    match read(path) {
        Ok(Some(table)) => Ok(Some(table)),
        Ok(None) => read(&backup(path)),
        Err(damage @ LoadError::Damaged { .. }) => {
            let Ok(Some(table)) = read(&backup(path)) else { return Err(damage) };
            tracing::warn!(path = %path.display(), "the file is damaged, its .bak is used");
            Ok(Some(table))
        }
        Err(err) => Err(err),
    }
}

/// `None` if the file is missing or blank.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LoadError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(LoadError::Read { path: path.to_owned(), cause }),
    };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    fastjson::read(&text).map(Some).map_err(|cause| LoadError::Damaged { path: path.to_owned(), cause })
}

fn backup(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

/// Where the tables are: in a folder, or in the group.
#[derive(Clone)]
pub(crate) enum Home {
    Folder(PathBuf),
    Group {
        state: Arc<GroupState>,
        /// The reign in which this broker changes them; a follower does not.
        term: Option<u64>,
    },
}

impl From<&Path> for Home {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<&PathBuf> for Home {
    fn from(folder: &PathBuf) -> Self {
        Self::Folder(folder.clone())
    }
}

impl From<&Home> for Home {
    fn from(home: &Home) -> Self {
        home.clone()
    }
}

impl Home {
    /// The table of that name; `None` if there is none: the first start.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LoadError> {
        match self {
            Self::Folder(folder) => load(&folder.join(name)),
            Self::Group { state, .. } => match state.text(name) {
                Some(text) => fastjson::read(text.as_bytes())
                    .map(Some)
                    .map_err(|cause| LoadError::Damaged { path: name.into(), cause }),
                // From before it belonged to a group.
                None => load(&state.folder().join(name)),
            },
        }
    }

    pub(crate) fn is_of_group(&self) -> bool {
        matches!(self, Self::Group { .. })
    }

    /// The file that the table of that name is saved to.
    pub(crate) fn file(&self, name: &str) -> TableFile {
        let place = match self {
            Self::Folder(folder) => Place::Path(folder.join(name)),
            Self::Group { state, term: Some(term) } => {
                Place::Group { state: Arc::clone(state), term: *term, name: name.to_owned() }
            }
            Self::Group { term: None, .. } => Place::Nowhere,
        };
        TableFile { place, changes: AtomicU64::new(0), saved: Mutex::new(0) }
    }
}

/// Longest time that changes which nobody waits for are kept from a group: what a failover may forget.
const GROUP_PACE: Duration = Duration::from_millis(100);

enum Place {
    Path(PathBuf),
    Group {
        state: Arc<GroupState>,
        term: u64,
        name: String,
    },
    /// A follower's tables are the leader's, who saves them.
    Nowhere,
}

/// The file of one table. Whoever saves writes the changes of all who wait, so many changes at once cost few writes.
pub(crate) struct TableFile {
    place: Place,
    /// Changes of the table since the start.
    changes: AtomicU64,
    /// Of these, how many the file holds; the lock is held while the file is written.
    saved: Mutex<u64>,
}

impl TableFile {
    /// Time between two saves of changes that nobody waits for, if `interval` is wanted of a disk.
    pub(crate) fn pace(&self, interval: Duration) -> Duration {
        match self.place {
            Place::Path(_) | Place::Nowhere => interval,
            Place::Group { .. } => interval.min(GROUP_PACE),
        }
    }

    /// Whether a save has a group agree on the table.
    pub(crate) fn is_agreed_on(&self) -> bool {
        matches!(self.place, Place::Group { .. })
    }

    /// Notes that the table was changed. The change must be visible to `encode` of [`TableFile::save`] before.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Grows with every change of the table since the start.
    pub(crate) fn step(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Writes the table if it was changed since it was written; returns once all changes noted before are on disk, or the
    /// group has agreed on them.
    ///
    /// Blocks for as long as that takes, without keeping an async worker from its other tasks.
    ///
    /// # Errors
    /// [`SaveError`]; the changes stay noted, so the next call tries again.
    pub(crate) fn save(&self, encode: impl FnOnce() -> String) -> Result<(), SaveError> {
        let wanted = self.changes.load(Ordering::Acquire);
        if self.saved.try_lock().is_some_and(|saved| *saved >= wanted) {
            return Ok(());
        }
        blocking(|| {
            let mut saved = self.saved.lock();
            if *saved >= wanted {
                return Ok(());
            }
            let version = self.changes.load(Ordering::Acquire);
            match &self.place {
                Place::Path(path) => save_text(path, &encode())?,
                Place::Group { state, term, name } => state.put(*term, name, &encode())?,
                Place::Nowhere => {}
            }
            *saved = version;
            Ok(())
        })
    }

    /// [`TableFile::save`] for changes that nobody waits for: a failure is logged with what it means, and the next save
    /// tries again.
    pub(crate) fn save_or_log(&self, means: &str, encode: impl FnOnce() -> String) {
        if let Err(err) = self.save(encode) {
            log_unsaved(&err, means);
        }
    }
}

/// Logs a failure that nobody waits for, and what it means. If it means that this broker has lost the lead of its group, no
/// harm is done: whoever leads now has the tables as they were agreed on, and clients tell it the rest again.
pub(crate) fn log_unsaved(err: &SaveError, means: &str) {
    if NotLeading::is_cause_of(err) {
        tracing::info!(%err, "the next leader of the group goes on with what was agreed on");
    } else {
        tracing::error!(%err, "{means}");
    }
}

/// Runs blocking work here; the worker's other tasks move to another thread meanwhile.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        // No runtime, or a test's, where nothing else would run anyway.
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Table = BTreeMap<String, i64>;

    fn check(file: Option<&str>, bak: Option<&str>, expect: Result<Option<i64>, ()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        for (path, text) in [(path.clone(), file), (backup(&path), bak)] {
            if let Some(text) = text {
                fs::write(path, text).unwrap();
            }
        }
        let loaded = load::<Table>(&path).map(|table| table.map(|table| table["a"])).map_err(|_| ());
        assert_eq!(loaded, expect, "{file:?} {bak:?}");
    }

    #[test]
    fn a_missing_empty_or_damaged_file_is_replaced_by_its_backup() {
        check(None, None, Ok(None));
        check(Some("{\"a\":1}"), Some("{\"a\":2}"), Ok(Some(1)));
        check(Some("{a:1}"), None, Ok(Some(1)));
        for unusable in [None, Some(""), Some(" \n"), Some("{\"a\":"), Some("{\"a\":\"x\"}")] {
            check(unusable, Some("{\"a\":2}"), Ok(Some(2)));
        }
    }

    #[test]
    fn a_damaged_file_without_backup_stops_the_start() {
        check(Some("{\"a\":"), None, Err(()));
        check(Some("{\"a\":"), Some("{"), Err(()));
        check(Some("{\"a\":"), Some(""), Err(()));
    }

    #[test]
    fn only_changes_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = Home::from(&folder.path().join("config")).file("t.json");
        file.save(|| unreachable!("nothing changed")).unwrap();
        file.changed();
        file.save(|| "{\"a\":1}".into()).unwrap();
        file.save(|| unreachable!("nothing changed since")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("config/t.json")).unwrap(), "{\"a\":1}");
    }

    #[test]
    fn a_failed_save_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        fs::create_dir(&path).unwrap();
        let file = Home::from(folder.path()).file("t.json");
        file.changed();
        assert!(file.save(|| "{}".into()).is_err());
        fs::remove_dir(&path).unwrap();
        file.save(|| "{}".into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn changes_at_once_share_writes_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::from(folder.path());
        let file = Arc::new(home.file("t.json"));
        let table = Arc::new(Mutex::new(Table::new()));
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let (home, file, table) = (home.clone(), file.clone(), table.clone());
                tokio::spawn(async move {
                    table.lock().insert(number.to_string(), number);
                    file.changed();
                    file.save(|| serde_json::to_string(&*table.lock()).unwrap()).unwrap();
                    let saved: Table = home.load("t.json").unwrap().unwrap();
                    assert_eq!(saved[&number.to_string()], number);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
