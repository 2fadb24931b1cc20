//! `QUERY_MESSAGE`: the messages of a key. Java: `QueryMessageProcessor.queryMessage`.

use std::sync::Arc;

use remoting::frame::FRAME_BYTES_MAX;
use remoting::protocol::ResponseCode;
use remoting::protocol::query::{QueryMessage, QueryMessageReply, UNIQUE_KEY_QUERY};
use remoting::router::{Call, Handle, Reply};
use store::{KeyKind, Query, QueryOutcome};
use tokio::task::spawn_blocking;

use super::{Queries, QueryError};
use crate::pull::fetch;

/// Queries at a time; further ones queue.
pub(super) const READERS_MAX: usize = 4;
/// Of an answer, which must fit into a frame with its header.
const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - (64 << 10);
/// Java: `MessageConst.INDEX_TAG_TYPE`.
const BY_TAGS: &str = "T";
const NOTHING: &str = "can not find message, maybe time range not correct";

impl Handle<QueryMessage> for Queries {
    type Error = QueryError;

    async fn handle(&self, call: Call<QueryMessage>) -> Result<Reply<QueryMessageReply>, QueryError> {
        let settings = self.ctx.settings();
        // Who looks for a unique key asks for one message, but retries of its producer have the same.
        let unique = call.ext.get(UNIQUE_KEY_QUERY).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let asked = if unique { settings.default_query_max_num } else { call.header.max_num };
        let max_messages = usize::try_from(asked).unwrap_or(0).min(settings.max_msgs_num_batch);
        let found = if settings.index_file_read_enable {
            self.look_up(call.header, unique, max_messages).await?
        } else {
            QueryOutcome::default()
        };
        let header = QueryMessageReply {
            index_last_update_timestamp: found.last_update_timestamp,
            index_last_update_phyoffset: found.last_update_offset,
        };
        if found.messages.is_empty() {
            return Ok(Reply::new(header).code(ResponseCode::QUERY_NOT_FOUND).remark(NOTHING));
        }
        Ok(Reply::new(header).body(found.messages))
    }
}

impl Queries {
    /// Looks for the messages on a thread that may wait for the disk.
    async fn look_up(
        &self,
        asked: QueryMessage,
        unique: bool,
        max_messages: usize,
    ) -> Result<QueryOutcome, QueryError> {
        let _place = self.readers.acquire().await.expect("the semaphore is never closed");
        let store = Arc::clone(&self.store);
        let by_tags = !unique && asked.index_type.as_deref() == Some(BY_TAGS);
        let look_up = move || {
            let found = store.query(&Query {
                topic: &asked.topic,
                key: &asked.key,
                kind: if by_tags { KeyKind::Tags } else { KeyKind::Key },
                begin: asked.begin_timestamp,
                end: asked.end_timestamp,
                max_messages,
                max_bytes: BODY_BYTES_MAX,
            });
            found.messages.iter().for_each(fetch);
            found
        };
        spawn_blocking(look_up).await.map_err(|err| {
            tracing::error!(%err, "a query by key ended");
            QueryError::ReaderGone
        })
    }
}
