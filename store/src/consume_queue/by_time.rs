//! Finding the place of a point in time in a queue.

use remoting::types::{QueueOffset, Timestamp};

use super::Queue;

/// Which of two neighbours in time is meant. Java: `BoundaryType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The first message stored at or after the time; the queue's maximum if all are older.
    Lower,
    /// The last message stored at or before the time; 0 if all are younger.
    Upper,
}

/// Searches by halves; store times never decrease along a queue, short of a clock that was set back.
///
/// `store_time` of an entry is `None` where the record is gone, which counts as older than anything.
/// Java: `ConsumeQueue.getOffsetInQueueByTime`.
pub(crate) fn offset_by_time(
    queue: &Queue,
    at: Timestamp,
    boundary: Boundary,
    store_time: impl Fn(i64) -> Option<Timestamp>,
) -> QueueOffset {
    let before = |offset| match (store_time(offset), boundary) {
        (None, _) => true,
        (Some(stored), Boundary::Lower) => stored < at,
        (Some(stored), Boundary::Upper) => stored <= at,
    };
    let (min, max) = (queue.min(), queue.max());
    let (mut low, mut high) = (min, max);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    QueueOffset(match boundary {
        Boundary::Lower => low,
        Boundary::Upper if low == min => 0,
        Boundary::Upper => low - 1,
    })
}
