//! What the revive log holds: check points, which say what was leased, and acknowledgements.
//!
//! Both are messages that the timer delivers to a queue of the revive log: a check point a second before its lease ends,
//! an acknowledgement when it ends. So that log is in the order in which leases end, and whoever works it off needs to
//! remember no more than the leases of a few seconds. JSON with Java's short names.
//!
//! Java: `PopCheckPoint`, `AckMsg`, `BatchAckMsg`, `PopMessageProcessor.buildCkMsg`.

use remoting::types::{BrokerName, GroupName, Host, QueueId, QueueOffset, Timestamp, TopicName};
use serde::{Deserialize, Serialize};
use store::message::Message;
use store::message::properties::{Builder, name};
use store::{AppendBatch, IllegalMessage};

use super::order::{Change, TAG_ORDER};
use crate::context::Identity;
use crate::delay::{timer_topic, timing};
use crate::topic::OwnTopics;

pub(super) const TAG_CHECK_POINT: &str = "ck";
pub(super) const TAG_ACK: &str = "ack";
pub(super) const TAG_BATCH_ACK: &str = "bAck";

/// How much earlier than its acknowledgements a check point is in the log. Java: `PopAckConstants.ackTimeInterval`.
const LEAD_MS: i64 = 1000;

/// Messages of one queue, leased together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CheckPoint {
    /// Bits of acknowledged messages; the log's own are 0.
    #[serde(rename = "bm")]
    pub(super) acked: u32,
    #[serde(rename = "bn")]
    pub(super) broker: BrokerName,
    #[serde(rename = "c")]
    pub(super) group: GroupName,
    /// Distance of each message from the start.
    #[serde(rename = "d")]
    pub(super) distances: Vec<i32>,
    #[serde(rename = "it")]
    pub(super) invisible_ms: i64,
    #[serde(rename = "n")]
    pub(super) count: i8,
    #[serde(rename = "pt")]
    pub(super) pop_time: Timestamp,
    #[serde(rename = "q")]
    pub(super) queue: QueueId,
    /// Java writes the end of the lease as well, and its place in the revive log, once known.
    #[serde(rename = "reviveTime", skip_deserializing)]
    pub(super) revive_time: i64,
    #[serde(rename = "ro")]
    pub(super) revive_offset: i64,
    #[serde(rename = "so")]
    pub(super) start: QueueOffset,
    /// Put off, not failed: the attempt is not counted.
    #[serde(rename = "sp")]
    pub(super) suspend: bool,
    #[serde(rename = "t")]
    pub(super) topic: TopicName,
}

impl CheckPoint {
    /// `offsets` are at most as many as one pop brings.
    pub(super) fn new(
        broker: BrokerName,
        (topic, group, queue): (TopicName, GroupName, QueueId),
        pop_time: Timestamp,
        invisible_ms: i64,
        start: QueueOffset,
        offsets: &[QueueOffset],
    ) -> Self {
        Self {
            broker,
            group,
            distances: offsets.iter().map(|offset| (offset.0 - start.0) as i32).collect(),
            invisible_ms,
            count: offsets.len() as i8,
            pop_time,
            queue,
            revive_time: pop_time.0.saturating_add(invisible_ms),
            start,
            topic,
            ..Self::default()
        }
    }

    /// When the lease ends.
    pub(super) fn ends(&self) -> Timestamp {
        Timestamp(self.pop_time.0.saturating_add(self.invisible_ms))
    }

    pub(super) fn offsets(&self) -> Vec<QueueOffset> {
        if self.distances.is_empty() {
            // Of an older Java: neighbours.
            return (0..self.count).map(|at| QueueOffset(self.start.0 + i64::from(at))).collect();
        }
        self.distances.iter().map(|distance| QueueOffset(self.start.0 + i64::from(*distance))).collect()
    }

    /// One behind the last message.
    pub(super) fn next(&self) -> QueueOffset {
        self.offsets().last().map_or(self.start, |last| last.after(1))
    }

    fn key(&self) -> String {
        self.key_of(self.start, TAG_CHECK_POINT)
    }

    /// [`Ack::key`] of the record that acknowledges `offset`.
    pub(super) fn ack_key(&self, offset: QueueOffset) -> String {
        self.key_of(offset, TAG_ACK)
    }

    fn key_of(&self, offset: QueueOffset, tag: &str) -> String {
        key((&self.topic, &self.group, self.queue), offset, self.pop_time, &self.broker, tag)
    }
}

/// Messages of a lease that were consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ack {
    #[serde(rename = "ao", alias = "ackOffset")]
    pub(super) offset: QueueOffset,
    /// Of a batch; `None`: of one message.
    #[serde(rename = "aol", alias = "ackOffsetList", skip_serializing_if = "Option::is_none")]
    pub(super) offsets: Option<Vec<QueueOffset>>,
    #[serde(rename = "bn", alias = "brokerName")]
    pub(super) broker: BrokerName,
    #[serde(rename = "c", alias = "consumerGroup")]
    pub(super) group: GroupName,
    #[serde(rename = "pt", alias = "popTime")]
    pub(super) pop_time: Timestamp,
    #[serde(rename = "q", alias = "queueId")]
    pub(super) queue: QueueId,
    #[serde(rename = "so", alias = "startOffset")]
    pub(super) start: QueueOffset,
    #[serde(rename = "t", alias = "topic")]
    pub(super) topic: TopicName,
}

impl Ack {
    pub(super) fn offsets(&self) -> &[QueueOffset] {
        self.offsets.as_deref().unwrap_or(std::slice::from_ref(&self.offset))
    }

    fn key(&self) -> String {
        key((&self.topic, &self.group, self.queue), self.offset, self.pop_time, &self.broker, TAG_ACK)
    }
}

/// Where records go.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) revive: TopicName,
    host: Host,
    /// What a slot of the timer stands for.
    slot_ms: i64,
}

impl Desk {
    pub(super) fn new(identity: &Identity, slot_ms: i64) -> Self {
        Self { revive: OwnTopics::of(identity).revive, host: identity.host, slot_ms }
    }

    /// # Errors
    /// It is too large to be stored.
    pub(super) fn lease(
        &self,
        batch: &mut AppendBatch,
        check_point: &CheckPoint,
        revive_queue: i32,
        now: Timestamp,
    ) -> Result<(), IllegalMessage> {
        let body = serde_json::to_vec(check_point).expect("a check point is made of names and numbers");
        let due = Timestamp(check_point.ends().0.saturating_sub(LEAD_MS));
        self.put(batch, (TAG_CHECK_POINT, &check_point.key()), &body, revive_queue, due, now)
    }

    /// `due`: when the lease ends.
    ///
    /// # Errors
    /// It is too large to be stored.
    pub(super) fn ack(
        &self,
        batch: &mut AppendBatch,
        ack: &Ack,
        revive_queue: i32,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<(), IllegalMessage> {
        let body = serde_json::to_vec(ack).expect("an acknowledgement is made of names and numbers");
        let tag = if ack.offsets.is_some() { TAG_BATCH_ACK } else { TAG_ACK };
        self.put(batch, (tag, &ack.key()), &body, revive_queue, due, now)
    }

    /// A change of the book of ordered pops, which the revive log has at once and nobody revives.
    ///
    /// # Errors
    /// It is too large to be stored.
    pub(super) fn change(
        &self,
        batch: &mut AppendBatch,
        change: &Change,
        revive_queue: i32,
        now: Timestamp,
    ) -> Result<(), IllegalMessage> {
        let body = serde_json::to_vec(change).expect("a change is made of names and numbers");
        let mut properties = Builder::new();
        properties.push(name::TAGS, TAG_ORDER);
        let (queue, properties) = (QueueId(revive_queue), properties.finish());
        let message = Message::new(&self.revive, queue, &body, self.host);
        batch.push(&Message { born_timestamp: now, properties: &properties, ..message })
    }

    /// By way of the timer, unless it is due already.
    fn put(
        &self,
        batch: &mut AppendBatch,
        (tag, key): (&str, &str),
        body: &[u8],
        revive_queue: i32,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<(), IllegalMessage> {
        let deliver = due.0.to_string();
        let mut properties = Builder::with_capacity(key.len() + self.revive.len() + 128);
        properties.push(name::TAGS, tag).push(timing::DELIVER_MS, &deliver).push(name::UNIQ_KEY, key);
        let timed = due > now;
        if timed {
            properties.push(timing::OUT_MS, &timing::slot_begin(due, self.slot_ms).to_string());
            properties.push(name::REAL_TOPIC, &self.revive).push(name::REAL_QUEUE_ID, &revive_queue.to_string());
        }
        let properties = properties.finish();
        let (topic, queue) = if timed { (timer_topic(), QueueId(0)) } else { (&self.revive, QueueId(revive_queue)) };
        let message =
            Message { born_timestamp: now, properties: &properties, ..Message::new(topic, queue, body, self.host) };
        batch.push(&message)
    }
}

/// What a record is found by, beside the messages of its lease. `offset`: a check point's start, or that of the message that
/// is acknowledged; batches have -1.
fn key(
    (topic, group, queue): (&TopicName, &GroupName, QueueId),
    offset: QueueOffset,
    pop_time: Timestamp,
    broker: &BrokerName,
    tag: &str,
) -> String {
    format!("{topic}@{queue}@{offset}@{group}@{}@{broker}@{tag}", pop_time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_point() -> CheckPoint {
        let place = ("T".into(), "g".into(), QueueId(3));
        let offsets = [QueueOffset(10), QueueOffset(12)];
        CheckPoint::new("broker-a".into(), place, Timestamp(5), 60_000, QueueOffset(10), &offsets)
    }

    #[test]
    fn a_check_point_is_written_as_java_writes_it() {
        let text = serde_json::to_string(&check_point()).unwrap();
        let expect = r#"{"bm":0,"bn":"broker-a","c":"g","d":[0,2],"it":60000,"n":2,"pt":5,"q":3,"reviveTime":60005,"ro":0,"so":10,"sp":false,"t":"T"}"#;
        assert_eq!(text, expect);
        let read: CheckPoint = serde_json::from_str(&text).unwrap();
        assert_eq!((read.ends(), read.offsets()), (Timestamp(60_005), vec![QueueOffset(10), QueueOffset(12)]));
        assert_eq!(read.next(), QueueOffset(13));
        assert_eq!(read.key(), "T@3@10@g@5@broker-a@ck");
    }

    #[test]
    fn a_check_point_of_an_older_java_leases_neighbours() {
        let old: CheckPoint = serde_json::from_str(r#"{"so":10,"n":3,"t":"T","c":"g","pt":1,"it":2}"#).unwrap();
        assert_eq!(old.offsets(), [QueueOffset(10), QueueOffset(11), QueueOffset(12)]);
    }

    #[test]
    fn acknowledgements_are_written_as_java_writes_them() {
        let one = Ack {
            offset: QueueOffset(12),
            offsets: None,
            broker: "broker-a".into(),
            group: "g".into(),
            pop_time: Timestamp(5),
            queue: QueueId(3),
            start: QueueOffset(10),
            topic: "T".into(),
        };
        let text = r#"{"ao":12,"bn":"broker-a","c":"g","pt":5,"q":3,"so":10,"t":"T"}"#;
        assert_eq!(serde_json::to_string(&one).unwrap(), text);
        assert_eq!(one.key(), "T@3@12@g@5@broker-a@ack");
        assert_eq!(check_point().ack_key(QueueOffset(12)), one.key());
        let many =
            Ack { offset: QueueOffset(-1), offsets: Some(vec![QueueOffset(10), QueueOffset(12)]), ..one.clone() };
        let text = r#"{"ao":-1,"aol":[10,12],"bn":"broker-a","c":"g","pt":5,"q":3,"so":10,"t":"T"}"#;
        assert_eq!(serde_json::to_string(&many).unwrap(), text);
        assert_eq!(serde_json::from_str::<Ack>(text).unwrap().offsets(), [QueueOffset(10), QueueOffset(12)]);
        assert_eq!(one.offsets(), [QueueOffset(12)]);
    }
}
