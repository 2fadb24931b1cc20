//! One connection of a slave to its master, from the question whether their logs are one to the last byte.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use remoting::connection::CallError;
use remoting::types::PhysicalOffset;
use store::{CopyError, LogCopy};
use thiserror::Error;

use super::ask::{Asked, Bounds};
use super::feed::is_pause;
use super::follower::{Following, MasterAt, Search, Shared};
use super::wire::{HEADER_BYTES, Header};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time until a thread that waits for bytes notices that another master is to be followed.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
const BUFFER_BYTES: usize = 1 << 20;

/// What to do about logs that have parted; for people.
const ADVICE: &str = "Nothing is cut of either log: find out which of them is right. To copy the master's anew, stop this slave, \
                      move the files in its storePathRootDir away, and start it again";

/// Why the master is followed no more.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("connect to {addr}: {cause}")]
    Connect { addr: String, cause: io::Error },
    #[error("the master closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the master was silent for {0:?} (haHousekeepingInterval)")]
    Silent(Duration),
    #[error("this is not what a master says: a piece of the log with a length below 0")]
    Nonsense,
    #[error("the master went on at {at} of the log, but the next byte here is that of {next}")]
    Elsewhere { at: PhysicalOffset, next: PhysicalOffset },
    #[error("ask the master at {master}: {cause}")]
    NoAnswer { master: String, cause: CallError },
    #[error("the master at {master} does not tell where its log begins and ends")]
    NoBounds { master: String },
    #[error(
        "the master at {master} has another record at {at} than this slave, whose last one begins there: it has messages that the \
         master never had. {ADVICE}"
    )]
    Differs { at: PhysicalOffset, master: String },
    #[error(
        "the last record of this slave begins at {at}, and the master at {master} has none there: its log reaches from {min} to \
         {end}. {ADVICE}"
    )]
    Missing { at: PhysicalOffset, master: String, min: PhysicalOffset, end: PhysicalOffset },
    #[error("{0}")]
    NotNow(CopyError),
    #[error("{0}. {ADVICE}")]
    Copy(CopyError),
    #[error("it is stopped")]
    Stopping,
}

impl Broken {
    /// Trying again soon will not help.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Differs { .. } | Self::Missing { .. } | Self::Copy(_))
    }
}

impl From<CopyError> for Broken {
    fn from(err: CopyError) -> Self {
        match err {
            CopyError::Append(_) | CopyError::Forget(_) | CopyError::Gap { .. } => Self::NotNow(err),
            CopyError::Start { .. }
            | CopyError::FileSize { .. }
            | CopyError::NotContinuing { .. }
            | CopyError::Queue { .. }
            | CopyError::Record { .. } => Self::Copy(err),
        }
    }
}

pub(super) struct Copying<'a> {
    search: &'a Search,
    shared: &'a Arc<Shared>,
    master: &'a MasterAt,
    copy: &'a mut LogCopy,
    /// What the master was told last.
    reported: PhysicalOffset,
    reported_at: Instant,
    has_copied: bool,
}

/// Where in the master's stream of pieces the reader is.
#[derive(Debug, Default)]
struct Place {
    /// Where the next byte lies.
    next: PhysicalOffset,
    /// Bytes of the piece that are still to come.
    left: usize,
    /// The last piece was shorter than it could have been, or none: the master had no more.
    was_short: bool,
}

impl<'a> Copying<'a> {
    pub(super) fn new(search: &'a Search, master: &'a MasterAt, copy: &'a mut LogCopy) -> Self {
        let (shared, reported, reported_at) = (&search.shared, PhysicalOffset(0), Instant::now());
        Self { search, shared, master, copy, reported, reported_at, has_copied: false }
    }

    /// Something came from the master, and was in order.
    pub(super) fn has_copied(&self) -> bool {
        self.has_copied
    }

    /// Copies until another master is to be followed, or this is stopped.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        let begin = self.begin()?;
        let socket = connect(&self.master.ha_addr)?;
        self.shared.lend(&socket)?;
        self.report(&socket, begin)?;
        tracing::info!(master = self.master.ha_addr, from = %begin, "follows its master");
        self.shared.set(Following::Copying);
        let mut buffer = vec![0; BUFFER_BYTES];
        let (mut have, mut heard, mut looked) = (0, Instant::now(), Instant::now());
        let mut place = Place { next: self.copy.received(), ..Place::default() };
        let mut is_level = false;
        while !self.shared.stopping.is_cancelled() {
            let settings = Arc::clone(&self.shared.settings.borrow());
            match (&socket).read(&mut buffer[have..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => {
                    have += count;
                    heard = Instant::now();
                    self.shared.note_read(count, heard);
                    let taken = self.take(&buffer[..have], &mut place, settings.ha_transfer_batch_size)?;
                    self.has_copied = true;
                    buffer.copy_within(taken..have, 0);
                    have -= taken;
                }
                Err(err) if is_pause(&err) => {
                    let patience = *settings.ha_housekeeping_interval;
                    if heard.elapsed() > patience {
                        return Err(Broken::Silent(patience));
                    }
                }
                Err(err) => return Err(err.into()),
            }
            let end = self.copy.end();
            if end > self.reported || self.reported_at.elapsed() >= *settings.ha_send_heartbeat_interval {
                self.report(&socket, end.max(self.reported))?;
            }
            if !is_level && place.was_short && place.left == 0 && have == 0 {
                is_level = true;
                self.shared.set(Following::CaughtUp);
            }
            if looked.elapsed() >= LOOK_PERIOD {
                looked = Instant::now();
                if self.search.master().as_ref() != Some(self.master) {
                    tracing::info!(master = self.master.ha_addr, "another master is to be followed");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Where the master is to begin: the end of our log, if the master's is the same up to there. Of a log that is still to
    /// begin, what the master takes for the place where it does.
    fn begin(&mut self) -> Result<PhysicalOffset, Broken> {
        let asked = self.master.addr.as_deref().map(|addr| Asked { client: &self.search.client, addr });
        if !self.copy.is_empty() {
            match (asked, self.shared.store.last_record()) {
                (Some(asked), Some((at, record))) => self.search.ask(asked.is_the_same(at, &record))?,
                (None, _) => tracing::warn!(
                    master = self.master.ha_addr,
                    "nobody tells where the master serves clients: it is followed without asking whether its log is the same"
                ),
                (Some(_), None) => {}
            }
            return Ok(self.copy.end());
        }
        let Some(asked) = asked.filter(|_| !self.shared.settings.borrow().sync_from_last_file) else {
            return Ok(PhysicalOffset(0));
        };
        let Bounds { min, end } = self.search.ask(asked.bounds())?;
        if min.0 > 0 {
            return Ok(min);
        }
        // Of an empty log Java says that it begins at −1.
        let (first, file_bytes) = (PhysicalOffset(0), self.shared.settings.borrow().mapped_file_size_commit_log);
        if end.0 < i64::try_from(file_bytes).unwrap_or(i64::MAX) {
            return Ok(first);
        }
        // Masters take 0 for the beginning of their last file. So all but the first byte is asked for here, and that is taken from
        // the first record, which is to be had otherwise.
        match self.search.ask(asked.record_at(first))? {
            Some(record) if !record.is_empty() => {
                self.copy.write(first, &record[..1])?;
                Ok(self.copy.received())
            }
            _ => Err(Broken::NoBounds { master: asked.addr.to_owned() }),
        }
    }

    /// Takes what was read; so many bytes of it, all but the beginning of a header.
    fn take(&mut self, read: &[u8], place: &mut Place, piece_max: usize) -> Result<usize, Broken> {
        let mut at = 0;
        while at < read.len() {
            if place.left == 0 {
                let Some(header) = read[at..].first_chunk::<HEADER_BYTES>() else { break };
                let header = Header::decode(header).ok_or(Broken::Nonsense)?;
                at += HEADER_BYTES;
                let is_begun = self.copy.received().0 > 0;
                if is_begun && header.at != self.copy.received() {
                    return Err(Broken::Elsewhere { at: header.at, next: self.copy.received() });
                }
                (place.next, place.left) = (header.at, header.len);
                // A file's end cuts pieces short as well; a heartbeat comes soon if there is nothing behind it.
                place.was_short = header.len < piece_max && !self.ends_file(header);
                continue;
            }
            let taken = place.left.min(read.len() - at);
            self.copy.write(place.next, &read[at..at + taken])?;
            place.next = place.next.after(taken);
            place.left -= taken;
            at += taken;
        }
        Ok(at)
    }

    fn ends_file(&self, piece: Header) -> bool {
        let file_bytes = self.shared.settings.borrow().mapped_file_size_commit_log as i64;
        piece.len > 0 && piece.at.after(piece.len).0 % file_bytes == 0
    }

    fn report(&mut self, mut socket: &TcpStream, end: PhysicalOffset) -> Result<(), Broken> {
        socket.write_all(&end.0.to_be_bytes())?;
        (self.reported, self.reported_at) = (end, Instant::now());
        self.shared.note_write();
        Ok(())
    }
}

/// Tries all addresses of a host.
fn connect(addr: &str) -> Result<TcpStream, Broken> {
    let failed = |cause| Broken::Connect { addr: addr.to_owned(), cause };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for at in addr.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&at, CONNECT_TIMEOUT) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(failed)?;
                socket.set_read_timeout(Some(LOOK_PERIOD)).map_err(failed)?;
                return Ok(socket);
            }
            Err(err) => last = err,
        }
    }
    Err(failed(last))
}
