//! The side of the leader.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::storage::SnapshotMeta;
use remoting::types::{MemberNumber, PhysicalOffset};
use store::Pinned;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::list::{List, Piece, What};
use super::wire::{Reply, Say};
use super::{CHUNK_BYTES, PATIENCE, Side, Supply, Track};
use crate::files::{IdText, VoteText};
use crate::membership;
use crate::net::{Answer, Hello, Link, Request, Use, ask};
use crate::quarantine::Stand;
use crate::runtime;
use crate::types::{Entry, Id, Leader, Member, Types, Vote};

/// Where a member is to be brought.
pub(crate) type Goal = SnapshotMeta<Leader, u64, Member>;

/// Longest wait for a part of it to be sent, or for an answer to a short question.
const SHORT_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether a member that was filled is back.
const LOOK: Duration = Duration::from_millis(200);
/// One that is not back after so long may find that the log went on without it: it makes its queues from the log meanwhile,
/// so there is a second more for each so many bytes.
const BACK_PATIENCE: Duration = Duration::from_secs(15 * 60);
const BACK_BYTES_PER_S: u64 = 32 << 20;
/// Bytes of entries in one request.
const READ_BYTES_MAX: usize = 2 << 20;

/// Why a member was not brought there.
#[derive(Debug)]
pub(crate) enum Lack {
    /// It does not answer.
    Silent(io::Error),
    BrokeOff(io::Error),
}

/// The way to a member that is filled.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) supply: Supply,
    pub(crate) address: String,
    pub(crate) hello: Hello,
}

/// All that is sent.
struct Cargo {
    list: List,
    /// Of each piece that is no file of the log.
    tables: Vec<Bytes>,
    pinned: Arc<Pinned>,
}

impl Sender {
    /// Brings the member to the last entry of `goal`; returns once it has that, and is there to follow the log.
    pub(crate) async fn bring(&self, vote: Vote, goal: Goal) -> Result<(), Lack> {
        let member = MemberNumber(self.hello.to);
        let last = goal.last_log_id.ok_or_else(|| Lack::BrokeOff(io::Error::other("nothing is agreed on yet")))?;
        let stand = self.stand().await.map_err(Lack::Silent)?;
        let gone = self.supply.files.purged();
        match stand.agreed {
            Some(agreed) if agreed >= last => return Ok(()),
            // It was filled, and has missed what came since, or who leads has changed.
            Some(agreed) if gone.is_none_or(|gone| gone.index <= agreed.index) => {
                return self.append(vote, agreed, last).await.map_err(Lack::BrokeOff);
            }
            Some(_) | None => {}
        }
        let Cargo { list, pinned, .. } = self.fill(vote, goal).await.map_err(Lack::BrokeOff)?;
        let patience = BACK_PATIENCE + Duration::from_secs(list.bytes() / BACK_BYTES_PER_S);
        let (mut pinned, since) = (Some(pinned), Instant::now());
        loop {
            match self.stand().await {
                Ok(stand) if stand.agreed >= Some(last) => break,
                Ok(_) => return Err(Lack::BrokeOff(io::Error::other("it came back without what it was sent"))),
                Err(error) => debug!(%member, %error, "a member that was filled is not back yet"),
            }
            if since.elapsed() > patience && pinned.take().is_some() {
                warn!(%member, "a member that was filled does not come back: the log is not kept for it any longer");
            }
            sleep(LOOK).await;
        }
        info!(%member, "a member was filled, and follows the log");
        if let Some(pinned) = pinned {
            self.supply.fills.linger(pinned);
        }
        Ok(())
    }

    async fn stand(&self) -> io::Result<Stand> {
        match timeout(SHORT_PATIENCE, ask(&self.address, &self.hello_for(Use::Calls), &Request::Stand)).await?? {
            Answer::Stand(stand) => Ok(stand),
            other => Err(io::Error::other(format!("an answer to something else: {other:?}"))),
        }
    }

    fn hello_for(&self, purpose: Use) -> Hello {
        Hello { purpose, ..self.hello.clone() }
    }

    /// Sends the entries behind `from`, which the member has, up to `last`. All of them were agreed on.
    async fn append(&self, vote: Vote, from: Id, last: Id) -> io::Result<()> {
        let mut link = Link::open(&self.address, &self.hello_for(Use::Calls)).await?;
        let mut before = from;
        while before < last {
            let (log, next) = (self.supply.log.clone(), before.index + 1);
            let read = move || log.read(next, last.index + 1, READ_BYTES_MAX);
            let entries: Vec<_> = runtime::blocking(read).await?.into_iter().map(Entry::stored).collect();
            let sent = entries.last().map(|entry| entry.id);
            let sent = sent.ok_or_else(|| io::Error::other(format!("entry {next} is gone from the log")))?;
            let request =
                AppendEntriesRequest::<Types> { vote, prev_log_id: Some(before), entries, leader_commit: Some(last) };
            let answered = async {
                link.send(&Request::Append(request)).await?;
                link.answer().await
            };
            before = match timeout(SHORT_PATIENCE, answered).await?? {
                Answer::Append(AppendEntriesResponse::Success) => sent,
                Answer::Append(AppendEntriesResponse::PartialSuccess(Some(has))) if has > before => has,
                other => return Err(io::Error::other(format!("it does not take entry {next}: {other:?}"))),
            };
        }
        Ok(())
    }

    /// Sends files until the member says that it starts anew with them; what it needs next is pinned by what is given back.
    async fn fill(&self, vote: Vote, goal: Goal) -> io::Result<Cargo> {
        let supply = self.supply.clone();
        let cargo = runtime::blocking(move || Cargo::load(&supply, &vote, &goal)).await??;
        let link = timeout(SHORT_PATIENCE, Link::open(&self.address, &self.hello_for(Use::Fill))).await??;
        let mut talk = Talk(link);
        talk.expect(Say::List(Box::new(cargo.list.clone())), &Reply::Go).await?;
        let mut track = Track::begin(&self.supply.fills, Side::To(self.hello.to), cargo.list.bytes());
        for (number, piece) in cargo.list.pieces.iter().enumerate() {
            self.send_piece(&mut talk, &cargo, number, piece, &mut track).await?;
        }
        track.tell("has sent everything");
        match talk.ask(Say::Finish).await {
            Ok(Reply::Filled) => {}
            Ok(Reply::Refused(why)) => return Err(refused(&why)),
            Ok(other) => return Err(unexpected(&other)),
            // It may have ended before its answer was out.
            Err(error) => debug!(member = %MemberNumber(self.hello.to), %error, "no answer at the end of a fill"),
        }
        Ok(cargo)
    }

    async fn send_piece(
        &self,
        talk: &mut Talk,
        cargo: &Cargo,
        number: usize,
        piece: &Piece,
        track: &mut Track,
    ) -> io::Result<()> {
        let (has, crc) = match talk.ask(Say::Piece(number as u32)).await? {
            Reply::Has { bytes, crc } => (bytes, crc),
            Reply::Refused(why) => return Err(refused(&why)),
            other => return Err(unexpected(&other)),
        };
        let is_same = has > 0 && has <= piece.bytes && self.checksum(talk, cargo, number, has).await? == crc;
        let mut at = if is_same { has } else { 0 };
        track.add(at);
        talk.say(Say::From(at)).await?;
        while at < piece.bytes {
            let bytes = CHUNK_BYTES.min(usize::try_from(piece.bytes - at).unwrap_or(CHUNK_BYTES));
            self.supply.fills.pace(bytes as u64).await;
            let bytes = cargo.read(number, at, bytes).await?;
            let sent = bytes.len() as u64;
            talk.say(Say::Chunk { crc: crc32fast::hash(&bytes), bytes }).await?;
            at += sent;
            track.add(sent);
        }
        talk.expect(Say::End, &Reply::Kept).await?;
        // The last one stays: its end is what the member needs next.
        let is_last = number + 1 == cargo.list.pieces.len();
        if let What::Segment { start, .. } = piece.what
            && !is_last
        {
            cargo.pinned.pass(PhysicalOffset(start + cargo.list.file_bytes as i64));
        }
        Ok(())
    }

    /// CRC-32 of the beginning of a piece.
    async fn checksum(&self, talk: &mut Talk, cargo: &Cargo, number: usize, end: u64) -> io::Result<u32> {
        let (mut at, mut hasher) = (0, crc32fast::Hasher::new());
        let mut said = Instant::now();
        while at < end {
            let bytes = CHUNK_BYTES.min(usize::try_from(end - at).unwrap_or(CHUNK_BYTES));
            self.supply.fills.pace(bytes as u64).await;
            hasher.update(&cargo.read(number, at, bytes).await?);
            at += bytes as u64;
            if said.elapsed() > SHORT_PATIENCE {
                said = Instant::now();
                talk.say(Say::Wait).await?;
            }
        }
        Ok(hasher.finalize())
    }
}

impl Cargo {
    /// Blocks.
    fn load(supply: &Supply, vote: &Vote, goal: &Goal) -> io::Result<Self> {
        let Supply { log, files, state, .. } = supply;
        // First: from now on nothing goes that is not gone.
        let pinned = Arc::new(log.pin());
        let nothing = || io::Error::other("nothing is gone from the log: it can be followed");
        let before = files.purged().ok_or_else(nothing)?;
        let last = goal.last_log_id.ok_or_else(|| io::Error::other("nothing is agreed on yet"))?;
        let lost = || io::Error::other(format!("entry {} is not in the log", last.index));
        let (last_at, end) = (log.start_of(last.index).ok_or_else(lost)?, log.end_of(last.index).ok_or_else(lost)?);
        let segments = pinned.segments(before.index + 1, last.index)?;
        let start = segments.first().map(|segment| segment.start).ok_or_else(lost)?;
        pinned.pass(start);
        let mut pieces = Vec::new();
        let mut tables = Vec::new();
        let mut add = |what, bytes: Vec<u8>| {
            pieces.push(Piece { what, bytes: bytes.len() as u64 });
            tables.push(Bytes::from(bytes));
        };
        add(What::Queues, pinned.queues(start, end)?);
        for (path, bytes) in state.files()? {
            add(What::Table { path }, bytes);
        }
        pieces.extend(segments.iter().map(|segment| {
            let what = What::Segment { start: segment.start.0, written_ms: segment.written_ms };
            Piece { what, bytes: segment.bytes }
        }));
        let members_of = goal.last_membership.log_id().ok_or_else(|| io::Error::other("the group has no members"))?;
        let list = List {
            vote: VoteText::from(vote),
            before: IdText::from(&before),
            last: IdText::from(&last),
            last_at: last_at.0,
            members_of: IdText::from(&members_of),
            members: serde_json::from_slice(&membership::encode(goal.last_membership.membership()))?,
            file_bytes: log.file_bytes(),
            pieces,
        };
        Ok(Self { list, tables, pinned })
    }

    /// So many bytes of a piece.
    async fn read(&self, number: usize, at: u64, bytes: usize) -> io::Result<Bytes> {
        if let Some(table) = self.tables.get(number) {
            return Ok(table.slice(at as usize..at as usize + bytes));
        }
        let What::Segment { start, .. } = self.list.pieces[number].what else {
            return Err(io::Error::other("there is no such piece"));
        };
        let pinned = Arc::clone(&self.pinned);
        let read = move || pinned.read(PhysicalOffset(start + at as i64), bytes);
        runtime::blocking(read).await?.map(Bytes::from)
    }
}

/// The connection of a fill.
struct Talk(Link);

impl Talk {
    async fn say(&mut self, say: Say) -> io::Result<()> {
        timeout(PATIENCE, self.0.send_frame(say.encode())).await?
    }

    async fn ask(&mut self, say: Say) -> io::Result<Reply> {
        self.say(say).await?;
        Reply::decode(timeout(PATIENCE, self.0.frame()).await??)
    }

    async fn expect(&mut self, say: Say, reply: &Reply) -> io::Result<()> {
        match self.ask(say).await? {
            answer if answer == *reply => Ok(()),
            Reply::Refused(why) => Err(refused(&why)),
            other => Err(unexpected(&other)),
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("it refuses: {why}"))
}

fn unexpected(reply: &Reply) -> io::Error {
    io::Error::other(format!("an answer to something else: {reply:?}"))
}
