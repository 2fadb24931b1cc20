//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::chunk::Chunk;
use crate::frame::{FrameWriter, HeadFields, RemotingCommand, Serialization};
use crate::header::EncodeHeader;
use crate::protocol::ResponseCode;
use crate::types::Opaque;

/// Bodies up to this size are copied next to their header; larger ones are written from where they lie.
const COPIED_BODY_BYTES_MAX: usize = 1024;

/// Frames from any thread, taken by the connection's task in one go.
#[derive(Default)]
pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    unsent_bytes: AtomicUsize,
    pushed: Notify,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    /// Heads and small bodies that follow the last chunk.
    tail: BytesMut,
}

impl Outbound {
    /// Appends frames under one lock and wakes the connection's task.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Replies<'_>)) {
        let mut queue = self.queue.lock();
        let mut replies = Replies { queue: &mut queue, bytes: 0 };
        write(&mut replies);
        let bytes = replies.bytes;
        drop(queue);
        if bytes > 0 {
            self.unsent_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.pushed.notify_one();
        }
    }

    /// Moves all that waits behind `chunks`.
    pub(crate) fn take(&self, chunks: &mut VecDeque<Chunk>) {
        let mut queue = self.queue.lock();
        chunks.append(&mut queue.chunks);
        if !queue.tail.is_empty() {
            chunks.push_back(queue.tail.split().freeze().into());
        }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.unsent_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    /// Waits until something was pushed since the last wait. Cancel-safe.
    pub(crate) async fn pushed(&self) {
        self.pushed.notified().await;
    }
}

/// Where an answer goes: the request's number, and whether the caller wants one.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo {
    pub opaque: Opaque,
    pub one_way: bool,
}

impl ReplyTo {
    pub fn of(command: &RemotingCommand) -> Self {
        Self { opaque: command.opaque, one_way: command.is_one_way() }
    }
}

/// Collects frames for one connection; they leave in one write.
pub struct Replies<'a> {
    queue: &'a mut Queue,
    bytes: usize,
}

impl Replies<'_> {
    /// Answers a request; nothing is written for a one-way request, errors included.
    pub fn reply(
        &mut self,
        to: ReplyTo,
        code: ResponseCode,
        remark: Option<&str>,
        header: &dyn EncodeHeader,
        body: impl Into<Body>,
    ) {
        if !to.one_way {
            self.frame(HeadFields::ours(code.0, to.opaque, RemotingCommand::RESPONSE, remark), header, body.into());
        }
    }

    pub(crate) fn frame(&mut self, head: HeadFields<'_>, header: &dyn EncodeHeader, body: Body) {
        let before = self.queue.tail.len();
        FrameWriter::new(&mut self.queue.tail, Serialization::Json).head(head, header, body.len());
        self.bytes += self.queue.tail.len() - before + body.len();
        for chunk in body.chunks {
            if chunk.len() <= COPIED_BODY_BYTES_MAX {
                self.queue.tail.extend_from_slice(chunk.bytes());
            } else {
                let before = self.queue.tail.split().freeze();
                self.queue.chunks.extend((!before.is_empty()).then(|| before.into()));
                self.queue.chunks.push_back(chunk);
            }
        }
    }
}

/// A body in pieces that need not be adjacent in memory.
#[derive(Clone, Debug, Default)]
pub struct Body {
    chunks: Vec<Chunk>,
}

impl Body {
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one piece, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(Chunk::bytes).copied().collect()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { chunks: if bytes.is_empty() { Vec::new() } else { vec![bytes.into()] } }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(pieces: Vec<Bytes>) -> Self {
        pieces.into_iter().map(Chunk::from).collect()
    }
}

impl FromIterator<Chunk> for Body {
    fn from_iter<I: IntoIterator<Item = Chunk>>(chunks: I) -> Self {
        Self { chunks: chunks.into_iter().collect() }
    }
}
