//! What members say to each other, as bytes.
//!
//! ```text
//! hello: "FERMQRFT" │ version u16 │ kind u8 │ from u64 │ to u64 │ length u16, name of the group
//! frame: length u32 │ kind u8 │ fields …
//! ```
//! Numbers are big-endian. An entry is as it lies in the log, behind its length as u32.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::vote::RaftLeaderId as _;

use crate::quarantine::Stand;
use crate::types::{Body, Entry, Id, Leader, Types, Vote};

const MAGIC: &[u8; 8] = b"FERMQRFT";
/// Members of different versions do not understand each other.
const VERSION: u16 = 1;
/// Bytes before the name in a hello.
pub(super) const HELLO_BYTES: usize = 8 + 2 + 1 + 8 + 8 + 2;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Requests, each with its answer before the next.
    Calls,
    /// Entries, of which many are under way.
    Entries,
}

/// The first thing said on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) purpose: Use,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) group: String,
}

#[derive(Debug)]
pub(crate) enum Request {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Transfer(TransferLeaderRequest<Types>),
    /// How far the member is.
    Stand,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Append(AppendEntriesResponse<Types>),
    /// The last entry that is there, or why there is none more.
    Entries(Result<Option<Id>, StreamAppendError<Types>>),
    Vote(VoteResponse<Types>),
    /// The vote that the member has given meanwhile, if that keeps it from going along.
    Transfer(Option<Vote>),
    Stand(Stand),
}

impl Hello {
    pub(super) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(HELLO_BYTES + self.group.len());
        out.put_slice(MAGIC);
        out.put_u16(VERSION);
        out.put_u8(match self.purpose {
            Use::Calls => 0,
            Use::Entries => 1,
        });
        out.put_u64(self.from);
        out.put_u64(self.to);
        out.put_u16(self.group.len() as u16);
        out.put_slice(self.group.as_bytes());
        out
    }

    /// Its fixed part; the name is so many bytes more.
    ///
    /// # Errors
    /// The other side is no member of this version.
    pub(super) fn decode(mut bytes: &[u8]) -> io::Result<(Self, usize)> {
        if bytes.len() < HELLO_BYTES || bytes[..8] != *MAGIC {
            return Err(bad("it is no member of a group"));
        }
        bytes.advance(8);
        let version = bytes.get_u16();
        if version != VERSION {
            return Err(bad(&format!("it speaks version {version}, and this member version {VERSION}")));
        }
        let purpose = match bytes.get_u8() {
            0 => Use::Calls,
            1 => Use::Entries,
            other => return Err(bad(&format!("purpose {other} of its connection is not known"))),
        };
        let (from, to, name) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u16());
        Ok((Self { purpose, from, to, group: String::new() }, usize::from(name)))
    }
}

impl Request {
    /// The frame without its length, in parts: entries are not copied.
    pub(crate) fn encode(&self) -> Vec<Bytes> {
        let mut out = BytesMut::new();
        match self {
            Self::Append(append) => {
                out.put_u8(0);
                put_vote(&mut out, &append.vote);
                put_id(&mut out, append.prev_log_id.as_ref());
                put_id(&mut out, append.leader_commit.as_ref());
                out.put_u32(append.entries.len() as u32);
                let mut parts = Vec::with_capacity(2 * append.entries.len() + 1);
                for entry in &append.entries {
                    // What replication reads from the log is as it lies there.
                    let Body::Stored(stored) = &entry.body else { continue };
                    out.put_u32(stored.bytes.len() as u32);
                    parts.extend([out.split().freeze(), stored.bytes.clone()]);
                }
                if !out.is_empty() {
                    parts.push(out.freeze());
                }
                return parts;
            }
            Self::Vote(vote) | Self::PreVote(vote) => {
                out.put_u8(if matches!(self, Self::Vote(_)) { 1 } else { 2 });
                put_vote(&mut out, &vote.vote);
                put_id(&mut out, vote.last_log_id.as_ref());
                out.put_u8(vote.leadership_transfer.into());
            }
            Self::Transfer(transfer) => {
                out.put_u8(3);
                put_vote(&mut out, transfer.from_leader());
                out.put_u64(*transfer.to_node_id());
                put_id(&mut out, transfer.last_log_id());
            }
            Self::Stand => out.put_u8(4),
        }
        vec![out.freeze()]
    }

    /// # Errors
    /// The bytes are no request.
    pub(crate) fn decode(frame: Bytes) -> io::Result<Self> {
        let mut reader = Reader(frame);
        let request = match reader.byte()? {
            0 => {
                let (vote, prev_log_id, leader_commit) = (reader.vote()?, reader.id()?, reader.id()?);
                let count = reader.word()? as usize;
                // Each takes more bytes than this in the frame.
                let mut entries = Vec::with_capacity(count.min(reader.0.len() / 4));
                for _ in 0..count {
                    let bytes = reader.word()? as usize;
                    let stored = store::RaftEntry::parse(reader.take(bytes)?).map_err(io::Error::other)?;
                    entries.push(Entry::stored(stored));
                }
                Self::Append(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
            }
            kind @ (1 | 2) => {
                let vote = VoteRequest {
                    vote: reader.vote()?,
                    last_log_id: reader.id()?,
                    leadership_transfer: reader.byte()? != 0,
                };
                if kind == 1 { Self::Vote(vote) } else { Self::PreVote(vote) }
            }
            3 => Self::Transfer(TransferLeaderRequest::new(reader.vote()?, reader.long()?, reader.id()?)),
            4 => Self::Stand,
            other => return Err(bad(&format!("request {other} is not known"))),
        };
        reader.end().map(|()| request)
    }
}

impl Answer {
    /// The frame without its length.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Append(AppendEntriesResponse::Success) => out.put_u8(0),
            Self::Append(AppendEntriesResponse::PartialSuccess(last)) => {
                out.put_u8(1);
                put_id(&mut out, last.as_ref());
            }
            Self::Append(AppendEntriesResponse::Conflict) => out.put_u8(2),
            Self::Append(AppendEntriesResponse::HigherVote(vote)) => {
                out.put_u8(3);
                put_vote(&mut out, vote);
            }
            Self::Entries(Ok(last)) => {
                out.put_u8(4);
                put_id(&mut out, last.as_ref());
            }
            Self::Entries(Err(StreamAppendError::Conflict(id))) => {
                out.put_u8(5);
                put_id(&mut out, Some(id));
            }
            Self::Entries(Err(StreamAppendError::HigherVote(vote))) => {
                out.put_u8(6);
                put_vote(&mut out, vote);
            }
            Self::Vote(vote) => {
                out.put_u8(7);
                put_vote(&mut out, &vote.vote);
                out.put_u8(vote.vote_granted.into());
                put_id(&mut out, vote.last_log_id.as_ref());
            }
            Self::Transfer(None) => out.put_u8(8),
            Self::Transfer(Some(vote)) => {
                out.put_u8(9);
                put_vote(&mut out, vote);
            }
            Self::Stand(stand) => {
                out.put_u8(10);
                put_vote(&mut out, &stand.vote);
                put_id(&mut out, stand.agreed.as_ref());
                put_id(&mut out, stand.last.as_ref());
                out.put_u8(stand.is_quarantined.into());
            }
        }
        out.freeze()
    }

    /// # Errors
    /// The bytes are no answer.
    pub(crate) fn decode(frame: Bytes) -> io::Result<Self> {
        let mut reader = Reader(frame);
        let answer = match reader.byte()? {
            0 => Self::Append(AppendEntriesResponse::Success),
            1 => Self::Append(AppendEntriesResponse::PartialSuccess(reader.id()?)),
            2 => Self::Append(AppendEntriesResponse::Conflict),
            3 => Self::Append(AppendEntriesResponse::HigherVote(reader.vote()?)),
            4 => Self::Entries(Ok(reader.id()?)),
            5 => {
                let id = reader.id()?.ok_or_else(|| bad("a conflict without an entry"))?;
                Self::Entries(Err(StreamAppendError::Conflict(id)))
            }
            6 => Self::Entries(Err(StreamAppendError::HigherVote(reader.vote()?))),
            7 => {
                let (vote, granted) = (reader.vote()?, reader.byte()? != 0);
                Self::Vote(VoteResponse::new(vote, reader.id()?, granted))
            }
            8 => Self::Transfer(None),
            9 => Self::Transfer(Some(reader.vote()?)),
            10 => {
                let (vote, agreed, last) = (reader.vote()?, reader.id()?, reader.id()?);
                Self::Stand(Stand { vote, agreed, last, is_quarantined: reader.byte()? != 0 })
            }
            other => return Err(bad(&format!("answer {other} is not known"))),
        };
        reader.end().map(|()| answer)
    }
}

fn put_vote(out: &mut BytesMut, vote: &Vote) {
    let leader = vote.leader_id();
    out.put_u64(leader.term);
    out.put_u64(leader.node_id);
    out.put_u8(vote.is_committed().into());
}

fn put_id(out: &mut BytesMut, id: Option<&Id>) {
    out.put_u8(id.is_some().into());
    if let Some(id) = id {
        out.put_u64(id.leader_id.term);
        out.put_u64(id.leader_id.node_id);
        out.put_u64(id.index);
    }
}

/// Takes fields off a frame.
struct Reader(Bytes);

impl Reader {
    fn take(&mut self, bytes: usize) -> io::Result<Bytes> {
        if self.0.len() < bytes { Err(bad("it ends early")) } else { Ok(self.0.split_to(bytes)) }
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?.get_u8())
    }

    fn word(&mut self) -> io::Result<u32> {
        Ok(self.take(4)?.get_u32())
    }

    fn long(&mut self) -> io::Result<u64> {
        Ok(self.take(8)?.get_u64())
    }

    fn vote(&mut self) -> io::Result<Vote> {
        let (term, node) = (self.long()?, self.long()?);
        Ok(if self.byte()? != 0 { Vote::new_committed(term, node) } else { Vote::new(term, node) })
    }

    fn id(&mut self) -> io::Result<Option<Id>> {
        if self.byte()? == 0 {
            return Ok(None);
        }
        let leader_id = Leader::new(self.long()?, self.long()?);
        Ok(Some(Id { leader_id, index: self.long()? }))
    }

    fn end(&self) -> io::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(bad("something stands behind it")) }
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, index: u64) -> Id {
        Id { leader_id: Leader::new(term, 2), index }
    }

    fn frame(request: &Request) -> Bytes {
        request.encode().concat().into()
    }

    #[test]
    fn requests_come_back_as_they_were() {
        let vote = |leadership_transfer| VoteRequest {
            vote: Vote::new(7, 3),
            last_log_id: Some(id(6, 99)),
            leadership_transfer,
        };
        let transfer = TransferLeaderRequest::new(Vote::new_committed(4, 1), 3, None);
        let append = AppendEntriesRequest {
            vote: Vote::new_committed(4, 1),
            prev_log_id: Some(id(3, 5)),
            entries: Vec::new(),
            leader_commit: None,
        };
        let requests = [
            Request::Vote(vote(true)),
            Request::PreVote(vote(false)),
            Request::Transfer(transfer),
            Request::Append(append),
            Request::Stand,
        ];
        for request in requests {
            let bytes = frame(&request);
            assert_eq!(format!("{:?}", Request::decode(bytes.clone()).unwrap()), format!("{request:?}"));
            for len in 0..bytes.len() {
                assert!(Request::decode(bytes.slice(..len)).is_err(), "{len} bytes of {request:?}");
            }
            assert!(Request::decode([&bytes[..], &[0]].concat().into()).is_err());
        }
        assert!(Request::decode(Bytes::from_static(&[9])).is_err());
    }

    #[test]
    fn answers_come_back_as_they_were() {
        let answers = [
            Answer::Append(AppendEntriesResponse::Success),
            Answer::Append(AppendEntriesResponse::PartialSuccess(Some(id(1, 2)))),
            Answer::Append(AppendEntriesResponse::Conflict),
            Answer::Append(AppendEntriesResponse::HigherVote(Vote::new(9, 1))),
            Answer::Entries(Ok(None)),
            Answer::Entries(Err(StreamAppendError::Conflict(id(2, 3)))),
            Answer::Entries(Err(StreamAppendError::HigherVote(Vote::new_committed(9, 1)))),
            Answer::Vote(VoteResponse::new(Vote::new(1, 1), Some(id(1, 0)), true)),
            Answer::Transfer(None),
            Answer::Transfer(Some(Vote::new(3, 3))),
            Answer::Stand(Stand {
                vote: Vote::new_committed(3, 3),
                agreed: Some(id(3, 2)),
                last: Some(id(3, 4)),
                is_quarantined: true,
            }),
        ];
        for answer in answers {
            let bytes = answer.encode();
            assert_eq!(format!("{:?}", Answer::decode(bytes.clone()).unwrap()), format!("{answer:?}"));
            for len in 0..bytes.len() {
                assert!(Answer::decode(bytes.slice(..len)).is_err(), "{len} bytes of {answer:?}");
            }
        }
    }

    #[test]
    fn a_hello_tells_who_is_there_and_for_whom() {
        let hello = Hello { purpose: Use::Entries, from: 1, to: 2, group: "group-a".into() };
        let bytes = hello.encode();
        let (fixed, name) = Hello::decode(&bytes[..HELLO_BYTES]).unwrap();
        assert_eq!((fixed, name), (Hello { group: String::new(), ..hello }, 7));
        assert!(Hello::decode(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n").is_err());
        let mut newer = bytes.clone();
        newer[9] = 2;
        let refused = Hello::decode(&newer).unwrap_err().to_string();
        assert_eq!(refused, "it speaks version 2, and this member version 1");
    }
}
