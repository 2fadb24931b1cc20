//! What the last run left: op messages tell what it resolved, and the end of the log tells the rest.
//!
//! What was resolved in the last moments may be in no op message: they are written every few seconds, and a broker may be
//! killed. Then a committed message names its half message by its physical offset, and a copy of a half message that was
//! asked about has its unique key. Nothing tells of a rollback: that is asked about again.

use std::collections::HashMap;
use std::sync::Arc;

use remoting::types::{PhysicalOffset, QueueOffset};
use store::Entry;
use store::message::{StoredMessage, sys_flag};
use tokio::task::JoinError;

use super::half::{Half, half_topic};
use super::ops::resolved_by;
use super::turn::Entries;
use super::{QUEUE, Transactions, half_end, op_topic};

/// Queue entries read at once.
const ENTRIES_MAX: usize = 1024;
/// Copies whose originals are looked for. Of more, which only Java leaves behind, originals are asked about, too.
const COPIES_MAX: usize = 100_000;

impl Transactions {
    /// Finds out what is in doubt. To be done before anything is written down.
    ///
    /// # Errors
    /// The thread that looks ended.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), JoinError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let half_end = half_end(&this.store);
            this.doubts.lock().extend(half_end);
            this.read_ops(half_end);
            let resolved = this.read_tail();
            if !resolved.is_empty() {
                tracing::info!(half_messages = resolved.len(), "resolved by the last run, and not written down by it");
                this.note_resolved(&this.ops.order(), &resolved);
            }
        })
        .await
    }

    /// What op messages say.
    fn read_ops(&self, half_end: QueueOffset) {
        let (_, mut next) = self.doubts.lock().starts();
        loop {
            let entries = self.store.entries(op_topic(), QUEUE, next, ENTRIES_MAX);
            let Some(last) = entries.last() else { return };
            next = last.queue_offset.after(1);
            for entry in entries {
                let record = self.store.record_at(entry.physical_offset);
                let op = record.as_deref().and_then(|record| StoredMessage::parse(record).ok());
                let mut halves = op.map_or_else(Vec::new, |op| resolved_by(&op));
                // Of messages that the log has lost, or that were never there.
                halves.retain(|half| (0..half_end.0).contains(&half.0));
                let mut doubts = self.doubts.lock();
                doubts.resolve_all(&halves);
                doubts.note_op(entry.queue_offset, halves.into_iter().max().unwrap_or(QueueOffset(-1)));
            }
        }
    }

    /// Half messages that are resolved, though no op message says so.
    fn read_tail(&self) -> Vec<QueueOffset> {
        let mut resolved = Vec::new();
        let mut copies = HashMap::new();
        let Some(mut at) = self.tail_start() else { return resolved };
        while let Some((found_at, record)) = self.store.record_from(at).filter(|(at, _)| *at < self.opened_at) {
            at = found_at.after(record.len());
            let Ok(stored) = StoredMessage::parse(&record) else { continue };
            if stored.sys_flag & sys_flag::TRANSACTION_MASK == sys_flag::TRANSACTION_COMMIT {
                resolved.extend(self.half_of(&stored));
            } else if let Some(half) = Half::of(stored).filter(is_copy)
                && let Some(key) = half.unique_key.filter(|_| copies.len() < COPIES_MAX)
            {
                copies.insert(key.to_owned(), stored.queue_offset);
            }
        }
        self.find_originals(&copies, &mut resolved);
        resolved
    }

    /// Where to begin: at the first half message in doubt; but what was resolved before the last op messages but one run was
    /// written down by it. The last run of them may have been torn.
    fn tail_start(&self) -> Option<PhysicalOffset> {
        let first = {
            let mut doubts = self.doubts.lock();
            let (first, _) = doubts.starts();
            doubts.list(first, half_end(&self.store), 1).first().copied()?
        };
        let first = self.store.entries(half_topic(), QUEUE, first, 1).first()?.physical_offset;
        Some(self.last_whole_op().map_or(first, |op| op.physical_offset.max(first)))
    }

    /// The last op message before those that were written together in the last go.
    fn last_whole_op(&self) -> Option<Entry> {
        let end = self.store.max_offset(op_topic(), QUEUE)?;
        let from = QueueOffset(end.0.saturating_sub(ENTRIES_MAX as i64).max(0));
        let entries = self.store.entries(op_topic(), QUEUE, from, ENTRIES_MAX);
        let pairs = entries.iter().zip(entries.iter().skip(1)).rev();
        let mut gaps = pairs.filter(|(one, next)| one.physical_offset.after(one.size) != next.physical_offset);
        gaps.next().map(|(one, _)| *one)
    }

    /// The half message of a committed message.
    fn half_of(&self, committed: &StoredMessage<'_>) -> Option<QueueOffset> {
        let record = self.store.record_at(PhysicalOffset(committed.prepared_transaction_offset))?;
        let half = Half::parse(&record)?;
        // A message that was delayed after its commit names none, which looks like the first one of the log.
        let same = half.unique_key == committed.property(store::message::properties::name::UNIQ_KEY);
        same.then_some(half.stored.queue_offset)
    }

    /// Half messages in doubt of which there is a later copy.
    fn find_originals(&self, copies: &HashMap<String, QueueOffset>, resolved: &mut Vec<QueueOffset>) {
        let (mut next, mut entries) = (QueueOffset(0), Entries::default());
        while !copies.is_empty() {
            let halves = self.doubts.lock().list(next, half_end(&self.store), ENTRIES_MAX);
            let Some(last) = halves.last() else { return };
            next = last.after(1);
            for (at, half) in halves.iter().enumerate() {
                let entry = entries.find(&self.store, &halves[at..]);
                let record = entry.and_then(|entry| self.store.record_at(entry.physical_offset));
                let key = record.as_deref().and_then(Half::parse).and_then(|half| half.unique_key);
                if key.and_then(|key| copies.get(key)).is_some_and(|copy| copy > half) {
                    resolved.push(*half);
                }
            }
        }
    }
}

/// Whether it was stored to be asked about.
fn is_copy(half: &Half<'_>) -> bool {
    half.check_times.and_then(|times| times.parse::<i32>().ok()).is_some_and(|times| times > 0)
}
