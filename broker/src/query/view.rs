//! `VIEW_MESSAGE_BY_ID`: one stored message. Java: `QueryMessageProcessor.viewMessageById`.

use std::sync::Arc;

use bytes::Bytes;
use remoting::header::NoHeader;
use remoting::protocol::query::ViewMessageById;
use remoting::router::{Call, Handle, Reply};
use remoting::types::PhysicalOffset;
use store::Store;

use super::{Queries, QueryError};

impl Handle<ViewMessageById> for Queries {
    type Error = QueryError;

    async fn handle(&self, call: Call<ViewMessageById>) -> Result<Reply<NoHeader>, QueryError> {
        let offset = call.header.offset;
        let record = record(&self.store, offset).await.ok_or(QueryError::NoMessage(offset))?;
        Ok(Reply::done().body(record))
    }
}

/// The record that starts at `offset`. If it is likely not in memory, no async worker waits for the disk.
pub(crate) async fn record(store: &Arc<Store>, offset: PhysicalOffset) -> Option<Bytes> {
    if store.in_memory(offset) {
        return store.record_at(offset);
    }
    let store = Arc::clone(store);
    // Copied, because the pages may be gone again when they are written to the socket.
    let copied = move || store.record_at(offset).map(|record| Bytes::copy_from_slice(&record));
    tokio::task::spawn_blocking(copied).await.ok().flatten()
}
