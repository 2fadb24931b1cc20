//! The side that asks.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, RaftNetworkV2, Snapshot};
use parking_lot::Mutex;
use remoting::types::MemberNumber;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};
use tokio_util::codec::FramedRead;

use super::server::codec;
use super::wire::{Answer, Hello, Request, Use};
use crate::fill::{Lack, Sender, Supply};
use crate::guard::Appended;
use crate::quarantine::{Inquiry, Stand};
use crate::types::{Leader, Member, Types, Vote};

/// Requests with entries that are under way at most.
const UNDER_WAY_MAX: usize = 64;
/// Longest wait for an answer to entries, which may have to be on disk first.
const ENTRIES_PATIENCE: Duration = Duration::from_secs(3);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Until a fill that broke off is begun again; twice as long each time, up to the longest pause.
const FILL_PAUSE: Duration = Duration::from_secs(1);
const FILL_PAUSE_MAX: Duration = Duration::from_secs(32);

/// The ways of one member to all others.
#[derive(Clone, Debug)]
pub struct Network {
    /// Members of another group are not talked to.
    group: String,
    /// This member.
    number: u64,
    /// Others that could not be reached when they were last tried.
    lost: Arc<Mutex<BTreeSet<u64>>>,
    /// Members that lack entries before this one are not sent entries.
    floor: Arc<AtomicU64>,
}

impl Network {
    /// Of member `number` of `group`.
    pub fn new(group: String, number: u64) -> Self {
        Self { group, number, lost: Arc::default(), floor: Arc::default() }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u64, member: &Member) -> Way {
        let hello = Hello { purpose: Use::Calls, from: self.number, to: target, group: self.group.clone() };
        let (lost, floor) = (Arc::clone(&self.lost), Arc::clone(&self.floor));
        Way { hello, address: member.address.clone(), lost, floor, calls: None, entries: None, fill_pause: FILL_PAUSE }
    }
}

impl Inquiry for Network {
    async fn stand(&self, number: u64, member: &Member) -> io::Result<Stand> {
        let hello = Hello { purpose: Use::Calls, from: self.number, to: number, group: self.group.clone() };
        told(ask(&member.address, &hello, &Request::Stand).await?)
    }

    fn leave_behind(&self, index: u64) {
        self.floor.fetch_max(index, Ordering::AcqRel);
    }
}

/// The way to one member.
#[derive(Debug)]
pub struct Way {
    hello: Hello,
    address: String,
    lost: Arc<Mutex<BTreeSet<u64>>>,
    floor: Arc<AtomicU64>,
    calls: Option<Link>,
    /// Left by the last stream of entries, which for a sign of life is but one request long.
    entries: Option<Link>,
    /// Until the next attempt to fill the member.
    fill_pause: Duration,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    read: FramedRead<OwnedReadHalf, tokio_util::codec::LengthDelimitedCodec>,
    write: BufWriter<OwnedWriteHalf>,
}

impl Link {
    pub(crate) async fn open(address: &str, hello: &Hello) -> io::Result<Self> {
        let socket = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        let (read, write) = socket.into_split();
        let mut link = Self { read: FramedRead::new(read, codec()), write: BufWriter::with_capacity(64 << 10, write) };
        link.write.write_all(&hello.encode()).await?;
        Ok(link)
    }

    pub(crate) async fn send(&mut self, request: &Request) -> io::Result<()> {
        self.send_frame(request.encode()).await
    }

    /// Sends a frame, given in parts.
    pub(crate) async fn send_frame(&mut self, parts: Vec<Bytes>) -> io::Result<()> {
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

    /// The next frame. Cancel-safe.
    pub(crate) async fn frame(&mut self) -> io::Result<Bytes> {
        let frame = self.read.next().await.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
        Ok(BytesMut::freeze(frame))
    }

    /// Cancel-safe.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        Answer::decode(self.frame().await?)
    }
}

/// Asks once, on a connection of its own.
pub(crate) async fn ask(address: &str, hello: &Hello, request: &Request) -> io::Result<Answer> {
    let mut link = Link::open(address, hello).await?;
    link.send(request).await?;
    link.answer().await
}

impl Way {
    /// Tells once that a member cannot be reached, and once that it can be again.
    fn reached<T>(&self, what: &io::Result<T>) {
        let member = self.hello.to;
        match what {
            Ok(_) if self.lost.lock().remove(&member) => {
                tracing::info!(member, address = self.address, "a member of the group is reached again");
            }
            Err(err) if self.lost.lock().insert(member) => {
                tracing::warn!(member, address = self.address, %err, "a member of the group cannot be reached");
            }
            Ok(_) | Err(_) => {}
        }
    }

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
        let answer = timeout(option.hard_ttl(), asked).await.map_err(io::Error::from).flatten();
        self.reached(&answer);
        answer.map_err(|error| unreachable(&error))
    }
}

pub(crate) fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

pub(crate) fn unexpected(answer: &Answer) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(format!("an answer to something else: {answer:?}"))))
}

/// What a member that was asked how far it is has told.
pub(crate) fn told(answer: Answer) -> io::Result<Stand> {
    match answer {
        Answer::Stand(stand) => Ok(stand),
        other => Err(io::Error::other(format!("an answer to something else: {other:?}"))),
    }
}

pub(crate) fn appended(answer: Answer) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
    match answer {
        Answer::Append(answer) => Ok(answer),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn voted(answer: Answer) -> Result<VoteResponse<Types>, RPCError<Types>> {
    match answer {
        Answer::Vote(answer) => Ok(answer),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn transferred(expected: Vote, answer: Answer) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
    match answer {
        Answer::Transfer(None) => Ok(Ok(())),
        Answer::Transfer(Some(actual)) => Ok(Err(TransferLeaderError::VoteChanged { expected, actual })),
        other => Err(unexpected(&other)),
    }
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = Supply;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        appended(self.call(&Request::Append(request), &option).await?)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<Appended, RPCError<Types>>>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let pipe = Pipe { way: self, link: None, input, under_way: 0, ended: false };
        let answers = stream::unfold(Some(pipe), |pipe| async move {
            let mut pipe = pipe?;
            let Some(answer) = pipe.next().await else {
                pipe.way.entries = pipe.link;
                return None;
            };
            let goes_on = matches!(answer, Ok(Ok(_)));
            Some((answer, goes_on.then_some(pipe)))
        });
        let answers: BoxStream<'s, _> = Box::pin(answers);
        Box::pin(async { Ok(answers) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        voted(self.call(&Request::Vote(request), &option).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        voted(self.call(&Request::PreVote(request), &option).await?)
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let expected = *request.from_leader();
        transferred(expected, self.call(&Request::Transfer(request), &option).await?)
    }

    /// Fills the member with what this one has.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Leader, u64, Member, Supply>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let Snapshot { meta, snapshot: supply } = snapshot;
        let sender = Sender { supply, address: self.address.clone(), hello: self.hello.clone() };
        let bring = async {
            let lack = match sender.bring(vote, meta).await {
                Ok(()) => return Ok(SnapshotResponse::new(vote)),
                Err(lack) => lack,
            };
            let (error, pause) = match lack {
                Lack::Silent(error) => {
                    self.reached(&Err::<(), _>(io::Error::new(error.kind(), error.to_string())));
                    (error, FILL_PAUSE)
                }
                Lack::BrokeOff(error) => {
                    let (member, pause) = (MemberNumber(self.hello.to), self.fill_pause);
                    tracing::warn!(%member, %error, ?pause, "the fill of a member broke off: it is taken up again");
                    self.fill_pause = (2 * pause).min(FILL_PAUSE_MAX);
                    (error, pause)
                }
            };
            sleep(pause).await;
            Err(StreamingError::Unreachable(Unreachable::new(&error)))
        };
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            brought = bring => brought,
        }
    }
}

/// Entries on their way, and their answers.
struct Pipe<'a, S> {
    way: &'a mut Way,
    /// From the first request on: the library has the requests wait after a failure, not the connection.
    link: Option<Link>,
    input: S,
    under_way: usize,
    ended: bool,
}

impl<S: Stream<Item = AppendEntriesRequest<Types>> + Unpin> Pipe<'_, S> {
    /// The next answer; sends what comes meanwhile. `None`: all has been answered, and nothing more comes.
    async fn next(&mut self) -> Option<Result<Appended, RPCError<Types>>> {
        loop {
            tokio::select! {
                answer = next_answer(&mut self.link), if self.under_way > 0 => {
                    self.under_way -= 1;
                    return Some(match answer {
                        Ok(Answer::Entries(appended)) => Ok(appended),
                        Ok(other) => Err(unexpected(&other)),
                        Err(error) => Err(unreachable(&error)),
                    });
                }
                request = self.input.next(), if !self.ended && self.under_way < UNDER_WAY_MAX => match request {
                    Some(request) if self.is_left_behind(&request) => {
                        let why = "it lacks entries that are about to go from the log: it is filled with files instead";
                        return Some(Err(RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))));
                    }
                    Some(request) => {
                        let sent = self.send(Request::Append(request)).await;
                        self.way.reached(&sent);
                        if let Err(error) = sent {
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

    fn is_left_behind(&self, request: &AppendEntriesRequest<Types>) -> bool {
        let next = request.prev_log_id.map_or(0, |id| id.index + 1);
        !request.entries.is_empty() && next < self.way.floor.load(Ordering::Acquire)
    }

    async fn send(&mut self, request: Request) -> io::Result<()> {
        if self.link.is_none() {
            self.link = self.way.entries.take().and_then(Link::if_open);
        }
        let link = match &mut self.link {
            Some(link) => link,
            none => {
                let hello = Hello { purpose: Use::Entries, ..self.way.hello.clone() };
                none.insert(Link::open(&self.way.address, &hello).await?)
            }
        };
        link.send(&request).await
    }
}

/// Cancel-safe.
async fn next_answer(link: &mut Option<Link>) -> io::Result<Answer> {
    let Some(link) = link else { return Err(io::ErrorKind::NotConnected.into()) };
    timeout(ENTRIES_PATIENCE, link.answer()).await?
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::super::wire::HELLO_BYTES;
    use super::*;
    use crate::types::{Body, Entry, Id};

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
        let mut way = Network::new("g".into(), 1).new_client(2, &member).await;
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

    #[tokio::test]
    async fn who_lacks_what_is_about_to_go_is_not_sent_entries() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let member = Member { address: listener.local_addr().unwrap().to_string() };
        let mut network = Network::new("g".into(), 1);
        let mut way = network.new_client(2, &member).await;
        let request = |before: Option<u64>, entries: u64| {
            let leader_id = Leader { term: 1, node_id: 1 };
            let id = |index| Id { leader_id, index };
            let first = before.map_or(0, |before| before + 1);
            let entries = (first..first + entries).map(|index| Entry { id: id(index), body: Body::Blank }).collect();
            let vote = Vote::new_committed(1, 1);
            AppendEntriesRequest { vote, prev_log_id: before.map(id), entries, leader_commit: None }
        };
        network.leave_behind(5);
        network.leave_behind(4);
        let (mut sent, mut turned_away) = (0, 0);
        let requests = [request(None, 0), request(Some(9), 0), request(Some(3), 1), request(None, 1)];
        let streams = async {
            for request in requests {
                let input = Box::pin(stream::once(async { request }));
                let mut answers = way.stream_append(input, RPCOption::new(CONNECT_PATIENCE)).await.unwrap();
                match answers.next().await.unwrap() {
                    Ok(_) => {
                        assert!(answers.next().await.is_none());
                        sent += 1;
                    }
                    Err(RPCError::Unreachable(why)) if why.to_string().contains("filled with files") => {
                        turned_away += 1
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        };
        tokio::join!(streams, answer(&listener, 2));
        assert_eq!((sent, turned_away), (2, 2));
    }
}
