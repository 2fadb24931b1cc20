//! The thread that deletes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::graves::Graves;
use super::{Need, Retention, look};
use crate::mmap::MappedFile;
use crate::raft::RaftState;
use crate::shared::Shared;

/// How often the disk is looked at while appends are refused for want of space, so that they are taken soon again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Cleaner<'a> {
    pub(super) shared: &'a Shared,
    graves: Graves,
    /// The log's first byte that the queues follow already.
    followed: i64,
    last_pass: Instant,
    /// A file could not be deleted then.
    failed: Option<Instant>,
}

impl<'a> Cleaner<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        // Recovery has the queues follow the log.
        let followed = shared.log.min();
        Self { shared, graves: Graves::default(), followed, last_pass: Instant::now(), failed: None }
    }

    /// Until the store stops.
    pub(crate) fn run(mut self) {
        while !self.shared.is_stopping() {
            let settings = self.shared.cleaning.settings();
            let until_pass = settings.interval.saturating_sub(self.last_pass.elapsed());
            let soon = self.shared.cleaning.refuses() || !self.graves.is_empty();
            self.shared.cleaning.signal.wait(Some(if soon { until_pass.min(LOOK_INTERVAL) } else { until_pass }));
            if !self.shared.is_stopping() {
                self.turn();
            }
        }
    }

    fn turn(&mut self) {
        let settings = self.shared.cleaning.settings();
        let need = look(self.shared, &settings);
        if self.shared.cleaning.take_asked() || self.last_pass.elapsed() >= settings.interval {
            self.last_pass = Instant::now();
            self.pass(&settings, need);
        }
        if self.shared.raft.is_some() && self.delete_log_files(&settings, None) > 0 {
            self.follow_log(&settings);
        }
        self.give_back(&settings);
        if self.shared.cleaning.is_out_of_space() {
            match self.shared.log.make_room() {
                Ok(()) => self.shared.cleaning.note_space_again(),
                Err(error) => info!(%error, "still no space for the commit log"),
            }
        }
    }

    /// Java: `CleanCommitLogService.deleteExpiredFiles`, `CleanConsumeQueueService.deleteExpiredFiles`.
    pub(crate) fn pass(&mut self, settings: &Retention, need: Need) {
        let at_once = need == Need::AtOnce && settings.clean_forcibly;
        let asked = self.shared.cleaning.take_manual_pass();
        if asked || need != Need::Nothing || settings.hours.include(self.shared.clock.now()) {
            let expired = self.shared.clock.now().0.saturating_sub(millis(settings.reserved_time));
            let written_before = (!at_once).then_some(expired);
            let files = match &self.shared.raft {
                Some(raft) => self.offer_log_files(raft, settings, written_before),
                None => self.delete_log_files(settings, written_before),
            };
            if files == 0 && need == Need::AtOnce {
                warn!("the disk is nearly full, and there is no file of the commit log that may be deleted");
            }
        }
        self.follow_log(settings);
        self.expire_topics();
        self.give_back(settings);
        look(self.shared, settings);
    }

    fn follow_log(&mut self, settings: &Retention) {
        let min = self.shared.log.min();
        if min > self.followed && self.have_queues_follow(settings, min) {
            self.followed = min;
        }
    }

    /// Tells the group which files would go from the start of its log, by the rule of [`Self::delete_log_files`]; returns how
    /// many. They go once it has [released](crate::RaftLog::release) them.
    fn offer_log_files(&self, raft: &RaftState, settings: &Retention, written_before: Option<i64>) -> usize {
        let shared = self.shared;
        // Nobody could tell any more which offset a queue goes on at, if its entries went with a crash.
        let flushed = shared.log.flushed();
        let settled = flushed.min(shared.queues_on_disk()).min(raft.pinned_from());
        let log = shared.log.snapshot();
        let may_go = |file: &&Arc<MappedFile>| {
            let is_settled = file.start() + file.len() as i64 <= settled;
            is_settled && written_before.is_none_or(|before| file.written_at().is_ok_and(|written| written <= before))
        };
        let files = log.all_but_last().iter().take(settings.files_per_pass_max).take_while(may_go);
        let (count, end) = files.fold((0, 0), |(count, _), file| (count + 1, file.start() + file.len() as i64));
        if count > 0 {
            raft.offer(&log, end, flushed, written_before.is_none());
        }
        count
    }

    /// Deletes from the start of the log; returns how many files. Java: `MappedFileQueue.deleteExpiredFileByTime`.
    fn delete_log_files(&mut self, settings: &Retention, written_before: Option<i64>) -> usize {
        if self.failed.is_some_and(|at| at.elapsed() < settings.retry_interval) {
            return 0;
        }
        self.failed = None;
        let mut deleted = 0;
        while deleted < settings.files_per_pass_max {
            match self.shared.delete_first_log_file(written_before) {
                Ok(Some(file)) => {
                    info!(path = %file.path().display(), "commit log file deleted");
                    self.graves.add(file);
                    deleted += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    warn!(%error, "delete the first file of the commit log");
                    self.failed = Some(Instant::now());
                    break;
                }
            }
            self.give_back(settings);
            if !self.pause(settings.log_file_pause) {
                break;
            }
        }
        deleted
    }

    /// Moves the queues' first offsets behind the records that are gone, and deletes the files before them. Says whether
    /// every queue follows now.
    fn have_queues_follow(&self, settings: &Retention, log_min: i64) -> bool {
        let mut all = true;
        for queue in self.shared.queues.all() {
            match queue.follow(&*self.shared.disk, log_min) {
                Ok(0) => {}
                Ok(_) => _ = self.pause(settings.queue_file_pause),
                Err(error) => {
                    warn!(topic = %queue.topic, queue_id = %queue.queue_id, %error, "delete old consume queue files");
                    all = false;
                }
            }
            if self.shared.is_stopping() {
                return false;
            }
        }
        all
    }

    fn give_back(&mut self, settings: &Retention) {
        let shared = self.shared;
        self.graves.give_back(settings, |pause| pause_for(shared, pause));
    }

    /// Whether to go on.
    fn pause(&self, pause: Duration) -> bool {
        pause_for(self.shared, pause)
    }
}

/// Waits; the store's stop ends the wait. Whether to go on. Being asked for a deletion meanwhile ends it as well, and is
/// noted.
fn pause_for(shared: &Shared, pause: Duration) -> bool {
    if !pause.is_zero() && !shared.is_stopping() {
        shared.cleaning.signal.wait(Some(pause));
    }
    !shared.is_stopping()
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Shared {
    /// Deletes the first file of the log, if another follows it, all of it is on disk and in the queues, and, where
    /// `written_before` is given, it was last written to before that (milliseconds since 1970). `None`: it stays.
    ///
    /// The name goes first, on disk too, and only then the file: a crash in between leaves a log that begins a file later
    /// than it had to, never one with a gap.
    ///
    /// # Errors
    /// The file could not be looked at or removed, and stays.
    pub(crate) fn delete_first_log_file(&self, written_before: Option<i64>) -> io::Result<Option<Arc<MappedFile>>> {
        let settled = self.log.flushed().min(self.dispatch.dispatched());
        let settled = self.raft.as_ref().map_or(settled, |raft| settled.min(raft.released()));
        let Some(file) = self.log.first_of_several() else { return Ok(None) };
        let written = file.written_at()?;
        if file.start() + file.len() as i64 > settled || written_before.is_some_and(|before| written > before) {
            return Ok(None);
        }
        self.disk.remove_file(file.path())?;
        self.disk.sync_dir(self.log.dir())?;
        self.log.forget_first(&file);
        if let Some(raft) = &self.raft {
            raft.purge(self.log.min());
        }
        Ok(Some(file))
    }
}
