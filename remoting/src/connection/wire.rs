//! The socket of a connection: reads into one buffer, writes what waits.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;

use super::chunk::Chunk;
use super::peer::Peer;

/// Room for the first read. Reads that fill their room make the next ones larger, small ones smaller again.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// Pieces per vectored write; the kernel's own limit is 1024.
const SLICES_MAX: usize = 64;

pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) buffer: BytesMut,
    read_bytes: usize,
    unsent: VecDeque<Chunk>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new(), read_bytes: READ_BYTES_MIN, unsent: VecDeque::new() }
    }

    /// Reads what is there, once.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
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
    pub(super) async fn read_rest(&mut self) -> bool {
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
    pub(super) fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Writes what waits; true if the socket takes no more for now.
    pub(super) fn write(&mut self, peer: &Peer) -> io::Result<bool> {
        loop {
            peer.outbound().take(&mut self.unsent);
            let Some(first) = self.unsent.front() else { return Ok(false) };
            let written = match first.file() {
                Some((file, at)) => self.write_from_file(file, at, first.len()),
                None => self.write_from_memory(),
            };
            let written = match written {
                Ok(written) => written,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // Its file system does not send from files.
                Err(err) if is_unsupported(&err) && first.file().is_some() => {
                    self.unsent.iter_mut().for_each(Chunk::leave_file);
                    continue;
                }
                Err(err) => return Err(err),
            };
            peer.outbound().sent(written);
            self.advance(written);
        }
    }

    /// Writes the pieces before the next that is in a file, all in one call.
    fn write_from_memory(&self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let in_memory = self.unsent.iter().take_while(|chunk| chunk.file().is_none());
        let filled =
            in_memory.zip(slices.iter_mut()).map(|(chunk, slice)| *slice = IoSlice::new(chunk.bytes())).count();
        let slices = &slices[..filled];
        if filled == self.unsent.len() {
            return self.stream.try_write_vectored(slices);
        }
        // A head does not leave before its body: the peer is woken once.
        let mut nothing = SendAncillaryBuffer::default();
        self.stream.try_io(Interest::WRITABLE, || {
            Ok(sendmsg(&self.stream, slices, &mut nothing, SendFlags::MORE | SendFlags::NOSIGNAL)?)
        })
    }

    fn write_from_file(&self, file: BorrowedFd<'_>, mut at: u64, len: usize) -> io::Result<usize> {
        let sent = self.stream.try_io(Interest::WRITABLE, || Ok(sendfile(&self.stream, file, Some(&mut at), len)?))?;
        // The file is shorter than it was: what was promised can no longer be sent.
        if sent == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(sent) }
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

fn is_unsupported(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::connection::{Body, ReplyTo};
    use crate::header::NoHeader;
    use crate::protocol::ResponseCode;
    use crate::types::Opaque;

    /// Answers with pieces of a file and of memory in turn, to a peer that reads slowly.
    #[tokio::test]
    async fn pieces_of_files_and_of_memory_arrive_in_order_however_slowly_they_are_read() {
        const FILE_BYTES: usize = 3 << 20;
        let content: Vec<u8> = (0..FILE_BYTES).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&content).expect("written");
        let (file, content): (Arc<dyn AsFd + Send + Sync>, _) = (Arc::new(file), Bytes::from(content));
        let in_file = |at: usize, len: usize| Chunk::in_file(content.slice(at..at + len), Arc::clone(&file), at as u64);
        let bodies = [
            vec![in_file(4097, 2 << 20), Chunk::from(content.slice(..5000)), in_file(7, 100), in_file(0, 20_000)],
            vec![Chunk::from(content.slice(9..19))],
            vec![in_file(1, FILE_BYTES - 1), in_file(5, 16 * 1024)],
        ];
        let expect: Vec<Vec<u8>> = bodies.iter().map(|body| Body::from_iter(body.clone()).to_vec()).collect();

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let mut client = TcpStream::connect(addr).await.expect("connected");
        let (stream, remote) = listener.accept().await.expect("accepted");
        let peer = Peer::new(remote, addr, CancellationToken::new());
        for (opaque, body) in bodies.into_iter().enumerate() {
            let to = ReplyTo { opaque: Opaque(opaque as i32), one_way: false };
            peer.replies(|out| out.reply(to, ResponseCode::SUCCESS, None, &NoHeader, Body::from_iter(body)));
        }
        let mut wire = Wire::new(stream);
        let writing = async {
            while wire.write(&peer).expect("the peer is there") {
                wire.stream.writable().await.expect("the peer is there");
            }
            assert_eq!(peer.outbound().unsent_bytes(), 0);
        };
        let reading = async {
            let mut bodies = Vec::new();
            for _ in 0..expect.len() {
                let mut frame = vec![0; client.read_u32().await.expect("a length") as usize];
                client.read_exact(&mut frame).await.expect("a frame");
                let header = u32::from_be_bytes(*frame.first_chunk().expect("a header's length")) as usize & 0xFF_FFFF;
                bodies.push(frame.split_off(4 + header));
            }
            bodies
        };
        let ((), bodies) = tokio::join!(writing, reading);
        assert!(bodies == expect, "other bytes than were sent");
    }
}
