//! Finding messages by key.
//!
//! Java: `DefaultMessageStore.queryMessage`, `IndexService.queryOffset`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use remoting::types::{PhysicalOffset, Timestamp};

use super::keys::{self, KeyKind};
use super::{Index, IndexFile};
use crate::commit_log::Snapshot;
use crate::message::StoredMessage;
use crate::shared::Shared;

/// How long a query waits for the index to catch up with what was stored before the query came.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which messages are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub topic: &'a str,
    pub key: &'a str,
    pub kind: KeyKind,
    /// Store times from `begin` to `end`, both included.
    pub begin: Timestamp,
    pub end: Timestamp,
    /// At most this many messages, the newest.
    pub max_messages: usize,
    /// At most this many bytes, though the newest message always fits.
    pub max_bytes: usize,
}

/// What a query found.
#[derive(Clone, Debug, Default)]
pub struct QueryOutcome {
    /// Whole stored records in log order.
    pub messages: Vec<Bytes>,
    /// Store time and physical offset of the newest message in the index; 0 if nothing was found.
    pub last_update_timestamp: Timestamp,
    pub last_update_offset: PhysicalOffset,
}

/// Looks the messages up. Blocks: on the disk, and until the index has what was confirmed when this was called.
pub(crate) fn query(shared: &Shared, query: &Query<'_>) -> QueryOutcome {
    let index = &shared.index;
    if shared.config.index.enable {
        index.wait_for(shared.watermark.confirmed().0, PATIENCE);
    }
    let mut found = Found { query, log: shared.log.snapshot(), messages: BTreeMap::new(), bytes: 0 };
    let outcome = index.find(&mut found);
    if shared.residency.read(found.bytes as u64) {
        shared.keeper_signal.raise();
    }
    QueryOutcome { messages: found.messages.into_values().collect(), ..outcome }
}

struct Found<'a> {
    query: &'a Query<'a>,
    log: Snapshot,
    /// By physical offset: a message can be in the index twice, by both its unique key and a key, or after a crash.
    messages: BTreeMap<PhysicalOffset, Bytes>,
    bytes: usize,
}

impl Found<'_> {
    /// Takes the message at `offset` if it was asked for; breaks when there are enough.
    fn take(&mut self, offset: i64) -> ControlFlow<()> {
        let offset = PhysicalOffset(offset);
        if self.messages.contains_key(&offset) {
            return ControlFlow::Continue(());
        }
        let Some(record) = self.log.record_at(offset) else { return ControlFlow::Continue(()) };
        let Query { topic, key, kind, begin, end, .. } = *self.query;
        let is_asked_for = |message: &StoredMessage<'_>| {
            (begin..=end).contains(&message.store_timestamp) && keys::is_asked_for(message, topic, key, kind)
        };
        if StoredMessage::parse(&record).is_ok_and(|message| is_asked_for(&message)) {
            if !self.messages.is_empty() && self.bytes + record.len() > self.query.max_bytes {
                return ControlFlow::Break(());
            }
            self.bytes += record.len();
            self.messages.insert(offset, record);
        }
        if self.messages.len() < self.query.max_messages { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl Index {
    fn find(&self, found: &mut Found<'_>) -> QueryOutcome {
        let Query { topic, key, kind, begin, end, max_messages, .. } = *found.query;
        let hash = keys::hash_of(topic, key, kind);
        let files = self.files.read();
        let Some(newest) = files.last().filter(|_| max_messages > 0) else { return QueryOutcome::default() };
        let last_update_timestamp = Timestamp(newest.header.end_time);
        let last_update_offset = PhysicalOffset(newest.header.end);
        for file in files.iter().rev() {
            if is_in_time(file, begin, end) {
                match file.select(hash, (begin.0, end.0), |offset| found.take(offset)) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(damage) => self.report(file, &damage),
                }
            }
            if Timestamp(file.header.begin_time) < begin {
                break;
            }
        }
        if found.messages.is_empty() {
            return QueryOutcome::default();
        }
        QueryOutcome { messages: Vec::new(), last_update_timestamp, last_update_offset }
    }
}

/// Java: `IndexFile.isTimeMatched`.
fn is_in_time(file: &IndexFile, begin: Timestamp, end: Timestamp) -> bool {
    begin.0 <= file.header.end_time && end.0 >= file.header.begin_time
}
