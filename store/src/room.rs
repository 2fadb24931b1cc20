//! Keeps some room in a control group: else each page that is written or read would have to wait until the system has found one
//! to let go of, for tenths of a second now and then. On a machine as a whole the system sees to that by itself.

use std::time::{Duration, Instant};

use crate::commit_log::{CommitLog, Snapshot};
use crate::memory::{self, Bound};

/// Of the limit.
const FREE_PERCENT: u64 = 5;
/// The end of the log that stays, whatever else does: so many percent of the limit.
const STAYS_PERCENT: u64 = 25;
/// Let go of at a time.
const PIECE_BYTES: i64 = 16 << 20;
/// Between two looks at the limit, which may be changed while the process runs; and after one at a group in which the log uses
/// nothing any more.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Room {
    bound: Option<Bound>,
    looked: Option<Instant>,
    /// Nothing was found to let go of at that time.
    in_vain: Option<Instant>,
    /// Where in the log it goes on; the oldest part comes first.
    at: i64,
}

impl Room {
    /// Lets go of old parts of the log that are on disk, until there is room.
    pub(crate) fn make(&mut self, log: &CommitLog, now: Instant) {
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| now.duration_since(at) < LOOK_PERIOD);
        if !is_recent(self.looked) {
            (self.bound, self.looked) = (memory::bound(), Some(now));
        }
        let Some(bound) = self.bound.clone().filter(|_| !is_recent(self.in_vain)) else { return };
        let is_full = || bound.used().is_some_and(|used| used > bound.limit / 100 * (100 - FREE_PERCENT));
        if !is_full() {
            return;
        }
        let files = log.snapshot();
        let stays = i64::try_from(bound.limit / 100 * STAYS_PERCENT).unwrap_or(i64::MAX);
        let end = log.flushed().saturating_sub(stays);
        if !self.let_go(&files, end, is_full) {
            self.in_vain = Some(now);
        }
    }

    /// Piece by piece, each once, while `is_full`; whether that helped.
    fn let_go(&mut self, files: &Snapshot, end: i64, is_full: impl Fn() -> bool) -> bool {
        let old = files.min()..end;
        for _ in (old.start..old.end).step_by(PIECE_BYTES as usize) {
            if !old.contains(&self.at) {
                self.at = old.start;
            }
            files.forget(self.at..(self.at + PIECE_BYTES).min(end));
            self.at += PIECE_BYTES;
            if !is_full() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::io::RealFiles;
    use crate::mmap::Writer;

    #[test]
    fn the_oldest_part_goes_first_and_the_end_stays() {
        const FILE_BYTES: usize = 4 * PIECE_BYTES as usize;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("0");
        let file = crate::io::create_sized(&path, FILE_BYTES as u64, true).expect("a file");
        let mut writer = Writer::new(&path, 0, file, 0).expect("mapped");
        writer.write(&RealFiles, &vec![7; FILE_BYTES]).expect("written");
        writer.publish();
        writer.file().file().sync_all().expect("synced");
        let files = Snapshot::of([writer.file().clone()]);
        let piece = |number: i64| number * PIECE_BYTES..(number + 1) * PIECE_BYTES;
        files.forget(piece(0));
        if files.is_resident(piece(0)) {
            // A file system without a disk: there is nothing to see.
            return;
        }
        let mut room = Room::default();
        let looks = Cell::new(0);
        let until = |last: i32| {
            looks.set(0);
            let looks = &looks;
            move || {
                looks.set(looks.get() + 1);
                looks.get() < last
            }
        };
        assert!(room.let_go(&files, piece(2).end, until(2)));
        assert!(!files.is_resident(piece(1)) && files.is_resident(piece(2)));
        assert!(!room.let_go(&files, piece(2).end, until(100)));
        assert!(!files.is_resident(piece(2)) && files.is_resident(piece(3)));
        assert!(!room.let_go(&files, -PIECE_BYTES, until(100)), "a log that is shorter than what stays");
    }
}
