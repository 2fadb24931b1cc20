//! What group commit allows: a server that takes the same sends as a broker does, from the same load generator, and does nothing
//! with them but write them to one file, sync it once for all that came, and answer.
//!
//! One thread, so that nothing is handed over; while it syncs, the next sends gather in the sockets. What the disk alone could
//! sync in batches of all sends in flight is no measure beside it: nobody can send again before the answers are out, and on a fast
//! disk what sends cost the client and the network is most of the time between two syncs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use bytes::BytesMut;
use remoting::frame::{FrameCodec, FrameWriter, HeadFields, RemotingCommand, Serialization};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FallocateFlags, fallocate};
use tokio_util::codec::Decoder;

use crate::produce::{Produce, Produced};

const FILE_BYTES: u64 = 4 << 30;
const READ_BYTES: usize = 256 << 10;

/// What `sends` get of such a server that keeps its file in `dir`.
pub(crate) async fn measure(dir: &Path, sends: &Produce) -> Result<Produced> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let sends = Produce { addr: listener.local_addr()?.to_string(), ..sends.clone() };
    let path = dir.join("group-commit");
    let file = File::create(&path).context("create a file for what is sent")?;
    // A log has its files made ahead.
    fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES).context("reserve it")?;
    let connections = sends.connections;
    let server = thread::spawn(move || serve(&listener, connections, &file));
    let produced = sends.run().await?;
    server.join().map_err(|_| io::Error::other("the thread that syncs ended"))??;
    std::fs::remove_file(path)?;
    Ok(produced)
}

struct Sender {
    stream: TcpStream,
    incoming: BytesMut,
    answers: BytesMut,
    codec: FrameCodec,
}

/// Until all clients are gone.
fn serve(listener: &TcpListener, connections: usize, file: &File) -> Result<()> {
    let mut senders = Vec::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let codec = FrameCodec::default();
        senders.push(Sender { stream, incoming: BytesMut::new(), answers: BytesMut::new(), codec });
    }
    let (mut log, mut at, mut buffer) = (Vec::new(), 0_u64, vec![0; READ_BYTES]);
    while !senders.is_empty() {
        let mut ready: Vec<_> = senders.iter().map(|sender| PollFd::new(&sender.stream, PollFlags::IN)).collect();
        poll(&mut ready, None)?;
        log.clear();
        let mut open = Vec::new();
        for mut sender in senders {
            if sender.take(&mut buffer, &mut log)? {
                open.push(sender);
            }
        }
        senders = open;
        if log.is_empty() {
            continue;
        }
        if at + log.len() as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&log, at)?;
        file.sync_data()?;
        at += log.len() as u64;
        for sender in &mut senders {
            // As many bytes as are in flight fit into any socket.
            sender.stream.write_all(&sender.answers.split())?;
        }
    }
    Ok(())
}

impl Sender {
    /// Takes what has come: its bytes into the log, and an answer to each frame. False once the client is gone.
    fn take(&mut self, buffer: &mut [u8], log: &mut Vec<u8>) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        log.extend_from_slice(&buffer[..count]);
        self.incoming.extend_from_slice(&buffer[..count]);
        while let Some(command) = self.codec.decode(&mut self.incoming)? {
            let head = HeadFields::ours(ResponseCode::SUCCESS.0, command.opaque, RemotingCommand::RESPONSE, None);
            FrameWriter::new(&mut self.answers, Serialization::Json).frame(head, &NoHeader, b"");
        }
        Ok(true)
    }
}
