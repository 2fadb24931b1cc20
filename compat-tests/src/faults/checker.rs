//! What a client can see of a log: the place a message was acknowledged at, and what is delivered from a place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context, Result, ensure};

use crate::events::{Received, Sent};

/// Queue and queue offset.
type Place = (i32, i64);

/// Everything that was seen so far; what does not fit into it is an error at once.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// What is at a place, acknowledged or delivered, and who said so first.
    contents: BTreeMap<Place, Content>,
    acknowledged: usize,
    /// The last one acknowledged to each ordered producer, by queue: its number and its offset.
    last: BTreeMap<(String, i32), (u64, i64)>,
    /// The offset that is new to a consumer next, by queue.
    next: BTreeMap<(String, i32), i64>,
}

#[derive(Debug)]
struct Content {
    key: String,
    acknowledged: bool,
    said_by: String,
}

impl Checker {
    pub(super) fn acknowledged(&mut self, producer: &str, ordered: bool, sent: &Sent) -> Result<()> {
        let key = sent.keys.first().context("a send without a key")?;
        let place = (sent.queue_id, sent.queue_offset);
        let before = self.is(place, key, producer)?;
        ensure!(!before.acknowledged, "{key} was acknowledged twice at {place:?}");
        before.acknowledged = true;
        self.acknowledged += 1;
        if ordered {
            let number = key.rsplit('-').next().and_then(|number| number.parse().ok());
            let number: u64 = number.with_context(|| format!("no number in {key}"))?;
            let now = (number, sent.queue_offset);
            if let Some(last) = self.last.insert((producer.to_owned(), sent.queue_id), now) {
                ensure!(
                    last.0 < now.0 && last.1 < now.1,
                    "{producer} in queue {}: {last:?}, then {now:?}",
                    sent.queue_id
                );
            }
        }
        Ok(())
    }

    pub(super) fn delivered(&mut self, consumer: &str, received: &Received) -> Result<()> {
        let (queue, offset) = (received.queue_id, received.queue_offset);
        ensure!(received.body.as_ref() == Some(&received.key), "another body: {received:?}");
        self.is((queue, offset), &received.key, consumer)?;
        let next = self.next.entry((consumer.to_owned(), queue)).or_default();
        // Offsets that were not committed yet come again, and nothing is left out.
        ensure!(offset <= *next, "{consumer} had {offset} of queue {queue} where {next} comes next: {received:?}");
        *next = (*next).max(offset + 1);
        Ok(())
    }

    fn is(&mut self, place: Place, key: &str, said_by: &str) -> Result<&mut Content> {
        match self.contents.entry(place) {
            Entry::Vacant(vacant) => {
                Ok(vacant.insert(Content { key: key.to_owned(), acknowledged: false, said_by: said_by.to_owned() }))
            }
            Entry::Occupied(known) => {
                let known = known.into_mut();
                ensure!(
                    known.key == key,
                    "{place:?} is {} to {} ({}) and {key} to {said_by}",
                    known.key,
                    known.said_by,
                    if known.acknowledged { "acknowledged" } else { "delivered" },
                );
                Ok(known)
            }
        }
    }

    /// How far each consumer is behind the last place that was acknowledged; nobody is, if it is empty. What was delivered
    /// was compared with what was acknowledged then.
    pub(super) fn lacks<'a>(&self, consumers: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        for ((queue, offset), content) in &self.contents {
            if content.acknowledged {
                ends.insert(*queue, offset + 1);
            }
        }
        let mut lacks = Vec::new();
        for consumer in consumers {
            for (queue, end) in &ends {
                let next = self.next.get(&(consumer.to_owned(), *queue)).copied().unwrap_or_default();
                if next < *end {
                    lacks.push(format!("{consumer} has had {next} of {end} in queue {queue}"));
                }
            }
        }
        lacks
    }

    pub(super) fn acknowledged_count(&self) -> usize {
        self.acknowledged
    }
}
