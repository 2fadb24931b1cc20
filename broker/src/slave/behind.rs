//! What the master has delivered, until this slave has the messages.

use std::collections::VecDeque;

use super::tables::Delivered;

/// Kept apart; what comes later joins the last.
const KEPT_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Behind(VecDeque<Delivered>);

impl Behind {
    pub(super) fn push(&mut self, delivered: Delivered) {
        if self.0.len() < KEPT_MAX {
            self.0.push_back(delivered);
        } else if let Some(last) = self.0.pop_back() {
            self.0.push_back(last.and(delivered));
        }
    }

    /// Takes out what the slave has, if its log ends at `end`, with all that the master has if `is_level`.
    pub(super) fn reached(&mut self, end: i64, is_level: bool) -> Option<Delivered> {
        let is_reached = |delivered: &Delivered| delivered.log_end.map_or(is_level, |wanted| wanted <= end);
        let mut reached: Option<Delivered> = None;
        while self.0.front().is_some_and(is_reached) {
            let next = self.0.pop_front().expect("there is one");
            reached = Some(match reached {
                Some(earlier) => earlier.and(next),
                None => next,
            });
        }
        reached
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use remoting::body::TableNews;

    use super::*;

    fn delivered(log_end: Option<i64>) -> Delivered {
        let mut news = TableNews { log_end, timer: Some([log_end.unwrap_or(0); 7]), ..TableNews::default() };
        Delivered::of(&mut news).unwrap()
    }

    fn ends(behind: &mut Behind, end: i64, is_level: bool) -> Option<Option<i64>> {
        behind.reached(end, is_level).map(|delivered| delivered.log_end)
    }

    #[test]
    fn what_is_delivered_counts_once_the_log_has_it() {
        let mut behind = Behind::default();
        assert_eq!(ends(&mut behind, 5, true), None);
        [Some(3), Some(5), Some(9)].into_iter().for_each(|end| behind.push(delivered(end)));
        assert_eq!(ends(&mut behind, 2, true), None);
        assert_eq!(ends(&mut behind, 5, false), Some(Some(5)));
        assert_eq!(ends(&mut behind, 5, true), None);
        assert!(!behind.is_empty());
        assert_eq!(ends(&mut behind, 10, false), Some(Some(9)));
        behind.push(delivered(None));
        assert_eq!(ends(&mut behind, 10, false), None);
        assert_eq!(ends(&mut behind, 10, true), Some(None));
        (0..1000).for_each(|end| behind.push(delivered(Some(end))));
        assert_eq!(behind.0.len(), KEPT_MAX);
        assert_eq!(ends(&mut behind, 999, false), Some(Some(999)));
    }
}
