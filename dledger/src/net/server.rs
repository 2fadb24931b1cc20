//! The side that answers.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use openraft::raft::TransferLeaderError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::candidacy::Candidate;
use super::wire::{Answer, HELLO_BYTES, Hello, Request, Use};
use super::{lost, silent};
use crate::guard::Guard;

/// Largest frame: the entries of one request, which are more than 2 MiB only if there is but one of them.
const FRAME_BYTES_MAX: usize = 128 << 20;
/// Connections at a time; a group has few members, each with a handful.
const CONNECTIONS_MAX: usize = 256;
/// Ends of connections that are not looked into yet.
const LOSSES_MAX: usize = 16;
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_type::<u32>().max_frame_length(FRAME_BYTES_MAX).new_codec()
}

/// Who answers on a connection.
#[derive(Clone)]
struct Host {
    guard: Guard,
    group: String,
    /// Members whose connection has ended.
    ended: mpsc::Sender<u64>,
}

/// Answers the other members of `group` until `stopping`; then closes all connections.
pub fn serve(
    listener: TcpListener,
    guard: Guard,
    group: String,
    stopping: CancellationToken,
) -> BoxFuture<'static, ()> {
    Box::pin(accept(listener, guard, group, stopping))
}

async fn accept(listener: TcpListener, guard: Guard, group: String, stopping: CancellationToken) {
    let (ended, losses) = mpsc::channel(LOSSES_MAX);
    let candidate = Candidate { guard: guard.clone(), group: group.clone() };
    let mut missing = pin!(async { tokio::join!(lost::watch(&candidate, losses), silent::watch(&candidate)) });
    let host = Host { guard, group, ended };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            _ = &mut missing => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((socket, from)) => {
                    let host = host.clone();
                    connections.spawn(async move {
                        if let Err(error) = host.answer(socket, from).await {
                            debug!(%from, %error, "the connection of a member ended");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "accept a connection of a member");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    // Those whose connections end now find nobody here.
    drop(listener);
    connections.shutdown().await;
}

impl Host {
    async fn answer(&self, mut socket: TcpStream, from: SocketAddr) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let hello = timeout(HELLO_PATIENCE, hello(&mut socket)).await?;
        let hello = hello.inspect_err(|error| warn!(%from, %error, "somebody else asks on the port of the group"))?;
        if hello.to != self.guard.number() || hello.group != self.group {
            warn!(%from, ?hello, "a member looks for another member or group here: check dLegerPeers");
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (read, write) = socket.into_split();
        let read = FramedRead::new(read, codec());
        let write = BufWriter::new(write);
        let done = match hello.purpose {
            Use::Calls => self.calls(read, write).await,
            Use::Entries => self.entries(read, write).await,
            Use::Fill => self.guard.fill(hello.from, read, write).await,
        };
        // If there is no room, the same is about to be looked into.
        let _ = self.ended.try_send(hello.from);
        done
    }

    async fn calls(
        &self,
        mut read: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
        mut write: BufWriter<OwnedWriteHalf>,
    ) -> io::Result<()> {
        while let Some(frame) = read.next().await {
            let request = Request::decode(BytesMut::freeze(frame?))?;
            send(&mut write, &answer(&self.guard, request).await?).await?;
        }
        Ok(())
    }

    async fn entries(
        &self,
        read: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
        mut write: BufWriter<OwnedWriteHalf>,
    ) -> io::Result<()> {
        // What is no request with entries ends the stream, and with it the connection.
        let requests = stream::unfold(read, |mut read| async move {
            let frame = read.next().await?.ok()?;
            match Request::decode(BytesMut::freeze(frame)) {
                Ok(Request::Append(request)) => Some((request, read)),
                Ok(other) => {
                    warn!(?other, "no entries on a connection for entries");
                    None
                }
                Err(error) => {
                    warn!(%error, "entries of a member cannot be read");
                    None
                }
            }
        });
        let mut answers = pin!(self.guard.stream_append(requests));
        while let Some(answer) = answers.next().await {
            send(&mut write, &Answer::Entries(answer?)).await?;
        }
        Ok(())
    }
}

/// What this member says to a request.
///
/// # Errors
/// It stops.
pub(crate) async fn answer(guard: &Guard, request: Request) -> io::Result<Answer> {
    Ok(match request {
        Request::Append(request) => Answer::Append(guard.append_entries(request).await?),
        Request::Vote(request) => Answer::Vote(guard.vote(request).await?),
        Request::PreVote(request) => Answer::Vote(guard.pre_vote(request).await?),
        Request::Stand => Answer::Stand(guard.stand().await?),
        Request::Silence => Answer::Silence(guard.heard().map(|(leader, at)| (leader, at.elapsed()))),
        Request::Transfer(request) => match guard.handle_transfer_leader(request).await? {
            Ok(()) => Answer::Transfer(None),
            Err(TransferLeaderError::VoteChanged { actual, .. }) => Answer::Transfer(Some(actual)),
            Err(error @ TransferLeaderError::LogNotFlushed { .. }) => return Err(io::Error::other(error)),
        },
    })
}

async fn hello(socket: &mut TcpStream) -> io::Result<Hello> {
    let mut fixed = [0; HELLO_BYTES];
    socket.read_exact(&mut fixed).await?;
    let (hello, name) = Hello::decode(&fixed)?;
    let mut group = vec![0; name];
    socket.read_exact(&mut group).await?;
    let group = String::from_utf8(group).map_err(io::Error::other)?;
    Ok(Hello { group, ..hello })
}

async fn send(write: &mut BufWriter<OwnedWriteHalf>, answer: &Answer) -> io::Result<()> {
    let bytes = answer.encode();
    write.write_u32(bytes.len() as u32).await?;
    write.write_all(&bytes).await?;
    write.flush().await
}
