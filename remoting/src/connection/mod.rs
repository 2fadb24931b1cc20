//! One connection, one task: it reads, decodes all whole frames, runs their handlers and writes all answers together.
//!
//! Both ends are alike: a server also sends requests to its clients, and a client answers them.

mod in_flight;
mod outbound;
mod peer;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Decoder;
use tokio_util::io::poll_read_buf;
use tokio_util::task::TaskTracker;

pub use outbound::{Body, Replies, ReplyTo};
pub use peer::{Busy, CallError, ConnectionId, Peer, Response};

use crate::frame::{FrameCodec, FrameError};
use crate::router::Routes;

/// Bounds of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Closed when nothing was read or written for this long. Java: `serverChannelMaxIdleTimeSeconds`.
    pub idle: Duration,
    /// Handlers that wait at a time (long polls included); at the bound the connection is not read until one answers.
    pub running_max: usize,
    /// Unsent answers above which the connection is not read until the peer has taken them.
    pub unsent_bytes_max: usize,
    /// How long answers still under way may take once the connection begins to close.
    pub closing: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(120),
            running_max: 10_000,
            unsent_bytes_max: 4 * 1024 * 1024,
            closing: Duration::from_secs(3),
        }
    }
}

/// Told when connections come and go; called from the connection's own task.
pub trait ConnectionEvents: Send + Sync + 'static {
    fn opened(&self, _peer: &Peer) {}
    fn closed(&self, _peer: &Peer) {}
}

/// For ends that need not know.
impl ConnectionEvents for () {}

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) peer: Peer,
    pub(crate) router: Routes,
    pub(crate) limits: ConnectionLimits,
    /// Owns the handlers that wait.
    pub(crate) tasks: TaskTracker,
}

/// Room for the first read. Reads that fill their room make the next ones larger, small ones smaller again.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// Pieces per vectored write; the kernel's own limit is 1024.
const SLICES_MAX: usize = 64;

enum Turn {
    Read,
    Written,
    Closed,
}

impl Connection {
    /// Serves the connection until either end closes it.
    pub(crate) async fn run(self, events: Arc<dyn ConnectionEvents>) {
        let peer = self.peer.clone();
        events.opened(&peer);
        // Also when the task is dropped or a handler panics: nobody may keep a dead connection in a table.
        let _closed = OnDrop(|| {
            peer.close();
            peer.in_flight().fail_all();
            events.closed(&peer);
        });
        let mut wire =
            Wire { stream: self.stream, buffer: BytesMut::new(), read_bytes: READ_BYTES_MIN, unsent: VecDeque::new() };
        match serve(&mut wire, &self.peer, &self.router, &self.limits, &self.tasks).await {
            Ok(()) => {}
            Err(FrameError::Io(err)) => tracing::debug!(remote = %self.peer.remote(), %err, "connection lost"),
            Err(err) => {
                tracing::info!(remote = %self.peer.remote(), %err, "closing the connection: its bytes are not frames")
            }
        }
        // Long polls end now and answer; what is under way may finish and is written.
        self.peer.close();
        let _ = timeout(self.limits.closing, finish(&mut wire, &self.peer)).await;
    }
}

/// Returns at the end of the stream or when the connection begins to close.
async fn serve(
    wire: &mut Wire,
    peer: &Peer,
    router: &Routes,
    limits: &ConnectionLimits,
    tasks: &TaskTracker,
) -> Result<(), FrameError> {
    let mut codec = FrameCodec::default();
    let mut commands = Vec::new();
    let mut active = Instant::now();
    // All of these outlive a turn: most turns end by other means, and setting them up anew costs more than the turn.
    let mut idle = pin!(sleep_until(active + limits.idle));
    let mut closed = pin!(peer.closed());
    let mut pushed = pin!(peer.outbound().pushed());
    loop {
        let blocked = match wire.write(peer) {
            Ok(blocked) => blocked,
            Err(err) => {
                while wire.read_rest().await {
                    let outcome = decode(&mut codec, &mut wire.buffer, &mut commands);
                    router.dispatch(&mut commands, peer, tasks);
                    outcome?;
                }
                return Err(err.into());
            }
        };
        let may_read = peer.running() < limits.running_max && peer.outbound().unsent_bytes() <= limits.unsent_bytes_max;
        let turn = tokio::select! {
            biased;
            () = &mut closed => Turn::Closed,
            ready = poll_fn(|cx| wire.stream.poll_write_ready(cx)), if blocked => { ready?; Turn::Written }
            ready = poll_fn(|cx| wire.stream.poll_read_ready(cx)), if may_read => { ready?; Turn::Read }
            () = &mut pushed => {
                pushed.set(peer.outbound().pushed());
                Turn::Written
            }
            () = &mut idle => {
                let until = active + limits.idle;
                if until > Instant::now() {
                    idle.as_mut().reset(until);
                    continue;
                }
                tracing::debug!(remote = %peer.remote(), "closing an idle connection");
                Turn::Closed
            }
        };
        match turn {
            Turn::Closed => return Ok(()),
            Turn::Written => {}
            Turn::Read => match poll_fn(|cx| Poll::Ready(wire.read(cx))).await {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    let outcome = decode(&mut codec, &mut wire.buffer, &mut commands);
                    router.dispatch(&mut commands, peer, tasks);
                    outcome?;
                    wire.rest();
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => continue,
                Err(err) => return Err(err.into()),
            },
        }
        active = Instant::now();
    }
}

/// Takes every whole frame; those before a broken one still count.
fn decode<T>(codec: &mut FrameCodec, buffer: &mut BytesMut, commands: &mut Vec<T>) -> Result<(), FrameError>
where
    FrameCodec: Decoder<Item = T, Error = FrameError>,
{
    while let Some(command) = codec.decode(buffer)? {
        commands.push(command);
    }
    Ok(())
}

/// Waits for running handlers and writes their answers.
async fn finish(wire: &mut Wire, peer: &Peer) -> io::Result<()> {
    loop {
        let blocked = wire.write(peer)?;
        if blocked {
            wire.stream.writable().await?;
        } else if peer.running() > 0 {
            // A handler that ends without an answer wakes nobody, hence the short limit.
            let _ = timeout(Duration::from_millis(10), peer.outbound().pushed()).await;
        } else if peer.outbound().unsent_bytes() == 0 {
            return Ok(());
        }
    }
}

struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
    read_bytes: usize,
    unsent: VecDeque<Bytes>,
}

impl Wire {
    /// Reads what is there, once.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        self.buffer.reserve(self.read_bytes);
        let room = self.buffer.capacity() - self.buffer.len();
        // Unlike `try_read_buf`, a read that leaves room notes that nothing is left, which saves the next one.
        let count = match poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.buffer) {
            Poll::Ready(count) => count?,
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        };
        if count == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        Ok(count)
    }

    /// Reads more of what a peer sent before it closed: a client that leaves with answers unread resets its connection, but
    /// what it said last (its offsets, its farewell) counts all the same. False at the end.
    async fn read_rest(&mut self) -> bool {
        const REST_MAX: Duration = Duration::from_millis(100);
        self.buffer.reserve(self.read_bytes);
        loop {
            if timeout(REST_MAX, self.stream.readable()).await.is_err() {
                return false;
            }
            match self.stream.try_read_buf(&mut self.buffer) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.is_ok_and(|count| count > 0),
            }
        }
    }

    /// Gives the read buffer back between reads: thousands of idle connections must cost next to nothing.
    fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Writes what waits; true if the socket takes no more for now.
    fn write(&mut self, peer: &Peer) -> io::Result<bool> {
        loop {
            peer.outbound().take(&mut self.unsent);
            if self.unsent.is_empty() {
                return Ok(false);
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used =
                self.unsent.iter().zip(slices.iter_mut()).map(|(chunk, slice)| *slice = IoSlice::new(chunk)).count();
            let written = match self.stream.try_write_vectored(&slices[..used]) {
                Ok(written) => written,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(err) => return Err(err),
            };
            peer.outbound().sent(written);
            self.advance(written);
        }
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.unsent.front_mut() {
            if written < chunk.len() {
                chunk.advance(written);
                return;
            }
            written -= chunk.len();
            self.unsent.pop_front();
        }
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
