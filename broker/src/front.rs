//! Where clients come in: the listening port, and the fast port two below it.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use remoting::connection::{ConnectionEvents, ConnectionLimits, Peer};
use remoting::router::{Router, Routes};
use remoting::server::{Server, ServerConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assemble::StartError;
use crate::client::Clients;
use crate::config::BrokerConfig;
use crate::features::{Features, slow_codes};
use remoting::config::Unfit;

/// Ports that are bound, and answered by nobody yet.
pub(crate) struct Listeners {
    main: Server,
    fast: Server,
}

impl Listeners {
    pub(crate) fn bind(config: &BrokerConfig) -> Result<Self, StartError> {
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

    /// Serves with these features, which may be replaced.
    pub(crate) fn serve(self, features: &Features, router: Router) -> Front {
        let (main, fast) = both(router);
        let clients = Arc::new(Current(ArcSwap::new(Arc::clone(&features.clients))));
        let (servers, stop) = (TaskTracker::new(), CancellationToken::new());
        let (main, fast) = (Routes::from(main), Routes::from(fast));
        servers.spawn(self.main.run(main.clone(), Arc::clone(&clients) as _, stop.clone()));
        servers.spawn(self.fast.run(fast.clone(), Arc::clone(&clients) as _, stop.clone()));
        Front { main, fast, clients, servers, stop }
    }
}

/// Ports that are served.
#[derive(Clone)]
pub(crate) struct Front {
    main: Routes,
    fast: Routes,
    clients: Arc<Current>,
    /// The listeners and their connections.
    servers: TaskTracker,
    stop: CancellationToken,
}

impl Front {
    /// Others serve from now on; connections stay.
    pub(crate) fn replace(&self, features: &Features, router: Router) {
        let (main, fast) = both(router);
        self.clients.0.store(Arc::clone(&features.clients));
        self.main.replace(main);
        self.fast.replace(fast);
    }

    /// Accepts nobody any more, answers what is under way, and closes.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.servers.close();
        self.servers.wait().await;
    }
}

fn both(router: Router) -> (Arc<Router>, Arc<Router>) {
    let fast = router.without(&slow_codes().collect::<Vec<_>>());
    (Arc::new(router), Arc::new(fast))
}

/// Those who are told of connections now.
struct Current(ArcSwap<Clients>);

impl ConnectionEvents for Current {
    fn opened(&self, peer: &Peer) {
        self.0.load().opened(peer);
    }

    fn idle(&self, peer: &Peer) {
        self.0.load().idle(peer);
    }

    fn failed(&self, peer: &Peer) {
        self.0.load().failed(peer);
    }

    fn closed(&self, peer: &Peer) {
        self.0.load().closed(peer);
    }
}
