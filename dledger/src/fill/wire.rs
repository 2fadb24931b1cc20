//! What the two sides of a fill say, as bytes.
//!
//! ```text
//! leader: 0 list, as JSON │ 1 piece u32 │ 2 from u64 │ 3 crc u32, chunk │ 4 end │ 5 finish │ 6 wait
//! member: 0 go │ 1 refused, why │ 2 has u64, crc u32 │ 3 kept │ 4 filled
//! ```
//! Each is a frame behind its length; numbers are big-endian.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::list::List;

#[derive(Debug)]
pub(super) enum Say {
    List(Box<List>),
    /// What is there of this one?
    Piece(u32),
    /// So much of it stays; the rest follows.
    From(u64),
    Chunk {
        crc: u32,
        bytes: Bytes,
    },
    /// That was all of the piece.
    End,
    /// That was the last piece.
    Finish,
    /// What is there is being compared.
    Wait,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Go,
    /// Why not.
    Refused(String),
    /// So many bytes, and their CRC-32.
    Has {
        bytes: u64,
        crc: u32,
    },
    /// The piece is on disk.
    Kept,
    /// Everything is: this member starts anew with it.
    Filled,
}

impl Say {
    /// The frame without its length, in parts: chunks are not copied.
    pub(super) fn encode(self) -> Vec<Bytes> {
        let mut out = BytesMut::new();
        match self {
            Self::List(list) => {
                out.put_u8(0);
                out.extend(serde_json::to_vec(&list).expect("a list is JSON"));
            }
            Self::Piece(number) => {
                out.put_u8(1);
                out.put_u32(number);
            }
            Self::From(at) => {
                out.put_u8(2);
                out.put_u64(at);
            }
            Self::Chunk { crc, bytes } => {
                out.put_u8(3);
                out.put_u32(crc);
                return vec![out.freeze(), bytes];
            }
            Self::End => out.put_u8(4),
            Self::Finish => out.put_u8(5),
            Self::Wait => out.put_u8(6),
        }
        vec![out.freeze()]
    }

    /// # Errors
    /// The bytes are nothing that a leader says.
    pub(super) fn decode(mut frame: Bytes) -> io::Result<Self> {
        let say = match frame.try_get_u8()? {
            0 => return Ok(Self::List(Box::new(serde_json::from_slice(&frame)?))),
            1 => Self::Piece(frame.try_get_u32()?),
            2 => Self::From(frame.try_get_u64()?),
            3 => return Ok(Self::Chunk { crc: frame.try_get_u32()?, bytes: frame }),
            4 => Self::End,
            5 => Self::Finish,
            6 => Self::Wait,
            other => return Err(bad(&format!("{other} is nothing that who fills a member says"))),
        };
        end(&frame).map(|()| say)
    }
}

impl Reply {
    /// The frame without its length.
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Go => out.put_u8(0),
            Self::Refused(why) => {
                out.put_u8(1);
                out.put_slice(why.as_bytes());
            }
            Self::Has { bytes, crc } => {
                out.put_u8(2);
                out.put_u64(*bytes);
                out.put_u32(*crc);
            }
            Self::Kept => out.put_u8(3),
            Self::Filled => out.put_u8(4),
        }
        out.freeze()
    }

    /// # Errors
    /// The bytes are no answer.
    pub(super) fn decode(mut frame: Bytes) -> io::Result<Self> {
        let reply = match frame.try_get_u8()? {
            0 => Self::Go,
            1 => return Ok(Self::Refused(String::from_utf8_lossy(&frame).into_owned())),
            2 => Self::Has { bytes: frame.try_get_u64()?, crc: frame.try_get_u32()? },
            3 => Self::Kept,
            4 => Self::Filled,
            other => return Err(bad(&format!("{other} is no answer of who is filled"))),
        };
        end(&frame).map(|()| reply)
    }
}

fn end(rest: &Bytes) -> io::Result<()> {
    if rest.is_empty() { Ok(()) } else { Err(bad("something stands behind it")) }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_back_as_it_was() {
        let says = [Say::Piece(7), Say::From(1 << 40), Say::End, Say::Finish, Say::Wait];
        for say in says {
            let told = format!("{say:?}");
            let bytes: Bytes = say.encode().concat().into();
            assert_eq!(format!("{:?}", Say::decode(bytes.clone()).unwrap()), told);
            assert!(Say::decode(bytes.slice(..bytes.len() - 1)).is_err(), "{told}");
            assert!(Say::decode([&bytes[..], &[0]].concat().into()).is_err(), "{told}");
        }
        let chunk = Say::Chunk { crc: 9, bytes: Bytes::from_static(b"bytes") };
        let told = format!("{chunk:?}");
        assert_eq!(format!("{:?}", Say::decode(chunk.encode().concat().into()).unwrap()), told);
        assert!(Say::decode(Bytes::from_static(&[9])).is_err() && Say::decode(Bytes::new()).is_err());
    }

    #[test]
    fn answers_come_back_as_they_were() {
        let replies =
            [Reply::Go, Reply::Refused("no".into()), Reply::Has { bytes: 5, crc: 6 }, Reply::Kept, Reply::Filled];
        for reply in replies {
            assert_eq!(Reply::decode(reply.encode()).unwrap(), reply);
        }
        assert!(
            Reply::decode(Bytes::from_static(&[2, 0])).is_err() && Reply::decode(Bytes::from_static(&[9])).is_err()
        );
    }
}
