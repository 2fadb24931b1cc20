//! Puts the parts together, starts and stops them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use remoting::config::Unfit;
use remoting::connection::ConnectionLimits;
use remoting::protocol::RequestCode;
use remoting::router::Router;
use remoting::server::{Server, ServerConfig};
use remoting::types::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Cluster;
use crate::config::NamesrvConfig;
use crate::kv::{Kv, LoadError};
use crate::register::{Janitor, Notices, Registry};
use crate::route::{Lookup, RouteTable};
use crate::settings::LiveConfig;

/// A running name server.
pub struct Namesrv {
    addr: SocketAddr,
    notices: Arc<Notices>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} {}", .0.key, .0.reason)]
    Config(Unfit),
    #[error("listen on {addr}: {cause}")]
    Listen { addr: SocketAddr, cause: io::Error },
    #[error("load the key-value settings: {0}")]
    Kv(#[from] LoadError),
}

impl Namesrv {
    /// Starts listening. Cancelling `stopping` begins the stop, too; [`Namesrv::stop`] waits for its end.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: NamesrvConfig, clock: Clock, stopping: &CancellationToken) -> Result<Self, StartError> {
        let listen = config.listen().map_err(StartError::Config)?;
        let failed = |cause| StartError::Listen { addr: listen, cause };
        let limits =
            ConnectionLimits { idle: *config.server_channel_max_idle_time_seconds, ..ConnectionLimits::default() };
        let listening =
            ServerConfig { backlog: config.server_socket_backlog, limits, ..ServerConfig::listening(listen) };
        let server = Server::bind(listening).map_err(failed)?;
        let addr = server.local_addr().map_err(failed)?;

        let (tasks, stopping) = (TaskTracker::new(), stopping.child_token());
        let notices = Notices::new(tasks.clone(), stopping.clone());
        let parts = Parts::new(config, clock, Arc::clone(&notices))?;
        let mut router = Router::default();
        parts.routes(&mut router);
        tasks.spawn(Arc::clone(&parts.janitor).run(stopping.clone()));
        tasks.spawn(server.run(Arc::new(router), parts.janitor, stopping.clone()));
        Ok(Self { addr, notices, tasks, stopping })
    }

    /// The address in fact bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets what is in flight finish, and returns when nothing runs any more.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.notices.close().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The requests that a name server answers, for `docs/requests.md`.
pub fn answered() -> Vec<RequestCode> {
    let notices = Notices::new(TaskTracker::new(), CancellationToken::new());
    let nowhere = NamesrvConfig { kv_config_path: "/nonexistent/kvConfig.json".into(), ..NamesrvConfig::default() };
    let mut router = Router::default();
    Parts::new(nowhere, Clock::system(), notices).expect("no file is no settings").routes(&mut router);
    router.codes()
}

/// All that answers requests.
struct Parts {
    config: Arc<LiveConfig>,
    kv: Arc<Kv>,
    lookup: Arc<Lookup>,
    registry: Arc<Registry>,
    cluster: Arc<Cluster>,
    janitor: Arc<Janitor>,
}

impl Parts {
    fn new(config: NamesrvConfig, clock: Clock, notices: Arc<Notices>) -> Result<Self, LoadError> {
        let kv = Kv::load(config.kv_config_path.clone())?;
        let config = LiveConfig::new(config);
        let table = RouteTable::new();
        let lookup = Lookup::new(Arc::clone(&table), Arc::clone(&kv), Arc::clone(&config), clock.clone());
        let janitor = Janitor::new(Arc::clone(&table), Arc::clone(&config), Arc::clone(&notices), clock.clone());
        let cluster = Cluster::new(Arc::clone(&table), Arc::clone(&config));
        let registry = Registry::new(table, Arc::clone(&kv), Arc::clone(&config), notices, clock);
        Ok(Self { config, kv, lookup, registry, cluster, janitor })
    }

    fn routes(&self, router: &mut Router) {
        self.lookup.routes(router);
        self.registry.routes(router);
        self.cluster.routes(router);
        self.kv.routes(router);
        self.config.routes(router);
    }
}
