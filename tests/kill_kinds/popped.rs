//! POP: what was acknowledged never comes again, everything else does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::protocol::pop::{AckMessage, PopMessage, PopMessageReply};
use remoting::types::{QueueId, QueueOffset, TopicName};
use store::message::StoredMessage;

use super::common::client;
use super::field::{ANSWER_MAX, send_to};
use super::number_of;

pub(crate) const TOPIC: &str = "popped";
const GROUP: &str = "poppers";
pub(crate) const LASTS: Duration = Duration::from_millis(1500);

/// Which messages a consumer acknowledges the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    OfEvenNumbers,
    OfAll,
}

#[derive(Default)]
pub(crate) struct Popped(Mutex<Known>);

#[derive(Default)]
struct Known {
    next_number: u64,
    stored: HashSet<u64>,
    /// The acknowledgement was confirmed in time.
    acknowledged: HashSet<u64>,
    /// It was sent, and may have arrived.
    unsure: HashSet<u64>,
}

impl Popped {
    /// Sends until the broker is gone.
    pub(crate) async fn send(self: Arc<Self>, addr: String) {
        let client = client();
        loop {
            let number = {
                let mut known = self.0.lock();
                known.next_number += 1;
                known.next_number
            };
            let header = send_to(TOPIC, format!("UNIQ_KEY\u{1}p{number}\u{2}"));
            let Ok(answer) = client.call(&addr, &header, number.to_string().into(), ANSWER_MAX).await else { return };
            assert_eq!(answer.code(), ResponseCode::SUCCESS, "{answer:?}");
            self.0.lock().stored.insert(number);
        }
    }

    /// Pops and acknowledges until the broker is gone.
    pub(crate) async fn consume(self: Arc<Self>, addr: String, acks: Acks) {
        let client = client();
        while self.pop(&client, &addr, acks).await {}
    }

    /// False: the broker did not answer.
    async fn pop(&self, client: &Client, addr: &str, acks: Acks) -> bool {
        let begun = Instant::now();
        let Ok(answer) = client.call(addr, &pop(), Bytes::new(), ANSWER_MAX).await else { return false };
        if answer.code() != ResponseCode::SUCCESS {
            assert_eq!(answer.code(), ResponseCode::POLLING_TIMEOUT, "{answer:?}");
            return true;
        }
        let body = answer.0.body.clone();
        let (reply, _) = answer.success::<PopMessageReply>().expect("a reply");
        for message in messages(&reply, &body) {
            assert!(!self.0.lock().acknowledged.contains(&message.number), "{message:?} was acknowledged");
            if acks == Acks::OfEvenNumbers && !message.again && !message.number.is_multiple_of(2) {
                continue;
            }
            self.0.lock().unsure.insert(message.number);
            let ack = AckMessage {
                consumer_group: GROUP.into(),
                topic: message.topic,
                queue_id: QueueId(0),
                extra_info: message.handle,
                offset: message.offset,
            };
            let Ok(answer) = client.call(addr, &ack, Bytes::new(), ANSWER_MAX).await else { return false };
            assert_eq!(answer.code(), ResponseCode::SUCCESS, "{answer:?}");
            // Later, it may have been on its way to come again.
            if begun.elapsed() < LASTS {
                self.0.lock().acknowledged.insert(message.number);
            }
        }
        true
    }

    /// How many were stored, and nobody tried to acknowledge them.
    pub(crate) fn open(&self) -> usize {
        let known = self.0.lock();
        known.stored.difference(&known.unsure).count()
    }

    pub(crate) fn check(&self) {
        assert_eq!(self.open(), 0);
        let known = self.0.lock();
        let odd = known.acknowledged.iter().filter(|number| !number.is_multiple_of(2)).count();
        assert!(odd > 10, "{odd} messages came again of {}", known.acknowledged.len());
    }
}

fn pop() -> PopMessage {
    PopMessage {
        consumer_group: GROUP.into(),
        topic: TOPIC.into(),
        queue_id: QueueId(-1),
        max_msg_nums: 16,
        invisible_time: LASTS.as_millis() as i64,
        poll_time: 500,
        born_time: None,
        init_mode: 0,
        expression_type: Some("TAG".to_owned()),
        expression: Some("*".to_owned()),
        order: Some(false),
        attempt_id: None,
    }
}

#[derive(Debug)]
struct Message {
    number: u64,
    /// It came before.
    again: bool,
    topic: TopicName,
    offset: QueueOffset,
    handle: String,
}

/// The messages of an answer, as a client takes it apart: each with what it is acknowledged by.
fn messages(reply: &PopMessageReply, mut body: &[u8]) -> Vec<Message> {
    let items = |info: &Option<String>| -> Vec<[String; 3]> {
        let items = info.as_deref().unwrap_or_default().split(';').filter(|item| !item.is_empty());
        items
            .map(|item| item.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().expect("three words"))
            .collect()
    };
    let starts: HashMap<String, String> =
        items(&reply.start_offset_info).into_iter().map(|[kind, _, start]| (kind, start)).collect();
    let mut messages = Vec::new();
    for [kind, queue, offsets] in items(&reply.msg_offset_info) {
        for offset in offsets.split(',') {
            let message = StoredMessage::parse(body).expect("as many messages as offsets");
            body = &body[message.size..];
            let (start, popped, lasts) = (&starts[&kind], reply.pop_time.0, reply.invisible_time);
            let revive = reply.revive_queue;
            let again = kind != "0";
            let topic = if again { format!("%RETRY%{GROUP}_{TOPIC}") } else { TOPIC.to_owned() };
            messages.push(Message {
                number: number_of(message.body),
                again,
                topic: topic.into(),
                offset: QueueOffset(offset.parse().expect("an offset")),
                handle: format!("{start} {popped} {lasts} {revive} {kind} victim {queue} {offset}"),
            });
        }
    }
    messages
}
