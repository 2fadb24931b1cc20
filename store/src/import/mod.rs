//! Making an ordinary store of the files of a Java DLedger member. For `ferromq store import`.
//!
//! ```text
//! commitlog, from before the group ─ as it is ──────────────────────────▶ commitlog
//! dledger-n0/data: 48 bytes, record, 48 bytes, record ─ the records ────▶ commitlog, behind that
//! consumequeue ─ where queues go on whose messages are all deleted ─────▶ consumequeue; the others are made of the log
//! timerlog, timerwheel ─ with the new places of messages ───────────────▶ timerlog, timerwheel
//! config ─ as it is ────────────────────────────────────────────────────▶ config
//! ```
//!
//! **What stays.** Queue offsets, and all that counts in them: consumer offsets, progress of delays and timers, half messages and
//! what was decided of them, leases of pops. Times, hosts, properties, unique keys. The first file of the log begins where it began.
//!
//! **What changes.** Without its heads the log is shorter, so a message lies elsewhere. Its place is in the record itself, in the
//! commit record of a transaction (that of the half message), in units of queues, index and timer log, in offset message
//! ids and in the checkpoint: all of them are put right or made anew. The old place is left in properties that are for people
//! (`ORIGIN_MESSAGE_ID`), and in what clients remember of before.
//!
//! **How far.** All whole entries are taken, not only those that the member knew to be agreed on: it learns of that late, and
//! notes it every few seconds. An entry too many is one of which no producer was told whether it is stored.
//!
//! The source is only read. The new store does not open before everything in it is on disk.
//!
//! Java: `DLedgerCommitLog`.

mod ledger;
mod log;
mod moves;
mod queues;
mod source;
mod timers;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use remoting::types::{Clock, PhysicalOffset, QueueId};
use thiserror::Error;

use crate::config::{IndexConfig, StoreConfig};
use crate::error::StoreError;
use crate::inspect::Problem;
use crate::inspect::files::{self, Segment};
use crate::inspect::log::{Log, faults};
use crate::inspect::verify::places;
use crate::message::{StoredMessage, is_folder_name, relocate, sys_flag};
use crate::presence::Presence;
use crate::retention::Retention;
use crate::segments;
use crate::store::Store;
use ledger::{Found, Head, Ledger};
use log::NewLog;
use moves::{Layout, Moves};
use queues::Ends;
use source::Source;

/// In a store that is being made; it is not opened then.
pub(crate) const MARK: &str = "importing";
const MARK_TEXT: &str = "This store is not whole: the import into it has not finished. Remove it and import again.\n";
/// Bytes read at once of entries in turn, and of those that are looked up.
const CHUNK: usize = 4 << 20;
const LOOKUP_CHUNK: usize = 64 << 10;
/// Of what may be many times the same.
const JUMPS_TOLD: u64 = 10;

/// What is imported, and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The member's `storePathRootDir`.
    pub from: PathBuf,
    /// `None`: `<from>/dledger-<dLegerSelfId>/data`. Java: `storePathDLedgerCommitLog`.
    pub data_dir: Option<PathBuf>,
    /// Of the log from before the group; `None`: `<from>/commitlog`. Java: `storePathCommitLog`.
    pub commit_log_dir: Option<PathBuf>,
    /// Of the new store, which is made in its root.
    pub config: StoreConfig,
    /// Sizes of files are those that the member's have, whatever `config` says.
    pub sizes_of_files: bool,
    /// Take only what the member knew to be agreed on.
    pub committed_only: bool,
    /// Read and check everything, and write nothing.
    pub dry_run: bool,
}

/// Nothing usable was made.
#[derive(Debug, Error)]
pub enum ImportError {
    #[error(
        "{path} is no store of a DLedger member: it has no folder dledger-<dLegerSelfId>. An ordinary store needs no import"
    )]
    NoMember { path: PathBuf },
    #[error("{path} has the folders of several members, {names}: move those away that are not of this broker")]
    SeveralMembers { path: PathBuf, names: String },
    #[error("a broker is running on {path}: stop it first")]
    Running { path: PathBuf },
    #[error("{path} is not empty: name a folder that is, or is not there")]
    NotEmpty { path: PathBuf },
    #[error("{0}: repair that, or import the files of another member")]
    Files(Problem),
    #[error(
        "the log from before the group ends at {end}, but the group's begins at {begin}: files of the commitlog folder are missing"
    )]
    Gap { end: i64, begin: i64 },
    #[error("the entries are damaged at {at}: {why}. Import the files of another member")]
    Damaged { at: i64, why: String },
    #[error(
        "{path} has {found} bytes, but {property} says {expected}: set it to {found}, the size this store was written with"
    )]
    FileSize { path: PathBuf, found: u64, expected: u64, property: &'static str },
    #[error(
        "{path} holds no topics.json, but RocksDB folders: have Java export them as JSON first (mqadmin exportMetadataInRocksDB)"
    )]
    RocksDbTables { path: PathBuf },
    #[error(
        "queue {queue_id} of {topic} ends at {found} in the new store, but at {wanted} in the old one: this is a fault of the \
         import. Keep the old store"
    )]
    Lost { topic: String, queue_id: i32, found: i64, wanted: i64 },
    #[error("{act} {path}: {source}")]
    Io { act: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn io_error(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.into();
    move |source| ImportError::Io { act, path, source }
}

/// What an import does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Copies records: bytes of the old log, and all of them.
    Log { done: u64, total: u64 },
    /// Makes queues and index of them.
    Queues,
}

/// What was imported, or would be.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// As in `dLegerSelfId`.
    pub member: String,
    /// Bytes of each file, which the new store keeps.
    pub commit_log_file_bytes: u64,
    pub consume_queue_file_bytes: u64,
    pub index: Option<(u32, u32)>,
    /// Records of the log from before the group.
    pub old_records: u64,
    pub records: u64,
    /// Entries without a message, which were left out.
    pub empty_entries: u64,
    /// Index and term of the last entry that was taken.
    pub last: Option<(i64, i64)>,
    /// The last one that the member had noted as agreed on.
    pub committed: Option<i64>,
    /// First byte and end of the new log.
    pub begin: i64,
    pub end: i64,
    /// Queues with messages, and those that only keep their next offset.
    pub queues: usize,
    pub kept_queues: usize,
    /// Units of the timer log.
    pub timers: u64,
    /// Files of `config`.
    pub tables: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Makes the new store.
///
/// # Errors
/// [`ImportError`]. What there is in the new folder by then is of no use.
pub fn import(options: &ImportOptions, clock: Clock, progress: &mut dyn FnMut(Step)) -> Result<Imported, ImportError> {
    let source = Source::find(options)?;
    let config = source.config(options)?;
    let (to, log_dir) = (&config.root, config.commit_log_dir());
    let is_free = |path: &PathBuf| files::name(path) == "lost+found";
    for dir in [to, &log_dir] {
        if !files::entries(dir).map_err(io_error("list", dir))?.iter().all(is_free) {
            return Err(ImportError::NotEmpty { path: dir.clone() });
        }
    }
    let mut import = Import::new(&source, &config, options);
    if !options.dry_run {
        begin(to, &log_dir)?;
    }
    let presence = if options.dry_run { None } else { Some(Presence::take(to)?) };
    import.take_old_log(progress)?;
    import.take_entries(progress)?;
    import.keep_queues()?;
    let taken = import.take_timers()?;
    import.take_tables(taken.wheel_end)?;
    import.describe();
    let Import { ends, done, forgotten, .. } = import;
    if options.dry_run {
        return Ok(done);
    }
    drop(presence);
    finish(to)?;
    progress(Step::Queues);
    make_queues(config, clock, &ends, &forgotten)?;
    Ok(done)
}

/// Makes the folders, and marks the store.
fn begin(to: &Path, log_dir: &Path) -> Result<(), ImportError> {
    let write = || {
        fs::create_dir_all(to)?;
        fs::create_dir_all(log_dir)?;
        let mut file = File::create(to.join(MARK))?;
        file.write_all(MARK_TEXT.as_bytes())?;
        file.sync_all()?;
        crate::io::sync_dir(to)
    };
    write().map_err(io_error("write to", to))
}

/// Everything is on disk.
fn finish(to: &Path) -> Result<(), ImportError> {
    let sync = || {
        crate::io::sync_dir(to)?;
        fs::remove_file(to.join(MARK))?;
        crate::io::sync_dir(to)
    };
    sync().map_err(io_error("finish", to))
}

/// Opens the new store once: that makes its queues and its index.
fn make_queues(config: StoreConfig, clock: Clock, ends: &Ends, forgotten: &[String]) -> Result<(), ImportError> {
    const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let index = IndexConfig { complete_at_open: true, ..config.index };
    // What has expired is the business of the broker that opens it.
    let retention = Retention { reserved_time: FOREVER, clean_forcibly: false, ..config.retention };
    let (store, _) = Store::open(StoreConfig { index, retention, ..config }, clock)?;
    for (topic, queue_id, wanted) in ends.all() {
        let found = store.max_offset(topic, QueueId(queue_id)).map_or(0, |end| end.0);
        if found != wanted {
            return Err(ImportError::Lost { topic: topic.to_owned(), queue_id, found, wanted });
        }
    }
    for topic in forgotten {
        store.delete_topic(topic)?;
    }
    Ok(store.close()?)
}

/// An import under way.
struct Import<'a> {
    source: &'a Source,
    config: &'a StoreConfig,
    options: &'a ImportOptions,
    new: Option<NewLog>,
    moves: Moves,
    ends: Ends,
    /// Topics of which the member has surely put messages into queues.
    dispatched: HashSet<String>,
    /// Queues that did not go on with their next offset, counted each time.
    jumps: u64,
    /// Topics that were deleted, whose records are still in the log.
    forgotten: Vec<String>,
    done: Imported,
    bytes: u64,
}

impl<'a> Import<'a> {
    fn new(source: &'a Source, config: &'a StoreConfig, options: &'a ImportOptions) -> Self {
        let layout = Layout { start: source.begin(), file_bytes: config.commit_log_file_bytes as i64 };
        let dir = (!options.dry_run).then(|| config.commit_log_dir());
        let divide = source.divide();
        let new = NewLog::new(layout, dir, divide);
        let moves = Moves::new(layout, divide, Ledger::new(source.data.clone(), LOOKUP_CHUNK));
        let done = Imported {
            member: source.member.clone(),
            commit_log_file_bytes: config.commit_log_file_bytes,
            consume_queue_file_bytes: config.consume_queue_file_bytes,
            index: config.index.enable.then_some((config.index.slots, config.index.entries)),
            committed: source.noted.committed,
            begin: source.begin(),
            notes: source.notes.clone(),
            ..Imported::default()
        };
        Self {
            source,
            config,
            options,
            new: Some(new),
            moves,
            ends: Ends::default(),
            dispatched: HashSet::new(),
            jumps: 0,
            forgotten: Vec::new(),
            done,
            bytes: 0,
        }
    }

    /// Where the new store is made; `None`: it is not.
    fn to(&self) -> Option<&'a Path> {
        (!self.options.dry_run).then_some(self.config.root.as_path())
    }

    fn tell(&self, done: u64, progress: &mut dyn FnMut(Step)) {
        progress(Step::Log { done: self.bytes + done, total: self.source.bytes() });
    }

    fn count(&mut self, message: &StoredMessage<'_>, is_dispatched: bool) {
        let (topic, id) = (message.topic, message.queue_id.0);
        let Some((first, count)) = places(message).filter(|_| is_folder_name(topic) && id >= 0) else { return };
        if let Some(wanted) = self.ends.add(topic, id, first, count) {
            self.jumps += 1;
            if self.jumps <= JUMPS_TOLD {
                let jump = format!("{topic}-{id} goes on with offset {first}, where {wanted} comes next");
                self.done.notes.push(jump);
            }
        }
        if is_dispatched && !self.dispatched.contains(topic) {
            self.dispatched.insert(topic.to_owned());
        }
    }

    /// The log from before the group goes where it was.
    fn take_old_log(&mut self, progress: &mut dyn FnMut(Step)) -> Result<(), ImportError> {
        let (source, old) = (self.source, &self.source.old);
        let Some(last) = old.list.last() else { return Ok(()) };
        let unreadable = || io_error("read", last.path.parent().unwrap_or(&last.path));
        let log = Log::open(old).map_err(unreadable())?;
        let (mut problems, mut bad) = (Vec::new(), None);
        let from = self.done.begin;
        let walked = log.walk(from, &mut problems, |message, record, at| {
            self.tell((at - from) as u64, progress);
            self.count(message, true);
            bad = faults(message, record, at).into_iter().next().map(|what| Problem { place: at.to_string(), what });
            bad.is_none()
        });
        let walked = walked.map_err(unreadable())?;
        if let Some(problem) = problems.into_iter().next().or(bad) {
            return Err(ImportError::Files(problem));
        }
        if walked.end != source.divide() {
            return Err(ImportError::Gap { end: walked.end, begin: source.divide() });
        }
        self.done.old_records = walked.records;
        if self.to().is_some() {
            let dir = self.config.commit_log_dir();
            for Segment { path, start, .. } in &old.list {
                log::copy(path, &segments::path_of(&dir, *start)).map_err(io_error("copy", path))?;
            }
        }
        self.bytes = old.bytes();
        Ok(())
    }

    /// The records of the group's log follow, without what stood before each.
    fn take_entries(&mut self, progress: &mut dyn FnMut(Step)) -> Result<(), ImportError> {
        let (source, to) = (self.source, &self.config.root);
        let unreadable = || io_error("read", &source.data_dir);
        let mut ledger = Ledger::new(source.data.clone(), CHUNK);
        let wanted = if self.options.committed_only { self.done.committed } else { None };
        let mut new = self.new.take().expect("entries are taken once");
        let (mut at, mut last) = (source.divide(), None::<Head>);
        let mut file: Option<(i64, SystemTime)> = None;
        let why = loop {
            let head = match ledger.head(at).map_err(unreadable())? {
                Found::Blank(next) => {
                    at = next;
                    continue;
                }
                Found::Nothing => break "no entry begins there".to_owned(),
                Found::Entry(head) => head,
            };
            if last.is_some_and(|last| head.index != last.index + 1 || head.term < last.term) {
                break "the entry there does not follow the one before it".to_owned();
            }
            if wanted.is_some_and(|wanted| head.index > wanted) {
                break String::new();
            }
            if head.body > 0 {
                let is_end = ledger.is_free(head.end()).map_err(unreadable())?;
                let mut record = ledger.body(&head).map_err(unreadable())?.to_vec();
                let message = match whole_record(&head, &record, is_end) {
                    Ok(message) => message,
                    Err(why) => break why,
                };
                let prepared = match message.sys_flag & sys_flag::TRANSACTION_MASK {
                    // Where its half message lies; one that was deleted lies before the log, then as now.
                    sys_flag::TRANSACTION_COMMIT => self
                        .moves
                        .find(message.prepared_transaction_offset)
                        .map_err(unreadable())?
                        .unwrap_or(message.prepared_transaction_offset),
                    _ => message.prepared_transaction_offset,
                };
                let is_dispatched = self.done.committed.is_some_and(|committed| head.index <= committed);
                self.count(&message, is_dispatched);
                let flags = message.sys_flag;
                let before = new.end();
                relocate(&mut record, flags, PhysicalOffset(self.moves.place(before, head.body)), prepared);
                let segment = ledger.segment(head.at).expect("the entry was read from it");
                let written = match file {
                    Some((start, written)) if start == segment.start => written,
                    _ => fs::metadata(&segment.path).and_then(|found| found.modified()).map_err(unreadable())?,
                };
                file = Some((segment.start, written));
                new.append(&record, written).map_err(io_error("write to", to))?;
                self.moves.note(head.at, head.end(), before);
                self.done.records += 1;
            } else {
                self.done.empty_entries += 1;
            }
            last = Some(head);
            at = head.end();
            self.tell((at - source.divide()) as u64, progress);
        };
        if !why.is_empty() {
            self.judge_end(&mut ledger, at, last, why)?;
        }
        self.done.last = last.map(|head| (head.index, head.term));
        self.done.end = new.end();
        new.finish().map_err(io_error("write to", to))
    }

    /// Whether the entries may end at `at`.
    fn judge_end(&mut self, ledger: &mut Ledger, at: i64, last: Option<Head>, why: String) -> Result<(), ImportError> {
        let source = self.source;
        let unreadable = || io_error("read", &source.data_dir);
        let holds_end = ledger.segment(at).map(Segment::end);
        let later = holds_end.is_some_and(|end| ledger.segment(end).is_some());
        let follows = match ledger.head(at).map_err(unreadable())? {
            Found::Entry(head) => matches!(ledger.head(head.end()).map_err(unreadable())?, Found::Entry(_)),
            Found::Blank(_) | Found::Nothing => false,
        };
        if later || follows {
            return Err(ImportError::Damaged { at, why: format!("{why}, and others follow") });
        }
        let end = last.map_or(-1, |last| last.index);
        if let Some(committed) = self.done.committed.filter(|committed| *committed > end) {
            let why = format!("{why}; entry {committed} was agreed on, and the last one that is there is {end}");
            return Err(ImportError::Damaged { at, why });
        }
        if !ledger.is_free(at).map_err(unreadable())? {
            self.done.notes.push(format!("the last entry, at {at}, is not whole and was left out: {why}"));
        }
        Ok(())
    }

    /// Queues go on where they would have, though nothing is left in them.
    fn keep_queues(&mut self) -> Result<(), ImportError> {
        let source = self.source;
        for queue in source.queues.iter().filter(|queue| queue.max > 0) {
            if self.ends.has(&queue.topic, queue.queue_id) {
                continue;
            }
            let folder = if queue.batches { "batchconsumequeue" } else { "consumequeue" };
            let root = self.to().map(|to| to.join(folder));
            let kept = queues::keep(queue, self.done.begin, root.as_deref());
            if kept.map_err(io_error("take along the queue", queue.name()))? {
                self.done.kept_queues += 1;
            }
        }
        Ok(())
    }

    fn take_timers(&mut self) -> Result<timers::Taken, ImportError> {
        let from = &self.source.root;
        let taken = timers::take(from, self.to(), &mut self.moves, self.done.begin);
        let taken = taken.map_err(io_error("take along the timer of", from))?;
        self.done.timers = taken.units;
        if taken.lost {
            self.done.notes.push("the timer knows messages that the log has no more: they are left out".to_owned());
        }
        Ok(taken)
    }

    /// Copies `config`. `wheel_end`: how far the timer's checkpoint may say that the wheel is.
    fn take_tables(&mut self, wheel_end: Option<i64>) -> Result<(), ImportError> {
        /// Of `timercheck`: up to where the wheel has the timer log.
        const LOG_FLUSHED_AT: u64 = 8;
        let from = self.source.root.join("config");
        let to = self.to().map(|to| to.join("config"));
        let failed = || io_error("copy", &from);
        if let Some(to) = &to {
            fs::create_dir_all(to).map_err(failed())?;
        }
        let source = self.source;
        for path in &source.tables {
            let name = files::name(path);
            self.done.tables.push(name.to_owned());
            let Some(to) = to.as_ref().map(|to| to.join(name)) else { continue };
            log::copy(path, &to).map_err(failed())?;
            if let Some(end) = wheel_end.filter(|_| name == "timercheck") {
                let lower = || {
                    let file = File::options().read(true).write(true).open(&to)?;
                    let mut noted = [0; 8];
                    file.read_exact_at(&mut noted, LOG_FLUSHED_AT)?;
                    let end = end.min(i64::from_be_bytes(noted));
                    file.write_all_at(&end.to_be_bytes(), LOG_FLUSHED_AT)?;
                    file.sync_all()
                };
                lower().map_err(failed())?;
            }
        }
        to.map_or(Ok(()), |to| crate::io::sync_dir(&to)).map_err(failed())
    }

    /// What remains to be said once everything was seen.
    fn describe(&mut self) {
        self.done.queues = self.ends.all().count();
        if self.jumps > JUMPS_TOLD {
            self.done.notes.push(format!("{} more such jumps of offsets were met", self.jumps - JUMPS_TOLD));
        }
        if self.source.are_queues_complete {
            let known: HashSet<&str> = self.source.queues.iter().map(|queue| &*queue.topic).collect();
            let gone = |topic: &&String| !known.contains(topic.as_str()) && self.dispatched.contains(*topic);
            self.forgotten = self.ends.topics().filter(gone).cloned().collect();
            self.forgotten.sort();
            let note =
                |topic: &String| format!("topic {topic} was deleted: its records are in the log, and in no queue");
            self.done.notes.extend(self.forgotten.iter().map(note));
        }
        match (self.done.last, self.done.committed) {
            (Some(_), None) => self.done.notes.push(
                "the member has not noted how far its group had agreed: everything that is whole was taken".to_owned(),
            ),
            (Some((last, _)), Some(committed)) if last > committed => self.done.notes.push(format!(
                "entries {} to {last} were taken, too, of which the member had not noted that they were agreed on: \
                 its producers were told so, or nothing. --committed leaves them out",
                committed + 1
            )),
            _ => {}
        }
        if self.ends.has_topic("RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC") {
            self.done.notes.push(
                "transactions were kept in RocksDB (transRocksDBEnable): those that are open are not gone on with"
                    .to_owned(),
            );
        }
    }
}

/// The record of an entry, if it is whole. `is_end`: nothing was ever written behind it.
fn whole_record<'a>(head: &Head, record: &'a [u8], is_end: bool) -> Result<StoredMessage<'a>, String> {
    let message =
        StoredMessage::parse(record).map_err(|error| format!("entry {} holds no record: {error}", head.index))?;
    if message.size != record.len() {
        return Err(format!("entry {} has {} bytes, but its record {}", head.index, record.len(), message.size));
    }
    if let Some(what) = faults(&message, record, head.record()).into_iter().next() {
        return Err(format!("entry {}: {what}", head.index));
    }
    if is_end && (message.topic.ends_with('\0') || message.properties.ends_with('\0')) {
        return Err(format!("the end of entry {} was never written", head.index));
    }
    Ok(message)
}

#[cfg(test)]
mod tests;
