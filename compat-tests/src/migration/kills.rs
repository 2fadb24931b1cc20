//! `kill -9` of any process at any step: drawn from a seed whenever a server is stopped or was started.

/// Whom it meets once a server has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// The one that was started.
    TheSame,
    /// One of the others, by number.
    Another(usize),
}

/// The choice of them, and what was killed.
pub(super) struct Kills {
    /// `None`: nobody is killed.
    random: Option<fastrand::Rng>,
    notes: Vec<String>,
}

impl Kills {
    pub(super) fn none() -> Self {
        Self { random: None, notes: Vec::new() }
    }

    pub(super) fn of_seed(seed: u64) -> Self {
        Self { random: Some(fastrand::Rng::with_seed(seed)), notes: Vec::new() }
    }

    /// Whether a server is killed instead of stopped, or the tool in between.
    pub(super) fn at_stop(&mut self) -> bool {
        self.draw(|random| random.bool()).unwrap_or(false)
    }

    /// Whether, after one was started, somebody is killed: it, or one of so many others.
    pub(super) fn after_start(&mut self, others: usize) -> Option<Kill> {
        self.draw(|random| match random.usize(0..=2 * others.max(1)) {
            0 => None,
            number if number <= others => Some(Kill::Another(number - 1)),
            _ => Some(Kill::TheSame),
        })
        .flatten()
    }

    pub(super) fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    /// What was killed since the last time this was asked.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn draw<T>(&mut self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> Option<T> {
        self.random.as_mut().map(draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_met_sooner_or_later_and_nobody_without_a_seed() {
        let mut kills = Kills::of_seed(1);
        let drawn: Vec<_> = (0..200).map(|_| kills.after_start(3)).collect();
        for kill in [None, Some(Kill::TheSame), Some(Kill::Another(0)), Some(Kill::Another(2))] {
            assert!(drawn.contains(&kill), "{kill:?}");
        }
        assert!(!drawn.contains(&Some(Kill::Another(3))));
        let mut calm = Kills::none();
        assert!((0..50).all(|_| calm.after_start(3).is_none() && !calm.at_stop()));
    }
}
