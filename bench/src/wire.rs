//! A pipelined connection of the load generator: frames out, answers matched by opaque in whatever order they come.

use anyhow::{Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use remoting::frame::{FrameCodec, FrameWriter, HeadFields, RemotingCommand, Serialization};
use remoting::header::EncodeHeader;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::types::Opaque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::codec::Decoder;

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) incoming: BytesMut,
    pub(crate) outgoing: BytesMut,
    codec: FrameCodec,
}

const READ_BYTES: usize = 256 * 1024;

impl Wire {
    pub(crate) async fn connect(addr: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, incoming: BytesMut::new(), outgoing: BytesMut::new(), codec: FrameCodec::default() })
    }

    /// Queues a request; [`Wire::flush`] sends it.
    pub(crate) fn push(&mut self, code: RequestCode, opaque: usize, header: &dyn EncodeHeader, body: &[u8]) {
        push_request(&mut self.outgoing, code, opaque, header, body);
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.stream.write_all_buf(&mut self.outgoing).await?;
        Ok(())
    }

    /// Waits for at least one answer and hands over all that came with it.
    pub(crate) async fn answers(&mut self, answers: &mut Vec<RemotingCommand>) -> Result<()> {
        loop {
            while let Some(command) = self.codec.decode(&mut self.incoming)? {
                if command.is_response() {
                    answers.push(command);
                }
            }
            if !answers.is_empty() {
                return Ok(());
            }
            self.read().await?;
        }
    }

    /// Waits for at least one request of the broker and says how many came with it.
    pub(crate) async fn requests(&mut self) -> Result<usize> {
        loop {
            let mut count = 0;
            while let Some(command) = self.codec.decode(&mut self.incoming)? {
                count += usize::from(!command.is_response());
            }
            if count > 0 {
                return Ok(count);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        // Room for the whole frame at once: one that grows piece by piece is copied again and again.
        let frame = self.incoming.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize + 4);
        self.incoming.reserve(frame.saturating_sub(self.incoming.len()).max(READ_BYTES));
        if self.stream.read_buf(&mut self.incoming).await? == 0 {
            bail!("the broker closed the connection");
        }
        Ok(())
    }

    /// One request and its answer, which must be a success.
    pub(crate) async fn call(&mut self, code: RequestCode, header: &dyn EncodeHeader, body: &[u8]) -> Result<Bytes> {
        self.push(code, 0, header, body);
        self.flush().await?;
        let mut answers = Vec::new();
        self.answers(&mut answers).await?;
        let answer = answers.swap_remove(0);
        if answer.response_code() != ResponseCode::SUCCESS {
            bail!("{code}: {}", refusal(&answer));
        }
        Ok(answer.body)
    }
}

pub(crate) fn push_request(
    outgoing: &mut BytesMut,
    code: RequestCode,
    opaque: usize,
    header: &dyn EncodeHeader,
    body: &[u8],
) {
    let head = HeadFields::ours(code.0, Opaque(opaque as i32), 0, None);
    FrameWriter::new(outgoing, Serialization::Json).frame(head, header, body);
}

/// What an answer that is no success says.
pub(crate) fn refusal(answer: &RemotingCommand) -> String {
    format!("{}: {}", answer.response_code(), answer.remark.as_deref().unwrap_or_default())
}

/// The stored messages in a body; each begins with its length.
pub(crate) fn records(mut body: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let size = body.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize).filter(|&size| size > 0);
        let Some((record, rest)) = size.and_then(|size| body.split_at_checked(size)) else {
            body = &[];
            return Some(Err(anyhow!("a broken record in an answer's body")));
        };
        body = rest;
        Some(Ok(record))
    })
}

/// What all the tasks come to, in the order in which they end; the first failure ends the others.
pub(crate) async fn all<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut results = Vec::new();
    while let Some(done) = tasks.join_next().await {
        results.push(done??);
    }
    Ok(results)
}
