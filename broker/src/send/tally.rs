//! What a batch stored, added up by queue, so that counting costs little per message.

use remoting::types::{QueueId, TopicName};

use crate::stats::Stats;

/// Figures of one batch.
#[derive(Default)]
pub(super) struct Tallies {
    list: Vec<Tally>,
    /// Where the last one was found; producers go round their queues, so the next one is probably behind it.
    last: usize,
}

struct Tally {
    topic: TopicName,
    queue_id: QueueId,
    requests: u64,
    messages: u64,
    bytes: u64,
}

/// More queues than this in one batch are not searched but added again, which is as right.
const SEARCHED: usize = 32;

impl Tallies {
    /// Notes one request.
    pub(super) fn add(&mut self, topic: &TopicName, queue_id: QueueId, messages: usize, bytes: usize) {
        let at = self.place(topic, queue_id);
        let tally = &mut self.list[at];
        tally.requests += 1;
        tally.messages += messages as u64;
        tally.bytes += bytes as u64;
    }

    fn place(&mut self, topic: &TopicName, queue_id: QueueId) -> usize {
        let count = self.list.len();
        let is_it = |at: &usize| self.list[*at].queue_id == queue_id && self.list[*at].topic == *topic;
        let from_last = (self.last..count).chain(0..self.last.min(count)).take(SEARCHED);
        let found = from_last.into_iter().find(is_it);
        self.last = found.unwrap_or_else(|| {
            self.list.push(Tally { topic: topic.clone(), queue_id, requests: 0, messages: 0, bytes: 0 });
            count
        });
        self.last
    }

    /// Tells the figures. `millis` is how long each request of the batch took.
    pub(super) fn tell(&self, stats: &Stats, millis: u64) {
        for Tally { topic, queue_id, requests, messages, bytes } in &self.list {
            stats.put(topic, *queue_id, *requests, *messages, *bytes);
            stats.put_latency(topic, *queue_id, *requests, millis * requests);
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_queue_are_added_up() {
        let mut tallies = Tallies::default();
        for round in 0..3 {
            for (topic, queue) in [("T", 0), ("T", 1), ("U", 0)] {
                tallies.add(&topic.into(), QueueId(queue), 2, 100 + round);
            }
        }
        let seen: Vec<_> = tallies.list.iter().map(|tally| (tally.topic.as_str(), tally.queue_id.0)).collect();
        assert_eq!(seen, [("T", 0), ("T", 1), ("U", 0)]);
        for tally in &tallies.list {
            assert_eq!((tally.requests, tally.messages, tally.bytes), (3, 6, 303));
        }
    }

    #[test]
    fn more_queues_than_are_searched_are_counted_all_the_same() {
        let mut tallies = Tallies::default();
        for _ in 0..2 {
            for queue in 0..100 {
                tallies.add(&"T".into(), QueueId(queue), 1, 1);
            }
        }
        let total: u64 = tallies.list.iter().map(|tally| tally.messages).sum();
        assert_eq!(total, 200);
        let of_queue_7 = tallies.list.iter().filter(|tally| tally.queue_id == QueueId(7)).map(|tally| tally.messages);
        assert_eq!(of_queue_7.sum::<u64>(), 2);
    }
}
