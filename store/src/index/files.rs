//! The folder of index files: which of them are to be believed, in which order, and how they are named.
//!
//! Java: `IndexService`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use remoting::types::Timestamp;
use tracing::{info, warn};

use super::file::IndexFile;
use super::layout::{Header, Layout};
use crate::io::Files;

/// What decides whether a file that is found is still right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The last exit was clean.
    pub(super) clean: bool,
    /// Files up to this store time are surely on disk. Java: `StoreCheckpoint.getIndexMsgTimestamp`.
    pub(super) synced: Timestamp,
    /// End of the log.
    pub(super) log_end: i64,
}

/// Opens the files of `dir` in the order of the log. The first that cannot be believed is removed, with all behind it: they
/// are derived from the log, and made again from it.
///
/// # Errors
/// The folder cannot be read, or a file not removed.
pub(super) fn open(dir: &Path, layout: Layout, known: Known, disk: &dyn Files) -> io::Result<Vec<IndexFile>> {
    let mut files = Vec::new();
    let mut removed = Vec::new();
    for (name, path) in list(dir)? {
        match IndexFile::open(&path, name, layout) {
            Ok(file) => files.push(file),
            Err(damage) => {
                warn!(path = %path.display(), %damage, "index file is damaged: it is made again from the log");
                // Nobody knows which part of the log it was about, so those behind it by name cannot be kept either.
                removed.push((name, path));
            }
        }
    }
    // By name, as Java has it, unless the wall clock was set back between two files.
    files.sort_by_key(|file| (file.header.begin, file.header.end, file.name));
    let damaged_from = removed.iter().map(|(name, _)| *name).min().unwrap_or(u64::MAX);
    let mut end = 0;
    let good = |file: &IndexFile| {
        let is_on_disk = known.clean || (file.is_full() && Timestamp(file.header.end_time) <= known.synced);
        let good =
            is_on_disk && file.name < damaged_from && file.header.begin >= end && file.header.end < known.log_end;
        end = file.header.end;
        // An empty one was made when the last exit came: it is made again when it is needed.
        good && !file.header.is_empty()
    };
    let kept = files.iter().map(good).position(|good| !good).unwrap_or(files.len());
    let behind = files.drain(kept..).map(|file| (file.name, file.path));
    removed.extend(behind);
    for (_, path) in &removed {
        info!(path = %path.display(), "remove index file: its part of the log is indexed again");
        disk.remove_file(path)?;
    }
    Ok(files)
}

/// Names and paths of what looks like an index file.
fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
        match name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            Some(name) => found.push((name, entry.path())),
            None => warn!(path = %entry.path().display(), "this is no index file: it is left alone"),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes the file that follows `last`.
pub(super) fn create_next(
    dir: &Path,
    layout: Layout,
    last: Option<&IndexFile>,
    now: Timestamp,
    disk: &dyn Files,
) -> io::Result<IndexFile> {
    fs::create_dir_all(dir)?;
    let header = last.map_or(Header::following(0, 0), |last| Header::following(last.header.end, last.header.end_time));
    // Java reads them in the order of their names, whatever the clock did.
    let name = name_at(now, &TimeZone::system()).max(last.map_or(0, |last| last.name + 1));
    IndexFile::create(&dir.join(format!("{name:017}")), name, layout, header, disk)
}

/// `yyyyMMddHHmmssSSS` in local time. Java: `UtilAll.timeMillisToHumanString`.
fn name_at(at: Timestamp, zone: &TimeZone) -> u64 {
    let zoned = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(zone.clone());
    let date =
        [(zoned.month(), 100), (zoned.day(), 100), (zoned.hour(), 100), (zoned.minute(), 100), (zoned.second(), 100)];
    let year = u64::try_from(zoned.year()).unwrap_or(0);
    let seconds = date.into_iter().fold(year, |name, (part, scale)| name * scale + u64::from(part.unsigned_abs()));
    seconds * 1000 + u64::from(zoned.millisecond().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_local_time() {
        let at = Timestamp(1_795_253_024_056);
        assert_eq!(name_at(at, &TimeZone::UTC), 20_261_121_092_344_056);
        assert_eq!(name_at(at, &TimeZone::fixed(jiff::tz::offset(8))), 20_261_121_172_344_056);
        assert_eq!(name_at(Timestamp(i64::MAX), &TimeZone::UTC), 19_700_101_000_000_000, "no such date");
    }
}
