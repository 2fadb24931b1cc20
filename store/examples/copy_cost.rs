//! What it costs a slave to copy its master's log: `copy_cost [<folder> [<MiB>]]`, on an otherwise idle machine, in release mode.
//!
//! Bodies of 1 KiB, eight queues, `ASYNC_FLUSH`, pieces as long as Java's frames, and longer ones; with and without a look at
//! the CRC of each body; then over a loopback connection, which is compared with one that only throws the bytes away.
#![expect(clippy::print_stdout, reason = "prints its figures")]

mod common;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{cpu_of, produce};
use remoting::types::{Clock, PhysicalOffset};
use store::{Store, StoreConfig};

const FRAME_BYTES: usize = 32 << 10;
const LONG_BYTES: usize = 1 << 20;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let root = words.next().map_or_else(|| std::env::temp_dir().join("ferromq-copy-cost"), PathBuf::from);
    let mib = words.next().map_or(Ok(2048), |text| text.parse::<i64>())?;
    let _ = std::fs::remove_dir_all(&root);
    let (master, _) = Store::open(StoreConfig::new(root.join("master")), Clock::system())?;
    produce(&master, 64, |_| master.max_physical_offset().0 < mib << 20);
    for check in [false, true] {
        for piece in [FRAME_BYTES, LONG_BYTES] {
            let slave = slave(&root.join("slave"), check)?;
            let mut copy = slave.copy();
            let (began, mut at) = (Instant::now(), PhysicalOffset(0));
            let (copied, cpu) = cpu_of(|| -> Outcome<()> {
                while let Some(bytes) = master.log_bytes(at, piece)? {
                    copy.write(at, bytes.as_slice())?;
                    at = at.after(bytes.len());
                }
                Ok(())
            });
            copied?;
            report(&format!("in pieces of {} KiB, CRC {check}", piece >> 10), at.0, began.elapsed(), cpu);
            drop(copy);
            slave.close()?;
        }
    }
    for keep in [false, true] {
        let slave = slave(&root.join("slave"), true)?;
        let (took, cpu) = over_loopback(&master, &slave, keep)?;
        let what = if keep { "over loopback, and kept" } else { "over loopback, and thrown away" };
        report(what, master.max_physical_offset().0, took, cpu);
        slave.close()?;
    }
    master.close()?;
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

fn slave(root: &Path, check_crc: bool) -> Outcome<Arc<Store>> {
    let _ = std::fs::remove_dir_all(root);
    let config = StoreConfig { check_crc_on_recover: check_crc, ..StoreConfig::new(root) };
    Ok(Store::open(config, Clock::system())?.0)
}

/// Sends the whole log in pieces of the length of frames, and reads it in long ones.
fn over_loopback(master: &Store, slave: &Arc<Store>, keep: bool) -> Outcome<(Duration, Duration)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut to = TcpStream::connect(listener.local_addr()?)?;
    let (mut from, _) = listener.accept()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut at = PhysicalOffset(0);
            while let Some(bytes) = master.log_bytes(at, FRAME_BYTES).expect("in the log") {
                to.write_all(bytes.as_slice()).expect("sent");
                at = at.after(bytes.len());
            }
        });
        let (mut copy, mut buffer, mut at) = (slave.copy(), vec![0; LONG_BYTES], PhysicalOffset(0));
        let began = Instant::now();
        let (received, cpu) = cpu_of(|| -> Outcome<()> {
            loop {
                let count = from.read(&mut buffer)?;
                if count == 0 {
                    return Ok(());
                }
                if keep {
                    copy.write(at, &buffer[..count])?;
                }
                at = at.after(count);
            }
        });
        received?;
        Ok((began.elapsed(), cpu))
    })
}

fn report(what: &str, bytes: i64, took: Duration, cpu: Duration) {
    let mib = |time: Duration| bytes as f64 / 1048576.0 / time.as_secs_f64();
    println!("{what:40} {:7.0} MiB/s, {:7.0} MiB per s on a CPU", mib(took), mib(cpu));
}
