//! The book of ordered pops: per group and queue one lease at a time, and the next one only behind it.
//!
//! ```text
//! free ─ pop ─▶ leased ─ all acknowledged ─▶ free, the offset behind them
//!                 └─ a message is visible again ─▶ pop: the same messages once more, counted
//! ```
//! The book is saved as Java's `config/consumerOrderInfo.json`, along with offsets. As that file is seconds old when the broker
//! is killed, each change is also a record in the revive log, which Java passes over: `{topic, group, queue, offset, lease}`.
//!
//! Java: `ConsumerOrderInfoManager`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use remoting::body::fastjson;
use remoting::config::SaveError;
use remoting::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use serde::{Deserialize, Serialize};

use super::handle::push_item;
use super::names::Kind;
use crate::persist::{Home, LoadError, TableFile};

const FILE: &str = "consumerOrderInfo.json";

/// The tag of a change of the book in the revive log.
pub(super) const TAG_ORDER: &str = "order";

/// A lease that nobody asked for again this long is forgotten. Java: `CLEAN_SPAN_FROM_LAST`.
const FORGET_AFTER_MS: i64 = 24 * 3600 * 1000;

/// Java: `OrderInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    /// The client's name of its attempt.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    attempt: Option<String>,
    /// Acknowledged under an earlier lease but behind messages that were not, and no part of this lease. Java forgets these.
    #[serde(rename = "aa", skip_serializing_if = "BTreeSet::is_empty")]
    acked_ahead: BTreeSet<i64>,
    /// Bits of acknowledged messages.
    #[serde(rename = "cm")]
    acked: u64,
    #[serde(rename = "i")]
    invisible_ms: Option<i64>,
    #[serde(rename = "l")]
    leased_at: Timestamp,
    /// The first offset, then the others' distances from it.
    #[serde(rename = "o")]
    offsets: Vec<i64>,
    /// How often a message was leased before, where it was.
    #[serde(rename = "oc")]
    attempts: BTreeMap<i64, i32>,
    /// When a message is visible again, where that was changed.
    #[serde(rename = "ot", skip_serializing_if = "Option::is_none")]
    visible_at: Option<BTreeMap<i64, i64>>,
    #[serde(rename = "popTime")]
    pop_time: Timestamp,
}

/// What a lease is made of.
#[derive(Clone, Debug)]
pub(super) struct Terms<'a> {
    pub(super) attempt: Option<&'a str>,
    pub(super) pop_time: Timestamp,
    pub(super) invisible_ms: i64,
}

/// What became of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// The group goes on here.
    Next(QueueOffset),
    /// It is of an older lease.
    Stale,
    NotLeased,
}

impl Lease {
    fn new(terms: &Terms<'_>, offsets: &[i64]) -> Self {
        let first = offsets.first().copied().unwrap_or_default();
        let distances = offsets.iter().skip(1).map(|offset| offset - first);
        Self {
            attempt: terms.attempt.map(str::to_owned),
            invisible_ms: Some(terms.invisible_ms),
            leased_at: terms.pop_time,
            offsets: std::iter::once(first).chain(distances).collect(),
            pop_time: terms.pop_time,
            ..Self::default()
        }
    }

    fn offset(&self, at: usize) -> i64 {
        let first = self.offsets.first().copied().unwrap_or_default();
        if at == 0 { first } else { first.saturating_add(self.offsets[at]) }
    }

    fn all(&self) -> impl Iterator<Item = (usize, i64)> {
        (0..self.offsets.len()).map(|at| (at, self.offset(at)))
    }

    fn is_acked(&self, at: usize) -> bool {
        self.acked & bit(at) != 0
    }

    /// All that was acknowledged and may be read again.
    fn acked_offsets(&self) -> BTreeSet<i64> {
        let here = self.all().filter(|(at, _)| self.is_acked(*at)).map(|(_, offset)| offset);
        here.chain(self.acked_ahead.iter().copied()).collect()
    }

    /// When the last unacknowledged message is visible again; `None`: there is none, or the attempt is the same.
    fn ends(&self, attempt: Option<&str>, invisible_ms: i64) -> Option<Timestamp> {
        if self.attempt.is_some() && self.attempt.as_deref() == attempt {
            return None;
        }
        let lasts = self.invisible_ms.filter(|lasts| *lasts > 0).unwrap_or(invisible_ms);
        let usual = self.pop_time.0.saturating_add(lasts);
        let changed = |offset: i64| self.visible_at.as_ref().and_then(|changed| changed.get(&offset)).copied();
        let open = self.all().filter(|(at, _)| !self.is_acked(*at));
        open.map(|(_, offset)| Timestamp(changed(offset).unwrap_or(usual))).max()
    }

    /// The first unacknowledged message, or the place behind all.
    fn next(&self) -> QueueOffset {
        let open = self.all().find(|(at, _)| !self.is_acked(*at));
        let behind = || self.all().last().map_or(0, |(_, offset)| offset.saturating_add(1));
        QueueOffset(open.map_or_else(behind, |(_, offset)| offset))
    }

    /// Counts the messages that `before` had as well. Java: `mergeOffsetConsumedCount`.
    fn count_attempts(&mut self, before: &Self) {
        if before.attempt.is_some() && before.attempt == self.attempt {
            self.attempts.clone_from(&before.attempts);
            return;
        }
        let known: BTreeSet<_> = before.all().map(|(_, offset)| offset).collect();
        let again = self.all().filter(|(_, offset)| known.contains(offset));
        self.attempts =
            again.map(|(_, offset)| (offset, before.attempts.get(&offset).copied().unwrap_or(0) + 1)).collect();
    }

    /// Java: `ConsumerOrderInfoManager.update`. The last item is for clients that know one count per queue.
    fn write_attempts(&self, info: &mut String, kind: Kind, queue: QueueId) {
        for (offset, attempts) in &self.attempts {
            push_item(info, kind, format_args!("qo{queue}%{offset}"), attempts);
        }
        let least = self.attempts.values().min().filter(|_| self.attempts.len() == self.offsets.len());
        push_item(info, kind, queue, least.copied().unwrap_or(0));
    }
}

/// A change of the book, as the revive log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    pub(super) topic: TopicName,
    pub(super) group: GroupName,
    pub(super) queue: QueueId,
    /// Where the group goes on.
    pub(super) offset: QueueOffset,
    pub(super) lease: Lease,
}

/// Java's file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    table: BTreeMap<String, BTreeMap<i32, Lease>>,
}

type Place = (TopicName, GroupName, QueueId);

/// Bounded by the queues that ordered groups pop; see [`Book::forget`].
pub(super) struct Book {
    leases: Mutex<HashMap<Place, Lease>>,
    file: TableFile,
}

impl Book {
    /// # Errors
    /// [`LoadError`].
    pub(super) fn load(home: &Home) -> Result<Self, LoadError> {
        let saved = home.load::<Saved>(FILE)?.unwrap_or_default();
        let mut leases = HashMap::new();
        for (key, queues) in saved.table {
            let Some((topic, group)) = key.split_once('@') else { continue };
            for (queue, lease) in queues {
                leases.insert((topic.into(), group.into(), QueueId(queue)), lease);
            }
        }
        Ok(Self { leases: Mutex::new(leases), file: home.file(FILE) })
    }

    /// Writes the book if it has changed. Blocks.
    ///
    /// # Errors
    /// [`SaveError`].
    pub(super) fn save(&self) -> Result<(), SaveError> {
        self.file.save(|| {
            let mut saved = Saved::default();
            for ((topic, group, queue), lease) in &*self.leases.lock() {
                saved.table.entry(format!("{topic}@{group}")).or_default().insert(queue.0, lease.clone());
            }
            fastjson::write(&saved)
        })
    }

    /// Until when nobody gets messages of the queue; `None`: it is free.
    pub(super) fn blocked_until(
        &self,
        attempt: Option<&str>,
        place: (&TopicName, &GroupName, QueueId),
        invisible_ms: i64,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let ends = self.leases.lock().get(&owned(place))?.ends(attempt, invisible_ms);
        ends.filter(|ends| *ends > now)
    }

    /// Leases messages, and writes how often each was leased before. `offsets` are those that were read, `next` is behind
    /// them. Also says which of them are to be handed out, as the others were acknowledged before; if all were, there is
    /// nothing to lease.
    pub(super) fn lease(
        &self,
        place: (&TopicName, &GroupName, QueueId),
        terms: &Terms<'_>,
        offsets: &[QueueOffset],
        next: QueueOffset,
        info: &mut String,
    ) -> Option<(Lease, Vec<QueueOffset>)> {
        let mut leases = self.leases.lock();
        let before = leases.get(&owned(place));
        let mut acked = before.map(Lease::acked_offsets).unwrap_or_default();
        let open: Vec<_> = offsets.iter().copied().filter(|offset| !acked.contains(&offset.0)).collect();
        if open.is_empty() {
            return None;
        }
        let offsets: Vec<_> = offsets.iter().map(|offset| offset.0).collect();
        let mut lease = Lease::new(terms, &offsets);
        for (at, offset) in offsets.iter().enumerate() {
            if acked.contains(offset) {
                lease.acked |= bit(at);
            }
        }
        acked.retain(|offset| *offset >= next.0);
        lease.acked_ahead = acked;
        if let Some(before) = before {
            lease.count_attempts(before);
        }
        lease.write_attempts(info, Kind::of(place.0), place.2);
        leases.insert(owned(place), lease.clone());
        drop(leases);
        self.file.changed();
        Some((lease, open))
    }

    /// Java: `ConsumerOrderInfoManager.commitAndNext`.
    pub(super) fn ack(
        &self,
        place: (&TopicName, &GroupName, QueueId),
        offset: QueueOffset,
        pop_time: Timestamp,
    ) -> (Acked, Option<Lease>) {
        let mut leases = self.leases.lock();
        let Some(lease) = leases.get_mut(&owned(place)) else { return (Acked::Next(offset.after(1)), None) };
        if lease.pop_time != pop_time {
            return (Acked::Stale, None);
        }
        let Some((at, _)) = lease.all().find(|(_, known)| *known == offset.0) else { return (Acked::NotLeased, None) };
        lease.acked |= bit(at);
        let (next, lease) = (lease.next(), lease.clone());
        drop(leases);
        self.file.changed();
        (Acked::Next(next), Some(lease))
    }

    /// Has a message visible again at `at`; `None`: it is not of this lease, and nothing changes.
    pub(super) fn show(
        &self,
        place: (&TopicName, &GroupName, QueueId),
        offset: QueueOffset,
        pop_time: Timestamp,
        at: Timestamp,
    ) -> Option<Lease> {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(&owned(place)).filter(|lease| lease.pop_time == pop_time)?;
        // Others are not looked at, and must not pile up.
        lease.all().find(|(_, known)| *known == offset.0)?;
        lease.visible_at.get_or_insert_default().insert(offset.0, at.0);
        let lease = lease.clone();
        drop(leases);
        self.file.changed();
        Some(lease)
    }

    /// An administrator has put the group elsewhere.
    pub(super) fn clear(&self, place: (&TopicName, &GroupName, QueueId)) {
        if self.leases.lock().remove(&owned(place)).is_some() {
            self.file.changed();
        }
    }

    /// Takes a change from the revive log.
    pub(super) fn restore(&self, change: &Change) {
        let place = (change.topic.clone(), change.group.clone(), change.queue);
        self.leases.lock().insert(place, change.lease.clone());
        self.file.changed();
    }

    /// Forgets leases of what is no more, and those that are over for long. Java: `autoClean`.
    pub(super) fn forget(&self, now: Timestamp, is_there: impl Fn(&TopicName, &GroupName, QueueId) -> bool) {
        let mut leases = self.leases.lock();
        let before = leases.len();
        leases.retain(|(topic, group, queue), lease| {
            is_there(topic, group, *queue) && now.0.saturating_sub(lease.leased_at.0) <= FORGET_AFTER_MS
        });
        if leases.len() < before {
            self.file.changed();
        }
    }
}

/// A pop brings fewer messages than there are bits; what a file says may not.
fn bit(at: usize) -> u64 {
    u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0)
}

fn owned((topic, group, queue): (&TopicName, &GroupName, QueueId)) -> Place {
    (topic.clone(), group.clone(), queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS_MS: i64 = 1000;

    struct Fixture {
        book: Book,
        folder: tempfile::TempDir,
        topic: TopicName,
        group: GroupName,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { book: Book::load(&folder.path().into()).unwrap(), folder, topic: "T".into(), group: "g".into() }
        }

        fn place(&self) -> (&TopicName, &GroupName, QueueId) {
            (&self.topic, &self.group, QueueId(2))
        }

        fn lease(&self, attempt: Option<&str>, at: i64, offsets: &[i64]) -> String {
            self.lease_open(attempt, at, offsets).expect("not all are acknowledged").0
        }

        /// Also what is to be handed out.
        fn lease_open(&self, attempt: Option<&str>, at: i64, offsets: &[i64]) -> Option<(String, Vec<i64>)> {
            let terms = Terms { attempt, pop_time: Timestamp(at), invisible_ms: LASTS_MS };
            let offsets: Vec<_> = offsets.iter().map(|offset| QueueOffset(*offset)).collect();
            let mut info = String::new();
            let next = offsets.last().unwrap().after(1);
            let (_, open) = self.book.lease(self.place(), &terms, &offsets, next, &mut info)?;
            Some((info, open.iter().map(|offset| offset.0).collect()))
        }

        fn ack(&self, offset: i64, pop_time: i64) -> Acked {
            self.book.ack(self.place(), QueueOffset(offset), Timestamp(pop_time)).0
        }

        fn blocked(&self, attempt: Option<&str>, now: i64) -> bool {
            self.book.blocked_until(attempt, self.place(), LASTS_MS, Timestamp(now)).is_some()
        }
    }

    #[test]
    fn a_queue_is_blocked_until_all_is_acknowledged() {
        let fixture = Fixture::new();
        assert!(!fixture.blocked(None, 0));
        assert_eq!(fixture.lease(Some("a"), 100, &[5, 7]), "0 2 0");
        assert!(fixture.blocked(None, 200) && fixture.blocked(Some("b"), 200) && !fixture.blocked(Some("a"), 200));
        assert_eq!(fixture.ack(7, 100), Acked::Next(QueueOffset(5)));
        assert!(fixture.blocked(None, 200));
        assert_eq!((fixture.ack(6, 100), fixture.ack(5, 99)), (Acked::NotLeased, Acked::Stale));
        assert_eq!(fixture.ack(5, 100), Acked::Next(QueueOffset(8)));
        assert!(!fixture.blocked(None, 200));
    }

    #[test]
    fn a_lease_that_ends_is_given_again_and_counted() {
        let fixture = Fixture::new();
        fixture.lease(None, 100, &[5, 6]);
        assert!(fixture.blocked(None, 1099) && !fixture.blocked(None, 1100));
        assert_eq!(fixture.lease(None, 1100, &[5, 6, 7]), "0 qo2%5 1;0 qo2%6 1;0 2 0");
        assert_eq!(fixture.lease(None, 2200, &[5, 6]), "0 qo2%5 2;0 qo2%6 2;0 2 2");
    }

    #[test]
    fn a_message_can_be_hidden_longer_or_shorter() {
        let fixture = Fixture::new();
        fixture.lease(None, 100, &[5, 6]);
        let show = |offset, pop_time, at| {
            fixture.book.show(fixture.place(), QueueOffset(offset), Timestamp(pop_time), Timestamp(at)).is_some()
        };
        assert!(show(5, 100, 5000) && !show(5, 99, 1) && !show(9, 100, 1));
        assert!(fixture.blocked(None, 4999) && !fixture.blocked(None, 5000));
        assert!(show(5, 100, 200) && show(6, 100, 300));
        assert!(fixture.blocked(None, 299) && !fixture.blocked(None, 300));
    }

    #[test]
    fn what_was_acknowledged_ahead_is_not_handed_out_again() {
        let fixture = Fixture::new();
        fixture.lease(None, 100, &[5, 6, 7]);
        fixture.ack(6, 100);
        fixture.ack(7, 100);
        assert_eq!(fixture.lease_open(None, 2000, &[5, 6]).unwrap().1, [5]);
        assert_eq!(fixture.ack(5, 2000), Acked::Next(QueueOffset(7)));
        assert_eq!(fixture.lease_open(None, 3000, &[5, 6, 7]), None);
        assert_eq!(fixture.lease_open(None, 3000, &[7, 8]).unwrap().1, [8]);
        assert_eq!(fixture.ack(8, 3000), Acked::Next(QueueOffset(9)));
    }

    #[test]
    fn the_book_is_kept_in_javas_file() {
        let fixture = Fixture::new();
        fixture.lease(Some("x"), 100, &[5, 7]);
        fixture.ack(5, 100);
        fixture.book.save().unwrap();
        let text = std::fs::read_to_string(fixture.folder.path().join("consumerOrderInfo.json")).unwrap();
        let expect = r#"{"table":{"T@g":{2:{"a":"x","cm":1,"i":1000,"l":100,"o":[5,2],"oc":{},"popTime":100}}}}"#;
        assert_eq!(text.replace(['\n', '\t', ' '], "").replace("\"2\"", "2"), expect);
        let again = Book::load(&fixture.folder.path().into()).unwrap();
        assert_eq!(*again.leases.lock(), *fixture.book.leases.lock());
        again.forget(Timestamp(200), |topic, _, queue| topic == "T" && queue == QueueId(2));
        assert_eq!(again.leases.lock().len(), 1);
        again.forget(Timestamp(200), |_, _, _| false);
        assert_eq!(again.leases.lock().len(), 0);
    }
}
