//! One message. Java: `SendMessageProcessor.sendMessage`.

use std::borrow::Cow;
use std::sync::Arc;

use remoting::body::TopicConfig;
use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::protocol::send::SendMessage;
use remoting::types::{GroupName, QueueId, TopicName};
use remoting::version::Version;
use store::message::properties::name;
use store::message::{Message, sys_flag};

use super::Sends;
use super::checks::takes_inner_batches;
use super::desk::{Desk, Taken};
use super::error::SendError;
use super::properties::{self, Detour, Found, Priority};
use crate::delay::{self, Until};
use crate::topic::{CLEANUP_POLICY, validate};
use crate::transaction;

/// Names longer than this are for retry topics only.
const TOPIC_BYTES_MAX: usize = 127;

/// Where a message goes first.
enum Course {
    /// To its own topic.
    Direct,
    Waits {
        until: Until,
    },
    /// It is part of a transaction.
    Half,
}

impl Sends {
    /// Puts the message into the batch.
    pub(super) fn take_single(
        &self,
        desk: &mut Desk,
        command: &RemotingCommand,
        send: &SendMessage,
        topic: &Arc<TopicConfig>,
        peer: &Peer,
    ) -> Result<(), SendError> {
        let mut answered_queue = self.check_queue(send, topic, peer)?;
        if takes_inner_batches(topic) {
            return Err(SendError::QueueType { topic: send.topic.clone() });
        }
        let mut text = Cow::Borrowed(send.properties.as_deref().unwrap_or(""));
        let mut topic = Arc::clone(topic);
        let mut queue_id = answered_queue;
        if let Some(dead_letters) = self.dead_letters_for(send, command.version)? {
            // Dead letters do not wait.
            text = Cow::Owned(store::message::properties::set(&text, name::DELAY_TIME_LEVEL, "-1"));
            topic = dead_letters;
            queue_id = QueueId(0);
        }
        let found = Found::in_text(&text);
        let stray = found.priority() == Priority::Stray;
        let cleaned = stray.then(|| store::message::properties::remove(&text, name::PRIORITY));
        let (text, found) = match &cleaned {
            Some(cleaned) => (cleaned.as_str(), Found::in_text(cleaned)),
            None => (&*text, found),
        };
        if let Priority::Of(priority) = found.priority() {
            queue_id = QueueId(priority.min(topic.write_queue_nums - 1));
            answered_queue = queue_id;
        }
        let body_bytes_max = desk.stamp.settings.max_message_size;
        let course = self.check_message(desk, send, &topic, &found)?;
        desk.check_copies(&found)?;

        let made_key = found.unique_key.is_none().then(|| self.unique_keys.next());
        let unique_key = made_key.as_deref().or(found.unique_key);
        let mut properties = std::mem::take(&mut desk.properties);
        desk.stamp.additions.compose(&mut properties, text, &found);
        if let Some(key) = &made_key {
            properties::push(&mut properties, name::UNIQ_KEY, key);
        }
        let mut stored_topic: &TopicName = &topic.topic_name;
        let mut recall_handle = None;
        match course {
            Course::Direct => {}
            Course::Waits { until } => {
                let detour = Detour { until, real_topic: stored_topic, real_queue: queue_id };
                recall_handle = self.recall_handle(until, stored_topic, unique_key);
                (stored_topic, queue_id, properties) = detour.apply(&properties);
            }
            Course::Half => {
                let key = unique_key.unwrap_or_default();
                properties = properties::prepared(&properties, key, stored_topic, queue_id);
                stored_topic = transaction::half_topic();
                queue_id = transaction::QUEUE;
            }
        }
        let before = desk.batch.bytes();
        let pushed = desk.batch.push(&Message {
            topic: stored_topic,
            queue_id,
            flag: send.flag,
            sys_flag: flags_of(send, &found) | filter_flag(&topic),
            born_timestamp: send.born_timestamp,
            born_host: peer.remote(),
            store_host: self.ctx.identity.host,
            reconsume_times: send.reconsume_times.unwrap_or(0),
            prepared_transaction_offset: 0,
            body: &command.body,
            properties: &properties,
        });
        desk.properties = properties;
        pushed.map_err(|err| SendError::illegal(err, body_bytes_max))?;
        desk.taken(
            ReplyTo::of(command),
            &Taken {
                messages: 1,
                inner_batch: false,
                bytes: desk.batch.bytes() - before,
                topic: stored_topic,
                queue_id,
                answered_queue,
                unique_key,
                recall_handle: recall_handle.as_deref(),
                waits_for_nobody: found.waits_for_nobody,
            },
        );
        Ok(())
    }

    /// By which the producer may cancel a timed message. Java: `SendMessageProcessor.attachRecallHandle`.
    fn recall_handle(&self, until: Until, topic: &str, unique_key: Option<&str>) -> Option<String> {
        let Until::Slot(begin) = until else { return None };
        let unique_key = unique_key.filter(|_| !topic.starts_with(validate::RETRY_PREFIX))?;
        Some(delay::recall_handle(topic, &self.ctx.identity.name, begin, unique_key))
    }

    /// The dead-letter topic of the group whose retry topic this is sent to, if its messages go there from now on.
    ///
    /// Java: `SendMessageProcessor.handleRetryAndDLQ`.
    fn dead_letters_for(&self, send: &SendMessage, version: Version) -> Result<Option<Arc<TopicConfig>>, SendError> {
        let Some(group) = send.topic.strip_prefix(validate::RETRY_PREFIX) else { return Ok(None) };
        let config = self.groups.find(group).ok_or_else(|| SendError::GroupUnknown { group: GroupName::new(group) })?;
        let own_limit = send.max_reconsume_times.filter(|_| version >= Version::V3_4_9);
        let limit = own_limit.unwrap_or(config.retry_max_times);
        let times = send.reconsume_times.unwrap_or(0);
        let ordered = self.locks.held(group);
        if times <= limit && !ordered {
            return Ok(None);
        }
        tracing::info!(group, times, limit, ordered, "message goes to the dead-letter queue");
        Ok(Some(self.topics.create_dead_letter(group)))
    }

    /// Where the message goes first.
    fn check_message(
        &self,
        desk: &Desk,
        send: &SendMessage,
        topic: &TopicConfig,
        found: &Found<'_>,
    ) -> Result<Course, SendError> {
        let body_bytes_max = desk.stamp.settings.max_message_size;
        let keys_missing = found.keys.is_none_or(|keys| keys.trim().is_empty());
        if keys_missing && topic.attributes.get(CLEANUP_POLICY).is_some_and(|policy| policy == "COMPACTION") {
            return Err(SendError::KeyMissing);
        }
        let level = found.delay_level().map_err(|text| SendError::DelayLevel { text: text.to_owned() })?;
        // A message that was part of a transaction once, and now comes again.
        let retried = send.reconsume_times.is_some_and(|times| times > 0);
        let half = found.prepared && !retried;
        let flags = flags_of(send, found);
        // Java stores one that has only the flag where no consumer ever gets it.
        let flagged = flags & sys_flag::TRANSACTION_MASK == sys_flag::TRANSACTION_PREPARED;
        if half && desk.stamp.settings.reject_transaction_message || flagged {
            return Err(SendError::TransactionForbidden { ip: self.ctx.identity.host.ip });
        }
        let name = &topic.topic_name;
        if name.len() > TOPIC_BYTES_MAX && !name.starts_with(validate::RETRY_PREFIX) {
            return Err(SendError::Illegal { body_bytes_max });
        }
        if found.inner_num || send.sys_flag & sys_flag::INNER_BATCH != 0 {
            return Err(SendError::Illegal { body_bytes_max });
        }
        if !sys_flag::takes_queue_offset(flags) {
            return Ok(Course::Direct);
        }
        // Of a half message, too: what could not wait when it is committed would stay in doubt.
        let until = self.waits.until(level, &found.timing)?;
        Ok(match until {
            _ if half => Course::Half,
            Some(until) => Course::Waits { until },
            None => Course::Direct,
        })
    }
}

/// Half messages say that they are such by their topic, and one that comes again is an ordinary message.
fn flags_of(send: &SendMessage, found: &Found<'_>) -> i32 {
    if found.prepared { send.sys_flag & !sys_flag::TRANSACTION_MASK } else { send.sys_flag }
}

pub(super) fn filter_flag(topic: &TopicConfig) -> i32 {
    if topic.topic_filter_type == "MULTI_TAG" { sys_flag::MULTI_TAGS } else { 0 }
}
