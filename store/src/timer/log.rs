//! The timer log: units one after the other, in equal-sized files. A unit never crosses the end of a file.
//!
//! Java: `TimerLog`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::unit::{BLANK_BYTES, Found, UNIT_BYTES, Unit, encode_blank};
use crate::error::StoreError;
use crate::io::Files;
use crate::segments;

const UNIT: i64 = UNIT_BYTES as i64;

/// The files, and where the next unit goes.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    file_bytes: i64,
    /// By the position of their first byte.
    files: BTreeMap<i64, Arc<File>>,
    end: i64,
    disk: Arc<dyn Files>,
}

impl Log {
    /// Opens what is there; the end is not known yet.
    ///
    /// # Errors
    /// The files are of another size than `file_bytes`, or I/O fails.
    pub(super) fn open(dir: PathBuf, file_bytes: u64, disk: Arc<dyn Files>) -> Result<Self, StoreError> {
        const PROPERTY: &str = "mappedFileSizeTimerLog";
        if !((UNIT_BYTES + BLANK_BYTES) as u64..=i32::MAX as u64).contains(&file_bytes) {
            let reason = "68 to 2147483647 bytes";
            return Err(StoreError::Setting { setting: PROPERTY, value: file_bytes, reason });
        }
        std::fs::create_dir_all(&dir).map_err(StoreError::io("create", &dir))?;
        let mut files = BTreeMap::new();
        for start in segments::list(&dir, file_bytes, PROPERTY)? {
            let path = segments::path_of(&dir, start);
            let file = OpenOptions::new().read(true).write(true).open(&path).map_err(StoreError::io("open", &path))?;
            files.insert(start, Arc::new(file));
        }
        let end = files.keys().next().copied().unwrap_or(0);
        Ok(Self { dir, file_bytes: file_bytes as i64, files, end, disk })
    }

    /// Whether nothing was ever written.
    pub(super) fn is_new(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn start(&self) -> i64 {
        self.files.keys().next().copied().unwrap_or(self.end)
    }

    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Where a unit goes that follows what ends at `at`.
    pub(super) fn place(&self, at: i64) -> i64 {
        let left = self.file_bytes - at.rem_euclid(self.file_bytes);
        if left < UNIT + BLANK_BYTES as i64 { at + left } else { at }
    }

    /// Whether units begin at `position`.
    fn is_place(&self, position: i64) -> bool {
        position >= 0 && position.rem_euclid(self.file_bytes) % UNIT == 0 && self.place(position) == position
    }

    /// Writes units at the places that [`Self::place`] gave; one write per file.
    ///
    /// # Errors
    /// Failing I/O; nothing counts as written.
    pub(super) fn append(&mut self, units: &[(i64, Unit)]) -> io::Result<()> {
        let mut at = self.end;
        let mut bytes = Vec::with_capacity((units.len() + 1) * UNIT_BYTES);
        let mut from = at;
        for (position, unit) in units {
            if *position != at {
                // The place before left room for it.
                encode_blank(position - at, &mut bytes);
                self.write(from, &bytes)?;
                bytes.clear();
                from = *position;
            }
            unit.encode(&mut bytes);
            at = position + UNIT;
        }
        self.write(from, &bytes)?;
        self.end = at;
        Ok(())
    }

    fn write(&mut self, position: i64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = position - position.rem_euclid(self.file_bytes);
        let file = match self.files.get(&start) {
            Some(file) => Arc::clone(file),
            None => self.add_file(start)?,
        };
        self.disk.write_at(&file, bytes, (position - start) as u64)
    }

    fn add_file(&mut self, start: i64) -> io::Result<Arc<File>> {
        let path = segments::path_of(&self.dir, start);
        let file = Arc::new(self.disk.create_sized(&path, self.file_bytes as u64, false)?);
        self.disk.sync_dir(&self.dir)?;
        self.files.insert(start, Arc::clone(&file));
        Ok(file)
    }

    /// Finds the end, behind the units that follow `from`; if none can begin there, behind all of them. What is behind the end
    /// is written over. Returns where the search began.
    ///
    /// # Errors
    /// Failing I/O.
    pub(super) fn find_end(&mut self, from: i64) -> io::Result<i64> {
        let from = if self.may_end_at(from) { from } else { self.start() };
        self.end = i64::MAX;
        let mut end = from;
        let walked = self.walk_to(from, &mut end, |_, _| Ok(()));
        self.end = end;
        walked?;
        // Files behind the end would be taken for its continuation once it has grown up to them.
        let unused = self.files.split_off(&(end - end.rem_euclid(self.file_bytes)).saturating_add(1));
        for start in unused.keys().rev() {
            self.disk.remove_file(&segments::path_of(&self.dir, *start))?;
        }
        Ok(from)
    }

    /// Shows all units from `from` to the end, with their positions.
    ///
    /// # Errors
    /// Failing I/O, or what `each` fails with.
    pub(super) fn walk(&self, from: i64, each: impl FnMut(i64, &Unit) -> io::Result<()>) -> io::Result<()> {
        self.walk_to(from, &mut 0, each)
    }

    /// As [`Self::walk`]; `at` is behind the last unit then.
    fn walk_to(&self, from: i64, at: &mut i64, mut each: impl FnMut(i64, &Unit) -> io::Result<()>) -> io::Result<()> {
        /// Units read at once.
        const CHUNK: usize = 1024 * UNIT_BYTES;
        let mut bytes = vec![0; CHUNK];
        *at = from;
        'files: for (start, file) in self.files.range(from - from.rem_euclid(self.file_bytes)..) {
            *at = (*at).max(*start);
            let file_end = start + self.file_bytes;
            while *at < file_end.min(self.end) {
                let wanted = usize::try_from(file_end - *at).map_or(CHUNK, |left| left.min(CHUNK));
                file.read_exact_at(&mut bytes[..wanted], (*at - start) as u64)?;
                for unit in bytes[..wanted].chunks(UNIT_BYTES) {
                    match Unit::decode(unit) {
                        Found::Unit(unit) if *at < self.end => each(*at, &unit)?,
                        Found::Blank => {
                            *at = file_end;
                            continue 'files;
                        }
                        Found::Unit(_) | Found::Nothing => return Ok(()),
                    }
                    *at += UNIT;
                }
            }
        }
        Ok(())
    }

    /// Whether the log may end at `position`: it begins there, or a unit ends there, or a file.
    fn may_end_at(&self, position: i64) -> bool {
        let in_file = position.rem_euclid(self.file_bytes);
        if position == self.start() || in_file == 0 {
            return (self.start()..=self.last_file_end()).contains(&position);
        }
        position >= 0 && in_file % UNIT == 0 && matches!(self.at(position - UNIT), Ok(Found::Unit(_)))
    }

    fn last_file_end(&self) -> i64 {
        self.files.keys().next_back().map_or(self.end, |start| start + self.file_bytes)
    }

    fn at(&self, position: i64) -> io::Result<Found> {
        let mut bytes = [0; UNIT_BYTES];
        let start = position - position.rem_euclid(self.file_bytes);
        let Some(file) = self.files.get(&start).filter(|_| self.is_place(position)) else { return Ok(Found::Nothing) };
        file.read_exact_at(&mut bytes, (position - start) as u64)?;
        Ok(Unit::decode(&bytes))
    }

    /// The unit before the end.
    pub(super) fn last(&self) -> io::Result<Option<Unit>> {
        let in_file = self.end.rem_euclid(self.file_bytes);
        let at = if in_file > 0 { self.end - UNIT } else { self.last_of_file(self.end - self.file_bytes) };
        if at < self.start() {
            return Ok(None);
        }
        Ok(match self.at(at)? {
            Found::Unit(unit) => Some(unit),
            Found::Blank | Found::Nothing => None,
        })
    }

    /// Where the last unit of a full file begins. Java: `TimerLog.getOffsetForLastUnit`.
    fn last_of_file(&self, start: i64) -> i64 {
        start + (self.file_bytes - BLANK_BYTES as i64) / UNIT * UNIT - UNIT
    }

    /// The files that have to be on disk for all between `from` and the end to be.
    pub(super) fn files_since(&self, from: i64) -> Vec<Arc<File>> {
        self.files.range(from - from.rem_euclid(self.file_bytes)..).map(|(_, file)| Arc::clone(file)).collect()
    }

    /// Deletes files whose messages are gone from the commit log, which begins at `min`; never the last one.
    ///
    /// Java: `MappedFileQueue.deleteExpiredFileByOffsetForTimerLog`.
    ///
    /// # Errors
    /// Failing I/O; some may be deleted.
    pub(super) fn delete_before(&mut self, min: i64) -> io::Result<usize> {
        let mut deleted = 0;
        while self.files.len() > 1 {
            let start = self.start();
            let is_gone = match self.at(self.last_of_file(start))? {
                Found::Unit(last) => last.message.0 < min,
                Found::Blank | Found::Nothing => true,
            };
            if !is_gone {
                break;
            }
            self.disk.remove_file(&segments::path_of(&self.dir, start))?;
            self.files.remove(&start);
            deleted += 1;
        }
        Ok(deleted)
    }

    /// For following the units of a slot from its last one back.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { log: self, start: 0, bytes: Vec::new() }
    }
}

/// Reads units; keeps the bytes around the last one, as the one before it is often near.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    log: &'a Log,
    /// Position of the first of `bytes`.
    start: i64,
    bytes: Vec<u8>,
}

impl Reader<'_> {
    /// The unit at `position`; `None`: there is none, or its file was deleted.
    pub(super) fn unit(&mut self, position: i64) -> io::Result<Option<Unit>> {
        if position < self.log.start() || position + UNIT > self.log.end || !self.log.is_place(position) {
            return Ok(None);
        }
        if position < self.start || position + UNIT > self.start + self.bytes.len() as i64 {
            self.load(position)?;
        }
        let at = (position - self.start) as usize;
        Ok(match Unit::decode(&self.bytes[at..at + UNIT_BYTES]) {
            Found::Unit(unit) => Some(unit),
            Found::Blank | Found::Nothing => None,
        })
    }

    /// Reads the unit at `position` and those before it.
    fn load(&mut self, position: i64) -> io::Result<()> {
        const WINDOW: i64 = 78 * UNIT;
        self.bytes.clear();
        let file_start = position - position.rem_euclid(self.log.file_bytes);
        let file = self.log.files.get(&file_start).ok_or(io::ErrorKind::NotFound)?;
        self.start = (position + UNIT - WINDOW).max(file_start);
        self.bytes.resize((position + UNIT - self.start) as usize, 0);
        let read = file.read_exact_at(&mut self.bytes, (self.start - file_start) as u64);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}
