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

    /// Takes out what the slave has, if its log ends at `end`.
    pub(super) fn reached(&mut self, end: i64) -> Option<Delivered> {
        let is_reached = |delivered: &Delivered| delivered.log_end <= end;
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

    fn delivered(log_end: i64) -> Delivered {
        let timer = Some([log_end; 7]);
        let mut news = TableNews { log_end: Some(log_end), timer, ..TableNews::default() };
        Delivered::of(&mut news).unwrap()
    }

    fn reached(behind: &mut Behind, end: i64) -> Option<i64> {
        behind.reached(end).map(|delivered| delivered.log_end)
    }

    #[test]
    fn what_is_delivered_counts_once_the_log_has_it() {
        let mut behind = Behind::default();
        assert_eq!(reached(&mut behind, 5), None);
        [3, 5, 9].into_iter().for_each(|end| behind.push(delivered(end)));
        assert_eq!(reached(&mut behind, 2), None);
        assert_eq!(reached(&mut behind, 5), Some(5));
        assert_eq!(reached(&mut behind, 5), None);
        assert!(!behind.is_empty());
        assert_eq!(reached(&mut behind, 10), Some(9));
        (0..1000).for_each(|end| behind.push(delivered(end)));
        assert_eq!(behind.0.len(), KEPT_MAX);
        assert_eq!(reached(&mut behind, 998), Some(62));
        assert_eq!(reached(&mut behind, 999), Some(999));
    }
}
