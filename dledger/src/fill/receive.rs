//! The side of the member that is filled.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use parking_lot::Mutex;
use remoting::types::{MemberNumber, PhysicalOffset};
use store::{RaftLog, Staging};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::list::{List, Piece, What};
use super::wire::{Reply, Say};
use super::{CHUNK_BYTES, Fills, PATIENCE, Side, Track};
use crate::files::Files;
use crate::membership;
use crate::runtime;
use crate::types::{Id, Raft, Vote, entry_id};

pub(crate) type Tasks = Arc<Mutex<JoinSet<()>>>;

type Read = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;
type Write = BufWriter<OwnedWriteHalf>;

/// Takes what a leader sends, one leader at a time.
pub(crate) struct Receiver {
    pub(crate) raft: Raft,
    pub(crate) log: RaftLog,
    pub(crate) files: Arc<Files>,
    pub(crate) fills: Arc<Fills>,
    pub(crate) tasks: Tasks,
    /// Of the quarantine, which ends with the member.
    pub(crate) asking: AbortHandle,
    /// Who asks last is listened to: those before are gone, or do not lead any more.
    newest: watch::Sender<u64>,
    turn: tokio::sync::Mutex<()>,
    /// The member ends, to start anew with what it was sent.
    pub(crate) ending: CancellationToken,
    /// It has ended.
    pub(crate) filled: CancellationToken,
}

/// What is gathered from one leader.
struct Gathering {
    list: Arc<List>,
    staging: Staging,
    track: Track,
    open: Option<Open>,
    /// Pieces that are on disk, which come in their order.
    kept: usize,
}

/// The piece that comes.
struct Open {
    file: Arc<File>,
    at: u64,
}

impl Receiver {
    pub(crate) fn new(
        raft: Raft,
        log: RaftLog,
        files: Arc<Files>,
        fills: Arc<Fills>,
        tasks: Tasks,
        asking: AbortHandle,
        ending: CancellationToken,
    ) -> Self {
        let (newest, turn, filled) = (watch::Sender::new(0), tokio::sync::Mutex::new(()), CancellationToken::new());
        Self { raft, log, files, fills, tasks, asking, newest, turn, ending, filled }
    }

    /// Takes what member `from` sends, until it is all there or the connection ends.
    pub(crate) async fn receive(self: Arc<Self>, from: u64, read: Read, mut write: Write) -> io::Result<()> {
        let mut mine = 0;
        self.newest.send_modify(|newest| {
            *newest += 1;
            mine = *newest;
        });
        let mut newest = self.newest.subscribe();
        let _turn = self.turn.lock().await;
        let received = tokio::select! {
            // This holds the other end.
            _ = newest.wait_for(|newest| *newest != mine) => Err(io::Error::other("another one fills this member now")),
            received = self.gather(from, read, &mut write) => received,
        };
        received.inspect_err(|error| {
            let leader = MemberNumber(from);
            info!(%leader, %error, "the fill of this member broke off: what is there stays, for the next attempt");
        })
    }

    async fn gather(self: &Arc<Self>, from: u64, mut read: Read, write: &mut Write) -> io::Result<()> {
        let Say::List(list) = next(&mut read).await? else { return Err(out_of_place()) };
        let list = Arc::new(*list);
        let mut gathering = match self.begin(from, &list).await {
            Ok(gathering) => gathering,
            Err(error) => {
                warn!(leader = %MemberNumber(from), %error, "this member cannot be filled");
                return answer(write, &Reply::Refused(error.to_string())).await;
            }
        };
        answer(write, &Reply::Go).await?;
        loop {
            match next(&mut read).await? {
                Say::Piece(number) => answer(write, &gathering.look(number).await?).await?,
                Say::From(at) => gathering.open(at).await?,
                Say::Chunk { crc, bytes } => gathering.write(crc, bytes).await?,
                Say::End => {
                    gathering.keep().await?;
                    answer(write, &Reply::Kept).await?;
                }
                Say::Finish if gathering.kept == list.pieces.len() => {
                    // Whatever becomes of this connection.
                    let filled = self.filled.clone().drop_guard();
                    let reply = match self.finish(gathering).await {
                        Ok(()) => Reply::Filled,
                        Err(error) => {
                            warn!(%error, "what this member was sent is not put in place; it starts again");
                            Reply::Refused(error.to_string())
                        }
                    };
                    let answered = answer(write, &reply).await;
                    drop(filled);
                    return answered;
                }
                Say::Wait => {}
                Say::Finish | Say::List(_) => return Err(out_of_place()),
            }
        }
    }

    /// # Errors
    /// Why this member is not filled with that.
    async fn begin(&self, from: u64, list: &Arc<List>) -> io::Result<Gathering> {
        if self.ending.is_cancelled() {
            return Err(io::Error::other("this member starts anew"));
        }
        list.check(self.log.file_bytes())?;
        let vote = Vote::from(&list.vote);
        let own = self.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(io::Error::other)?;
        if own > vote {
            return Err(io::Error::other(format!("this member knows of a later vote, {own}, than {vote}")));
        }
        let before = Id::from(&list.before);
        if self.log.id_of(before.index) == Some(entry_id(&before)) {
            return Err(io::Error::other(format!("this member has entry {}, and can follow the log", before.index)));
        }
        let staging = self.log.staging();
        let (gathered, room) = {
            let (staging, list) = (staging.clone(), Arc::clone(list));
            let begin = move || -> io::Result<(u64, u64)> {
                let starts = list.starts().map(PhysicalOffset).collect();
                staging.begin(&starts)?;
                let gathered = starts.iter().map(|start| staging.gathered(*start)).sum::<io::Result<u64>>()?;
                Ok((gathered, staging.room()))
            };
            runtime::blocking(begin).await??
        };
        let wanted = list.bytes().saturating_sub(gathered);
        if wanted > room {
            return Err(io::Error::other(format!(
                "{wanted} bytes are to come, and the disk has room for {room}: make room, or stop this member, empty its \
                 folder, and start it again"
            )));
        }
        let track = Track::begin(&self.fills, Side::From(from), list.bytes());
        Ok(Gathering { list: Arc::clone(list), staging, track, open: None, kept: 0 })
    }

    /// Ends this member and marks what was gathered for its next start. It is not given up halfway.
    async fn finish(self: &Arc<Self>, gathering: Gathering) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        let receiver = Arc::clone(self);
        self.tasks.lock().spawn(async move {
            // Who waits for it may be gone.
            let _ = tell.send(receiver.settle(gathering).await);
        });
        told.await.map_err(io::Error::other)?
    }

    async fn settle(&self, gathering: Gathering) -> io::Result<()> {
        self.ending.cancel();
        self.asking.abort();
        // Nothing is appended and no vote is given from now on.
        self.raft.shutdown().await.map_err(io::Error::other)?;
        let (log, files) = (self.log.clone(), Arc::clone(&self.files));
        let Gathering { list, staging, track, .. } = gathering;
        let mark = move || -> io::Result<()> {
            let before = Id::from(&list.before);
            if log.id_of(before.index) == Some(entry_id(&before)) {
                staging.discard()?;
                return Err(io::Error::other(format!("this member got entry {} meanwhile", before.index)));
            }
            // One that lost its files may not have heard from this leader otherwise.
            let vote = Vote::from(&list.vote);
            if files.vote().is_none_or(|own| own < vote) {
                files.save_vote(&vote)?;
            }
            let new = Files::open(&staging.tables().join("raft"))?;
            new.save_purged(&before)?;
            let members = membership::decode(&serde_json::to_vec(&list.members)?)?;
            new.save_members(&Id::from(&list.members_of), &members)?;
            let start = list.starts().next().ok_or_else(out_of_place)?;
            staging.complete(PhysicalOffset(start), PhysicalOffset(list.last_at))
        };
        runtime::blocking(mark).await??;
        track.tell("is complete: it starts anew with what it was sent");
        Ok(())
    }
}

impl Gathering {
    fn piece(&self) -> io::Result<&Piece> {
        self.list.pieces.get(self.kept).ok_or_else(out_of_place)
    }

    /// What is there of a piece.
    async fn look(&mut self, number: u32) -> io::Result<Reply> {
        if number as usize != self.kept {
            return Err(out_of_place());
        }
        let Piece { what, bytes } = self.piece()?.clone();
        let What::Segment { start, .. } = what else {
            return Ok(Reply::Has { bytes: 0, crc: 0 });
        };
        let staging = self.staging.clone();
        let look = move || -> io::Result<Reply> {
            let start = PhysicalOffset(start);
            let bytes = staging.gathered(start)?.min(bytes);
            Ok(Reply::Has { bytes, crc: staging.checksum(start, bytes)? })
        };
        runtime::blocking(look).await?
    }

    /// The piece comes from `at` on.
    async fn open(&mut self, at: u64) -> io::Result<()> {
        let Piece { what, bytes } = self.piece()?.clone();
        if at > bytes || self.open.is_some() {
            return Err(out_of_place());
        }
        let staging = self.staging.clone();
        let open = move || match what {
            What::Queues => staging.create_queues(),
            What::Table { path } => staging.create_table(&path),
            What::Segment { start, .. } => staging.open_segment(PhysicalOffset(start), at),
        };
        let file = Arc::new(runtime::blocking(open).await??);
        self.open = Some(Open { file, at });
        self.track.add(at);
        Ok(())
    }

    async fn write(&mut self, crc: u32, bytes: Bytes) -> io::Result<()> {
        let end = self.piece()?.bytes;
        let open = self.open.as_mut().ok_or_else(out_of_place)?;
        let (file, at, len) = (Arc::clone(&open.file), open.at, bytes.len() as u64);
        if len > CHUNK_BYTES as u64 || at + len > end {
            return Err(out_of_place());
        }
        if crc32fast::hash(&bytes) != crc {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a part came with a wrong checksum"));
        }
        runtime::blocking(move || file.write_all_at(&bytes, at)).await??;
        open.at += len;
        self.track.add(len);
        Ok(())
    }

    /// All of the piece is there.
    async fn keep(&mut self) -> io::Result<()> {
        let Piece { what, bytes } = self.piece()?.clone();
        let Some(Open { file, at }) = self.open.take().filter(|open| open.at == bytes) else {
            return Err(out_of_place());
        };
        debug_assert_eq!(at, bytes);
        let staging = self.staging.clone();
        let keep = move || match what {
            What::Segment { written_ms, .. } => staging.seal_segment(&file, written_ms),
            What::Queues | What::Table { .. } => file.sync_all(),
        };
        runtime::blocking(keep).await??;
        self.kept += 1;
        Ok(())
    }
}

async fn next(read: &mut Read) -> io::Result<Say> {
    let frame = timeout(PATIENCE, read.next()).await?;
    let frame = frame.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
    Say::decode(BytesMut::freeze(frame))
}

async fn answer(write: &mut Write, reply: &Reply) -> io::Result<()> {
    let bytes = reply.encode();
    let written = async {
        write.write_u32(bytes.len() as u32).await?;
        write.write_all(&bytes).await?;
        write.flush().await
    };
    timeout(PATIENCE, written).await?
}

fn out_of_place() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what came is out of place")
}
