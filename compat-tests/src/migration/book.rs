//! Messages that are not delivered from where they were acknowledged, but later and from elsewhere: delayed ones, and those of
//! transactions. They are known by their keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, ensure};

use crate::events::{Received, Sent};
use crate::faults::checker::{Repeats, number};

/// The property `local` of the messages of a stream, in turn: what the producer says of a transaction at once.
pub(super) const LOCAL: [&str; 4] = ["commit", "rollback", "unknown", "unknown"];
/// Their property `check`: what it says when it is asked.
pub(super) const CHECK: [&str; 4] = ["commit", "rollback", "commit", "rollback"];

/// What becomes of a message that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It comes, and not earlier than so many milliseconds after it was sent.
    Later(i64),
    /// It comes if its transaction is committed, see [`LOCAL`] and [`CHECK`].
    Transaction,
}

impl Fate {
    fn comes(self, key: &str) -> Result<bool> {
        Ok(match self {
            Self::Later(_) => true,
            // Both words of a message are the same, or the first says nothing.
            Self::Transaction => CHECK[usize::try_from(number(key)?)? % CHECK.len()] == "commit",
        })
    }
}

/// Broker, queue and offset.
type Place = (Option<String>, i32, i64);

/// What was seen of the messages of one topic; what cannot be is an error at once.
#[derive(Debug)]
pub(super) struct Book {
    fate: Fate,
    acknowledged: usize,
    /// Keys of those that were acknowledged and have to come.
    due: BTreeSet<String>,
    /// How often each consumer had each key.
    came: BTreeMap<String, HashMap<String, usize>>,
    /// Where each key was delivered from.
    places: HashMap<String, BTreeSet<Place>>,
    /// And the key that was.
    contents: HashMap<Place, String>,
    repeats: Repeats,
}

impl Book {
    pub(super) fn new(fate: Fate) -> Self {
        Self {
            fate,
            acknowledged: 0,
            due: BTreeSet::new(),
            came: BTreeMap::new(),
            places: HashMap::new(),
            contents: HashMap::new(),
            repeats: Repeats::default(),
        }
    }

    pub(super) fn acknowledged(&mut self, sent: &Sent) -> Result<()> {
        for key in &sent.keys {
            self.acknowledged += 1;
            if self.fate.comes(key)? {
                self.due.insert(key.clone());
            }
        }
        Ok(())
    }

    pub(super) fn delivered(&mut self, consumer: &str, received: &Received) -> Result<()> {
        let key = &received.key;
        ensure!(received.body.as_ref() == Some(key), "another body: {received:?}");
        ensure!(self.fate.comes(key)?, "{consumer} had what was rolled back: {received:?}");
        if let Fate::Later(delay) = self.fate {
            let late = received.store_time - received.born_time;
            ensure!(late >= delay, "{consumer} had {key} {late} ms after it was sent: {received:?}");
        }
        let place = (received.broker.clone(), received.queue_id, received.queue_offset);
        let before = self.contents.entry(place.clone()).or_insert_with(|| key.clone());
        ensure!(before == key, "{place:?} was {before} before it was {key} to {consumer}: {received:?}");
        let places = self.places.entry(key.clone()).or_default();
        let known = !places.is_empty();
        if places.insert(place) && known {
            self.repeats.stored += 1;
        }
        let times = self.came.entry(consumer.to_owned()).or_default().entry(key.clone()).or_default();
        *times += 1;
        // A second place means a delivery from there, too.
        let allowed = self.places.get(key).map_or(1, BTreeSet::len);
        self.repeats.delivered += usize::from(*times > allowed);
        Ok(())
    }

    /// What each consumer has not had of `due`, in words.
    pub(super) fn lacks<'a>(&self, consumers: impl Iterator<Item = &'a str>, due: &BTreeSet<String>) -> Vec<String> {
        let none = HashMap::new();
        let lacks = consumers.filter_map(|consumer| {
            let came = self.came.get(consumer).unwrap_or(&none);
            let missing: Vec<_> = due.iter().filter(|key| !came.contains_key(*key)).collect();
            let first = missing.first()?;
            Some(format!("{consumer} lacks {}, such as {first}", missing.len()))
        });
        lacks.collect()
    }

    /// Everything that has to come.
    pub(super) fn due(&self) -> &BTreeSet<String> {
        &self.due
    }

    pub(super) fn acknowledged_count(&self) -> usize {
        self.acknowledged
    }

    pub(super) fn repeats(&self) -> Repeats {
        self.repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_ends_as_its_producer_says_whenever_it_is_asked() -> Result<()> {
        for (number, (local, check)) in (0..).zip(LOCAL.into_iter().zip(CHECK)) {
            assert!(local == check || local == "unknown");
            assert_eq!(Fate::Transaction.comes(&format!("k-{number}"))?, check == "commit");
            assert_eq!(Fate::Transaction.comes(&format!("k-{}", number + 4))?, check == "commit");
        }
        assert!(Fate::Later(1).comes("k-1")?);
        Ok(())
    }
}
