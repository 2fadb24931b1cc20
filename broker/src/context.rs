//! Facts and signals that every feature may know. No store, no table, no feature: those are given by constructor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use remoting::types::{BrokerId, BrokerName, Clock, ClusterName, Host};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::BrokerConfig;
use crate::ha::MasterAt;

/// Cheap to clone; all clones are the same broker.
#[derive(Clone)]
pub(crate) struct Context {
    pub identity: Arc<Identity>,
    /// The settings in force; replaced as a whole by `updateBrokerConfig`.
    pub config: watch::Receiver<Arc<BrokerConfig>>,
    pub role: watch::Receiver<Role>,
    /// The broker that a slave follows.
    pub master: Mastery,
    pub clock: Clock,
    /// Owns every background task of the broker.
    pub tasks: TaskTracker,
    /// Cancelled when the broker begins to stop; background tasks end then.
    pub stopping: CancellationToken,
}

impl Context {
    /// The settings of this moment; hold them for one request, not longer.
    pub(crate) fn settings(&self) -> Arc<BrokerConfig> {
        Arc::clone(&self.config.borrow())
    }
}

/// What a slave knows of its master. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mastery(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    is_silent: AtomicBool,
    at: watch::Sender<Option<MasterAt>>,
}

impl Mastery {
    /// True for a broker without a master, too.
    pub(crate) fn answers(&self) -> bool {
        !self.0.is_silent.load(Ordering::Relaxed)
    }

    /// True if that is news.
    pub(crate) fn set_answers(&self, answers: bool) -> bool {
        self.0.is_silent.swap(!answers, Ordering::Relaxed) == answers
    }

    /// Where it is; `None` until somebody has said so. One that is gone stays: it will most likely come back where it was.
    pub(crate) fn at(&self) -> &watch::Sender<Option<MasterAt>> {
        &self.0.at
    }
}

/// Who this broker is, to clients and name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterName,
    pub name: BrokerName,
    pub id: BrokerId,
    /// The address clients are told, and the host in offset message ids.
    pub host: Host,
    /// Where slaves connect, `host:port`.
    pub ha_addr: String,
}

impl Identity {
    /// `host:port` as routes carry it.
    pub fn addr(&self) -> String {
        self.host.to_string()
    }
}

/// What this broker may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Takes writes and runs what only one member of a broker set may run.
    Master,
    /// Takes no writes while its master is away, but runs what only one member may run: what it delivers goes to the masters of
    /// other broker sets. Java: the slave of the smallest id, with `enableRemoteEscape`.
    Acting,
    Slave,
}

impl Role {
    /// Whether it delivers what waits.
    pub(crate) fn delivers(self) -> bool {
        self != Self::Slave
    }
}

#[cfg(test)]
impl Context {
    /// A master named `broker-a` of cluster `cluster-a`, on a clock that stands still at 1,000,000 ms. Settings are the
    /// defaults as `change` changes them; whoever holds the sender may change them again.
    pub(crate) fn for_tests(change: impl FnOnce(&mut BrokerConfig)) -> (Self, watch::Sender<Arc<BrokerConfig>>) {
        let mut settings = BrokerConfig::default();
        change(&mut settings);
        let (sender, config) = watch::channel(Arc::new(settings));
        let identity = Identity {
            cluster: "cluster-a".into(),
            name: "broker-a".into(),
            id: BrokerId::MASTER,
            host: Host { ip: std::net::Ipv4Addr::LOCALHOST.into(), port: 10911 },
            ha_addr: "127.0.0.1:10912".to_owned(),
        };
        let ctx = Self {
            identity: Arc::new(identity),
            config,
            role: watch::channel(Role::Master).1,
            master: Mastery::default(),
            clock: Clock::fixed(remoting::types::Timestamp(1_000_000)),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        (ctx, sender)
    }
}
