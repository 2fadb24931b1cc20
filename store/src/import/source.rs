//! What a DLedger member has left, and where.

use std::fs;
use std::path::{Path, PathBuf};

use super::ledger::Noted;
use super::{ImportError, ImportOptions, io_error};
use crate::config::StoreConfig;
use crate::index::Layout;
use crate::inspect::files::{self, Segments};
use crate::inspect::queues::QueueSummary;
use crate::inspect::{self, Problem};

/// Before the name of a member's folder.
const FOLDER: &str = "dledger-";

#[derive(Debug)]
pub(super) struct Source {
    pub(super) root: PathBuf,
    /// As in `dLegerSelfId`.
    pub(super) member: String,
    pub(super) data_dir: PathBuf,
    /// The entries.
    pub(super) data: Segments,
    /// The log from before the group.
    pub(super) old: Segments,
    pub(super) queues: Vec<QueueSummary>,
    /// The broker stopped cleanly, so whatever was agreed on is in its queues.
    pub(super) are_queues_complete: bool,
    /// Files of `config`.
    pub(super) tables: Vec<PathBuf>,
    pub(super) noted: Noted,
    /// What is not taken along, and why.
    pub(super) notes: Vec<String>,
}

impl Source {
    /// # Errors
    /// [`ImportError`]: it is no such store, or something of it is missing.
    pub(super) fn find(options: &ImportOptions) -> Result<Self, ImportError> {
        let root = &options.from;
        let unreadable = || io_error("read", root);
        let (member, folder) = member_of(root)?;
        if inspect::is_running(root).map_err(unreadable())? {
            return Err(ImportError::Running { path: root.clone() });
        }
        let data_dir = options.data_dir.clone().unwrap_or_else(|| folder.join("data"));
        let old_dir = options.commit_log_dir.clone().unwrap_or_else(|| root.join("commitlog"));
        let (data, old) = (segments(&data_dir)?, segments(&old_dir)?);
        if data.list.is_empty() && old.list.is_empty() {
            let problem = Problem { place: data_dir.display().to_string(), what: "there are no files".to_owned() };
            return Err(ImportError::Files(problem));
        }
        let mut notes = Vec::new();
        let queues = queues_of(root, &mut notes)?;
        let are_queues_complete = !root.join("abort").exists() && !in_rocks_db(root);
        let tables = tables_of(root, &mut notes)?;
        for (path, what) in [
            (
                "kvStore",
                "leases of popped messages are in RocksDB there (popConsumerKVServiceEnable): what was popped and not \
              acknowledged does not come again. Let consumers finish before the old broker is stopped",
            ),
            (
                "compaction/compactionLog",
                "compacted topics are served from the commit log, with all that it has of them",
            ),
            ("config/tieredStoreMetadata.json", "messages that are only in tiered storage are not taken along"),
        ] {
            if root.join(path).exists() {
                notes.push(format!("{path}: {what}"));
            }
        }
        let noted = Noted::read(&folder).map_err(io_error("read", &folder))?;
        if let (Some(term), Some(other)) = (noted.term, noted.voted_for.as_ref().filter(|name| **name != member)) {
            notes.push(format!(
                "{member} voted for {other} in term {term}. A follower's offsets and progress are some seconds old, so consumers \
                 and timers get some messages again; the files of the member that led last have none of that"
            ));
        }
        let root = root.clone();
        Ok(Self { root, member, data_dir, data, old, queues, are_queues_complete, tables, noted, notes })
    }

    /// First byte of the log.
    pub(super) fn begin(&self) -> i64 {
        self.old.list.first().map_or_else(|| self.divide(), |first| first.start)
    }

    /// First byte of the entries; behind the old log, if there are none.
    pub(super) fn divide(&self) -> i64 {
        let of_entries = self.data.list.first().map(|first| first.start);
        of_entries.or_else(|| self.old.list.last().map(files::Segment::end)).unwrap_or(0)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.old.bytes() + self.data.bytes()
    }

    /// The settings of the new store.
    ///
    /// # Errors
    /// They name other sizes than the files have.
    pub(super) fn config(&self, options: &ImportOptions) -> Result<StoreConfig, ImportError> {
        let mut sizes = Sizes { of_files: options.sizes_of_files, config: options.config.clone() };
        for segments in [&self.data, &self.old] {
            sizes.fit(segments, |config| &mut config.commit_log_file_bytes, "mappedFileSizeCommitLog")?;
        }
        for queue in &self.queues {
            if queue.batches {
                const PROPERTY: &str = "mapperFileSizeBatchConsumeQueue";
                sizes.fit(&queue.segments, |config| &mut config.batch_consume_queue_file_bytes, PROPERTY)?;
            } else {
                const PROPERTY: &str = "mappedFileSizeConsumeQueue";
                sizes.fit(&queue.segments, |config| &mut config.consume_queue_file_bytes, PROPERTY)?;
            }
        }
        let mut config = sizes.config;
        if options.sizes_of_files {
            let dir = self.root.join("index");
            let layout = inspect::index::layout(&dir).map_err(io_error("read", &dir))?;
            if let Some(Layout { slots, entries }) = layout {
                (config.index.slots, config.index.entries) = (slots, entries);
            }
        }
        Ok(config.checked()?)
    }
}

type Field = fn(&mut StoreConfig) -> &mut u64;

/// Settings that are held against files.
struct Sizes {
    /// The files decide.
    of_files: bool,
    config: StoreConfig,
}

impl Sizes {
    fn fit(&mut self, found: &Segments, of: Field, property: &'static str) -> Result<(), ImportError> {
        let Some(first) = found.list.first() else { return Ok(()) };
        let expected = of(&mut self.config);
        if self.of_files {
            *expected = first.len;
        } else if *expected != first.len {
            let (path, found, expected) = (first.path.clone(), first.len, *expected);
            return Err(ImportError::FileSize { path, found, expected, property });
        }
        Ok(())
    }
}

/// Name and folder of the member.
fn member_of(root: &Path) -> Result<(String, PathBuf), ImportError> {
    let all = files::entries(root).map_err(io_error("list", root))?;
    let name = |path: &PathBuf| files::name(path).strip_prefix(FOLDER).map(str::to_owned);
    let mut found: Vec<_> = all.into_iter().filter_map(|path| Some((name(&path)?, path))).collect();
    match found.len() {
        0 => Err(ImportError::NoMember { path: root.to_owned() }),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().map(|(_, path)| files::name(path)).collect();
            Err(ImportError::SeveralMembers { path: root.to_owned(), names: names.join(" and ") })
        }
    }
}

/// The files of a log, which follow each other.
fn segments(dir: &Path) -> Result<Segments, ImportError> {
    let mut problems = Vec::new();
    let found = Segments::find(dir, &mut problems).map_err(io_error("read", dir))?;
    problems.into_iter().next().map_or(Ok(found), |problem| Err(ImportError::Files(problem)))
}

fn in_rocks_db(root: &Path) -> bool {
    ["consumequeue", "consumequeue_rocksdb"].iter().any(|queues| root.join(queues).join("CURRENT").exists())
}

fn queues_of(root: &Path, notes: &mut Vec<String>) -> Result<Vec<QueueSummary>, ImportError> {
    let (mut queues, mut problems) = (Vec::new(), Vec::new());
    for (folder, batches) in [("consumequeue", false), ("batchconsumequeue", true)] {
        if !batches && in_rocks_db(root) {
            notes.push(
                "the queues are in RocksDB, and made again from the log: those without messages there begin at offset 0".to_owned(),
            );
            continue;
        }
        let dir = root.join(folder);
        queues.extend(inspect::queues::find(&dir, batches, &mut problems).map_err(io_error("read", &dir))?);
    }
    notes.extend(problems.iter().map(ToString::to_string));
    Ok(queues)
}

/// Files that hold tables; earlier versions of them, too.
fn tables_of(root: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, ImportError> {
    let dir = root.join("config");
    let (folders, tables): (Vec<_>, Vec<_>) =
        files::entries(&dir).map_err(io_error("list", &dir))?.into_iter().partition(|path| path.is_dir());
    if !folders.is_empty() && !tables.iter().any(|path| files::name(path).starts_with("topics.json")) {
        return Err(ImportError::RocksDbTables { path: dir });
    }
    for folder in folders.iter().filter(|folder| fs::read_dir(folder).is_ok_and(|mut all| all.next().is_some())) {
        notes.push(format!("config/{} is not taken along: tables are read from JSON files", files::name(folder)));
    }
    Ok(tables)
}
