//! One connection, one task: it reads, decodes all whole frames, runs their handlers and writes all answers together.
//!
//! Both ends are alike: a server also sends requests to its clients, and a client answers them.

mod chunk;
mod in_flight;
mod outbound;
mod peer;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Decoder;
use tokio_util::task::TaskTracker;

pub use chunk::Chunk;
pub use outbound::{Body, Replies, ReplyTo};
pub use peer::{Busy, CallError, ConnectionId, Peer, Response};

use self::wire::Wire;
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
    /// It was idle for too long; [`Self::closed`] follows.
    fn idle(&self, _peer: &Peer) {}
    /// Reading or writing failed; [`Self::closed`] follows.
    fn failed(&self, _peer: &Peer) {}
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

enum Turn {
    Read,
    Written,
    Over(End),
}

/// How a connection ends that does not fail.
enum End {
    Closed,
    Idle,
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
        let mut wire = Wire::new(self.stream);
        match serve(&mut wire, &self.peer, &self.router, &self.limits, &self.tasks).await {
            Ok(End::Closed) => {}
            Ok(End::Idle) => {
                tracing::debug!(remote = %peer.remote(), "closing an idle connection");
                events.idle(&peer);
            }
            Err(FrameError::Io(err)) => {
                tracing::debug!(remote = %self.peer.remote(), %err, "connection lost");
                events.failed(&peer);
            }
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
) -> Result<End, FrameError> {
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
            () = &mut closed => Turn::Over(End::Closed),
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
                Turn::Over(End::Idle)
            }
        };
        match turn {
            Turn::Over(end) => return Ok(end),
            Turn::Written => {}
            Turn::Read => match poll_fn(|cx| Poll::Ready(wire.read(cx))).await {
                Ok(0) => return Ok(End::Closed),
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

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
