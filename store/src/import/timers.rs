//! What waits in the timer.
//!
//! The wheel knows units by their place in the timer log, which stays. The units know messages by their place in the commit log,
//! which changes: it is put right in each. So every message waits for its own time, and none is delivered that was before.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::moves::Moves;
use crate::inspect::files::{self, Segment, Segments};
use crate::timer::unit::{Found, MESSAGE_AT, UNIT_BYTES, Unit};

const WHEEL: &str = "timerwheel";
/// Bytes of the wheel looked at together; most are zeros, and stay holes.
const BLOCK: usize = 64 << 10;

/// What was taken along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Units of the timer log, and how many of them point to messages that were not taken; it ends before these.
    pub(super) units: u64,
    pub(super) lost: bool,
    /// The wheel has the units of the log up to here; `None`: up to where the checkpoint says.
    pub(super) wheel_end: Option<i64>,
}

/// Takes the timer's files from one store to another. `to`: `None`: nothing is written.
///
/// # Errors
/// Failing I/O.
pub(super) fn take(from: &Path, to: Option<&Path>, moves: &mut Moves, log_min: i64) -> io::Result<Taken> {
    let mut taken = Taken::default();
    let mut problems = Vec::new();
    let log = Segments::find(&from.join("timerlog"), &mut problems)?;
    if let Some(problem) = problems.first() {
        return Err(io::Error::other(problem.to_string()));
    }
    let dir = to.map(|to| to.join("timerlog"));
    if let Some(dir) = dir.as_ref().filter(|_| !log.list.is_empty()) {
        fs::create_dir(dir)?;
    }
    for segment in &log.list {
        let bytes = translate(segment, moves, log_min, &mut taken)?;
        if let Some(dir) = &dir {
            let mut file = File::create(crate::segments::path_of(dir, segment.start))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
        }
        if taken.lost {
            break;
        }
    }
    if let Some(dir) = dir.as_ref().filter(|_| !log.list.is_empty()) {
        crate::io::sync_dir(dir)?;
    }
    let wheel = wheel_of(from)?;
    taken.wheel_end = wheel.as_ref().and_then(|(_, end)| *end);
    if let (Some((wheel, _)), Some(to)) = (wheel, to) {
        copy_with_holes(&wheel, &to.join(WHEEL))?;
    }
    Ok(taken)
}

/// A file of the log with the new places of messages.
fn translate(segment: &Segment, moves: &mut Moves, log_min: i64, taken: &mut Taken) -> io::Result<Vec<u8>> {
    let mut bytes = fs::read(&segment.path)?;
    let mut at = 0;
    while at + UNIT_BYTES <= bytes.len() {
        let unit = match Unit::decode(&bytes[at..at + UNIT_BYTES]) {
            Found::Unit(unit) => unit,
            Found::Blank => return Ok(bytes),
            Found::Nothing => break,
        };
        if unit.message.0 >= log_min {
            let Some(place) = moves.find(unit.message.0)? else {
                taken.lost = true;
                break;
            };
            bytes[at + MESSAGE_AT..at + MESSAGE_AT + 8].copy_from_slice(&place.to_be_bytes());
        }
        taken.units += 1;
        at += UNIT_BYTES;
    }
    bytes[at..].fill(0);
    Ok(bytes)
}

/// The file of the wheel and, of a snapshot, up to where it has the timer log. A snapshot is right whenever it was made: the units
/// behind it are linked again; the plain file beside one may be old.
///
/// Java: `TimerWheel`, `timerWheelSnapshotFlush`.
fn wheel_of(root: &Path) -> io::Result<Option<(std::path::PathBuf, Option<i64>)>> {
    let snapshot = |path: &std::path::PathBuf| files::name(path).strip_prefix("timerwheel.")?.parse::<i64>().ok();
    let all = files::entries(root)?;
    if let Some((end, path)) = all.iter().filter_map(|path| Some((snapshot(path)?, path))).max() {
        return Ok(Some((path.clone(), Some(end))));
    }
    Ok(all.into_iter().find(|path| files::name(path) == WHEEL).map(|path| (path, None)))
}

fn copy_with_holes(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    let len = from.metadata()?.len();
    to.set_len(len)?;
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < len {
        let part = BLOCK.min(usize::try_from(len - at).unwrap_or(BLOCK));
        from.read_exact_at(&mut block[..part], at)?;
        if block[..part].iter().any(|byte| *byte != 0) {
            to.write_all_at(&block[..part], at)?;
        }
        at += part as u64;
    }
    to.sync_all()
}
