//! Which topics changed lately, so that name servers are told of those alone.

use std::collections::{BTreeSet, VecDeque};

use remoting::body::DataVersion;
use remoting::types::{Timestamp, TopicName};

/// Changes remembered; whoever is further behind is told all topics.
const REMEMBERED_MAX: usize = 1000;

/// The data version of the table and the topics behind its last steps.
pub(super) struct Changes {
    pub(super) version: DataVersion,
    /// Counts steps of this process, from 0; unlike the data version it never jumps.
    step: u64,
    recent: VecDeque<(u64, TopicName)>,
    /// Of the steps after this one every topic is remembered.
    remembered_after: u64,
}

impl Changes {
    pub(super) fn new(version: DataVersion) -> Self {
        Self { version, step: 0, recent: VecDeque::new(), remembered_after: 0 }
    }

    pub(super) fn step(&self) -> u64 {
        self.step
    }

    /// Some topics changed or went away.
    ///
    /// Java: `DataVersion.nextVersion`.
    pub(super) fn next(&mut self, now: Timestamp, topics: impl IntoIterator<Item = TopicName>) {
        self.version = self.version.next(now);
        self.step += 1;
        self.recent.extend(topics.into_iter().map(|topic| (self.step, topic)));
        while self.recent.len() > REMEMBERED_MAX {
            if let Some((step, _)) = self.recent.pop_front() {
                self.remembered_after = step;
            }
        }
    }

    /// All topics look different to name servers now.
    pub(super) fn next_of_all(&mut self, now: Timestamp) {
        self.next(now, []);
        self.recent.clear();
        self.remembered_after = self.step;
    }

    /// Topics changed after `step`; `None` if that is further back than is remembered.
    pub(super) fn since(&self, step: u64) -> Option<BTreeSet<TopicName>> {
        (step >= self.remembered_after).then(|| {
            let later = self.recent.iter().rev().take_while(|(at, _)| *at > step);
            later.map(|(_, topic)| topic.clone()).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_any_remembered_step() {
        let mut changes = Changes::new(DataVersion::default());
        assert_eq!(changes.since(0), Some(BTreeSet::new()));
        for topic in ["a", "b", "a"] {
            changes.next(Timestamp(7), [topic.into()]);
        }
        assert_eq!((changes.version.counter, changes.version.timestamp), (3, Timestamp(7)));
        let since = |step| changes.since(step).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!([0, 1, 2, 3].map(since), ["a b", "a b", "a", ""]);
    }

    #[test]
    fn what_is_forgotten_is_not_passed_over() {
        let mut changes = Changes::new(DataVersion::default());
        for number in 0..=REMEMBERED_MAX {
            changes.next(Timestamp(0), [number.to_string().into()]);
        }
        assert_eq!(changes.since(0), None);
        assert_eq!(changes.since(1).unwrap().len(), REMEMBERED_MAX);
        // One step with more topics than are remembered.
        changes.next(Timestamp(0), (0..REMEMBERED_MAX + 5).map(|number| number.to_string().into()));
        assert_eq!(changes.since(changes.step() - 1), None);
        assert_eq!(changes.since(changes.step()), Some(BTreeSet::new()));
    }

    #[test]
    fn a_change_of_all_asks_for_all() {
        let mut changes = Changes::new(DataVersion::default());
        changes.next(Timestamp(0), ["a".into()]);
        changes.next_of_all(Timestamp(0));
        assert_eq!(changes.since(1), None);
        assert_eq!(changes.since(2), Some(BTreeSet::new()));
    }
}
