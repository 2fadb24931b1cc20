//! The tables that a master has beside the messages, and its slaves copy.

use std::sync::Arc;

use remoting::body::{DelayOffsets, TableNews, TimerMetrics};
use store::timer::{CHECKPOINT_BYTES, TimerCheckpoint};

use crate::assignment::Assignments;
use crate::delay::{Delays, Timers};
use crate::group::GroupTable;
use crate::offset::Offsets;
use crate::stats::Stats;
use crate::topic::TopicTable;

#[derive(Clone)]
pub(crate) struct Tables {
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    pub(crate) offsets: Arc<Offsets>,
    pub(crate) delays: Arc<Delays>,
    pub(crate) assignments: Arc<Assignments>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) stats: Arc<Stats>,
}

impl Tables {
    /// Takes the master's news over, into the tables and their files, but for what it has delivered. Blocks.
    pub(super) fn take(&self, news: TableNews) {
        let TableNews { groups, modes, offsets, topics, .. } = news;
        if let Some(topics) = topics {
            // Offsets that outlived a topic would make groups skip messages of a new one of that name.
            for topic in self.topics.copy(topics) {
                self.offsets.remove_topic(&topic);
                self.stats.topic_deleted(&topic);
                self.timers.topic_deleted(&topic);
            }
        }
        if let Some(groups) = groups {
            self.groups.copy(groups).iter().for_each(|group| self.stats.group_deleted(group));
        }
        if let Some(modes) = modes {
            self.assignments.copy(modes);
        }
        if let Some(offsets) = offsets {
            // Saved every `flushConsumerOffsetInterval`, as the master does.
            self.offsets.copy(offsets);
        }
    }

    /// Takes over what the master has delivered of what waits. Blocks.
    pub(super) fn take_delivered(&self, Delivered { delays, timer, timer_metrics, .. }: Delivered) {
        if let Some(delays) = delays {
            self.delays.copy(delays);
            self.delays.persist();
        }
        if let Some(metrics) = timer_metrics {
            self.timers.copy_metrics(metrics);
        }
        if let Some(timer) = timer {
            self.timers.follow(checkpoint(timer));
        }
    }
}

/// What a master has delivered of what waits. Were a slave to know of it before it has the messages themselves, and to become
/// the master then, they would be lost.
pub(super) struct Delivered {
    /// The slave has the messages once its log reaches this.
    pub(super) log_end: i64,
    delays: Option<DelayOffsets>,
    timer: Option<[i64; 7]>,
    timer_metrics: Option<TimerMetrics>,
}

impl Delivered {
    /// Taken out of the news, which say where the log ended if there is any.
    pub(super) fn of(news: &mut TableNews) -> Option<Self> {
        let (delays, timer, timer_metrics) = (news.delays.take(), news.timer.take(), news.timer_metrics.take());
        let is_any = delays.is_some() || timer.is_some() || timer_metrics.is_some();
        let log_end = news.log_end.filter(|_| is_any)?;
        Some(Self { log_end, delays, timer, timer_metrics })
    }

    /// With what was delivered later.
    pub(super) fn and(self, later: Self) -> Self {
        Self {
            log_end: later.log_end,
            delays: later.delays.or(self.delays),
            timer: later.timer.or(self.timer),
            timer_metrics: later.timer_metrics.or(self.timer_metrics),
        }
    }
}

/// What a checkpoint says, as numbers.
pub(super) fn numbers(checkpoint: &TimerCheckpoint) -> [i64; 7] {
    let bytes = checkpoint.encode();
    let (fields, _) = bytes.as_chunks();
    std::array::from_fn(|at| i64::from_be_bytes(fields[at]))
}

fn checkpoint(numbers: [i64; 7]) -> TimerCheckpoint {
    let mut bytes = [0; CHECKPOINT_BYTES];
    let (fields, _) = bytes.as_chunks_mut();
    fields.iter_mut().zip(numbers).for_each(|(field, number)| *field = number.to_be_bytes());
    TimerCheckpoint::decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_the_same_as_numbers() {
        let fields = [1_795_255_807_000, 2340, 43, 44, 0, 1_795_255_807_755, 227];
        assert_eq!(numbers(&checkpoint(fields)), fields);
        assert_eq!(checkpoint(fields).master_queue_offset.0, 44);
    }
}
