//! The side that asks.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, RaftNetworkV2, Snapshot};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::server::codec;
use super::wire::{Answer, Hello, Request, Use};
use crate::types::{Id, Leader, Member, Types, Vote};

/// Requests with entries that are under way at most.
const UNDER_WAY_MAX: usize = 64;
/// Longest wait for an answer to entries, which may have to be on disk first.
const ENTRIES_PATIENCE: Duration = Duration::from_secs(3);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// The ways of one member to all others.
#[derive(Clone, Debug)]
pub struct Network {
    /// Members of another group are not talked to.
    pub group: String,
    /// This member.
    pub number: u64,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u64, member: &Member) -> Way {
        let hello = Hello { purpose: Use::Calls, from: self.number, to: target, group: self.group.clone() };
        Way { hello, address: member.address.clone(), calls: None, entries: None }
    }
}

/// The way to one member.
#[derive(Debug)]
pub struct Way {
    hello: Hello,
    address: String,
    calls: Option<Link>,
    /// Left by the last stream of entries, which for a sign of life is but one request long.
    entries: Option<Link>,
}

/// A connection.
#[derive(Debug)]
struct Link {
    read: FramedRead<OwnedReadHalf, tokio_util::codec::LengthDelimitedCodec>,
    write: BufWriter<OwnedWriteHalf>,
}

impl Link {
    async fn open(address: &str, hello: &Hello) -> io::Result<Self> {
        let socket = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        let (read, write) = socket.into_split();
        let mut link = Self { read: FramedRead::new(read, codec()), write: BufWriter::with_capacity(64 << 10, write) };
        link.write.write_all(&hello.encode()).await?;
        Ok(link)
    }

    async fn send(&mut self, request: &Request) -> io::Result<()> {
        let parts = request.encode();
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        self.write.write_u32(bytes as u32).await?;
        for mut part in parts {
            while part.has_remaining() {
                self.write.write_buf(&mut part).await?;
            }
        }
        self.write.flush().await
    }

    /// Itself, unless the other side has closed it, or says something that it was not asked.
    fn if_open(mut self) -> Option<Self> {
        self.read.next().now_or_never().is_none().then_some(self)
    }

    /// Cancel-safe.
    async fn answer(&mut self) -> io::Result<Answer> {
        let frame = self.read.next().await.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
        Answer::decode(BytesMut::freeze(frame))
    }
}

/// Asks once, on a connection of its own.
pub(super) async fn ask(address: &str, hello: &Hello, request: &Request) -> io::Result<Answer> {
    let mut link = Link::open(address, hello).await?;
    link.send(request).await?;
    link.answer().await
}

impl Way {
    /// Asks, on the connection that there is, or a new one.
    async fn call(&mut self, request: &Request, option: &RPCOption) -> Result<Answer, RPCError<Types>> {
        let asked = async {
            let mut link = match self.calls.take() {
                Some(link) => link,
                None => Link::open(&self.address, &self.hello).await?,
            };
            link.send(request).await?;
            let answer = link.answer().await?;
            // Not kept if the wait for it was given up: its answer would be taken for that of the next request.
            self.calls = Some(link);
            io::Result::Ok(answer)
        };
        match timeout(option.hard_ttl(), asked).await {
            Ok(answer) => answer.map_err(|error| unreachable(&error)),
            Err(late) => Err(unreachable(&late)),
        }
    }
}

fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn unexpected(answer: &Answer) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(format!("an answer to something else: {answer:?}"))))
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        match self.call(&Request::Append(request), &option).await? {
            Answer::Append(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<Appended, RPCError<Types>>>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            let link = match self.entries.take().and_then(Link::if_open) {
                Some(link) => link,
                None => {
                    let hello = Hello { purpose: Use::Entries, ..self.hello.clone() };
                    Link::open(&self.address, &hello).await.map_err(|error| unreachable(&error))?
                }
            };
            let pipe = Pipe { link, input, under_way: 0, ended: false };
            let left = &mut self.entries;
            let answers = stream::unfold(Some((pipe, left)), |piped| async move {
                let (mut pipe, left) = piped?;
                let Some(answer) = pipe.next().await else {
                    *left = Some(pipe.link);
                    return None;
                };
                let goes_on = matches!(answer, Ok(Ok(_)));
                Some((answer, goes_on.then_some((pipe, left))))
            });
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(&Request::Vote(request), &option).await? {
            Answer::Vote(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(&Request::PreVote(request), &option).await? {
            Answer::Vote(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let expected = *request.from_leader();
        match self.call(&Request::Transfer(request), &option).await? {
            Answer::Transfer(None) => Ok(Ok(())),
            Answer::Transfer(Some(actual)) => Ok(Err(TransferLeaderError::VoteChanged { expected, actual })),
            other => Err(unexpected(&other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot<Leader, u64, Member, ()>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::new(&AnyError::error("there are no snapshots"))))
    }
}

type Appended = Result<Option<Id>, StreamAppendError<Types>>;

/// Entries on their way, and their answers.
struct Pipe<S> {
    link: Link,
    input: S,
    under_way: usize,
    ended: bool,
}

impl<S: Stream<Item = AppendEntriesRequest<Types>> + Unpin> Pipe<S> {
    /// The next answer; sends what comes meanwhile. `None`: all has been answered, and nothing more comes.
    async fn next(&mut self) -> Option<Result<Appended, RPCError<Types>>> {
        loop {
            tokio::select! {
                answer = timeout(ENTRIES_PATIENCE, self.link.answer()), if self.under_way > 0 => {
                    self.under_way -= 1;
                    return Some(match answer {
                        Ok(Ok(Answer::Entries(appended))) => Ok(appended),
                        Ok(Ok(other)) => Err(unexpected(&other)),
                        Ok(Err(error)) => Err(unreachable(&error)),
                        Err(late) => Err(unreachable(&late)),
                    });
                }
                request = self.input.next(), if !self.ended && self.under_way < UNDER_WAY_MAX => match request {
                    Some(request) => {
                        if let Err(error) = self.link.send(&Request::Append(request)).await {
                            return Some(Err(unreachable(&error)));
                        }
                        self.under_way += 1;
                    }
                    None => self.ended = true,
                },
                else => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::super::wire::HELLO_BYTES;
    use super::*;

    /// Answers so many requests on the next connection, and closes it.
    async fn answer(listener: &TcpListener, requests: usize) {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; HELLO_BYTES + 1];
        socket.read_exact(&mut hello).await.unwrap();
        let (read, mut write) = socket.split();
        let mut read = FramedRead::new(read, codec());
        for _ in 0..requests {
            Request::decode(read.next().await.unwrap().unwrap().freeze()).unwrap();
            let answer = Answer::Entries(Ok(None)).encode();
            write.write_u32(answer.len() as u32).await.unwrap();
            write.write_all(&answer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn streams_share_a_connection_until_it_ends() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let member = Member { address: listener.local_addr().unwrap().to_string() };
        let mut way = Network { group: "g".into(), number: 1 }.new_client(2, &member).await;
        let streams = async {
            for _ in 0..5 {
                let vote = Vote::new_committed(1, 1);
                let sign = AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
                let input = Box::pin(stream::once(async { sign }));
                let mut answers = way.stream_append(input, RPCOption::new(CONNECT_PATIENCE)).await.unwrap();
                assert!(matches!(answers.next().await, Some(Ok(Ok(None)))));
                assert!(answers.next().await.is_none());
                drop(answers);
                // The other side's end of the connection arrives.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let server = async {
            answer(&listener, 3).await;
            answer(&listener, 2).await;
        };
        tokio::join!(streams, server);
    }
}
