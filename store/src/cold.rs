//! Old parts of the log that readers had brought back into memory: only so much of them stays there. Else a reader of more than
//! fits would have everything else thrown out, and each write would wait until the system has found a page for it.

use std::collections::{HashSet, VecDeque};
use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::memory;

/// What is kept or let go as a whole.
const PIECE_BYTES: i64 = 4 << 20;
/// Of the memory.
const KEPT_PERCENT: u32 = 12;
/// However little memory there is: readers that are at the same place read it once.
const KEPT_BYTES_MIN: i64 = 64 << 20;
/// Between two looks at how much memory there is, which may be changed while the process runs.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Cold(Mutex<Pieces>);

/// The pieces that a part of the log lies in.
fn numbers(part: &Range<i64>) -> RangeInclusive<i64> {
    part.start / PIECE_BYTES..=(part.end - 1) / PIECE_BYTES
}

#[derive(Debug, Default)]
struct Pieces {
    /// Their numbers; in the order in which they were read.
    order: VecDeque<i64>,
    known: HashSet<i64>,
    /// How many may stay, and when that was found out.
    room: Option<(usize, Instant)>,
}

impl Cold {
    /// Notes that a part was read, and takes what is to be let go for it.
    pub(crate) fn note(&self, part: &Range<i64>, now: Instant) -> Vec<Range<i64>> {
        let mut pieces = self.0.lock();
        let room = match pieces.room {
            Some((room, at)) if now.duration_since(at) < LOOK_PERIOD => room,
            _ => {
                let room = (memory::percent(KEPT_PERCENT).max(KEPT_BYTES_MIN) / PIECE_BYTES) as usize;
                pieces.room = Some((room, now));
                room
            }
        };
        pieces.note(part, room)
    }

    /// Whether some of a part was read so and has not been let go of for others since.
    pub(crate) fn holds(&self, part: &Range<i64>) -> bool {
        self.0.lock().hold(part)
    }
}

impl Pieces {
    fn hold(&self, part: &Range<i64>) -> bool {
        numbers(part).any(|piece| self.known.contains(&piece))
    }

    fn note(&mut self, part: &Range<i64>, room: usize) -> Vec<Range<i64>> {
        for piece in numbers(part) {
            if self.known.insert(piece) {
                self.order.push_back(piece);
            }
        }
        let excess = self.order.len().saturating_sub(room);
        let gone = self.order.drain(..excess).inspect(|piece| {
            self.known.remove(piece);
        });
        gone.map(|piece| piece * PIECE_BYTES..(piece + 1) * PIECE_BYTES).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(numbers: Range<i64>) -> Range<i64> {
        numbers.start * PIECE_BYTES..numbers.end * PIECE_BYTES
    }

    #[test]
    fn what_was_read_first_goes_first_and_counts_once() {
        let mut kept = Pieces::default();
        assert_eq!(kept.note(&pieces(0..3), 4), []);
        assert_eq!(kept.note(&(1..PIECE_BYTES + 1), 4), [], "known");
        assert!(kept.hold(&pieces(2..5)) && !kept.hold(&pieces(3..5)));
        assert_eq!(kept.note(&pieces(9..11), 4), [pieces(0..1)]);
        assert_eq!(kept.note(&pieces(0..1), 4), [pieces(1..2)], "read again");
        assert_eq!(kept.note(&pieces(30..31), 2), [pieces(2..3), pieces(9..10), pieces(10..11)], "less room");
        assert_eq!(kept.order.len(), kept.known.len());
    }
}
