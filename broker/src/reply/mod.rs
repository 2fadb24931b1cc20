//! Requests and replies: a producer sends a message and waits, a consumer answers it, the broker passes the answer on.
//!
//! ```text
//! requester ─ ordinary send, names itself in REPLY_TO_CLIENT ─▶ topic ─▶ consumer
//! consumer ─ SEND_REPLY_MESSAGE ─▶ broker ─┬─ PUSH_REPLY_MESSAGE_TO_CLIENT ─▶ requester (10 s to take it)
//!                                          └─ `<cluster>_REPLY_TOPIC`, unless `storeReplyMessageEnable=false`
//! ```
//!
//! The requester is found by the client id of its last heartbeat as a producer, so it has to be connected to the broker
//! that the reply comes to. Nothing is kept for one that is not: a reply is for who waits now, and the stored message is
//! only a trace. Whether the reply was passed on decides the code of the answer; where it was stored is told in its header.
//!
//! Java: `ReplyMessageProcessor`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::connection::Peer;
use remoting::protocol::callback::PushReply;
use remoting::protocol::send::{SendMessage, SendMessageReply, SendReply};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};
use remoting::types::{ClientId, QueueId, QueueOffset};
use store::message::properties::name;
use store::message::{Message, id, properties, sys_flag};
use thiserror::Error;

use crate::client::Clients;
use crate::context::Context;
use crate::send::{SendError, Sends, Writer};
use crate::stats::Stats;

/// How long the requester may take to say that it has the reply. Java: `Broker2Client.callClient`.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Passes replies on.
pub(crate) struct Replies {
    ctx: Context,
    clients: Arc<Clients>,
    sends: Arc<Sends>,
    writer: Arc<Writer>,
    stats: Arc<Stats>,
}

/// Why a reply did not reach who asked; the texts are Java's.
#[derive(Debug, Error, PartialEq, Eq)]
enum NotPushed {
    #[error("reply message properties[REPLY_TO_CLIENT] is null")]
    Nobody,
    #[error("push reply message fail, channel of <{0}> not found.")]
    Gone(ClientId),
    #[error("push reply message to {0}fail.")]
    Failed(ClientId),
}

pub(crate) fn routes(replies: &Arc<Replies>, router: &mut Router) {
    router.on_codes::<SendReply>(&[RequestCode::SEND_REPLY_MESSAGE, RequestCode::SEND_REPLY_MESSAGE_V2], replies);
}

impl Handle<SendReply> for Replies {
    type Error = SendError;

    async fn handle(&self, call: Call<SendReply>) -> Result<Reply<Option<SendMessageReply>>, SendError> {
        Ok(self.take(&call.header.0, call.body, &call.peer).await)
    }
}

impl Replies {
    pub(crate) fn new(
        ctx: Context,
        clients: Arc<Clients>,
        sends: Arc<Sends>,
        writer: Arc<Writer>,
        stats: Arc<Stats>,
    ) -> Arc<Self> {
        Arc::new(Self { ctx, clients, sends, writer, stats })
    }

    /// Every answer, also a refusal, carries what answers to sends carry.
    async fn take(&self, send: &SendMessage, body: Bytes, peer: &Peer) -> Reply<Option<SendMessageReply>> {
        let reply = match self.sends.admit(send, peer) {
            Ok(queue) => self.pass_on(send, body, peer, queue).await,
            Err(err) => Reply::bare(err.code()).remark(err.to_string()),
        };
        let settings = self.ctx.settings();
        let trace = if settings.trace_on { "true" } else { "false" };
        reply.ext(name::MSG_REGION, settings.region_id.clone()).ext(name::TRACE_SWITCH, trace)
    }

    async fn pass_on(
        &self,
        send: &SendMessage,
        body: Bytes,
        peer: &Peer,
        queue: QueueId,
    ) -> Reply<Option<SendMessageReply>> {
        let pushed = self.push(send, body.clone(), peer).await;
        let stored = if self.ctx.settings().store_reply_message_enable {
            self.store(send, &body, peer, queue).await
        } else {
            None
        };
        // Clients want these fields to be there.
        let nowhere = || answer("0".to_owned(), queue, QueueOffset(0));
        match pushed {
            Ok(()) => Reply::new(Some(stored.unwrap_or_else(nowhere))),
            Err(err) => {
                tracing::warn!(remote = %peer.remote(), %err, "a reply does not reach who asked");
                Reply::new(stored).code(ResponseCode::SYSTEM_ERROR).remark(err.to_string())
            }
        }
    }

    /// Returns once the requester has said that it has the reply.
    async fn push(&self, send: &SendMessage, body: Bytes, peer: &Peer) -> Result<(), NotPushed> {
        let text = send.properties.as_deref().unwrap_or_default();
        let requester: ClientId = properties::get(text, name::REPLY_TO_CLIENT).ok_or(NotPushed::Nobody)?.into();
        let Some(connection) = self.clients.producers.client(&requester) else {
            return Err(NotPushed::Gone(requester));
        };
        let now = self.ctx.clock.now();
        let push = PushReply {
            producer_group: send.producer_group.clone(),
            topic: send.topic.clone(),
            default_topic: send.default_topic.clone(),
            default_topic_queue_nums: send.default_topic_queue_nums,
            queue_id: send.queue_id,
            sys_flag: send.sys_flag,
            born_timestamp: send.born_timestamp,
            flag: send.flag,
            properties: Some(properties::set(text, name::PUSH_REPLY_TIME, &now.to_string())),
            reconsume_times: send.reconsume_times,
            unit_mode: send.unit_mode,
            born_host: peer.remote().to_string(),
            store_host: self.ctx.identity.addr(),
            store_timestamp: now,
        };
        match connection.call(&push, body, PUSH_TIMEOUT).await {
            Ok(answer) if answer.code() == ResponseCode::SUCCESS => Ok(()),
            Ok(answer) => {
                tracing::debug!(%requester, code = %answer.code(), remark = answer.0.remark, "a reply is refused");
                Err(NotPushed::Failed(requester))
            }
            Err(err) => {
                tracing::debug!(%requester, %err, "a reply is not taken");
                Err(NotPushed::Failed(requester))
            }
        }
    }

    /// Where it lies; `None` if it could not be stored, which the answer does not tell.
    async fn store(&self, send: &SendMessage, body: &[u8], peer: &Peer, queue: QueueId) -> Option<SendMessageReply> {
        let began = self.ctx.clock.now();
        let message = Message {
            topic: &send.topic,
            queue_id: queue,
            flag: send.flag,
            // A reply is no part of a transaction or batch. Java forgets that the body may be compressed.
            sys_flag: send.sys_flag & (sys_flag::COMPRESSED | sys_flag::COMPRESSION_TYPE_MASK),
            born_timestamp: send.born_timestamp,
            born_host: peer.remote(),
            store_host: self.ctx.identity.host,
            reconsume_times: send.reconsume_times.unwrap_or(0),
            prepared_transaction_offset: 0,
            body,
            properties: send.properties.as_deref().unwrap_or_default(),
        };
        match self.writer.put(&message, 0).await {
            Ok(written) => {
                let position = written.position;
                self.stats.put(&send.topic, queue, 1, 1, position.size as u64);
                let millis = self.ctx.clock.now().since(began).as_millis() as u64;
                self.stats.put_latency(&send.topic, queue, 1, millis);
                let id = id::encode(self.ctx.identity.host, position.physical_offset);
                Some(answer(id, queue, position.queue_offset))
            }
            Err(err) => {
                tracing::warn!(topic = %send.topic, %err, "a reply is not stored");
                None
            }
        }
    }
}

fn answer(msg_id: String, queue_id: QueueId, queue_offset: QueueOffset) -> SendMessageReply {
    SendMessageReply { msg_id, queue_id, queue_offset, transaction_id: None, batch_uniq_id: None, recall_handle: None }
}

#[cfg(test)]
mod tests;
