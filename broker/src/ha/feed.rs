//! One slave: a thread that writes the log to it, and one that hears how far it holds that.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use remoting::types::PhysicalOffset;
use store::OutOfLog;
use thiserror::Error;

use super::acks::Slave;
use super::feeder::Shared;
use super::pace::Pace;
use super::wire::{HEADER_BYTES, Header, Reports};

/// Most bytes of the log, and most pieces of it, that go out in one write.
const WRITE_BYTES_MAX: usize = 1 << 20;
const PIECES_MAX: usize = 64;
/// Time until a thread that waits notices that it is to end, or that settings have changed.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// Many reports at once; the last one counts.
const READ_BYTES: usize = 4096;

/// The threads of one slave.
pub(super) struct Feed {
    link: Arc<Link>,
    threads: [JoinHandle<()>; 2],
}

struct Link {
    shared: Arc<Shared>,
    slave: Arc<Slave>,
    socket: TcpStream,
    over: AtomicBool,
}

/// Why a slave is fed no more.
#[derive(Debug, Error)]
enum Parted {
    #[error("it closed the connection")]
    Left,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("it was silent for {0:?} (haHousekeepingInterval)")]
    Silent(Duration),
    #[error("it says that it holds the log up to {says}, and was sent it up to {sent}")]
    Nonsense { says: i64, sent: i64 },
    #[error(
        "it holds the log up to {asks}, and that of this master ends at {end}. Nothing is cut of either: find out which of them is right. \
         To have the slave copy this master's log anew, stop it, move the files in its storePathRootDir away, and start it again"
    )]
    Ahead { asks: i64, end: PhysicalOffset },
    #[error(
        "it asks for the log from {asks} on, and the first byte that this master keeps is {min}: it was away for too long. \
         Stop it, move the files in its storePathRootDir away, and start it again, to have it copy the log anew"
    )]
    TooOld { asks: i64, min: PhysicalOffset },
}

impl Feed {
    /// # Errors
    /// The socket does not work, or no thread could be started.
    pub(super) fn start(shared: &Arc<Shared>, socket: TcpStream, remote: SocketAddr) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LOOK_PERIOD))?;
        let link = Link { shared: Arc::clone(shared), slave: Slave::new(remote), socket, over: AtomicBool::new(false) };
        let link = Arc::new(link);
        let (begin, begins) = mpsc::channel();
        let hearing = link.spawn("ha-hear", move |link| link.hear(&begin))?;
        let feeding = link.spawn("ha-feed", move |link| link.feed(&begins)).inspect_err(|_| link.end())?;
        Ok(Self { link, threads: [hearing, feeding] })
    }

    pub(super) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    pub(super) fn end(&self) {
        self.link.end();
    }

    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!(remote = %self.link.slave.remote, "feeding a slave panicked");
            }
        }
    }
}

impl Link {
    fn spawn(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&Self) -> Result<(), Parted> + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let link = Arc::clone(self);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let ended = work(&link);
            // Whoever ends second does so because the first did.
            if !link.over.swap(true, Ordering::SeqCst)
                && let Err(why) = ended
            {
                link.log(&why);
            }
            link.end();
        })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.shared.acks.leave(&self.slave);
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn log(&self, why: &Parted) {
        let remote = self.slave.remote;
        match why {
            Parted::Left | Parted::Io(_) => tracing::info!(%remote, %why, "a slave has gone"),
            Parted::Silent(_) | Parted::Nonsense { .. } => tracing::warn!(%remote, %why, "a slave is let go"),
            Parted::Ahead { asks, .. } | Parted::TooOld { asks, .. } => {
                if self.shared.is_news(remote.ip(), *asks) {
                    tracing::error!(%remote, %why, "a slave is refused");
                } else {
                    tracing::debug!(%remote, %why, "a slave is refused again");
                }
            }
        }
    }

    /// Hears how far the slave holds the log; the first time that says where it is to `begin`.
    fn hear(&self, begin: &Sender<PhysicalOffset>) -> Result<(), Parted> {
        let (mut reports, mut buffer) = (Reports::default(), [0; READ_BYTES]);
        let mut heard = Instant::now();
        while !self.is_over() {
            let count = match (&self.socket).read(&mut buffer) {
                Ok(0) => return Err(Parted::Left),
                Ok(count) => count,
                Err(err) if is_pause(&err) => {
                    let patience = *self.shared.settings.borrow().ha_housekeeping_interval;
                    if heard.elapsed() > patience {
                        return Err(Parted::Silent(patience));
                    }
                    continue;
                }
                Err(err) => return Err(err.into()),
            };
            heard = Instant::now();
            let Some(says) = reports.take(&buffer[..count]) else { continue };
            if self.slave.next() < 0 {
                self.begin(says, begin)?;
            } else if !(0..=self.slave.next()).contains(&says) {
                return Err(Parted::Nonsense { says, sent: self.slave.next() });
            }
            self.shared.acks.note(&self.slave, says);
        }
        Ok(())
    }

    /// Takes the slave in that holds the log up to there.
    fn begin(&self, says: i64, begin: &Sender<PhysicalOffset>) -> Result<(), Parted> {
        let store = &self.shared.store;
        let (min, end) = (store.min_physical_offset(), store.max_physical_offset());
        let at = match says {
            ..0 => return Err(Parted::Nonsense { says, sent: 0 }),
            0 => store.last_file_start(),
            asks if asks > end.0 => return Err(Parted::Ahead { asks, end }),
            asks if asks < min.0 => return Err(Parted::TooOld { asks, min }),
            asks => PhysicalOffset(asks),
        };
        tracing::info!(remote = %self.slave.remote, holds = says, %at, "a slave is fed");
        self.slave.set_next(at);
        self.shared.acks.enter(&self.slave);
        // It is over.
        let _ = begin.send(at);
        Ok(())
    }

    /// Sends the log from where it is to begin.
    fn feed(&self, begins: &Receiver<PhysicalOffset>) -> Result<(), Parted> {
        let Ok(mut at) = begins.recv() else { return Ok(()) };
        let mut said = Instant::now();
        let mut pace = Pace::new(said);
        // Once it has all there is, it is told so without waiting for a heartbeat's time.
        let mut told_level = false;
        while !self.is_over() {
            let settings = Arc::clone(&self.shared.settings.borrow());
            let piece = settings.ha_transfer_batch_size;
            let mut max = piece * (WRITE_BYTES_MAX / piece).clamp(1, PIECES_MAX);
            if settings.ha_flow_control_enable {
                match pace.allows(settings.max_ha_transfer_byte_in_second, max, Instant::now()) {
                    Ok(allowed) => max = allowed,
                    Err(pause) => {
                        thread::park_timeout(pause);
                        continue;
                    }
                }
            }
            let interval = *settings.ha_send_heartbeat_interval;
            match self.shared.store.log_bytes(at, max) {
                Ok(Some(bytes)) => {
                    // Counted before it is there: its report may be quicker than the end of the write.
                    self.slave.set_next(at.after(bytes.len()));
                    send(&self.socket, at, bytes.as_slice(), piece)?;
                    said = Instant::now();
                    self.slave.sent.add(bytes.len(), said);
                    pace.sent(bytes.len());
                    at = at.after(bytes.len());
                }
                Ok(None) if !told_level || said.elapsed() >= interval => {
                    send(&self.socket, at, &[], piece)?;
                    said = Instant::now();
                    told_level = true;
                }
                Ok(None) => {
                    let left = interval.saturating_sub(said.elapsed());
                    self.shared.store.wait_written(at, left.min(LOOK_PERIOD));
                }
                Err(OutOfLog { at, min, .. }) => return Err(Parted::TooOld { asks: at.0, min }),
            }
        }
        Ok(())
    }
}

/// A read that found nothing in time.
pub(super) fn is_pause(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Sends bytes of the log that lie at `at`, in pieces no longer than `piece`; none of them as a heartbeat.
fn send(socket: &TcpStream, at: PhysicalOffset, bytes: &[u8], piece: usize) -> io::Result<()> {
    let mut headers = [[0; HEADER_BYTES]; PIECES_MAX];
    let pieces = || (0..).step_by(piece).zip(bytes.chunks(piece));
    let count = if bytes.is_empty() {
        headers[0] = Header { at, len: 0 }.encode();
        1
    } else {
        for (header, (from, bytes)) in headers.iter_mut().zip(pieces()) {
            *header = Header { at: at.after(from), len: bytes.len() }.encode();
        }
        bytes.len().div_ceil(piece)
    };
    let mut slices = [IoSlice::new(&[]); 2 * PIECES_MAX];
    for (at, header) in headers[..count].iter().enumerate() {
        slices[2 * at] = IoSlice::new(header);
    }
    for (at, (_, bytes)) in pieces().enumerate() {
        slices[2 * at + 1] = IoSlice::new(bytes);
    }
    let mut left = &mut slices[..2 * count];
    while !left.is_empty() {
        match (&*socket).write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}
