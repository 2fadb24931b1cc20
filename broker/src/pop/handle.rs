//! What a consumer shows to say which lease it means, and the texts of which it makes that.
//!
//! ```text
//! handle          start popTime invisibleTime reviveQueue kind broker queue offset
//! startOffsetInfo kind queue start;…           msgOffsetInfo kind queue offset,offset,…;…
//! ```
//! Clients and proxies take these apart, so they are Java's to the letter; each `kind queue` may come once in a text.
//!
//! Java: `ExtraInfoUtil`.

use std::fmt::Write;

use remoting::types::{QueueId, QueueOffset, Timestamp};

use super::names::{Kind, ORDER_QUEUE};

/// One lease, as far as acknowledging goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handle<'a> {
    /// Where the check point starts.
    pub(super) start: QueueOffset,
    pub(super) pop_time: Timestamp,
    pub(super) invisible_ms: i64,
    pub(super) revive_queue: i32,
    pub(super) broker: &'a str,
}

impl<'a> Handle<'a> {
    /// Reads the first six words; the others say what the request says as well.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let start = words.next()?.parse().ok()?;
        let pop_time = Timestamp(words.next()?.parse().ok()?);
        let invisible_ms = words.next()?.parse().ok()?;
        let revive_queue = words.next()?.parse().ok()?;
        let broker = words.nth(1)?;
        Some(Self { start: QueueOffset(start), pop_time, invisible_ms, revive_queue, broker })
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.revive_queue == ORDER_QUEUE
    }

    /// When the lease ends.
    pub(super) fn ends(&self) -> Timestamp {
        Timestamp(self.pop_time.0.saturating_add(self.invisible_ms))
    }

    pub(super) fn text(&self, kind: Kind, queue: QueueId, offset: QueueOffset) -> String {
        let Self { start, pop_time, invisible_ms, revive_queue, broker } = self;
        let (pop_time, kind) = (pop_time.0, kind.text());
        format!("{start} {pop_time} {invisible_ms} {revive_queue} {kind} {broker} {queue} {offset}")
    }
}

/// Adds an item of three words to such a text.
pub(super) fn push_item(info: &mut String, kind: Kind, queue: impl std::fmt::Display, value: impl std::fmt::Display) {
    if !info.is_empty() {
        info.push(';');
    }
    write!(info, "{} {queue} {value}", kind.text()).expect("a string takes everything");
}

/// The offsets of a queue, in the order of its messages.
pub(super) struct Offsets<'a>(pub(super) &'a [QueueOffset]);

impl std::fmt::Display for Offsets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, offset) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            write!(f, "{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_spelled_as_java_does() {
        let handle = Handle {
            start: QueueOffset(7),
            pop_time: Timestamp(1_700_000_000_000),
            invisible_ms: 60_000,
            revive_queue: 3,
            broker: "broker-a",
        };
        let text = handle.text(Kind::RetryV1, QueueId(0), QueueOffset(9));
        assert_eq!(text, "7 1700000000000 60000 3 1 broker-a 0 9");
        assert_eq!(Handle::parse(&text), Some(handle.clone()));
        // The proxy adds a word.
        assert_eq!(Handle::parse(&format!("{text} 4711")), Some(handle));
        for wrong in ["", "7", "7 1 2 3 0", "x 1 2 3 0 b", "7 1 2 x 0 b"] {
            assert_eq!(Handle::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_of_an_answer_are_joined() {
        let mut info = String::new();
        push_item(&mut info, Kind::Normal, QueueId(2), Offsets(&[QueueOffset(4), QueueOffset(6)]));
        push_item(&mut info, Kind::RetryV2, QueueId(0), Offsets(&[QueueOffset(1)]));
        assert_eq!(info, "0 2 4,6;2 0 1");
    }
}
