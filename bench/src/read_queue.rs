//! Reads one queue from its beginning, one pull at a time, as cheaply as a client can: a thread of its own, plain reads into one
//! buffer, and of the messages only their lengths are looked at. What is measured is then the broker, and not its client.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use remoting::frame::FrameCodec;
use remoting::header::DecodeHeader;
use remoting::protocol::pull::PullMessageReply;
use remoting::protocol::{RequestCode, ResponseCode};
use rustix::buffer::spare_capacity;
use tokio_util::codec::Decoder;

use crate::consume::Consume;
use crate::wire::{self, records};

/// Length of the frame, and length of its header with the kind of it in the highest byte.
const PREFIX_BYTES: usize = 8;
/// The largest answer.
const BUFFER_BYTES: usize = 8 << 20;

/// Takes the messages; how long it took.
pub(crate) fn run(reads: &Consume) -> Result<Duration> {
    let mut stream = TcpStream::connect(&reads.addr)?;
    stream.set_nodelay(true)?;
    let (mut next, goal) = (reads.from[0].0, reads.from[0].0 + reads.messages as i64);
    let (mut request, mut answer) = (BytesMut::new(), Vec::with_capacity(BUFFER_BYTES));
    let begun = Instant::now();
    while next < goal {
        wire::push_request(&mut request, RequestCode::PULL_MESSAGE, 0, &reads.header(0, next), b"");
        stream.write_all(&request.split())?;
        let (reply, body) = read_answer(&stream, &mut answer)?;
        let count = records(body).try_fold(0, |count, record| record.map(|_| count + 1))?;
        ensure!(next + count == reply.next_begin_offset.0 && count > 0, "{count} messages from {next} on");
        next += count;
    }
    Ok(begun.elapsed())
}

/// Reads one whole answer into `frame`, which is empty otherwise.
fn read_answer<'a>(stream: &TcpStream, frame: &'a mut Vec<u8>) -> Result<(PullMessageReply, &'a [u8])> {
    frame.clear();
    let word = |frame: &[u8], at: usize| {
        frame.get(at..at + 4).and_then(<[u8]>::first_chunk).map(|word| u32::from_be_bytes(*word) as usize)
    };
    while word(frame, 0).is_none_or(|length| frame.len() < 4 + length) {
        ensure!(frame.len() < frame.capacity(), "an answer of more than {BUFFER_BYTES} bytes");
        if rustix::io::read(stream, spare_capacity(frame))? == 0 {
            bail!("the broker closed the connection");
        }
    }
    let header_bytes = word(frame, 4).context("an answer without a header")? & 0x00FF_FFFF;
    let (head, body) = frame.split_at_checked(PREFIX_BYTES + header_bytes).context("a header that is too long")?;
    // The header as a frame of its own: the body is not copied.
    let mut alone = BytesMut::from(head);
    alone[..4].copy_from_slice(&(4 + header_bytes as u32).to_be_bytes());
    let command = FrameCodec::default().decode(&mut alone)?.context("half a header")?;
    if command.response_code() != ResponseCode::SUCCESS {
        bail!("pull: {}", wire::refusal(&command));
    }
    Ok((PullMessageReply::decode(&command.ext)?, body))
}
