//! The other end of a connection, as handlers see it.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use tokio_util::codec::Decoder;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::chunk::Chunk;
use super::in_flight::InFlight;
use super::outbound::{Outbound, Replies};
use crate::frame::{FrameCodec, FrameError, HeadFields, RemotingCommand};
use crate::header::{DecodeHeader, EncodeHeader, HeaderError, Request};
use crate::protocol::{RequestCode, ResponseCode};
use crate::types::{Host, Opaque};

/// A connection since the process started; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// One-way requests to a peer that does not read are dropped above this.
const UNSENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A handle to one connection: answers and own requests leave through it. Cheap to clone; equal if the connection is.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    id: ConnectionId,
    remote: Host,
    local: Host,
    outbound: Outbound,
    in_flight: InFlight,
    /// Handlers of this connection that have not answered yet.
    running: AtomicUsize,
    closing: CancellationToken,
}

impl Peer {
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr, closing: CancellationToken) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Inner {
            id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
            remote: remote.into(),
            local: local.into(),
            outbound: Outbound::default(),
            in_flight: InFlight::default(),
            running: AtomicUsize::new(0),
            closing,
        }))
    }

    /// A peer that is connected to nothing, for tests of handlers: what is sent to it can be read back.
    pub fn detached(remote: SocketAddr) -> Self {
        Self::new(remote, remote, CancellationToken::new())
    }

    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    pub fn remote(&self) -> Host {
        self.0.remote
    }

    pub fn local(&self) -> Host {
        self.0.local
    }

    /// Completes when the connection closes or the process begins to stop; a long poll ends then. Cancel-safe.
    pub fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.0.closing.cancelled()
    }

    pub fn is_closed(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    /// Closes the connection after what was answered so far is written.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// Sends answers; all that `write` adds leaves together.
    pub fn replies(&self, write: impl FnOnce(&mut Replies<'_>)) {
        self.0.outbound.push(write);
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`CallError`]; an answer with any response code is `Ok`.
    pub async fn call<R: Request>(&self, header: &R, body: Bytes, within: Duration) -> Result<Response, CallError> {
        self.call_raw(R::CODE, header, body, within).await
    }

    /// As [`Peer::call`], for a request that is relayed and not understood.
    ///
    /// # Errors
    /// [`CallError`]; an answer with any response code is `Ok`.
    pub async fn call_raw(
        &self,
        code: RequestCode,
        header: &dyn EncodeHeader,
        body: Bytes,
        within: Duration,
    ) -> Result<Response, CallError> {
        self.ask(|opaque| HeadFields::ours(code.0, opaque, 0, None), header, body, within).await
    }

    /// Passes another caller's request on as it came, under that caller's language and version. One that wants no answer
    /// gets none: `Ok(None)`.
    ///
    /// # Errors
    /// [`CallError`]; an answer with any response code is `Ok`.
    pub async fn pass_on(&self, command: &RemotingCommand, within: Duration) -> Result<Option<Response>, CallError> {
        let RemotingCommand { code, language, version, flag, .. } = *command;
        let head = |opaque| HeadFields { code, opaque, flag, remark: None, language, version };
        if !command.is_one_way() {
            return self.ask(head, &command.ext, command.body.clone(), within).await.map(Some);
        }
        let head = head(self.0.in_flight.number());
        self.0.outbound.push(|out| out.frame(head, &command.ext, command.body.clone().into()));
        Ok(None)
    }

    async fn ask(
        &self,
        head: impl FnOnce(Opaque) -> HeadFields<'static>,
        header: &dyn EncodeHeader,
        body: Bytes,
        within: Duration,
    ) -> Result<Response, CallError> {
        let mut waiting = self.0.in_flight.begin().ok_or(CallError::TooManyWaiting)?;
        let head = head(waiting.opaque);
        self.0.outbound.push(|out| out.frame(head, header, body.into()));
        match timeout(within, &mut waiting.answer).await {
            Ok(Ok(response)) => Ok(Response(response)),
            Ok(Err(_)) => Err(CallError::Closed { remote: self.remote() }),
            Err(_) => Err(CallError::Timeout { remote: self.remote(), within }),
        }
    }

    /// Sends a request that wants no answer; dropped if the peer reads too slowly. True if it was queued.
    pub fn one_way<R: Request>(&self, header: &R, body: Bytes) -> bool {
        if self.is_closed() || self.0.outbound.unsent_bytes() > UNSENT_BYTES_MAX {
            return false;
        }
        let opaque = self.0.in_flight.number();
        let head = HeadFields::ours(R::CODE.0, opaque, RemotingCommand::ONE_WAY, None);
        self.0.outbound.push(|out| out.frame(head, header, body.into()));
        true
    }

    /// Takes what was sent to a [detached](Peer::detached) peer since the last time.
    ///
    /// # Errors
    /// [`FrameError`] if it is not frames.
    pub fn take_sent(&self) -> Result<Vec<RemotingCommand>, FrameError> {
        let mut chunks = VecDeque::new();
        self.0.outbound.take(&mut chunks);
        let mut bytes: BytesMut = chunks.iter().flat_map(Chunk::bytes).copied().collect();
        self.0.outbound.sent(bytes.len());
        let mut codec = FrameCodec::default();
        std::iter::from_fn(|| codec.decode(&mut bytes).transpose()).collect()
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::Acquire)
    }

    /// Counts an answer as under way until the guard is dropped: a closing connection waits for it (a little), and a
    /// connection with too many of them is not read. Handlers of batches that answer later hold one.
    pub fn busy(&self) -> Busy {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }
}

/// An answer under way.
pub struct Busy(Peer);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Peer {}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} at {})", self.0.id.0, self.0.remote)
    }
}

/// The answer to a call, with any response code.
#[derive(Clone, Debug)]
pub struct Response(pub RemotingCommand);

impl Response {
    pub fn code(&self) -> ResponseCode {
        self.0.response_code()
    }

    /// The typed header and body of a success.
    ///
    /// # Errors
    /// [`CallError::Refused`] for another code than success, [`CallError::Header`] if the header does not decode.
    pub fn success<H: DecodeHeader>(self) -> Result<(H, Bytes), CallError> {
        if self.code() != ResponseCode::SUCCESS {
            return Err(CallError::Refused { code: self.code(), remark: self.0.remark.unwrap_or_default() });
        }
        Ok((H::decode(&self.0.ext)?, self.0.body))
    }
}

/// Why a call has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("connect to {addr}: {cause}")]
    Connect { addr: String, cause: std::io::Error },
    #[error("the connection to {remote} closed before the answer came")]
    Closed { remote: Host },
    #[error("no answer from {remote} within {within:?}")]
    Timeout { remote: Host, within: Duration },
    #[error("too many calls wait on this connection")]
    TooManyWaiting,
    #[error("refused with {code}: {remark}")]
    Refused { code: ResponseCode, remark: String },
    #[error("the answer's header: {0}")]
    Header(#[from] HeaderError),
}
