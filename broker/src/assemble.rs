//! Puts a broker together, runs it, and takes it apart again: the one place that knows everyone.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use remoting::config::Unfit;
use remoting::protocol::RequestCode;
use remoting::types::Clock;
use store::{RecoveryReport, Store, StoreError};
use tokio::sync::watch;

use crate::admin::LiveConfig;
use crate::client::Connected;
use crate::config::{BrokerConfig, BrokerRole};
use crate::context::{Identity, Mastery, Role};
use crate::delay::TimerError;
use crate::features::{Features, Ground};
use crate::front::{Front, Listeners};
use crate::group::GroupError;
use crate::ha::{Acks, Copies, Feeder, FeederPort, Side};
use crate::metrics::{Exporter, Site};
use crate::offset::OffsetError;
use crate::persist::{Home, LoadError};
pub use crate::replica::Ended;
use crate::replica::{self, Member, Membership};
use crate::seat::Seat;
use crate::slave::{Returning, Slave};
use crate::topic::TopicError;

/// A running broker.
pub struct Broker {
    identity: Arc<Identity>,
    answered: Vec<RequestCode>,
    recovery: RecoveryReport,
    settings: watch::Receiver<Arc<BrokerConfig>>,
    store: Arc<Store>,
    front: Front,
    kind: Kind,
    site: Arc<Site>,
    exporter: Option<Exporter>,
}

enum Kind {
    /// A broker of its own, which slaves may follow.
    Alone { features: Features, feeder: Arc<Feeder> },
    /// A broker that follows a master.
    Slave(Slave),
    /// A member of a Raft group.
    Member(Member),
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} {}", .0.key, .0.reason)]
    Config(Unfit),
    #[error("listen on {addr}: {cause}")]
    Listen { addr: SocketAddr, cause: io::Error },
    #[error("show metrics at {at} (metricsPromExporterHost, metricsPromExporterPort): {cause}")]
    Metrics { at: String, cause: io::Error },
    #[error("open the store: {0}")]
    Store(#[from] StoreError),
    #[error("load the topics: {0}")]
    Topics(#[from] TopicError),
    #[error("load the groups: {0}")]
    Groups(#[from] GroupError),
    #[error("load the consumer offsets: {0}")]
    Offsets(#[from] OffsetError),
    #[error("load the filters of consumer groups: {0}")]
    Filters(LoadError),
    #[error("load the progress of the delay levels: {0}")]
    Delays(LoadError),
    #[error("open the timer: {0}")]
    Timer(#[from] TimerError),
    #[error("load the book of ordered pops: {0}")]
    Pops(LoadError),
    #[error("load how groups consume: {0}")]
    Assignments(LoadError),
    #[error("start threads that feed slaves: {0}")]
    Feeder(io::Error),
    #[error("follow the master: {0}")]
    Follow(io::Error),
    #[error("join the group: {0}")]
    Group(#[from] replica::GroupError),
}

impl Broker {
    /// Opens the store, binds the ports and begins to serve; the first registration follows at once.
    ///
    /// `config_file` is where changed settings are saved.
    ///
    /// Boxed, as is [`Self::stop`]: a broker is then compiled here, and not once more in every program with one in it.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(
        config: BrokerConfig,
        config_file: Option<PathBuf>,
        clock: Clock,
    ) -> Pin<Box<dyn Future<Output = Result<Self, StartError>> + Send>> {
        Box::pin(Self::begin(config, config_file, clock))
    }

    async fn begin(config: BrokerConfig, config_file: Option<PathBuf>, clock: Clock) -> Result<Self, StartError> {
        // A port that is taken stops the start before the store is touched.
        let listeners = Listeners::bind(&config)?;
        let peers = config.peers().map_err(StartError::Config)?;
        // Members of a group have the log in another way, and a slave hands it to nobody.
        let is_master = peers.is_none() && config.broker_role != BrokerRole::Slave;
        let slaves = is_master.then(|| FeederPort::bind(&config)).transpose()?;
        let site = Arc::new(Site::default());
        let exporter = Exporter::start(&config, &site).await?;
        let identity = identity(&config).map_err(StartError::Config)?;
        let store_config = config.store().map_err(StartError::Config)?;
        let root = config.store_path_root_dir.clone();
        let opening = {
            let clock = clock.clone();
            let membership = peers.as_ref().map(|peers| replica::membership(peers, &root)).transpose()?;
            tokio::task::spawn_blocking(move || {
                let in_group = |(store, log, report)| (store, Some(log), report);
                match membership {
                    Some(Membership::Kept) => Store::open_raft(store_config, clock).map(in_group),
                    Some(Membership::ToBeMade) => Store::open_raft_anew(store_config, clock).map(in_group),
                    None => Store::open(store_config, clock).map(|(store, report)| (store, None, report)),
                }
            })
        };
        let (store, log, recovery) = opening.await.expect("opening a store does not panic")?;
        let (live, settings) = LiveConfig::new(config, config_file);
        let now = settings.clone();
        let acks = Acks::new(settings.clone());
        let copies = if slaves.is_some() { Copies::of(&acks) } else { Copies::default() };
        let (connected, master) = (Connected::default(), Mastery::default());
        let ground = Ground { live, settings, clock, store: Arc::clone(&store), connected, copies, master };
        let identity = Arc::new(identity);
        let (answered, front, kind) = match (peers.zip(log), slaves) {
            (Some((peers, log)), _) => {
                let identity = Identity::clone(&identity);
                let joined = Member::join(ground, identity, peers, log, &root, listeners, Arc::clone(&site));
                let joined = joined.await?;
                (joined.answered, joined.front, Kind::Member(joined.member))
            }
            (None, None) => {
                let started = Slave::start(ground, &identity, &root, listeners, &site)?;
                (started.answered, started.front, Kind::Slave(started.slave))
            }
            (None, Some(slaves)) => {
                let home = Home::Folder(root.join("config"));
                let open = || Features::open(&ground, Arc::clone(&identity), Role::Master, &home);
                let mut features = open()?;
                let feeder = Feeder::start(slaves, &store, now.clone(), &acks).map_err(StartError::Feeder)?;
                let side = Side::Master(Arc::clone(&feeder));
                let seat = Seat::new(side, &ground, &identity, &site);
                let router = seat.router(&features);
                let answered = router.codes();
                let front = listeners.serve(&features, router);
                let returning = Returning {
                    identity: &identity,
                    members: &seat.members,
                    tables: features.tables(),
                    feeder: &feeder,
                    log_end: store.max_physical_offset(),
                    folder: &root.join("config"),
                };
                if now.borrow().hears_slaves_first() && returning.hear().await {
                    features.make_way().await;
                    features = open()?;
                    front.replace(&features, seat.router(&features));
                }
                seat.begin(&features);
                site.set_ready();
                (answered, front, Kind::Alone { features, feeder })
            }
        };
        Ok(Self { identity, answered, recovery, settings: now, store, front, kind, site, exporter })
    }

    /// The settings in force.
    pub fn settings(&self) -> BrokerConfig {
        BrokerConfig::clone(&self.settings.borrow())
    }

    /// The requests it answers on its listening port, for `docs/requests.md`.
    pub fn answered(&self) -> &[RequestCode] {
        &self.answered
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What opening the store found.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Returns when the broker cannot go on and should be stopped; never for one outside of a Raft group. Cancel-safe.
    pub async fn ended(&self) -> Ended {
        match &self.kind {
            Kind::Alone { .. } | Kind::Slave(_) => std::future::pending().await,
            Kind::Member(member) => member.ended().await,
        }
    }

    /// Stops in reverse: no new connections, what is under way is answered, state and log are flushed, and the name servers
    /// are told.
    pub fn stop(self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.end())
    }

    async fn end(self) {
        let Self { store, front, kind, site, exporter, .. } = self;
        site.set_stopping();
        if let Kind::Member(member) = &kind {
            member.give_lead_away().await;
        }
        front.close().await;
        let features = match kind {
            Kind::Alone { features, feeder } => {
                features.stop().await;
                // Slaves get what was stored to the last.
                let letting_go = tokio::task::spawn_blocking(move || feeder.stop());
                letting_go.await.expect("letting slaves go does not panic");
                features
            }
            Kind::Slave(slave) => slave.stop().await,
            Kind::Member(member) => member.stop().await,
        };
        let closing = tokio::task::spawn_blocking(move || {
            if let Err(err) = store.close() {
                tracing::error!(%err, "close the store");
            }
        });
        closing.await.expect("closing a store does not panic");
        features.unregister().await;
        if let Some(exporter) = exporter {
            exporter.stop().await;
        }
    }
}

fn identity(config: &BrokerConfig) -> Result<Identity, Unfit> {
    Ok(Identity {
        cluster: config.broker_cluster_name.clone(),
        name: config.broker_name.clone(),
        id: config.id(),
        host: config.host()?,
        ha_addr: config.ha_addr(),
    })
}
