//! What the machine allows, without any broker: the measure beside the brokers' own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, fallocate};

const FOR: Duration = Duration::from_secs(3);
const MIB: f64 = 1048576.0;
/// More than any cache holds: a log that is read from its beginning is in memory, and in no cache.
const COLD_BYTES: usize = 256 << 20;

/// Batches of `bytes` per second that are written to a reserved file in `dir` and synced, one behind the other. Never the same
/// place twice, as in a log: syncing what was written before costs much less.
pub(crate) fn synced_writes(dir: &Path, bytes: usize) -> Result<f64> {
    const FILE_BYTES: u64 = 2 << 30;
    let path = dir.join("limit");
    let file = File::create(&path).context("create a file for the disk's limit")?;
    fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES).context("reserve it")?;
    let batch = vec![b'x'; bytes];
    let (begun, mut count, mut at) = (Instant::now(), 0_u32, 0);
    while begun.elapsed() < FOR && at + bytes as u64 <= FILE_BYTES {
        file.write_all_at(&batch, at)?;
        file.sync_data()?;
        at += bytes as u64;
        count += 1;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// MiB per second that a new file in `dir` takes, without waiting for the disk. Its pages are memory that nobody used just before: a virtual
/// machine may have to get each from its host first.
pub(crate) fn new_file(dir: &Path) -> Result<f64> {
    const FILE_BYTES: usize = 4 << 30;
    let path = dir.join("limit");
    let mut file = File::create(&path).context("create a file for the limit of new ones")?;
    let chunk = vec![b'x'; 1 << 20];
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < FOR && bytes < FILE_BYTES {
        file.write_all(&chunk)?;
        bytes += chunk.len();
    }
    let rate = bytes as f64 / MIB / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// MiB per second over one loopback connection that only goes one way.
pub(crate) fn loopback_stream() -> Result<f64> {
    const CHUNK: usize = 256 << 10;
    let (mut from, mut to) = connection()?;
    let writer = thread::spawn(move || {
        let cold = vec![b'x'; COLD_BYTES];
        let mut chunks = cold.chunks_exact(CHUNK).cycle();
        let begun = Instant::now();
        while begun.elapsed() < FOR && chunks.next().is_some_and(|chunk| from.write_all(chunk).is_ok()) {}
    });
    let (begun, mut buffer, mut bytes) = (Instant::now(), vec![0; CHUNK], 0_usize);
    loop {
        match to.read(&mut buffer)? {
            0 => break,
            count => bytes += count,
        }
    }
    let rate = bytes as f64 / MIB / begun.elapsed().as_secs_f64();
    writer.join().map_err(|_| io::Error::other("the writing thread ended"))?;
    Ok(rate)
}

/// MiB per second of answers of `answer` bytes, each asked for by a request of `request` bytes once the one before is read: what
/// a consumer with one pull at a time could get from a server that does nothing but send other bytes each time.
pub(crate) fn loopback_exchange(request: usize, answer: usize) -> Result<f64> {
    let (mut server, mut client) = connection()?;
    let serving = thread::spawn(move || {
        let (mut asked, cold) = (vec![0; request], vec![b'x'; COLD_BYTES]);
        let mut answers = cold.chunks_exact(answer).cycle();
        while server.read_exact(&mut asked).is_ok()
            && answers.next().is_some_and(|answer| server.write_all(answer).is_ok())
        {}
    });
    let (asking, mut answered) = (vec![b'x'; request], vec![0; answer]);
    let (begun, mut count) = (Instant::now(), 0_usize);
    while begun.elapsed() < FOR {
        client.write_all(&asking)?;
        client.read_exact(&mut answered)?;
        count += 1;
    }
    let rate = (count * answer) as f64 / MIB / begun.elapsed().as_secs_f64();
    drop(client);
    serving.join().map_err(|_| io::Error::other("the answering thread ended"))?;
    Ok(rate)
}

fn connection() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    Ok((server, client))
}

/// MiB per second copied from one place in memory to another, both larger than any cache.
pub(crate) fn memory_copy() -> f64 {
    let from = vec![1_u8; COLD_BYTES];
    let mut to = vec![0_u8; COLD_BYTES];
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < FOR {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&to);
        count += 1;
    }
    (count * COLD_BYTES) as f64 / MIB / begun.elapsed().as_secs_f64()
}
