//! What a client can see of a log: the place a message was acknowledged at, and what is delivered from a place.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};

use crate::events::{Received, Sent};

/// Queue of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Queue {
    /// Name of the broker set that it is at.
    pub(crate) broker: String,
    pub(crate) id: i32,
}

/// The offset behind the last one acknowledged, by queue.
pub(crate) type Ends = BTreeMap<Queue, i64>;

/// In which order a consumer takes the messages of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One after the other.
    Queue,
    /// With several threads at a time.
    Any,
}

/// What was seen so far of one topic; what does not fit into it is an error at once.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// What is at a queue's offset, acknowledged or delivered, and who said so first.
    contents: BTreeMap<Queue, BTreeMap<i64, Content>>,
    acknowledged: usize,
    /// The last one acknowledged to each ordered producer, by queue: its number and its offset.
    last: BTreeMap<(String, Queue), (u64, i64)>,
    /// How far each consumer is, by queue.
    progress: BTreeMap<(String, Queue), Progress>,
    /// Places of each message.
    places: HashMap<String, usize>,
    repeats: Repeats,
    /// What was stored before that time is not to be delivered again; milliseconds since the epoch.
    settled: i64,
}

/// What came or lies there more than once, which at-least-once delivery allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeats {
    /// Deliveries to a consumer that had had the message from this place already.
    pub(crate) delivered: usize,
    /// Further places of a message: its producer sent it again, or a broker stored it again.
    pub(crate) stored: usize,
}

#[derive(Debug)]
struct Content {
    key: String,
    acknowledged: bool,
    said_by: String,
}

/// How far a consumer is in a queue.
#[derive(Debug, Default)]
struct Progress {
    /// It has had everything before this offset.
    next: i64,
    /// What it has had behind that.
    ahead: BTreeSet<i64>,
}

impl Checker {
    pub(crate) fn acknowledged(&mut self, producer: &str, ordered: bool, sent: &Sent) -> Result<()> {
        let key = sent.keys.first().context("a send without a key")?;
        let queue = Queue { broker: sent.broker.clone(), id: sent.queue_id };
        let before = self.is(queue.clone(), sent.queue_offset, key, producer)?;
        ensure!(!before.acknowledged, "{key} was acknowledged twice at {} of {queue:?}", sent.queue_offset);
        before.acknowledged = true;
        self.acknowledged += 1;
        if ordered {
            let now = (number(key)?, sent.queue_offset);
            if let Some(last) = self.last.insert((producer.to_owned(), queue.clone()), now) {
                ensure!(last.0 < now.0 && last.1 < now.1, "{producer} in {queue:?}: {last:?}, then {now:?}");
            }
        }
        Ok(())
    }

    pub(crate) fn delivered(&mut self, consumer: &str, order: Order, received: &Received) -> Result<()> {
        ensure!(received.body.as_ref() == Some(&received.key), "another body: {received:?}");
        let broker = received.broker.clone().with_context(|| format!("whose queue it was: {received:?}"))?;
        let (queue, offset) = (Queue { broker, id: received.queue_id }, received.queue_offset);
        self.is(queue.clone(), offset, &received.key, consumer)?;
        let progress = self.progress.entry((consumer.to_owned(), queue.clone())).or_default();
        // Offsets that were not committed yet come again, and nothing is left out.
        ensure!(
            offset <= progress.next || order == Order::Any,
            "{consumer} had {offset} of {queue:?} where {} comes next: {received:?}",
            progress.next
        );
        if offset < progress.next || !progress.ahead.insert(offset) {
            self.repeats.delivered += 1;
            ensure!(
                received.store_time >= self.settled,
                "{consumer} was done with {offset} of {queue:?} long ago: {received:?}"
            );
        }
        while progress.ahead.remove(&progress.next) {
            progress.next += 1;
        }
        Ok(())
    }

    /// Has it be an error if something is delivered again that was stored before that time.
    pub(crate) fn settle(&mut self, before: i64) {
        self.settled = before;
    }

    fn is(&mut self, queue: Queue, offset: i64, key: &str, said_by: &str) -> Result<&mut Content> {
        match self.contents.entry(queue.clone()).or_default().entry(offset) {
            Entry::Vacant(vacant) => {
                let places = self.places.entry(key.to_owned()).or_default();
                *places += 1;
                self.repeats.stored += usize::from(*places > 1);
                Ok(vacant.insert(Content { key: key.to_owned(), acknowledged: false, said_by: said_by.to_owned() }))
            }
            Entry::Occupied(known) => {
                let known = known.into_mut();
                ensure!(
                    known.key == key,
                    "{offset} of {queue:?} is {} to {} ({}) and {key} to {said_by}",
                    known.key,
                    known.said_by,
                    if known.acknowledged { "acknowledged" } else { "delivered" },
                );
                Ok(known)
            }
        }
    }

    /// What has been acknowledged until now.
    pub(crate) fn ends(&self) -> Ends {
        let ends = self.contents.iter().filter_map(|(queue, contents)| {
            let last = contents.iter().rev().find(|(_, content)| content.acknowledged);
            last.map(|(offset, _)| (queue.clone(), offset + 1))
        });
        ends.collect()
    }

    /// How far each consumer is behind `ends`; nobody is, if it is empty. What was delivered was compared with what was
    /// acknowledged then.
    pub(crate) fn lacks<'a>(&self, consumers: impl Iterator<Item = &'a str>, ends: &Ends) -> Vec<String> {
        let mut lacks = Vec::new();
        for consumer in consumers {
            for (queue, end) in ends {
                let progress = self.progress.get(&(consumer.to_owned(), queue.clone()));
                let next = progress.map_or(0, |progress| progress.next);
                if next < *end {
                    let Queue { broker, id } = queue;
                    lacks.push(format!("{consumer} has had {next} of {end} in queue {id} of {broker}"));
                }
            }
        }
        lacks
    }

    pub(crate) fn acknowledged_count(&self) -> usize {
        self.acknowledged
    }

    pub(crate) fn repeats(&self) -> Repeats {
        self.repeats
    }
}

/// The number that a stream gave to the message with this key.
pub(crate) fn number(key: &str) -> Result<u64> {
    let number = key.rsplit('-').next().and_then(|number| number.parse().ok());
    number.with_context(|| format!("no number in {key}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sent(key: &str, queue_offset: i64) -> Sent {
        Sent {
            keys: vec![key.to_owned()],
            status: "SEND_OK".to_owned(),
            msg_id: String::new(),
            offset_msg_id: String::new(),
            broker: "b".to_owned(),
            queue_id: 0,
            queue_offset,
            recall_handle: String::new(),
            began: 0,
            time: 0,
        }
    }

    fn received(key: &str, queue_offset: i64) -> Received {
        Received {
            key: key.to_owned(),
            tag: None,
            topic: "t".to_owned(),
            broker: Some("b".to_owned()),
            queue_id: 0,
            queue_offset,
            reconsume_times: 0,
            msg_id: String::new(),
            born_time: 0,
            store_time: queue_offset,
            properties: BTreeMap::new(),
            size: key.len(),
            crc: 0,
            body: Some(key.to_owned()),
            ok: true,
        }
    }

    #[test]
    fn what_is_acknowledged_has_one_place_and_an_order() -> Result<()> {
        let mut checker = Checker::default();
        checker.acknowledged("p", true, &sent("k-0", 0))?;
        checker.acknowledged("p", true, &sent("k-2", 1))?;
        assert!(checker.acknowledged("p", true, &sent("k-1", 2)).is_err(), "out of order");
        assert!(checker.acknowledged("q", true, &sent("q-0", 1)).is_err(), "the place of another");
        assert!(checker.delivered("c", Order::Queue, &received("k-2", 0)).is_err(), "another message there");
        Ok(())
    }

    #[test]
    fn a_queue_is_delivered_without_gaps_and_repeats_are_counted() -> Result<()> {
        let mut checker = Checker::default();
        for (key, offset) in [("k-0", 0), ("k-1", 1), ("k-2", 2)] {
            checker.acknowledged("p", true, &sent(key, offset))?;
        }
        let ends = checker.ends();
        let lacks = |checker: &Checker, consumer: &'static str| checker.lacks([consumer].into_iter(), &ends).len();
        checker.delivered("c", Order::Queue, &received("k-0", 0))?;
        assert!(checker.delivered("c", Order::Queue, &received("k-2", 2)).is_err(), "1 is left out");
        checker.delivered("any", Order::Any, &received("k-2", 2))?;
        checker.delivered("any", Order::Any, &received("k-0", 0))?;
        assert_eq!((lacks(&checker, "c"), lacks(&checker, "any")), (1, 1));
        checker.delivered("any", Order::Any, &received("k-1", 1))?;
        assert_eq!(lacks(&checker, "any"), 0);
        checker.delivered("any", Order::Any, &received("k-2", 2))?;
        assert_eq!(checker.repeats(), Repeats { delivered: 1, stored: 0 });
        checker.settle(2);
        assert!(checker.delivered("any", Order::Any, &received("k-1", 1)).is_err(), "too long ago");
        checker.delivered("any", Order::Any, &received("k-2", 3))?;
        assert_eq!(checker.repeats(), Repeats { delivered: 2, stored: 1 });
        Ok(())
    }
}
