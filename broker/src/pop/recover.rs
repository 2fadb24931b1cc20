//! What a start reads of the log: leases that are younger than the file of offsets and the book of ordered pops.

use remoting::types::{QueueId, QueueOffset, TopicName};
use store::message::StoredMessage;
use store::message::properties::name;
use store::{Everything, ReadRequest, ReadStatus};

use super::Pops;
use super::order::{Change, TAG_ORDER};
use super::record::{CheckPoint, TAG_CHECK_POINT};
use super::take::each;
use crate::delay::timing;
use crate::offset::Noted;
use crate::topic::TIMER_TOPIC;

const READ_MESSAGES: usize = 256;

impl Pops {
    /// Commits what was popped since offsets were last saved. Blocks.
    pub(super) fn restore(&self) {
        let mut restored = 0_u64;
        for Noted { topic, queue, end } in self.offsets.noted_leases() {
            self.walk(&topic, queue, end, |record| restored += u64::from(self.restore_one(record)));
        }
        if restored > 0 {
            tracing::info!(leases = restored, "leases are younger than the saved offsets");
            self.offsets.changed();
        }
    }

    fn walk(&self, topic: &TopicName, queue: QueueId, from: QueueOffset, mut visit: impl FnMut(&StoredMessage<'_>)) {
        let mut offset = from;
        loop {
            let request =
                ReadRequest { topic, queue_id: queue, offset, max_messages: READ_MESSAGES, max_bytes: usize::MAX };
            let outcome = self.store.read(&request, &Everything);
            if outcome.status != ReadStatus::Found {
                // What was deleted meanwhile is passed over.
                if outcome.status != ReadStatus::OffsetTooSmall || outcome.next_offset <= offset {
                    return;
                }
            }
            outcome.messages.iter().flat_map(|slice| each(slice)).for_each(|record| visit(&record));
            offset = outcome.next_offset;
        }
    }

    fn restore_one(&self, record: &StoredMessage<'_>) -> bool {
        let in_timer = record.topic == TIMER_TOPIC;
        if in_timer && record.property(name::REAL_TOPIC) != Some(&self.desk.revive) {
            return false;
        }
        // It was in the timer's topic before, and looked at there.
        if !in_timer && record.property(timing::OUT_MS).is_some() {
            return false;
        }
        match record.property(name::TAGS) {
            Some(TAG_CHECK_POINT) => {
                let Ok(check_point) = serde_json::from_slice::<CheckPoint>(record.body) else { return false };
                let progress = self.offsets.progress(&check_point.group, &check_point.topic);
                progress.advance(check_point.queue, check_point.next());
                true
            }
            Some(TAG_ORDER) => {
                let Ok(change) = serde_json::from_slice::<Change>(record.body) else { return false };
                self.offsets.commit(&change.group, &change.topic, change.queue, change.offset);
                self.book.restore(&change);
                true
            }
            _ => false,
        }
    }
}
