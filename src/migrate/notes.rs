//! What a broker has, written down, and compared with what it, or another, has later.

use std::collections::{BTreeMap, BTreeSet};

use remoting::types::TopicName;
use serde::{Deserialize, Serialize};

use super::desk::{AskError, Desk};

/// What a broker had at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Note {
    /// Who told it.
    pub(crate) from: String,
    /// First and next offset by topic and queue.
    pub(crate) topics: BTreeMap<String, BTreeMap<i32, (i64, i64)>>,
    pub(crate) groups: BTreeSet<String>,
    /// Offsets by `topic@group` and queue.
    pub(crate) offsets: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Offsets by delay level.
    pub(crate) delays: BTreeMap<i32, i64>,
    pub(crate) samples: Vec<Sample>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    pub(crate) topic: String,
    pub(crate) queue: i32,
    pub(crate) offset: i64,
    /// Of the whole record.
    pub(crate) bytes: usize,
    pub(crate) crc: u32,
}

/// What a name server knew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NameServerNote {
    pub(crate) brokers: BTreeSet<String>,
    pub(crate) topics: BTreeSet<String>,
    /// Settings of order topics.
    pub(crate) key_values: BTreeMap<String, String>,
}

/// What one broker lacks of what another, or it before, had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lacks {
    /// Sentences.
    pub(crate) messages: Vec<String>,
    pub(crate) tables: Vec<String>,
    /// `topic@group`, queue and the offset that it should have at least.
    pub(crate) offsets: Vec<(String, i32, i64)>,
    /// Delay levels that are behind, so that some messages come twice.
    pub(crate) delays: Vec<i32>,
    /// Old messages that are gone; retention may have taken them.
    pub(crate) trimmed: Vec<String>,
}

impl Lacks {
    /// Something is missing that has to be there.
    pub(crate) fn is_serious(&self) -> bool {
        !self.messages.is_empty() || !self.tables.is_empty() || !self.offsets.is_empty()
    }
}

impl Note {
    /// Messages that it has.
    pub(crate) fn count(&self) -> i64 {
        self.topics.values().flat_map(BTreeMap::values).map(|(min, max)| max - min).sum()
    }

    /// Consumers' offsets that are behind those of this, as `topic@group`, queue and the offset here.
    pub(crate) fn offsets_behind(&self, later: &BTreeMap<String, BTreeMap<i32, i64>>) -> Vec<(String, i32, i64)> {
        let mut behind = Vec::new();
        for (key, queues) in &self.offsets {
            let there = later.get(key);
            let less = queues.iter().filter(|(queue, offset)| there.and_then(|there| there.get(queue)) < Some(offset));
            behind.extend(less.map(|(queue, offset)| (key.clone(), *queue, *offset)));
        }
        behind
    }

    /// What `later` lacks of this. `samples` are those of `self` as they are there; `None`: there is none.
    pub(crate) fn lacking_in(&self, later: &Self, samples: &[Option<(usize, u32)>]) -> Lacks {
        let mut lacks = Lacks::default();
        for (topic, queues) in &self.topics {
            let Some(there) = later.topics.get(topic) else {
                lacks.tables.push(format!("topic {topic}"));
                continue;
            };
            for (queue, (min, max)) in queues {
                let (min_there, max_there) = there.get(queue).copied().unwrap_or((0, 0));
                if max_there < *max {
                    let what = format!("{topic} queue {queue} ends at {max_there}, not at {max}");
                    lacks.messages.push(what);
                }
                if min_there > *min && min < max {
                    lacks.trimmed.push(format!("{topic} queue {queue} begins at {min_there}, not at {min}"));
                }
            }
        }
        lacks.tables.extend(self.groups.difference(&later.groups).map(|group| format!("group {group}")));
        lacks.offsets = self.offsets_behind(&later.offsets);
        let behind = self.delays.iter().filter(|(level, offset)| later.delays.get(level) < Some(offset));
        lacks.delays.extend(behind.map(|(level, _)| *level));
        for (sample, there) in self.samples.iter().zip(samples) {
            let Sample { topic, queue, offset, bytes, crc, .. } = sample;
            let begins = later.topics.get(topic).and_then(|queues| queues.get(queue)).map_or(0, |(min, _)| *min);
            if *offset >= begins && *there != Some((*bytes, *crc)) {
                let is = if there.is_some() { "is another message" } else { "is not there" };
                lacks.messages.push(format!("{topic} queue {queue} offset {offset} {is}"));
            }
        }
        lacks
    }
}

/// Writes down what a broker has, with so many samples.
///
/// # Errors
/// It cannot be asked.
pub(crate) async fn note(desk: &Desk, at: &str, samples: usize) -> Result<Note, AskError> {
    let mut note = Note { from: at.to_owned(), ..Note::default() };
    // Offsets first: messages that come meanwhile do no harm, but an offset beyond the last message would.
    note.offsets = desk.consumer_offsets(at).await?.offset_table;
    note.delays = match desk.delay_offsets(at).await {
        Ok(delays) => delays.offset_table,
        // No message was ever delayed.
        Err(err) if err.is_refusal() => BTreeMap::new(),
        Err(err) => return Err(err),
    };
    note.groups = desk.groups(at).await?.subscription_group_table.keys().map(ToString::to_string).collect();
    for topic in desk.topics(at).await?.topic_config_table.keys() {
        note.topics.insert(topic.to_string(), queues(desk, at, topic).await?);
    }
    for (topic, queue, offset) in spread(&note.topics, samples) {
        if let Some(sample) = sample(desk, at, topic, queue, offset).await? {
            note.samples.push(sample);
        }
    }
    Ok(note)
}

/// The next place of a broker's log.
pub(crate) async fn end(desk: &Desk, at: &str) -> Result<i64, AskError> {
    let info = desk.runtime_info(at).await?;
    let place = info.get("commitLogMaxOffset").and_then(|place| place.parse().ok());
    place.ok_or_else(|| super::desk::not_understood(at, "it does not tell commitLogMaxOffset"))
}

/// First and next offset of each queue that a topic has.
pub(crate) async fn queues(desk: &Desk, at: &str, topic: &TopicName) -> Result<BTreeMap<i32, (i64, i64)>, AskError> {
    let stats = match desk.topic_stats(at, topic).await {
        Ok(stats) => stats,
        // Deleted meanwhile.
        Err(err) if err.is(remoting::protocol::ResponseCode::TOPIC_NOT_EXIST) => return Ok(BTreeMap::new()),
        Err(err) => return Err(err),
    };
    let queues = stats.offset_table.into_iter().map(|(queue, at)| (queue.0.queue_id.0, (at.min_offset, at.max_offset)));
    Ok(queues.collect())
}

/// The samples of a note as another broker, or the same later, has them.
///
/// # Errors
/// It cannot be asked.
pub(crate) async fn samples_at(desk: &Desk, at: &str, note: &Note) -> Result<Vec<Option<(usize, u32)>>, AskError> {
    let mut found = Vec::with_capacity(note.samples.len());
    for wanted in &note.samples {
        let sample = sample(desk, at, &wanted.topic, wanted.queue, wanted.offset).await?;
        found.push(sample.map(|sample| (sample.bytes, sample.crc)));
    }
    Ok(found)
}

async fn sample(desk: &Desk, at: &str, topic: &str, queue: i32, offset: i64) -> Result<Option<Sample>, AskError> {
    let name = TopicName::new(topic);
    let refused = |err: AskError| if err.is_refusal() { Ok(None) } else { Err(err) };
    let place = match desk.place(at, &name, queue, offset).await {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(None),
        Err(err) => return refused(err),
    };
    let record = match desk.record(at, &name, place).await {
        Ok(record) => record,
        Err(err) => return refused(err),
    };
    let (bytes, crc) = (record.len(), crc32fast::hash(&record));
    Ok(Some(Sample { topic: topic.to_owned(), queue, offset, bytes, crc }))
}

/// So many messages at equal distances over all queues, the first and the last among them.
fn spread(topics: &BTreeMap<String, BTreeMap<i32, (i64, i64)>>, wanted: usize) -> Vec<(&str, i32, i64)> {
    let queues: Vec<_> = topics
        .iter()
        .flat_map(|(topic, queues)| queues.iter().map(move |(queue, (min, max))| (topic.as_str(), *queue, *min, *max)))
        .filter(|(.., min, max)| max > min)
        .collect();
    let all: i64 = queues.iter().map(|(.., min, max)| max - min).sum();
    let wanted = i64::try_from(wanted).unwrap_or(i64::MAX).min(all);
    let mut spread = Vec::new();
    let (mut queue, mut before) = (queues.iter(), 0);
    let mut current = queue.next();
    for number in 0..wanted {
        // In steps of (all − 1) / (wanted − 1), so that the last one is the last message.
        let at =
            if wanted == 1 { 0 } else { (i128::from(number) * i128::from(all - 1) / i128::from(wanted - 1)) as i64 };
        while let Some((topic, id, min, max)) = current {
            if at < before + (max - min) {
                spread.push((*topic, *id, min + (at - before)));
                break;
            }
            before += max - min;
            current = queue.next();
        }
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(queues: &[(&str, i32, i64, i64)]) -> Note {
        let mut note = Note::default();
        for (topic, queue, min, max) in queues {
            note.topics.entry((*topic).to_owned()).or_default().insert(*queue, (*min, *max));
        }
        note
    }

    #[test]
    fn samples_lie_at_equal_distances() {
        let check = |queues: &[(&str, i32, i64, i64)], wanted, expect: &[(&str, i32, i64)]| {
            assert_eq!(spread(&note(queues).topics, wanted), expect);
        };
        let queues = [("a", 0, 10, 14), ("a", 1, 0, 0), ("b", 3, 0, 6)];
        check(&queues, 0, &[]);
        check(&queues, 1, &[("a", 0, 10)]);
        check(&queues, 2, &[("a", 0, 10), ("b", 3, 5)]);
        check(&queues, 4, &[("a", 0, 10), ("a", 0, 13), ("b", 3, 2), ("b", 3, 5)]);
        assert_eq!(spread(&note(&queues).topics, 1000).len(), 10);
        check(&[], 5, &[]);
    }

    #[test]
    fn what_is_lacking_is_found() {
        let mut before = note(&[("t", 0, 5, 10), ("t", 1, 0, 3), ("gone", 0, 0, 1)]);
        before.groups = ["g".to_owned(), "h".to_owned()].into();
        before.offsets = BTreeMap::from([("t@g".to_owned(), BTreeMap::from([(0, 7), (1, 2)]))]);
        before.delays = BTreeMap::from([(3, 20)]);
        let sample = |offset, crc| Sample { topic: "t".into(), queue: 0, offset, bytes: 90, crc };
        before.samples = vec![sample(5, 1), sample(8, 2), sample(9, 3)];
        assert_eq!(before.lacking_in(&before, &[Some((90, 1)), Some((90, 2)), Some((90, 3))]), Lacks::default());

        let mut later = note(&[("t", 0, 6, 12), ("t", 1, 0, 2)]);
        later.groups = ["g".to_owned()].into();
        later.offsets = BTreeMap::from([("t@g".to_owned(), BTreeMap::from([(0, 6)]))]);
        let lacks = before.lacking_in(&later, &[None, Some((90, 7)), None]);
        let expect = Lacks {
            messages: vec![
                "t queue 1 ends at 2, not at 3".into(),
                "t queue 0 offset 8 is another message".into(),
                "t queue 0 offset 9 is not there".into(),
            ],
            tables: vec!["topic gone".into(), "group h".into()],
            offsets: vec![("t@g".into(), 0, 7), ("t@g".into(), 1, 2)],
            delays: vec![3],
            trimmed: vec!["t queue 0 begins at 6, not at 5".into()],
        };
        assert_eq!(lacks, expect);
        assert_eq!(before.count(), 9);
    }
}
