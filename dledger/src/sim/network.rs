//! The network between members, as bytes: it delays, loses and doubles requests, breaks connections, and can be cut in each
//! direction.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::{Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, RaftNetworkV2, Snapshot};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::runtime::Life;
use crate::fill::Supply;
use crate::guard::{Appended, Guard};
use crate::net::answer;
use crate::net::client::{appended, told, transferred, unexpected, unreachable, voted};
use crate::net::wire::{Answer, Request};
use crate::quarantine::{Inquiry, Stand};
use crate::types::{Leader, Member, Types, Vote};

/// Requests with entries that are under way on a connection at most.
const UNDER_WAY_MAX: usize = 16;
/// Longest wait for an answer to entries.
const ENTRIES_PATIENCE: Duration = Duration::from_secs(3);

/// How the network is. Chances are in a thousand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) delay_ms: (u64, u64),
    /// Now and then a packet takes this long.
    pub(super) late_ms: u64,
    pub(super) late: u32,
    pub(super) lost: u32,
    pub(super) twice: u32,
}

impl Weather {
    pub(super) const FINE: Self = Self { delay_ms: (0, 3), late_ms: 0, late: 0, lost: 0, twice: 0 };
}

#[derive(Clone)]
pub(super) struct Net(Arc<Mutex<State>>);

struct State {
    chance: Rng,
    weather: Weather,
    /// From, to.
    cuts: BTreeSet<(u64, u64)>,
    ends: BTreeMap<u64, End>,
}

/// Where requests arrive.
#[derive(Clone)]
struct End {
    life: Arc<Life>,
    guard: Guard,
}

/// A packet, and when it arrives.
type Packet = (Instant, Bytes);

/// How a direction of a connection ended.
#[derive(PartialEq, Eq)]
enum Ended {
    Closed,
    /// Nobody hears of it.
    Cut,
}

impl Net {
    pub(super) fn new(chance: Rng) -> Self {
        let (cuts, ends) = Default::default();
        Self(Arc::new(Mutex::new(State { chance, weather: Weather::FINE, cuts, ends })))
    }

    /// The ways from a member.
    pub(super) fn from(&self, from: u64) -> Ways {
        Ways { net: self.clone(), from }
    }

    pub(super) fn join(&self, life: &Arc<Life>, guard: &Guard) {
        let end = End { life: Arc::clone(life), guard: guard.clone() };
        self.0.lock().ends.insert(life.member, end);
    }

    pub(super) fn leave(&self, member: u64) {
        self.0.lock().ends.remove(&member);
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.0.lock().weather = weather;
    }

    pub(super) fn cut(&self, ways: impl IntoIterator<Item = (u64, u64)>) {
        self.0.lock().cuts.extend(ways);
    }

    pub(super) fn mend(&self, ways: impl IntoIterator<Item = (u64, u64)>) {
        let mut state = self.0.lock();
        for way in ways {
            state.cuts.remove(&way);
        }
    }

    pub(super) fn heal(&self) {
        let mut state = self.0.lock();
        state.cuts.clear();
        state.weather = Weather::FINE;
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.0.lock().cuts.contains(&(from, to))
    }

    fn end(&self, member: u64) -> Option<End> {
        self.0.lock().ends.get(&member).cloned()
    }

    fn happens(&self, of: fn(&Weather) -> u32) -> bool {
        let state = &mut *self.0.lock();
        let chance = of(&state.weather);
        chance > 0 && state.chance.u32(0..1000) < chance
    }

    pub(super) fn delay(&self) -> Duration {
        let late = self.happens(|weather| weather.late);
        let state = &mut *self.0.lock();
        let (from, to) = state.weather.delay_ms;
        let late = if late { state.chance.u64(0..=state.weather.late_ms) } else { 0 };
        Duration::from_millis(late + state.chance.u64(from..=to))
    }

    /// Brings a packet from one to another; false: it is lost.
    async fn carry(&self, from: u64, to: u64) -> bool {
        if self.happens(|weather| weather.lost) {
            return false;
        }
        sleep(self.delay()).await;
        !self.is_cut(from, to)
    }

    /// Asks once, or twice without knowing it; there may never be an answer.
    async fn ask(&self, from: u64, to: u64, request: &Request) -> io::Result<Answer> {
        let frame: Bytes = request.encode().concat().into();
        let (tell, told) = oneshot::channel();
        let tell = Arc::new(Mutex::new(Some(tell)));
        let copies = if self.happens(|weather| weather.twice) { 2 } else { 1 };
        for _ in 0..copies {
            tokio::spawn(self.clone().deliver(from, to, frame.clone(), Arc::clone(&tell)));
        }
        drop(tell);
        match told.await {
            Ok(answer) => Answer::decode(answer?),
            Err(_) => std::future::pending().await,
        }
    }

    async fn deliver(
        self,
        from: u64,
        to: u64,
        frame: Bytes,
        tell: Arc<Mutex<Option<oneshot::Sender<io::Result<Bytes>>>>>,
    ) {
        if !self.carry(from, to).await {
            return;
        }
        let answered = match self.end(to) {
            Some(End { life, guard }) => {
                let answering = async move { io::Result::Ok(answer(&guard, Request::decode(frame)?).await?.encode()) };
                // It died over it.
                let Ok(answered) = life.spawn(answering).await else { return };
                answered
            }
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        };
        if self.carry(to, from).await
            && let Some(tell) = tell.lock().take()
        {
            // Who asked may not wait any more.
            let _ = tell.send(answered);
        }
    }

    /// Passes packets on in their order, each when it arrives.
    async fn pass(
        &self,
        from: u64,
        to: u64,
        mut packets: mpsc::UnboundedReceiver<Packet>,
        arrived: &mpsc::UnboundedSender<Bytes>,
    ) -> Ended {
        while let Some((at, packet)) = packets.recv().await {
            sleep_until(at).await;
            if self.is_cut(from, to) {
                return Ended::Cut;
            }
            if arrived.send(packet).is_err() {
                break;
            }
        }
        Ended::Closed
    }

    /// A connection for entries, until it ends.
    async fn connect(
        self,
        from: u64,
        to: u64,
        requests: mpsc::UnboundedReceiver<Packet>,
        answers: mpsc::UnboundedSender<Bytes>,
    ) {
        let Some(End { life, guard }) = self.end(to) else { return };
        let (to_server, at_server) = mpsc::unbounded_channel();
        let (from_server, answered) = mpsc::unbounded_channel();
        life.spawn(serve(self.clone(), guard, at_server, from_server));
        let ended = tokio::select! {
            biased;
            ended = self.pass(from, to, requests, &to_server) => ended,
            ended = self.pass(to, from, answered, &answers) => ended,
        };
        if ended == Ended::Cut {
            sleep(ENTRIES_PATIENCE).await;
        }
    }

    /// When a packet sent now arrives behind the one before it.
    fn arrival(&self, last: &mut Instant) -> Instant {
        *last = (*last).max(Instant::now() + self.delay());
        *last
    }
}

/// Answers requests with entries on one connection.
async fn serve(
    net: Net,
    guard: Guard,
    requests: mpsc::UnboundedReceiver<Bytes>,
    answers: mpsc::UnboundedSender<Packet>,
) {
    let requests = stream::unfold(requests, |mut requests| async move {
        match Request::decode(requests.recv().await?) {
            Ok(Request::Append(request)) => Some((request, requests)),
            other => panic!("no entries arrived: {other:?}"),
        }
    });
    let mut last = Instant::now();
    let mut appended = pin!(guard.stream_append(requests));
    while let Some(Ok(appended)) = appended.next().await {
        if answers.send((net.arrival(&mut last), Answer::Entries(appended).encode())).is_err() {
            return;
        }
    }
}

/// The ways from one member.
#[derive(Clone)]
pub(super) struct Ways {
    net: Net,
    from: u64,
}

impl RaftNetworkFactory<Types> for Ways {
    type Network = Way;

    async fn new_client(&mut self, to: u64, _: &Member) -> Way {
        Way { net: self.net.clone(), from: self.from, to }
    }
}

impl Inquiry for Ways {
    async fn stand(&self, number: u64, _: &Member) -> io::Result<Stand> {
        told(self.net.ask(self.from, number, &Request::Stand).await?)
    }

    fn leave_behind(&self, _: u64) {}
}

/// The way to one member.
pub(super) struct Way {
    net: Net,
    from: u64,
    to: u64,
}

impl Way {
    async fn call(&self, request: &Request, option: &RPCOption) -> Result<Answer, RPCError<Types>> {
        let answer = timeout(option.hard_ttl(), self.net.ask(self.from, self.to, request)).await;
        answer.map_err(io::Error::from).flatten().map_err(|error| unreachable(&error))
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
        let pipe = Pipe { link: Link::open(self), input, under_way: 0, ended: false };
        let answers = stream::unfold(Some(pipe), |pipe| async move {
            let mut pipe = pipe?;
            let answer = pipe.next().await?;
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

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot<Leader, u64, Member, Supply>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::new(&AnyError::error("files take the wire"))))
    }
}

/// The asking side of a connection for entries. What was sent arrives, though nobody waits for the answer any more.
struct Link {
    net: Net,
    last: Instant,
    requests: mpsc::UnboundedSender<Packet>,
    answers: mpsc::UnboundedReceiver<Bytes>,
}

impl Link {
    fn open(way: &Way) -> Self {
        let (requests, sent) = mpsc::unbounded_channel();
        let (arrived, answers) = mpsc::unbounded_channel();
        tokio::spawn(way.net.clone().connect(way.from, way.to, sent, arrived));
        Self { net: way.net.clone(), last: Instant::now(), requests, answers }
    }

    /// Cancel-safe.
    async fn answer(&mut self) -> io::Result<Answer> {
        let frame = timeout(ENTRIES_PATIENCE, self.answers.recv()).await?;
        Answer::decode(frame.ok_or(io::ErrorKind::ConnectionReset)?)
    }
}

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
                biased;
                answer = self.link.answer(), if self.under_way > 0 => {
                    self.under_way -= 1;
                    return Some(match answer {
                        Ok(Answer::Entries(appended)) => Ok(appended),
                        Ok(other) => Err(unexpected(&other)),
                        Err(error) => Err(unreachable(&error)),
                    });
                }
                request = self.input.next(), if !self.ended && self.under_way < UNDER_WAY_MAX => match request {
                    Some(request) => {
                        let packet = Request::Append(request).encode().concat().into();
                        let at = self.link.net.arrival(&mut self.link.last);
                        if self.link.requests.send((at, packet)).is_err() {
                            return Some(Err(unreachable(&io::Error::from(io::ErrorKind::ConnectionRefused))));
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
