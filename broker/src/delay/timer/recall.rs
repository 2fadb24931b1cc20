//! `RECALL_MESSAGE`: a producer takes back a timed message, by the handle that the answer to its send had.
//!
//! The handle names topic, broker, slot and unique key. Recalling stores a message that cancels: it waits in the same slot, and
//! when that is read the other one is not delivered. Whether there is such a message is not looked up, as with Java: recalling
//! twice, or one that was delivered, succeeds.
//!
//! Java: `RecallMessageProcessor`, `RecallMessageHandle`.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use remoting::body::TopicConfig;
use remoting::protocol::timer::{RecallMessage, RecallMessageReply};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{QueueId, Timestamp, TopicName};
use store::message::Message;
use store::message::properties::{Builder, name};
use thiserror::Error;

use super::timing;
use crate::context::{Context, Role};
use crate::send::{PutError, Writer};
use crate::topic::TopicTable;

const VERSION: &str = "v1";
/// Java: `RecallMessageProcessor.RECALL_MESSAGE_TAG`.
const RECALL_TAG: &str = "_RECALL_TAG_";
/// Java: `MessageConst.PROPERTY_BORN_TIMESTAMP`.
const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Takes messages back from producers.
pub(crate) struct Recalls {
    ctx: Context,
    topics: Arc<TopicTable>,
    writer: Arc<Writer>,
}

/// Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum RecallError {
    #[error("recall failed, operation is forbidden")]
    Forbidden,
    #[error("recall failed, broker service not available")]
    Slave,
    /// It does not take sends yet, or no more.
    #[error("recall failed, broker service not available")]
    NotServing,
    #[error("recall failed, the topic[{0}] not exist")]
    TopicUnknown(TopicName),
    #[error("recall handle is invalid")]
    Handle,
    #[error("recall failed, topic not match")]
    OtherTopic,
    #[error("recall failed, broker service not available")]
    OtherBroker,
    #[error("recall failed, timestamp invalid")]
    Time,
    #[error("recall failed, execute error")]
    Put(#[from] PutError),
}

pub(crate) fn routes(recalls: &Arc<Recalls>, router: &mut Router) {
    router.on::<RecallMessage>(recalls);
}

impl Recalls {
    pub(crate) fn new(ctx: Context, topics: Arc<TopicTable>, writer: Arc<Writer>) -> Arc<Self> {
        Arc::new(Self { ctx, topics, writer })
    }

    fn check(&self, topic: &TopicName) -> Result<(), RecallError> {
        let settings = self.ctx.settings();
        if !settings.recall_message_enable {
            return Err(RecallError::Forbidden);
        }
        if *self.ctx.role.borrow() != Role::Master {
            return Err(RecallError::Slave);
        }
        let writable = settings.broker_permission & TopicConfig::WRITE != 0;
        let serving = self.ctx.clock.now() >= settings.start_accept_send_request_time_stamp;
        if !serving || !(writable || settings.allow_recall_when_broker_not_writeable) {
            return Err(RecallError::NotServing);
        }
        if self.topics.get(topic).is_none() {
            return Err(RecallError::TopicUnknown(topic.clone()));
        }
        Ok(())
    }
}

impl Handle<RecallMessage> for Recalls {
    type Error = RecallError;

    async fn handle(&self, call: Call<RecallMessage>) -> Result<Reply<RecallMessageReply>, RecallError> {
        let RecallMessage { producer_group, topic, recall_handle } = call.header;
        self.check(&topic)?;
        let handle = RecallHandle::decode(&recall_handle).ok_or(RecallError::Handle)?;
        if handle.topic != *topic {
            return Err(RecallError::OtherTopic);
        }
        if handle.broker != *self.ctx.identity.name {
            return Err(RecallError::OtherBroker);
        }
        let now = self.ctx.clock.now();
        let ahead = handle.time.saturating_sub(now.0);
        if ahead <= 0 || ahead >= self.ctx.settings().timer_max_delay_sec.saturating_mul(1000) {
            return Err(RecallError::Time);
        }
        let key = match self.ctx.settings().append_topic_for_timer_delete_key {
            true => format!("{topic}+{}", handle.unique_key),
            false => handle.unique_key.clone(),
        };
        let mut properties = Builder::new();
        properties
            .push(name::TAGS, RECALL_TAG)
            .push(timing::CANCEL_KEY, &key)
            .push(name::UNIQ_KEY, &handle.unique_key)
            .push(timing::DELIVER_MS, &handle.time.to_string())
            .push(BORN_TIMESTAMP, &now.to_string());
        if let Some(group) = producer_group.filter(|group| !group.is_empty()) {
            properties.push(name::PRODUCER_GROUP, &group);
        }
        let properties = properties.finish();
        let message = Message {
            properties: &properties,
            born_timestamp: now,
            born_host: call.peer.remote(),
            ..Message::new(&topic, QueueId(0), b"0", self.ctx.identity.host)
        };
        match self.writer.put(&message, 0).await {
            Ok(_) => Ok(RecallMessageReply { msg_id: handle.unique_key }.into()),
            Err(err) if err.is_stored() => Ok(RecallMessageReply { msg_id: handle.unique_key }.into()),
            Err(err) => Err(err.into()),
        }
    }
}

/// What a handle says.
#[derive(Debug, PartialEq, Eq)]
struct RecallHandle {
    topic: String,
    broker: String,
    /// One millisecond behind the begin of the message's slot.
    time: i64,
    unique_key: String,
}

impl RecallHandle {
    /// `None`: it is none. Java: `RecallMessageHandle.decodeHandle`.
    fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut items = text.split(' ');
        let mut next = || items.next().map(str::to_owned);
        if next()? != VERSION {
            return None;
        }
        let (topic, broker, time, unique_key) = (next()?, next()?, next()?, next()?);
        // Java takes a time that is no number for one in the past.
        Some(Self { topic, broker, time: time.parse().unwrap_or(-1), unique_key })
    }
}

/// The handle of a message that waits in the slot beginning at `slot_begin`. Java: `HandleV1.buildHandle`.
pub(crate) fn handle_of(topic: &str, broker: &str, slot_begin: Timestamp, unique_key: &str) -> String {
    BASE64.encode(format!("{VERSION} {topic} {broker} {} {unique_key}", slot_begin.0 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_javas_form() {
        let handle = handle_of("T", "broker-a", Timestamp(1_795_255_402_000), "7F00");
        assert_eq!(handle, "djEgVCBicm9rZXItYSAxNzk1MjU1NDAyMDAxIDdGMDA=");
        let decoded = RecallHandle {
            topic: "T".to_owned(),
            broker: "broker-a".to_owned(),
            time: 1_795_255_402_001,
            unique_key: "7F00".to_owned(),
        };
        assert_eq!(RecallHandle::decode(&handle).as_ref(), Some(&decoded));
        assert_eq!(RecallHandle::decode(handle.trim_end_matches('=')).as_ref(), Some(&decoded), "without padding");
    }

    #[test]
    fn what_is_no_handle_is_told_apart() {
        for text in ["", "v1 T b 5 k", "%%%"] {
            assert_eq!(RecallHandle::decode(text), None, "{text}");
        }
        for text in ["v2 T b 5 k", "v1 T b 5", "", "v1"] {
            assert_eq!(RecallHandle::decode(&BASE64.encode(text)), None, "{text}");
        }
        let later = RecallHandle::decode(&BASE64.encode("v1 T b soon k more"));
        assert_eq!(later.map(|handle| (handle.time, handle.unique_key)), Some((-1, "k".to_owned())));
    }
}
