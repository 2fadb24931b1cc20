//! Putting what was gathered in place of what was there.
//!
//! ```text
//! complete ─ old files go ─▶ emptied ─ queues are laid, new files take their place ─▶ no mark
//! ```
//!
//! Whatever ends the process in between, the next opening does the same again: what is left of the old files goes until none
//! is, and what has not yet moved moves. Only then is the store looked at; it is opened as after a crash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::info;

use super::staging::remove_dir;
use super::{COMPLETE, DONE, EMPTIED, FOLDER, QUEUES, TABLES, starts};
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::config::StoreConfig;
use crate::consume_queue::roster;
use crate::error::StoreError;
use crate::io::{RealFiles, remove_file, sync_dir};

/// What is made from the log, or goes with it. The timer finds its messages in the log.
const FOLDERS: [&str; 5] = ["consumequeue", "consumequeue_ext", "batchconsumequeue", "index", "timerlog"];
const FILES: [&str; 4] = ["checkpoint", "timerwheel", "config/timercheck", "config/timermetrics"];

/// Between two changes: an error ends the swap there.
pub(crate) type Between<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// Puts what was gathered in place, if [all of it](super::Staging::complete) is there. The caller holds the store's lock.
///
/// # Errors
/// Failing I/O: the next opening goes on with it.
pub(crate) fn finish(config: &StoreConfig) -> Result<(), StoreError> {
    finish_with(config, &mut || Ok(()))
        .map_err(StoreError::io("put the files that the group sent in place in", &config.root))
}

pub(crate) fn finish_with(config: &StoreConfig, between: Between<'_>) -> io::Result<()> {
    let (dir, done) = (config.root.join(FOLDER), config.root.join(DONE));
    let (complete, emptied) = (dir.join(COMPLETE), dir.join(EMPTIED));
    if complete.try_exists()? {
        info!("the group has filled this member: its old files go");
        empty(config, between)?;
        fs::rename(&complete, &emptied)?;
        sync_dir(&dir)?;
        between()?;
    }
    if emptied.try_exists()? {
        let mark = fs::read_to_string(&emptied)?;
        take_in(config, &mark, between)?;
        remove_dir(&config.commit_log_dir().join(FOLDER))?;
        between()?;
        // The mark goes with its folder.
        remove_dir(&done)?;
        fs::rename(&dir, &done)?;
        sync_dir(&config.root)?;
        between()?;
        info!("what the group has sent is in place");
    }
    remove_dir(&done)
}

fn empty(config: &StoreConfig, between: Between<'_>) -> io::Result<()> {
    let log = config.commit_log_dir();
    for path in files_in(&log)? {
        remove_file(&path)?;
        between()?;
    }
    sync_dir(&log)?;
    for folder in FOLDERS {
        remove_dir(&config.root.join(folder))?;
        between()?;
    }
    for file in FILES {
        remove_file(&config.root.join(file))?;
    }
    roster::remove(&config.root, &RealFiles)?;
    let tables = config.root.join("config");
    if tables.is_dir() {
        sync_dir(&tables)?;
    }
    sync_dir(&config.root)
}

fn take_in(config: &StoreConfig, mark: &str, between: Between<'_>) -> io::Result<()> {
    let (root, dir, log) = (&config.root, config.root.join(FOLDER), config.commit_log_dir());
    let damaged = || io::Error::other(format!("{} is damaged: {mark:?}", dir.join(EMPTIED).display()));
    let (log_start, agreed) = mark.trim().split_once(' ').ok_or_else(damaged)?;
    let log_start = log_start.parse().map_err(|_| damaged())?;
    let confirm_phy_offset = agreed.parse().map_err(|_| damaged())?;
    // Laid anew each time: some of them may not be on disk.
    for folder in ["consumequeue", "batchconsumequeue"] {
        remove_dir(&root.join(folder))?;
    }
    starts::lay(config, &fs::read(dir.join(QUEUES))?, log_start)?;
    between()?;
    let gathered = log.join(FOLDER);
    for path in files_in(&gathered)? {
        fs::rename(&path, log.join(path.file_name().expect("it was listed by its name")))?;
        between()?;
    }
    sync_dir(&log)?;
    move_tree(&dir.join(TABLES), root, between)?;
    let (checkpoint, _) = CheckpointFile::open(&root.join("checkpoint"))?;
    checkpoint.write(&RealFiles, &Checkpoint { confirm_phy_offset, ..Checkpoint::default() })?;
    // Nothing vouches for what was put here: it is all looked at.
    fs::write(root.join("abort"), std::process::id().to_string())?;
    sync_dir(root)
}

/// Moves the files below `from` to where they are to be below `to`.
fn move_tree(from: &Path, to: &Path, between: Between<'_>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            move_tree(&entry.path(), &target, between)?;
        } else {
            fs::rename(entry.path(), &target)?;
            between()?;
        }
    }
    sync_dir(to)
}

/// Files in a folder, in the order of their names; none if there is no such folder.
fn files_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    files.push(entry.path());
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    files.sort();
    Ok(files)
}
