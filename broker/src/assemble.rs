//! Puts a broker together, runs it, and takes it apart again: the one place that knows everyone.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use remoting::config::Unfit;
use remoting::connection::ConnectionLimits;
use remoting::protocol::RequestCode;
use remoting::router::Router;
use remoting::server::{Server, ServerConfig};
use remoting::types::Clock;
use store::{RecoveryReport, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin, LiveConfig};
use crate::assignment::{self, Assignments};
use crate::client::{self, Clients, Locks};
use crate::config::BrokerConfig;
use crate::context::{Context, Identity, Role};
use crate::delay::{self, DelayError, Delays, Levels, Recalls, TimerError, Timers, Waits};
use crate::group::{GroupError, GroupTable};
use crate::offset::{self, OffsetError, Offsets};
use crate::persist::LoadError;
use crate::pop::{self, Pops};
use crate::pull::{self, Pulls};
use crate::query::{self, Queries};
use crate::register::Registrar;
use crate::reply::{self, Replies};
use crate::retention;
use crate::retry::{self, Retries};
use crate::send::{self, Sends, Writer};
use crate::stats::Stats;
use crate::topic::{TopicError, TopicTable};
use crate::transaction::{self, Transactions};

/// A running broker.
pub struct Broker {
    identity: Arc<Identity>,
    answered: Vec<RequestCode>,
    store: Arc<Store>,
    offsets: Arc<Offsets>,
    delays: Arc<Delays>,
    pops: Arc<Pops>,
    registrar: Arc<Registrar>,
    recovery: RecoveryReport,
    /// The listeners and their connections.
    servers: TaskTracker,
    stop_serving: CancellationToken,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} {}", .0.key, .0.reason)]
    Config(Unfit),
    #[error("listen on {addr}: {cause}")]
    Listen { addr: SocketAddr, cause: io::Error },
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
    Delays(#[from] DelayError),
    #[error("open the timer: {0}")]
    Timer(#[from] TimerError),
    #[error("load the book of ordered pops: {0}")]
    Pops(LoadError),
    #[error("load how groups consume: {0}")]
    Assignments(LoadError),
}

impl Broker {
    /// Opens the store, binds the ports and begins to serve; the first registration follows at once.
    ///
    /// `config_file` is where changed settings are saved.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: BrokerConfig, config_file: Option<PathBuf>, clock: Clock) -> Result<Self, StartError> {
        // A port that is taken stops the start before the store is touched.
        let listeners = Listeners::bind(&config)?;
        let identity = Arc::new(identity(&config).map_err(StartError::Config)?);
        let store_config = config.store().map_err(StartError::Config)?;
        let opening = {
            let clock = clock.clone();
            tokio::task::spawn_blocking(move || Store::open(store_config, clock))
        };
        let (store, recovery) = opening.await.expect("opening a store does not panic")?;

        let (_role, role) = watch::channel(Role::Master);
        let (live, settings) = LiveConfig::new(config, config_file);
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let ctx = Context {
            identity: Arc::clone(&identity),
            config: settings,
            role,
            clock,
            tasks: tasks.clone(),
            stopping: stopping.clone(),
        };
        let parts = Parts::open(&ctx, live, &store)?;
        let mut router = Router::default();
        parts.routes(&mut router);
        let answered = router.codes();

        let (servers, stop_serving) = (TaskTracker::new(), CancellationToken::new());
        listeners.serve(router, &parts, &servers, &stop_serving);
        parts.start();
        retention::start(&ctx, &store, &parts.topics);
        let Parts { offsets, delays, pops, registrar, .. } = parts;
        Ok(Self {
            identity,
            answered,
            store,
            offsets,
            delays,
            pops,
            registrar,
            recovery,
            servers,
            stop_serving,
            tasks,
            stopping,
        })
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

    /// Stops in reverse: no new connections, what is under way is answered, state and log are flushed, and the name servers
    /// are told.
    pub async fn stop(self) {
        self.stop_serving.cancel();
        self.servers.close();
        self.servers.wait().await;
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.offsets.persist().await;
        let (store, delays, pops) = (self.store, self.delays, self.pops);
        let closing = tokio::task::spawn_blocking(move || {
            if let Err(err) = delays.persist() {
                tracing::error!(%err, "save the progress of the delay levels");
            }
            if let Err(err) = pops.persist() {
                tracing::error!(%err, "save the book of ordered pops");
            }
            if let Err(err) = store.close() {
                tracing::error!(%err, "close the store");
            }
        });
        closing.await.expect("closing a store does not panic");
        self.registrar.close().await;
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

/// The listening port, and the fast port two below it.
struct Listeners {
    main: Server,
    fast: Server,
}

impl Listeners {
    fn bind(config: &BrokerConfig) -> Result<Self, StartError> {
        let bind = |port: u16| {
            let ip = config
                .bind_address
                .parse()
                .map_err(|_| StartError::Config(Unfit::new("bindAddress", "is not an IP address")))?;
            let addr = SocketAddr::new(ip, port);
            let limits =
                ConnectionLimits { idle: *config.server_channel_max_idle_time_seconds, ..ConnectionLimits::default() };
            let server =
                ServerConfig { backlog: config.server_socket_backlog, limits, ..ServerConfig::listening(addr) };
            Server::bind(server).map_err(|cause| StartError::Listen { addr, cause })
        };
        Ok(Self { main: bind(config.listen_port)?, fast: bind(config.listen_port - 2)? })
    }

    fn serve(self, router: Router, parts: &Parts, servers: &TaskTracker, stop: &CancellationToken) {
        // Java does not pull there either: a long poll would take the place of what is to be fast.
        let fast = Arc::new(router.without(&pull::CODES).without(&pop::SLOW_CODES));
        servers.spawn(self.main.run(Arc::new(router), Arc::clone(&parts.clients) as _, stop.clone()));
        servers.spawn(self.fast.run(fast, Arc::clone(&parts.clients) as _, stop.clone()));
    }
}

/// All features, in the order of their needs.
struct Parts {
    topics: Arc<TopicTable>,
    stats: Arc<Stats>,
    locks: Arc<Locks>,
    clients: Arc<Clients>,
    offsets: Arc<Offsets>,
    sends: Arc<Sends>,
    pulls: Arc<Pulls>,
    replies: Arc<Replies>,
    pops: Arc<Pops>,
    assignments: Arc<Assignments>,
    retries: Arc<Retries>,
    delays: Arc<Delays>,
    transactions: Arc<Transactions>,
    timers: Arc<Timers>,
    recalls: Arc<Recalls>,
    queries: Arc<Queries>,
    registrar: Arc<Registrar>,
    admin: Admin,
}

impl Parts {
    fn open(ctx: &Context, live: Arc<LiveConfig>, store: &Arc<Store>) -> Result<Self, StartError> {
        let settings = ctx.settings();
        let config_dir = settings.store_path_root_dir.join("config");
        let store = || Arc::clone(store);
        let stats = Stats::new(ctx.clone());
        let topics = TopicTable::open(ctx.clone(), &config_dir)?;
        let groups = GroupTable::open(ctx.clone(), &config_dir)?;
        let (topics, groups) = (|| Arc::clone(&topics), || Arc::clone(&groups));
        let locks = Locks::open(&config_dir);
        let clients = Clients::open(ctx.clone(), &config_dir, topics(), groups(), Arc::clone(&locks))
            .map_err(StartError::Filters)?;
        let offsets = Offsets::open(ctx.clone(), &config_dir, store(), topics(), groups(), Arc::clone(&clients))?;
        let levels = Arc::new(Levels::new(settings.delay_levels().map_err(StartError::Config)?));
        let timers = Timers::open(ctx.clone(), &config_dir, store(), Arc::clone(&stats))?;
        let waits = Waits::new(Arc::clone(&levels), Arc::clone(&timers));
        let sends =
            Sends::new(ctx.clone(), store(), topics(), groups(), Arc::clone(&locks), Arc::clone(&stats), waits.clone());
        let writer = Writer::new(store(), waits.clone());
        let recalls = Recalls::new(ctx.clone(), topics(), Arc::clone(&writer));
        let replies = Replies::new(
            ctx.clone(),
            Arc::clone(&clients),
            Arc::clone(&sends),
            Arc::clone(&writer),
            Arc::clone(&stats),
        );
        let retries = Retries::new(ctx.clone(), store(), topics(), groups(), writer, Arc::clone(&stats));
        let transactions = Transactions::new(
            ctx.clone(),
            store(),
            topics(),
            Arc::clone(&clients),
            Arc::clone(&offsets),
            Arc::clone(&stats),
            waits,
        );
        let delays = Delays::open(ctx.clone(), &config_dir, store(), Arc::clone(&stats), levels)?;
        let pulls = Pulls::new(
            ctx.clone(),
            store(),
            topics(),
            groups(),
            Arc::clone(&clients),
            Arc::clone(&offsets),
            Arc::clone(&stats),
        );
        let pops = pop::Parts {
            ctx: ctx.clone(),
            store: store(),
            topics: topics(),
            groups: groups(),
            clients: Arc::clone(&clients),
            offsets: Arc::clone(&offsets),
            stats: Arc::clone(&stats),
            timer: {
                let timers = Arc::clone(&timers);
                Box::new(move || timers.delivered_until())
            },
        };
        let pops = Pops::open(pops, &config_dir).map_err(StartError::Pops)?;
        let queries = Queries::new(ctx.clone(), store(), Arc::clone(&clients));
        let registrar = Registrar::new(ctx.clone(), topics(), Arc::default());
        let assignments = Assignments::open(
            ctx.clone(),
            &config_dir,
            topics(),
            groups(),
            Arc::clone(&clients),
            Arc::clone(&registrar),
        )
        .map_err(StartError::Assignments)?;
        let admin = Admin::new(admin::Parts {
            ctx: ctx.clone(),
            config: live,
            store: store(),
            topics: topics(),
            groups: groups(),
            clients: Arc::clone(&clients),
            offsets: Arc::clone(&offsets),
            delays: Arc::clone(&delays),
            timers: Arc::clone(&timers),
            stats: Arc::clone(&stats),
            registrar: Arc::clone(&registrar),
        });
        let topics = topics();
        Ok(Self {
            topics,
            stats,
            locks,
            clients,
            offsets,
            sends,
            pulls,
            replies,
            pops,
            assignments,
            retries,
            delays,
            transactions,
            timers,
            recalls,
            queries,
            registrar,
            admin,
        })
    }

    fn routes(&self, router: &mut Router) {
        send::routes(&self.sends, router);
        pull::routes(&self.pulls, router);
        pop::routes(&self.pops, router);
        assignment::routes(&self.assignments, router);
        offset::routes(&self.offsets, router);
        client::routes(&self.clients, router);
        client::lock_routes(&self.locks, router);
        reply::routes(&self.replies, router);
        retry::routes(&self.retries, router);
        delay::routes(&self.delays, router);
        transaction::routes(&self.transactions, router);
        delay::timer_routes(&self.timers, router);
        delay::recall_routes(&self.recalls, router);
        query::routes(&self.queries, router);
        admin::routes(&self.admin, router);
    }

    fn start(&self) {
        self.stats.start();
        self.clients.start();
        self.offsets.start();
        let pops = Arc::clone(&self.pops);
        self.pulls.start(move |queue| pops.grown(queue));
        self.pops.start();
        self.delays.start();
        self.transactions.start();
        self.timers.start();
        self.registrar.start();
    }
}
