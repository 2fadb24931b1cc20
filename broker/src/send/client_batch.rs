//! Several messages of one topic in one request. Java: `SendMessageProcessor.sendBatchMessage`, `CommitLog.asyncPutMessages`.

use remoting::body::TopicConfig;
use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::protocol::send::SendMessage;
use store::message::{Message, sys_flag};

use super::Sends;
use super::checks::takes_inner_batches;
use super::desk::{Desk, Taken};
use super::error::SendError;
use super::properties::Found;
use super::single::filter_flag;
use crate::topic::validate;

/// The length of a topic is one byte where batches are read. Java: `Byte.MAX_VALUE`.
const TOPIC_CHARS_MAX: usize = 127;

impl Sends {
    /// Puts the messages into the batch, each with its own properties; those of the request only say how to treat it.
    pub(super) fn take_client_batch(
        &self,
        desk: &mut Desk,
        command: &RemotingCommand,
        send: &SendMessage,
        topic: &TopicConfig,
        peer: &Peer,
    ) -> Result<(), SendError> {
        let queue_id = self.check_queue(send, topic, peer)?;
        let found = Found::in_text(send.properties.as_deref().unwrap_or(""));
        let body_bytes_max = desk.stamp.settings.max_message_size;
        check(send, topic, &found, body_bytes_max)?;
        desk.check_copies(&found)?;
        let common = Message {
            topic: &topic.topic_name,
            queue_id,
            flag: send.flag,
            sys_flag: send.sys_flag | filter_flag(topic),
            born_timestamp: send.born_timestamp,
            born_host: peer.remote(),
            store_host: self.ctx.identity.host,
            reconsume_times: send.reconsume_times.unwrap_or(0),
            prepared_transaction_offset: 0,
            body: b"",
            properties: "",
        };
        let before = desk.batch.bytes();
        let inner = takes_inner_batches(topic);
        if inner && found.unique_key.is_none() {
            return Err(SendError::QueueType { topic: send.topic.clone() });
        }
        let pushed = if inner {
            // One record, with what the request says of the whole batch.
            let mut own = String::new();
            desk.stamp.additions.compose(&mut own, send.properties.as_deref().unwrap_or(""), &found);
            desk.batch.push_inner_batch(&Message { body: &command.body, properties: &own, ..common })
        } else {
            desk.batch.push_client_batch(&common, &command.body)
        };
        let messages = pushed.map_err(|err| SendError::illegal(err, body_bytes_max))?;
        desk.taken(
            ReplyTo::of(command),
            &Taken {
                messages,
                inner_batch: inner,
                bytes: desk.batch.bytes() - before,
                topic: &topic.topic_name,
                queue_id,
                answered_queue: queue_id,
                unique_key: found.unique_key,
                recall_handle: None,
                waits_for_nobody: found.waits_for_nobody,
            },
        );
        Ok(())
    }
}

fn check(send: &SendMessage, topic: &TopicConfig, found: &Found<'_>, body_bytes_max: usize) -> Result<(), SendError> {
    let chars = topic.topic_name.len();
    if chars > TOPIC_CHARS_MAX {
        return Err(SendError::BatchTopicTooLong { chars });
    }
    if topic.topic_name.starts_with(validate::RETRY_PREFIX) {
        return Err(SendError::BatchToRetry { topic: topic.topic_name.clone() });
    }
    let level = found.delay_level().map_err(|text| SendError::DelayLevel { text: text.to_owned() })?;
    let special = send.sys_flag & (sys_flag::TRANSACTION_MASK | sys_flag::INNER_BATCH) != 0;
    // Java would store the messages in the timer topic without their times, and never enrol anything again.
    if level > 0 || special || found.inner_num || found.timing.is_timed() {
        return Err(SendError::Illegal { body_bytes_max });
    }
    Ok(())
}
