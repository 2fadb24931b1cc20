//! Opening a store: find its end, cut what is broken, make again what is missing.
//!
//! Java: `DefaultMessageStore.load`, `DefaultMessageStore.recover`, `CommitLog.recoverNormally`,
//! `CommitLog.recoverAbnormally`.

mod rebuild;
mod scan;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remoting::types::{PhysicalOffset, Timestamp, TopicName};
use tracing::{info, warn};

use crate::checkpoint::Checkpoint;
use crate::commit_log::Recovered;
use crate::config::StoreConfig;
use crate::consume_queue::{Distrust, LastExit, LogEnds, Queue, Queues, Roster, Unit, roster};
use crate::dispatch::{Progress, QueueEntry};
use crate::error::StoreError;
use crate::io::Files;
use crate::message::{BLANK_BYTES, MAGIC_BLANK};
use crate::mmap::{MappedFile, Writer};
use crate::parallel::in_parts;
use crate::raft::{EntryWalk, Places};
use crate::segments;
use rebuild::Rebuild;

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The last exit left no `abort` file behind.
    pub clean: bool,
    pub commit_log_files: usize,
    /// Queues found, before any was made again.
    pub queues: usize,
    /// They were taken from what was noted of them, at the last stop or during the run before, but for those that had changed
    /// since; else all folders were listed.
    pub queues_noted: bool,
    /// First byte that the scan looked at.
    pub scanned_from: PhysicalOffset,
    pub scanned_bytes: u64,
    pub scanned_records: u64,
    /// Queue entries made again from the log: those that were missing and, after a crash, those that no checkpoint vouched for.
    pub rebuilt_entries: u64,
    /// Queues that lacked entries before the place where the scan began, and were made again from the start of the log.
    pub rebuilt_queues: usize,
    /// Bytes behind the last good record that were not free space.
    pub cut_bytes: u64,
    /// Queue entries that pointed behind the end of the log.
    pub cut_entries: u64,
    /// The end of the log: where the next record goes.
    pub end: PhysicalOffset,
    pub took: Duration,
}

/// A store ready to be used.
pub(crate) struct Opened {
    pub(crate) log: Recovered,
    pub(crate) queues: Queues,
    /// How far the queues are; what is confirmed ends there, too.
    pub(crate) progress: Progress,
    /// Of a Raft log.
    pub(crate) entries: Option<Places>,
    /// What queues get of entries that a group has not agreed on, as far as is known, with the times of these.
    pub(crate) undecided: Vec<(QueueEntry, Timestamp)>,
    pub(crate) report: RecoveryReport,
}

/// What a store is opened as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Alone,
    /// Its log is a Raft log. Who has left his group may have written to it as a broker of its own since.
    Raft {
        has_left: bool,
    },
}

/// Opens log and queues. The caller holds the store's lock.
pub(crate) fn open(
    kind: Kind,
    config: &StoreConfig,
    files: &dyn Files,
    checkpoint: &Checkpoint,
    clean: bool,
) -> Result<Opened, StoreError> {
    let began = Instant::now();
    let dir = config.commit_log_dir();
    let log = open_files(&dir, config.commit_log_file_bytes)?;
    let noted = match noted_queues(config, files, clean.then_some(checkpoint), &log) {
        Ok(noted) => Some(noted),
        // A run notes nothing of few queues.
        Err(Distrust::Missing) if !clean => None,
        Err(why) => {
            info!(%why, "the roster of the queues is not used: list their folders");
            None
        }
    };
    let (noted, queues) = match noted {
        Some(Noted { newest, queues, roster, changed }) => {
            let mut kept = queues.all().len() >= config.note_from_queues;
            if kept && let Err(error) = queues.keep_roster(&roster, changed.as_ref(), &config.root, files) {
                warn!(%error, "keep the roster of the queues: the next start after a crash lists their folders");
                kept = false;
            }
            if !kept {
                remove_roster(config, files)?;
            }
            let changed = changed.unwrap_or_default();
            queues.find_changed(&changed)?;
            (Some((newest, changed)), queues)
        }
        None => {
            remove_roster(config, files)?;
            (None, Queues::open(config)?)
        }
    };
    let all = queues.all();
    let mut report = RecoveryReport {
        clean,
        commit_log_files: log.len(),
        queues: all.len(),
        queues_noted: noted.is_some(),
        ..RecoveryReport::default()
    };
    let queue_io = |act: &'static str| StoreError::io(act, config.root.join("consumequeue"));

    let mut newest: Option<Unit> = None;
    if log.is_empty() && !all.is_empty() {
        warn!("there is no commit log: remove all consume queues");
        remove_all(&queues)?;
    } else {
        let (noted, to_load) = match noted {
            Some((noted, changed)) => {
                (noted, all.iter().filter(|queue| changed.contains(&*queue.topic)).cloned().collect())
            }
            None => (None, all),
        };
        let exit = if clean { LastExit::Clean } else { LastExit::Crash { vouched: checkpoint.queues_end() } };
        let load = |part: &[Arc<Queue>]| {
            part.iter().try_fold(None, |newest: Option<Unit>, queue| {
                let last = queue.load(exit)?;
                Ok(newest.into_iter().chain(last).max_by_key(|unit| unit.physical))
            })
        };
        let of_parts = in_parts(&to_load, load).map_err(queue_io("read"))?;
        newest = of_parts.into_iter().flatten().chain(noted).max_by_key(|unit| unit.physical);
    }
    let mut from = scan::start(&log, newest, checkpoint, clean);
    if kind != Kind::Alone {
        // Amid an entry, nobody could tell where it ends.
        from = from.start_of_file();
    }
    if !clean {
        let vouched = from.offset(&log).max(checkpoint.queues_end());
        let distrust = |part: &[Arc<Queue>]| part.iter().try_for_each(|queue| queue.distrust(vouched));
        in_parts(&queues.all(), distrust).map_err(queue_io("read"))?;
    }
    let mut rebuild = Rebuild::new(config, files, &queues);
    let check = config.record_check();
    let mut committed = newest.map_or(0, Unit::end);
    let mut entries = None;
    if let Kind::Raft { has_left } = kind {
        // What is gone was agreed on, and so was what was noted as that.
        let log_min = log.first().map_or(0, |file| file.start());
        committed = committed.max(log_min).max(checkpoint.confirmed_end());
        entries = Some(EntryWalk::new(&log, from.file(), committed, has_left));
    }
    let mut undecided: Vec<(QueueEntry, Timestamp)> = Vec::new();
    let mut progress = Progress { last: 0, end: committed.min(from.offset(&log)), timestamp: Timestamp(0) };
    let mut scanned = scan::walk(&log, from, check, |message| {
        if let Some(entries) = &mut entries {
            if entries.visit(message).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if !entries.is_committed() {
                let entry = QueueEntry::of(message, &queues, config);
                undecided.extend(entry.map(|entry| (entry, message.store_timestamp)));
                return Ok(ControlFlow::Continue(()));
            }
        }
        let (last, timestamp) = (message.physical_offset.0, message.store_timestamp);
        progress = Progress { last, end: last + message.size as i64, timestamp };
        rebuild.apply(message, from.is_start()).map_err(queue_io("write"))?;
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    let entries = entries.map(|entries| entries.finish(scanned.end)).transpose()?;
    let entries = entries.map(|(places, end)| {
        scanned.end = end;
        undecided.retain(|(entry, _)| entry.unit.physical < end);
        progress.end = progress.end.min(end);
        places
    });
    report.rebuilt_queues = rebuild.fill_gaps(&log, scanned.end).map_err(queue_io("write"))?;
    report.scanned_from = PhysicalOffset(from.offset(&log));
    report.scanned_bytes = (scanned.end - report.scanned_from.0) as u64;
    report.scanned_records = scanned.records;
    report.rebuilt_entries = rebuild.added();
    report.end = PhysicalOffset(scanned.end);
    report.cut_bytes = scan::bytes_behind(&log, scanned.end);

    rebuild.write_out().map_err(queue_io("write"))?;
    let log_min = log.first().map_or(0, |file| file.start());
    let settle = |part: &[Arc<Queue>]| {
        let (mut cut, mut settled) = (0, Vec::new());
        for queue in part {
            cut += queue.truncate(files, scanned.end, clean).map_err(queue_io("cut"))?;
            queue.follow(files, log_min).map_err(queue_io("remove old files of"))?;
            queue.restart();
            settled.push(Arc::clone(queue));
            if queues.are_many_open() {
                queues.sync_and_close(&mut settled, files).map_err(queue_io("flush"))?;
            }
        }
        Ok(cut)
    };
    report.cut_entries = in_parts(&queues.all(), settle)?.into_iter().sum();
    if entries.as_ref().is_some_and(|places| places.first_index().is_none()) {
        scanned.end = close_file(files, &log, scanned.end)?;
        (progress.end, report.end) = (scanned.end, PhysicalOffset(scanned.end));
    }
    let log = settle_log(&dir, config, files, log, &scanned, clean && report.cut_bytes == 0)?;
    if kind == Kind::Alone {
        progress = Progress { last: scanned.last, end: scanned.end, timestamp: log.timestamp };
    }
    report.took = began.elapsed();
    Ok(Opened { log, queues, progress, entries, undecided, report })
}

/// Queues as they were noted.
struct Noted {
    queues: Queues,
    roster: Roster,
    /// After a run that ended badly: topics whose queues are not among them, as they have changed since.
    changed: Option<HashSet<TopicName>>,
    /// The newest entry of the queues.
    newest: Option<Unit>,
}

/// The queues as the last stop noted them, whose checkpoint is given, if nothing has changed since; without one, as the run noted
/// them that ended badly.
fn noted_queues(
    config: &StoreConfig,
    files: &dyn Files,
    checkpoint: Option<&Checkpoint>,
    log: &[Arc<MappedFile>],
) -> Result<Noted, Distrust> {
    let (roster, changed) = match checkpoint {
        Some(_) => (Roster::read(&config.root)?, None),
        None => Roster::read_of_run(&config.root, files).map(|(roster, changed)| (roster, Some(changed)))?,
    };
    roster.check_marks(config, files, checkpoint.map(Checkpoint::encode).as_ref())?;
    let LogEnds { min, last, end } = roster.proof.log;
    let newest = if changed.is_none() {
        let is_log = log.first().is_some_and(|first| first.start() == min);
        let found = Some(last).filter(|_| is_log).and_then(|last| scan::end_after(log, last));
        let (newest, found_end) = found.ok_or(Distrust::Log)?;
        if found_end != end {
            return Err(Distrust::Log);
        }
        newest
    } else {
        // The log went on, and its first files may be gone.
        i32::try_from(end - last).ok().map(|size| Unit { physical: last, size, code: 0 })
    };
    let queues = Queues::from_roster(config, &roster, changed.as_ref(), files)?;
    Ok(Noted { queues, roster, changed, newest })
}

fn remove_roster(config: &StoreConfig, files: &dyn Files) -> Result<(), StoreError> {
    roster::remove(&config.root, files).map_err(StoreError::io("remove the roster in", &config.root))
}

fn open_files(dir: &Path, file_bytes: u64) -> Result<Vec<Arc<MappedFile>>, StoreError> {
    std::fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
    let starts = segments::list(dir, file_bytes, "mappedFileSizeCommitLog")?;
    let open = |start| {
        let path = segments::path_of(dir, start);
        MappedFile::open(&path, start).map_err(StoreError::io("map", path))
    };
    starts.into_iter().map(open).collect()
}

/// Java: `ConsumeQueueStore.destroy`, when the commit log was deleted.
fn remove_all(queues: &Queues) -> Result<(), StoreError> {
    let topics: std::collections::HashSet<_> = queues.all().iter().map(|queue| queue.topic.clone()).collect();
    for topic in topics {
        queues.forget(&topic);
        for trash in queues.discard(&topic)? {
            std::fs::remove_dir_all(&trash).map_err(StoreError::io("remove", trash))?;
        }
    }
    Ok(())
}

/// Ends the log's last file with a blank, so that entries begin with the next one: files hold what is from before a group, or
/// its entries, but not both. Where the log ends then. Java: `DLedgerCommitLog.recover`.
fn close_file(files: &dyn Files, log: &[Arc<MappedFile>], end: i64) -> Result<i64, StoreError> {
    let Some(file) = log.iter().find(|file| (file.start() + 1..file.start() + file.len() as i64).contains(&end)) else {
        return Ok(end);
    };
    let next = file.start() + file.len() as i64;
    let mut blank = Vec::with_capacity(BLANK_BYTES);
    blank.extend(((next - end) as i32).to_be_bytes());
    blank.extend(MAGIC_BLANK.to_be_bytes());
    let written = files.write_at(file.file(), &blank, (end - file.start()) as u64);
    written.and_then(|()| files.sync_data(file.file())).map_err(StoreError::io("close", file.path()))?;
    Ok(next)
}

/// Removes files behind the end and opens the one that holds it for writing.
///
/// After a crash, what was scanned may be in the page cache only: it counts as flushed from now on, so it is. And what
/// lies behind the end is zeroed, for it must not come back to life when a new record happens to end where an old one began.
fn settle_log(
    dir: &Path,
    config: &StoreConfig,
    files: &dyn Files,
    mut log: Vec<Arc<MappedFile>>,
    scanned: &scan::Scanned,
    clean: bool,
) -> Result<Recovered, StoreError> {
    let end = scanned.end;
    while let Some(file) = log.pop_if(|file| file.start() > end) {
        files.remove_file(file.path()).map_err(StoreError::io("remove", file.path()))?;
    }
    if !clean {
        for file in &log[log.partition_point(|file| file.start() + file.len() as i64 <= scanned.from)..] {
            files.sync_data(file.file()).map_err(StoreError::io("flush", file.path()))?;
        }
    }
    let holds_end = |file: &mut Arc<MappedFile>| end < file.start() + file.len() as i64;
    let tail = match log.pop_if(holds_end) {
        Some(file) => {
            let (path, start) = (file.path().to_owned(), file.start());
            // The complete view of the file goes before its writer comes.
            drop(file);
            let open = || OpenOptions::new().read(true).write(true).open(&path);
            let file = open().map_err(StoreError::io("open", &path))?;
            let written = (end - start) as usize;
            if !clean {
                files
                    .zero_range(&file, written as u64, config.commit_log_file_bytes)
                    .and_then(|()| files.sync_data(&file))
                    .map_err(StoreError::io("clear the end of", &path))?;
            }
            Writer::new(&path, start, file, written).map_err(StoreError::io("map", path))?
        }
        None => {
            let path = segments::path_of(dir, end);
            files
                .create_sized(&path, config.commit_log_file_bytes, true)
                .and_then(|file| files.sync_dir(dir).map(|()| file))
                .and_then(|file| Writer::new(&path, end, file, 0))
                .map_err(StoreError::io("create", path))?
        }
    };
    if !clean {
        files.sync_dir(dir).map_err(StoreError::io("flush", dir))?;
    }
    let timestamp = scanned.timestamp.unwrap_or(Timestamp(0));
    Ok(Recovered { sealed: log, tail, timestamp })
}
