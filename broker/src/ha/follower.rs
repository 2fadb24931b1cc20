//! A slave's side: one thread that finds its master, and copies the log from there.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use remoting::client::{Client, ClientConfig};
use remoting::router::Router;
use remoting::types::{Clock, PhysicalOffset, Timestamp};
use store::{LogCopy, Store};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::follow::{Broken, Copying};
use super::pace::Meter;
use crate::config::BrokerConfig;

/// Between two tries to follow; doubled each time, up to the second. Java waits for 5 s.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The same once the master's log was found to be another one. It may be put right, or another one be the master.
const REFUSED_RETRY: Duration = Duration::from_secs(10);

/// Name servers get this long to tell where a master serves clients of which the settings tell the rest.
const NAME_SERVERS_PATIENCE: Duration = Duration::from_secs(10);

/// Where the master of a slave is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasterAt {
    /// Where it feeds slaves, `host:port`.
    pub(crate) ha_addr: String,
    /// Where it serves clients, `host:port`; `None`: nobody has told, and it cannot be asked whether its log is ours.
    pub(crate) addr: Option<String>,
}

/// How it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// Nobody has told where the master is.
    NoMaster,
    Connecting,
    /// There is more to copy.
    Copying,
    /// It had all that the master had, and gets the rest as it comes; as long as the connection holds.
    CaughtUp,
    /// The master's log does not go on where ours ends; why, and what to do.
    Refused {
        why: String,
    },
    Stopped,
}

impl Following {
    /// As metrics name it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NoMaster => "no_master",
            Self::Connecting => "connecting",
            Self::Copying => "copying",
            Self::CaughtUp => "caught_up",
            Self::Refused { .. } => "refused",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) const WORDS: [&'static str; 6] =
        ["no_master", "connecting", "copying", "caught_up", "refused", "stopped"];
}

/// A slave at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FollowStatus {
    pub(crate) state: Following,
    /// Followed now, or the last that was.
    pub(crate) master: Option<MasterAt>,
    /// Of the log, in whole records.
    pub(crate) end: PhysicalOffset,
    /// When something came from the master; 0 before the first time.
    pub(crate) last_read: Timestamp,
    /// How long ago that was.
    pub(crate) silent_for: Option<Duration>,
    /// When the master was told how far the log reaches.
    pub(crate) last_write: Timestamp,
    pub(crate) bytes_per_second: u64,
    /// Where the master's log ended when that started; 0: it has not told.
    pub(crate) master_flush_offset: PhysicalOffset,
}

/// Copies a master's log until it is stopped. The store takes no messages of its own meanwhile.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) settings: watch::Receiver<Arc<BrokerConfig>>,
    pub(super) clock: Clock,
    pub(super) stopping: CancellationToken,
    pub(super) received: Meter,
    state: watch::Sender<Following>,
    master: Mutex<Option<MasterAt>>,
    /// While it is read from, to end that.
    socket: Mutex<Option<TcpStream>>,
    last_read: AtomicI64,
    last_write: AtomicI64,
    master_flush_offset: AtomicI64,
}

impl Follower {
    /// Begins to follow whoever `master` says; `haMasterAddress` beats the address there. To be called on a runtime, which
    /// carries questions to the master.
    ///
    /// # Errors
    /// No thread could be started.
    ///
    /// # Panics
    /// The store is a Raft log.
    pub(crate) fn start(
        store: &Arc<Store>,
        settings: watch::Receiver<Arc<BrokerConfig>>,
        clock: Clock,
        master: watch::Receiver<Option<MasterAt>>,
    ) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            store: Arc::clone(store),
            settings: settings.clone(),
            clock,
            stopping: CancellationToken::new(),
            received: Meter::new(Instant::now()),
            state: watch::Sender::new(Following::NoMaster),
            master: Mutex::default(),
            socket: Mutex::default(),
            last_read: AtomicI64::new(0),
            last_write: AtomicI64::new(0),
            master_flush_offset: AtomicI64::new(0),
        });
        let search = Search {
            shared: Arc::clone(&shared),
            settings,
            registered: master,
            client: Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new()),
            handle: Handle::current(),
        };
        let copy = store.copy();
        let thread = thread::Builder::new().name("ha-follow".to_owned()).spawn(move || search.run(copy))?;
        Ok(Arc::new(Self { shared, thread: Mutex::new(Some(thread)) }))
    }

    pub(crate) fn status(&self) -> FollowStatus {
        let shared = &*self.shared;
        let last_read = Timestamp(shared.last_read.load(Ordering::Relaxed));
        FollowStatus {
            state: shared.state.borrow().clone(),
            master: shared.master.lock().clone(),
            end: shared.store.max_physical_offset(),
            last_read,
            silent_for: (last_read.0 > 0).then(|| shared.clock.now().since(last_read)),
            last_write: Timestamp(shared.last_write.load(Ordering::Relaxed)),
            bytes_per_second: shared.received.bytes_per_second(Instant::now()),
            master_flush_offset: PhysicalOffset(shared.master_flush_offset.load(Ordering::Relaxed)),
        }
    }

    /// How it goes, to be waited on.
    #[cfg(test)]
    pub(super) fn changes(&self) -> watch::Receiver<Following> {
        self.shared.state.subscribe()
    }

    pub(crate) fn set_master_flush_offset(&self, to: PhysicalOffset) {
        self.shared.master_flush_offset.store(to.0, Ordering::Relaxed);
    }

    /// Follows nobody any more; what was copied stays. Blocks for a moment.
    pub(crate) fn stop(&self) {
        self.shared.stopping.cancel();
        self.shared.hang_up();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("following the master panicked");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    pub(super) fn set(&self, state: Following) {
        self.state.send_if_modified(|now| {
            let is_news = *now != state;
            *now = state;
            is_news
        });
    }

    /// What was refused stays so until it is known to be otherwise.
    fn set_connecting(&self) {
        if !matches!(*self.state.borrow(), Following::Refused { .. }) {
            self.set(Following::Connecting);
        }
    }

    pub(super) fn note_read(&self, bytes: usize, now: Instant) {
        self.received.add(bytes, now);
        self.last_read.store(self.clock.now().0, Ordering::Relaxed);
    }

    pub(super) fn note_write(&self) {
        self.last_write.store(self.clock.now().0, Ordering::Relaxed);
    }

    /// Lets [`Follower::stop`] end reads of the socket.
    pub(super) fn lend(&self, socket: &TcpStream) -> io::Result<()> {
        *self.socket.lock() = Some(socket.try_clone()?);
        // It may have been stopped before there was a socket.
        if self.stopping.is_cancelled() {
            self.hang_up();
        }
        Ok(())
    }

    fn hang_up(&self) {
        if let Some(socket) = self.socket.lock().take() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// The thread, between two connections.
pub(super) struct Search {
    pub(super) shared: Arc<Shared>,
    settings: watch::Receiver<Arc<BrokerConfig>>,
    registered: watch::Receiver<Option<MasterAt>>,
    pub(super) client: Client,
    handle: Handle,
}

impl Search {
    fn run(mut self, mut copy: LogCopy) {
        let mut retry = RETRY_MIN;
        // What was logged last, so that it is not said again and again.
        let mut said = None;
        // Of a master that is set in the settings, name servers say where it can be asked about its log.
        let mut waited = self.settings.borrow().name_servers().is_empty();
        while !self.shared.stopping.is_cancelled() {
            let Some(master) = self.master() else {
                self.shared.set(Following::NoMaster);
                self.pause(None);
                continue;
            };
            if master.addr.is_none() && !waited {
                self.pause(Some(NAME_SERVERS_PATIENCE));
                waited = true;
                continue;
            }
            self.shared.set_connecting();
            *self.shared.master.lock() = Some(master.clone());
            let mut copying = Copying::new(&self, &master, &mut copy);
            let ended = copying.run();
            if copying.has_copied() {
                (retry, said) = (RETRY_MIN, None);
            }
            copy.forget_partial();
            self.shared.hang_up();
            if self.shared.stopping.is_cancelled() {
                break;
            }
            let Err(broken) = ended else { continue };
            log(&master, &broken, &mut said);
            if broken.is_refusal() {
                self.shared.set(Following::Refused { why: broken.to_string() });
                self.pause(Some(REFUSED_RETRY));
            } else {
                self.shared.set(Following::Connecting);
                self.pause(Some(retry));
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
        self.shared.set(Following::Stopped);
        self.handle.block_on(self.client.close());
    }

    /// Who is to be followed now.
    pub(super) fn master(&self) -> Option<MasterAt> {
        let registered = self.registered.borrow().clone();
        match self.settings.borrow().ha_master_address.clone() {
            Some(ha_addr) => Some(MasterAt { ha_addr, addr: registered.and_then(|master| master.addr) }),
            None => registered,
        }
    }

    /// Waits; not longer than until something else may be to do.
    fn pause(&mut self, time: Option<Duration>) {
        let Self { shared, settings, registered, handle, .. } = self;
        handle.block_on(async {
            tokio::select! {
                () = shared.stopping.cancelled() => {}
                () = changed(registered) => {}
                () = changed(settings) => {}
                () = async {
                    match time {
                        Some(time) => sleep(time).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        });
    }

    /// The answer to a question to the master, unless this is stopped before.
    pub(super) fn ask<T>(&self, question: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        self.handle.block_on(async {
            tokio::select! {
                () = self.shared.stopping.cancelled() => Err(Broken::Stopping),
                answer = question => answer,
            }
        })
    }
}

async fn changed<T>(value: &mut watch::Receiver<T>) {
    if value.changed().await.is_err() {
        std::future::pending().await
    }
}

fn log(master: &MasterAt, broken: &Broken, said: &mut Option<String>) {
    let why = broken.to_string();
    let again = said.as_deref() == Some(&*why);
    let master = &*master.ha_addr;
    match (again, broken.is_refusal()) {
        (true, _) => tracing::debug!(master, %why, "the master is still not followed"),
        (false, true) => tracing::error!(master, %why, "the master is not followed"),
        (false, false) => tracing::warn!(master, %why, "the master is not followed for now; it is tried again"),
    }
    *said = Some(why);
}
