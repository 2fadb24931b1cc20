//! A master's port for slaves, and the threads that feed those who come.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use remoting::config::Unfit;
use remoting::types::PhysicalOffset;
use store::Store;
use tokio::sync::watch;

use super::acks::{Acks, EXPIRY_PERIOD, Slave, is_in_sync};
use super::feed::Feed;
use crate::assemble::StartError;
use crate::config::{BrokerConfig, BrokerRole};

/// More are sent away.
const SLAVES_MAX: usize = 64;
/// A slave that is refused again and again, for the same reason, is logged once in this time.
const REFUSAL_QUIET: Duration = Duration::from_secs(60);
/// A master that stops waits this long for slaves that lack no more than so much.
const SEE_OFF_MAX: Duration = Duration::from_secs(2);
const SEE_OFF_BYTES_MAX: i64 = 64 << 20;
const SEE_OFF_LOOK: Duration = Duration::from_millis(5);
/// Hosts that refusals are remembered of.
const REFUSED_MAX: usize = 1000;

/// The port for slaves, bound and answered by nobody yet.
pub(crate) struct FeederPort(TcpListener);

impl FeederPort {
    /// # Errors
    /// [`StartError::Listen`].
    pub(crate) fn bind(config: &BrokerConfig) -> Result<Self, StartError> {
        let ip = config.bind_address.parse();
        let ip = ip.map_err(|_| StartError::Config(Unfit::new("bindAddress", "is not an IP address")))?;
        let addr = SocketAddr::new(ip, config.ha_port());
        let bind = || {
            let listener = TcpListener::bind(addr)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        bind().map(Self).map_err(|cause| StartError::Listen { addr, cause })
    }
}

#[cfg(test)]
impl FeederPort {
    /// On a port of this machine that is free.
    pub(super) fn anywhere() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        (Self(listener), addr)
    }
}

/// Feeds slaves until it is stopped.
pub(crate) struct Feeder {
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads of all slaves have in common.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) settings: watch::Receiver<Arc<BrokerConfig>>,
    pub(super) acks: Arc<Acks>,
    stopping: AtomicBool,
    /// What a host asked for that was refused last, and when that was logged.
    refused: Mutex<HashMap<IpAddr, (i64, Instant)>>,
}

/// A slave at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlaveStatus {
    pub(crate) remote: SocketAddr,
    /// How far it holds the log; −1 before it said so.
    pub(crate) ack: PhysicalOffset,
    /// Bytes of the log that it lacks.
    pub(crate) behind: i64,
    pub(crate) in_sync: bool,
    /// Where the next byte that it is sent lies; −1 before that is known.
    pub(crate) next: PhysicalOffset,
    pub(crate) bytes_per_second: u64,
}

impl Feeder {
    /// Begins to feed slaves with the log of `store`, and to answer who waits on `acks` for them.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start(
        FeederPort(listener): FeederPort,
        store: &Arc<Store>,
        settings: watch::Receiver<Arc<BrokerConfig>>,
        acks: &Arc<Acks>,
    ) -> io::Result<Arc<Self>> {
        warn_if_nobody_is_waited_for(&settings.borrow());
        let shared = Arc::new(Shared {
            store: Arc::clone(store),
            settings,
            acks: Arc::clone(acks),
            stopping: AtomicBool::new(false),
            refused: Mutex::default(),
        });
        let listening = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("ha-listen".to_owned()).spawn(move || listen(&shared, &listener))?
        };
        Ok(Arc::new(Self { shared, listening: Mutex::new(Some(listening)) }))
    }

    /// Those who are connected.
    pub(crate) fn slaves(&self) -> Vec<SlaveStatus> {
        let (end, now) = (self.shared.store.max_physical_offset(), Instant::now());
        let gap_max = self.shared.settings.borrow().ha_max_gap_not_in_sync;
        let slaves = self.shared.acks.slaves();
        let status = |slave: &Arc<Slave>| SlaveStatus {
            remote: slave.remote,
            ack: PhysicalOffset(slave.ack()),
            behind: (end.0 - slave.ack().max(0)).max(0),
            in_sync: is_in_sync(slave, end, gap_max),
            next: PhysicalOffset(slave.next()),
            bytes_per_second: slave.sent.bytes_per_second(now),
        };
        slaves.iter().map(status).collect()
    }

    /// Has slaves that lack little get that, lets all go, and answers who waits for them. Nothing is to be appended any more.
    /// Blocks for a few seconds at most.
    pub(crate) fn stop(&self) {
        self.see_off();
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(listening) = self.listening.lock().take() {
            listening.thread().unpark();
            if listening.join().is_err() {
                tracing::error!("feeding slaves panicked");
            }
        }
    }
}

impl Feeder {
    fn see_off(&self) {
        let deadline = Instant::now() + SEE_OFF_MAX;
        let is_near = |slave: &SlaveStatus| (1..=SEE_OFF_BYTES_MAX).contains(&slave.behind);
        while self.listening.lock().is_some() && self.slaves().iter().any(is_near) && Instant::now() < deadline {
            thread::park_timeout(SEE_OFF_LOOK);
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Whether a refusal is news, for the log.
    pub(super) fn is_news(&self, host: IpAddr, asked: i64) -> bool {
        let mut refused = self.refused.lock();
        let now = Instant::now();
        let same = |(before, at): &(i64, Instant)| *before == asked && now.duration_since(*at) < REFUSAL_QUIET;
        if refused.get(&host).is_some_and(same) {
            return false;
        }
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(host, (asked, now));
        true
    }
}

/// Takes slaves in, sees to those who waited for too long, and in the end lets all go.
fn listen(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut feeds: Vec<Feed> = Vec::new();
    while !shared.stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((socket, remote)) => feeds.extend(take_in(shared, socket, remote, feeds.len())),
            Err(err) => {
                if err.kind() != io::ErrorKind::WouldBlock {
                    tracing::warn!(%err, "accept a slave");
                }
                thread::park_timeout(EXPIRY_PERIOD);
            }
        }
        shared.acks.expire(Instant::now());
        for over in feeds.extract_if(.., |feed| feed.is_over()) {
            over.join();
        }
    }
    feeds.iter().for_each(Feed::end);
    feeds.into_iter().for_each(Feed::join);
    shared.acks.close();
}

fn take_in(shared: &Arc<Shared>, socket: TcpStream, remote: SocketAddr, there: usize) -> Option<Feed> {
    if there >= SLAVES_MAX {
        tracing::warn!(%remote, there, "a slave is sent away: there are as many as can be");
        return None;
    }
    match Feed::start(shared, socket, remote) {
        Ok(feed) => Some(feed),
        Err(err) => {
            tracing::warn!(%remote, %err, "a slave cannot be fed");
            None
        }
    }
}

/// In 4.9 a `SYNC_MASTER` waited for one slave; who comes from there expects it to.
fn warn_if_nobody_is_waited_for(settings: &BrokerConfig) {
    if settings.broker_role == BrokerRole::SyncMaster && settings.in_sync_replicas <= 1 {
        tracing::warn!(
            "brokerRole=SYNC_MASTER waits for no slave while inSyncReplicas is 1, as in RocketMQ 5: set inSyncReplicas=2 to have \
             each message held by a slave before its send is answered"
        );
    }
}
