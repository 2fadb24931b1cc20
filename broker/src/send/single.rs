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
use super::properties::{self, Detour, Found};
use crate::delay;
use crate::topic::validate;

/// Java: `TopicAttributes.CLEANUP_POLICY_ATTRIBUTE`.
const CLEANUP_POLICY: &str = "cleanup.policy";
/// Names longer than this are for retry topics only.
const TOPIC_BYTES_MAX: usize = 127;

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
        let answered_queue = self.check_queue(send, topic, peer)?;
        if takes_inner_batches(topic) {
            return Err(SendError::QueueType { topic: send.topic.clone() });
        }
        let mut text = Cow::Borrowed(send.properties.as_deref().unwrap_or(""));
        let mut topic = Arc::clone(topic);
        let mut queue_id = answered_queue;
        if let Some(dead_letters) = self.dead_letters_for(send, command.version)? {
            text = Cow::Owned(without_delay(&text));
            topic = dead_letters;
            queue_id = QueueId(0);
        }
        let found = Found::in_text(&text);
        let body_bytes_max = desk.stamp.settings.max_message_size;
        let level = self.check_message(send, &topic, &found, body_bytes_max)?;

        let made_key = found.unique_key.is_none().then(|| self.unique_keys.next());
        let mut properties = std::mem::take(&mut desk.properties);
        desk.stamp.additions.compose(&mut properties, &text, &found);
        if let Some(key) = &made_key {
            properties::push(&mut properties, name::UNIQ_KEY, key);
        }
        let mut stored_topic: &TopicName = &topic.topic_name;
        if level > 0 {
            let level = self.levels.clip(level);
            let detour = Detour { level, real_topic: stored_topic, real_queue: queue_id };
            properties = properties::delayed(&properties, detour);
            stored_topic = delay::schedule_topic();
            queue_id = delay::queue_of(level);
        }
        let before = desk.batch.bytes();
        let pushed = desk.batch.push(&Message {
            topic: stored_topic,
            queue_id,
            flag: send.flag,
            sys_flag: sys_flag_of(send, &topic),
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
                unique_key: made_key.as_deref().or(found.unique_key),
            },
        );
        Ok(())
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

    /// The delay level, 0 or less to store the message for consumers at once.
    fn check_message(
        &self,
        send: &SendMessage,
        topic: &TopicConfig,
        found: &Found<'_>,
        body_bytes_max: usize,
    ) -> Result<i32, SendError> {
        let keys_missing = found.keys.is_none_or(|keys| keys.trim().is_empty());
        if keys_missing && topic.attributes.get(CLEANUP_POLICY).is_some_and(|policy| policy == "COMPACTION") {
            return Err(SendError::KeyMissing);
        }
        let level = found.delay_level().map_err(|text| SendError::DelayLevel { text: text.to_owned() })?;
        let retried = send.reconsume_times.is_some_and(|times| times > 0) && level > 0;
        let prepared = send.sys_flag & sys_flag::TRANSACTION_MASK == sys_flag::TRANSACTION_PREPARED;
        if (found.prepared || prepared) && !retried {
            return Err(SendError::TransactionForbidden { ip: self.ctx.identity.host.ip });
        }
        let name = &topic.topic_name;
        if name.len() > TOPIC_BYTES_MAX && !name.starts_with(validate::RETRY_PREFIX) {
            return Err(SendError::Illegal { body_bytes_max });
        }
        if found.inner_num || send.sys_flag & sys_flag::INNER_BATCH != 0 {
            return Err(SendError::Illegal { body_bytes_max });
        }
        if !sys_flag::takes_queue_offset(send.sys_flag) {
            return Ok(0);
        }
        if found.timed && level <= 0 {
            return Err(SendError::TimerNotEnabled);
        }
        Ok(level)
    }
}

pub(super) fn sys_flag_of(send: &SendMessage, topic: &TopicConfig) -> i32 {
    if topic.topic_filter_type == "MULTI_TAG" { send.sys_flag | sys_flag::MULTI_TAGS } else { send.sys_flag }
}

/// Dead letters do not wait.
fn without_delay(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 10);
    properties::extend_without(&mut out, text, &[name::DELAY_TIME_LEVEL]);
    properties::push(&mut out, name::DELAY_TIME_LEVEL, "-1");
    out
}
