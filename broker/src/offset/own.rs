//! What groups commit at a slave while its master does not answer, until the master has it.
//!
//! A slave's offsets are its master's. Clients commit to a slave only when they do not find the master, and what they commit
//! then must not be undone by the master's older offsets when it comes back. So it is noted, in a file of its own as a
//! restart of the slave must not forget it, and handed to the master; the master's offsets count again once they are not
//! behind it. Java's slave takes its master's offsets, whatever was committed here.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use remoting::body::{ConsumerOffsets, OffsetNews, fastjson};
use remoting::types::{GroupName, QueueId, QueueOffset, TopicName};

use super::Offsets;
use super::table::SEPARATOR;
use crate::persist::{Home, LoadError, TableFile, log_unsaved};

/// In the form of `consumerOffset.json`.
const FILE: &str = "slaveOffset.json";

/// Offsets that the master may not have yet, by `topic@group` and queue.
pub(super) struct Own {
    table: Mutex<BTreeMap<String, BTreeMap<i32, i64>>>,
    file: TableFile,
}

/// An offset to be handed to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnOffset {
    pub(crate) group: GroupName,
    pub(crate) topic: TopicName,
    pub(crate) queue: QueueId,
    pub(crate) offset: QueueOffset,
}

impl Own {
    pub(super) fn load(home: &Home) -> Result<Self, LoadError> {
        let saved: ConsumerOffsets = home.load(FILE)?.unwrap_or_default();
        Ok(Self { table: Mutex::new(saved.offset_table), file: home.file(FILE) })
    }

    fn note(&self, group: &str, topic: &str, queue: QueueId, offset: QueueOffset) {
        let key = format!("{topic}{SEPARATOR}{group}");
        self.table.lock().entry(key).or_default().insert(queue.0, offset.0);
        self.file.changed();
    }

    /// Forgets what the master has by now, and takes out of its offsets what is behind ours.
    fn settle(&self, key: &str, offsets: &mut BTreeMap<i32, i64>) {
        let mut table = self.table.lock();
        let Some(own) = table.get_mut(key) else { return };
        own.retain(|queue, offset| match offsets.get(queue) {
            Some(masters) if *masters >= *offset => {
                self.file.changed();
                false
            }
            Some(_) => {
                offsets.remove(queue);
                true
            }
            None => true,
        });
        if own.is_empty() {
            table.remove(key);
        }
    }

    fn list(&self) -> Vec<OwnOffset> {
        let of_key = |(key, offsets): (&String, &BTreeMap<i32, i64>)| {
            let (topic, group) = key.split_once(SEPARATOR)?;
            let (topic, group) = (TopicName::new(topic), GroupName::new(group));
            let one = |(queue, offset): (&i32, &i64)| OwnOffset {
                group: group.clone(),
                topic: topic.clone(),
                queue: QueueId(*queue),
                offset: QueueOffset(*offset),
            };
            Some(offsets.iter().map(one).collect::<Vec<_>>())
        };
        self.table.lock().iter().filter_map(of_key).flatten().collect()
    }

    /// Forgets those of which `is_gone` says so by topic and group.
    fn forget(&self, is_gone: impl Fn(&str, &str) -> bool) {
        let mut table = self.table.lock();
        let before = table.len();
        table.retain(|key, _| key.split_once(SEPARATOR).is_some_and(|(topic, group)| !is_gone(topic, group)));
        if table.len() < before {
            self.file.changed();
        }
    }

    /// Blocks.
    fn save(&self) {
        let encode = || {
            let offset_table = self.table.lock().clone();
            fastjson::write(&ConsumerOffsets { offset_table, ..ConsumerOffsets::default() })
        };
        self.file.save_or_log("what groups committed here is not saved; a restart would not tell the master", encode);
    }
}

impl Offsets {
    /// Notes a commit of a client, to be told to the master, if this broker has one.
    pub(crate) fn note_own(&self, group: &str, topic: &str, queue: QueueId, offset: QueueOffset) {
        if let Some(own) = &self.own {
            own.note(group, topic, queue, offset);
        }
    }

    /// What the master may not have yet.
    pub(crate) fn own(&self) -> Vec<OwnOffset> {
        self.own.as_ref().map(Own::list).unwrap_or_default()
    }

    /// Forgets what was committed here of topics and groups of which `is_gone` says so.
    pub(super) fn forget_own(&self, is_gone: impl Fn(&str, &str) -> bool) {
        if let Some(own) = &self.own {
            own.forget(is_gone);
        }
    }

    /// This broker was a slave, and is the master now: what was committed here is in its own table, and nobody else is to be told.
    /// Should it be a slave again, what was committed before would be told of as if it were news. Blocks.
    pub(super) fn take_along(&self, own: &Own) {
        let left = own.list();
        if left.is_empty() {
            return;
        }
        // Both were saved a moment apart.
        for one in &left {
            self.advance(one);
        }
        self.changed();
        match self.file.save(|| self.with_pops(|| self.to_java())) {
            Ok(()) => {
                own.forget(|_, _| true);
                own.save();
            }
            Err(err) => log_unsaved(&err, "what groups committed here is kept apart until the next start"),
        }
    }

    /// The master has an offset, or does not take it whatever it is told: its own count from now on. What was committed here
    /// meanwhile is still to be handed over.
    pub(crate) fn disown(&self, handed: &OwnOffset) {
        let Some(own) = &self.own else { return };
        let mut table = own.table.lock();
        let key = format!("{}{SEPARATOR}{}", handed.topic, handed.group);
        if let Some(offsets) = table.get_mut(&key)
            && offsets.get(&handed.queue.0) == Some(&handed.offset.0)
        {
            offsets.remove(&handed.queue.0);
            if offsets.is_empty() {
                table.remove(&key);
            }
            own.file.changed();
        }
    }

    /// Takes over the master's offsets, but for those behind what was committed here. What the master does not name stays.
    ///
    /// Java: `SlaveSynchronize.syncConsumerOffset`.
    pub(crate) fn copy(&self, news: OffsetNews) {
        let OffsetNews { data_version, offset_table } = news;
        for (key, mut offsets) in offset_table {
            if let Some(own) = &self.own {
                own.settle(&key, &mut offsets);
            }
            self.table.copy(&key, offsets);
        }
        self.file.copied(data_version);
    }

    /// Saves what is known of this broker's own commits. Blocks.
    pub(super) fn save_own(&self) {
        if let Some(own) = &self.own {
            own.save();
        }
    }
}
