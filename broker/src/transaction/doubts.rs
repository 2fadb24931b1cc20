//! Which half messages are in doubt: a bit for each, and none for those that are resolved.
//!
//! Half messages are resolved in about the order they came, so the words of a few seconds are all there is, however many
//! transactions there have been. Those that stay in doubt are stored again by each look, next to each other.

use std::collections::BTreeMap;

use remoting::types::QueueOffset;

/// Half messages in a word.
const WORD: i64 = u64::BITS as i64;
/// Op messages that are noted one by one; with more, neighbours are noted together, which only reads more at a start.
const NOTES_MAX: usize = 1 << 16;

/// By queue offset.
#[derive(Debug)]
pub(super) struct Doubts {
    /// Where there are half messages in doubt: by the number of the word.
    words: BTreeMap<i64, u64>,
    /// Those from here on were not looked at yet. All of them are in doubt.
    known: i64,
    /// All that op messages say of half messages in doubt is said from this one on.
    op_start: i64,
    /// Op messages from there on, and what the last half message is that they resolve: first to last, by the first.
    notes: BTreeMap<i64, Note>,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    last: i64,
    half_max: i64,
}

impl Doubts {
    /// `half`: earlier half messages are resolved. `op`: earlier op messages say nothing of later half messages.
    pub(super) fn new(half: QueueOffset, op: QueueOffset) -> Self {
        Self { words: BTreeMap::new(), known: half.0, op_start: op.0, notes: BTreeMap::new() }
    }

    /// Half messages before `end` are there: those not known yet are in doubt.
    pub(super) fn extend(&mut self, end: QueueOffset) {
        while self.known < end.0 {
            let word = self.known.div_euclid(WORD);
            let word_end = ((word + 1) * WORD).min(end.0);
            let bits = (self.known..word_end).fold(0, |bits, half| bits | bit(half));
            *self.words.entry(word).or_default() |= bits;
            self.known = word_end;
        }
    }

    /// The half message, which exists, is in doubt no more.
    pub(super) fn resolve(&mut self, half: QueueOffset) {
        self.extend(half.after(1));
        let word = half.0.div_euclid(WORD);
        if let Some(bits) = self.words.get_mut(&word) {
            *bits &= !bit(half.0);
            if *bits == 0 {
                self.words.remove(&word);
            }
        }
    }

    pub(super) fn resolve_all<'a>(&mut self, halves: impl IntoIterator<Item = &'a QueueOffset>) {
        halves.into_iter().for_each(|half| self.resolve(*half));
    }

    /// The first half messages in doubt from `from` to `end`, at most `max`, ascending.
    pub(super) fn list(&self, from: QueueOffset, end: QueueOffset, max: usize) -> Vec<QueueOffset> {
        let words = self.words.range(from.0.div_euclid(WORD)..);
        let halves = words.flat_map(|(word, bits)| {
            let first = word * WORD;
            (first..first + WORD).filter(move |half| bits & bit(*half) != 0)
        });
        let halves = halves.skip_while(|half| *half < from.0).take_while(|half| *half < end.0);
        halves.take(max).map(QueueOffset).collect()
    }

    /// Words of memory that doubts take.
    pub(super) fn size(&self) -> usize {
        self.words.len()
    }

    /// An op message was written, or found: `half_max` is the last half message that it resolves.
    pub(super) fn note_op(&mut self, op: QueueOffset, half_max: QueueOffset) {
        if op.0 < self.op_start {
            return;
        }
        let full = self.notes.len() >= NOTES_MAX;
        if let Some((_, before)) = self.notes.range_mut(..op.0).next_back().filter(|_| full)
            && before.last + 1 == op.0
        {
            *before = Note { last: op.0, half_max: before.half_max.max(half_max.0) };
            return;
        }
        self.notes.insert(op.0, Note { last: op.0, half_max: half_max.0 });
    }

    /// Where the next start has to begin to look: the first half message in doubt, and the first op message that may say
    /// something of it or of later ones.
    pub(super) fn starts(&mut self) -> (QueueOffset, QueueOffset) {
        let first = self.words.first_key_value().map(|(word, bits)| word * WORD + i64::from(bits.trailing_zeros()));
        let half = first.unwrap_or(self.known);
        while let Some(note) = self.notes.get(&self.op_start).copied().filter(|note| note.half_max < half) {
            self.notes.remove(&self.op_start);
            self.op_start = note.last + 1;
        }
        (QueueOffset(half), QueueOffset(self.op_start))
    }
}

fn bit(half: i64) -> u64 {
    1 << half.rem_euclid(WORD)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(doubts: &Doubts) -> Vec<i64> {
        let list = doubts.list(QueueOffset(0), QueueOffset(i64::MAX), usize::MAX);
        list.into_iter().map(|half| half.0).collect()
    }

    #[test]
    fn half_messages_are_in_doubt_until_they_are_resolved() {
        let mut doubts = Doubts::new(QueueOffset(60), QueueOffset(0));
        doubts.extend(QueueOffset(70));
        assert_eq!(all(&doubts), (60..70).collect::<Vec<_>>());
        for half in (60..66).chain([69]) {
            doubts.resolve(QueueOffset(half));
        }
        assert_eq!(all(&doubts), [66, 67, 68]);
        assert_eq!(doubts.list(QueueOffset(67), QueueOffset(68), 9), [QueueOffset(67)]);
        assert_eq!(doubts.list(QueueOffset(0), QueueOffset(99), 2), [66, 67].map(QueueOffset));
        assert_eq!(doubts.starts().0, QueueOffset(66));
        // One from before, and one that nobody has seen yet.
        doubts.resolve(QueueOffset(3));
        doubts.resolve(QueueOffset(72));
        assert_eq!(all(&doubts), [66, 67, 68, 70, 71]);
    }

    #[test]
    fn resolved_half_messages_take_no_memory() {
        let mut doubts = Doubts::new(QueueOffset(0), QueueOffset(0));
        for half in 0..1_000_000 {
            doubts.resolve(QueueOffset(half));
            assert!(doubts.size() <= 1);
        }
        assert_eq!(doubts.starts().0, QueueOffset(1_000_000));
        doubts.extend(QueueOffset(2_000_000));
        assert_eq!(doubts.size(), 1_000_000 / 64, "of those in doubt, 64 share a word");
    }

    #[test]
    fn op_messages_are_read_again_while_they_speak_of_what_may_be_in_doubt() {
        let mut doubts = Doubts::new(QueueOffset(0), QueueOffset(5));
        doubts.extend(QueueOffset(10));
        for (op, half_max) in [(7, 2), (5, 3), (6, 8), (4, 99)] {
            doubts.note_op(QueueOffset(op), QueueOffset(half_max));
        }
        for (resolved, starts) in [(0..3, (3, 5)), (3..5, (5, 6)), (6..9, (5, 6)), (5..6, (9, 8))] {
            resolved.for_each(|half| doubts.resolve(QueueOffset(half)));
            assert_eq!(doubts.starts(), (QueueOffset(starts.0), QueueOffset(starts.1)));
        }
    }

    #[test]
    fn op_messages_without_number_are_noted_together() {
        let mut doubts = Doubts::new(QueueOffset(0), QueueOffset(0));
        doubts.extend(QueueOffset(1));
        for op in 0..NOTES_MAX as i64 + 1000 {
            doubts.note_op(QueueOffset(op), QueueOffset(op + 1));
        }
        assert_eq!(doubts.notes.len(), NOTES_MAX);
        doubts.extend(QueueOffset(NOTES_MAX as i64 + 1001));
        (0..NOTES_MAX as i64 + 1001).for_each(|half| doubts.resolve(QueueOffset(half)));
        assert_eq!(doubts.starts().1, QueueOffset(NOTES_MAX as i64 + 1000));
    }

    proptest! {
        #[test]
        fn doubts_are_what_a_set_would_hold(
            start in 0i64..200,
            steps in proptest::collection::vec((any::<bool>(), 0i64..400), 0..80),
        ) {
            let mut doubts = Doubts::new(QueueOffset(start), QueueOffset(0));
            let (mut set, mut known) = (BTreeSet::new(), start);
            for (extend, at) in steps {
                set.extend(known..if extend { at } else { at + 1 });
                known = known.max(if extend { at } else { at + 1 });
                if extend {
                    doubts.extend(QueueOffset(at));
                } else {
                    doubts.resolve(QueueOffset(at));
                    set.remove(&at);
                }
                prop_assert_eq!(all(&doubts), set.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(doubts.starts().0.0, set.first().copied().unwrap_or(known));
            }
        }
    }
}
