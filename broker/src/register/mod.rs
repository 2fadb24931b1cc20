//! Telling name servers which topics are here.
//!
//! ```text
//! topics ─ changed ─▶ one link per name server ─ REGISTER_BROKER ─▶ name server
//!                          ▲ every registerNameServerPeriod, and at once when its connection breaks
//! ```
//! Each name server has a task of its own, so one that is dead or slow holds up no other; any one alive is enough.
//! Java: `BrokerController.registerBrokerAll`, `BrokerOuterAPI`.

mod body;
mod link;
mod master;
mod route;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::client::{Client, ClientConfig};
use remoting::connection::Response;
use remoting::header::NoHeader;
use remoting::protocol::register::UnregisterBroker;
use remoting::router::Router;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::body::Bodies;
pub(crate) use self::body::Shown;
use self::link::Link;
pub(crate) use self::route::{NoAnswer, route};
use crate::config::BrokerConfig;
use crate::context::Context;
use crate::ha::MasterAt;
use crate::topic::TopicTable;

/// Keeps all name servers informed.
pub(crate) struct Registrar {
    shared: Arc<Shared>,
    links: Mutex<BTreeMap<String, Arc<Link>>>,
    /// Owns the links.
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What every link needs.
struct Shared {
    ctx: Context,
    topics: Arc<TopicTable>,
    client: Client,
    bodies: Bodies,
    shown: Shown,
    /// What each name server says of a slave's master, in its last answer.
    masters: Mutex<BTreeMap<String, MasterAt>>,
}

/// Longest wait of [`Registrar::register_now`]: administrators wait no longer than that for a name server that hangs.
const REGISTER_NOW_MAX: Duration = Duration::from_secs(5);
/// Java: `BrokerOuterAPI.unregisterBroker`.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);

impl Registrar {
    /// `router` answers what name servers ask of the broker over the connections made here.
    pub(crate) fn new(ctx: Context, topics: Arc<TopicTable>, router: Arc<Router>, shown: Shown) -> Arc<Self> {
        let stopping = ctx.stopping.child_token();
        // The connections must outlive the first moment of stopping, for the farewell.
        let client = Client::new(ClientConfig::default(), router, CancellationToken::new());
        let shared =
            Arc::new(Shared { ctx, topics, client, bodies: Bodies::default(), shown, masters: Mutex::default() });
        Arc::new(Self { shared, links: Mutex::default(), tasks: TaskTracker::new(), stopping })
    }

    /// Registers now and from now on, with the name servers that the settings name at each time.
    pub(crate) fn start(self: &Arc<Self>) {
        self.follow(&self.shared.ctx.settings());
        let this = Arc::clone(self);
        self.tasks.spawn(async move { this.supervise().await });
    }

    /// Waits until every name server that answers knows the topics as they are now.
    pub(crate) async fn register_now(&self) {
        let step = self.shared.topics.step();
        let links: Vec<_> = self.links.lock().values().map(Arc::clone).collect();
        let all = async {
            for link in links {
                link.reached(step).await;
            }
        };
        if tokio::time::timeout(REGISTER_NOW_MAX, all).await.is_err() {
            tracing::warn!("a name server does not answer; it is not waited for");
        }
    }

    /// Stops registering; name servers go on with what they know.
    pub(crate) async fn fall_silent(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Stops registering and takes the broker out of all routes.
    pub(crate) async fn close(&self) {
        self.fall_silent().await;
        let links = std::mem::take(&mut *self.links.lock());
        let mut farewells = JoinSet::new();
        for link in links.into_values().filter(|link| link.is_registered()) {
            let shared = Arc::clone(&self.shared);
            farewells.spawn(async move { shared.unregister(&link.addr).await });
        }
        farewells.join_all().await;
        self.shared.client.close().await;
    }

    /// Follows the list of name servers as it changes.
    async fn supervise(&self) {
        let mut config = self.shared.ctx.config.clone();
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                changed = config.changed() => if changed.is_err() { return },
            }
            let settings = Arc::clone(&config.borrow_and_update());
            self.follow(&settings);
        }
    }

    /// Starts links to new name servers and ends those to others, which forget the broker when it falls silent.
    fn follow(&self, settings: &BrokerConfig) {
        let addrs = settings.name_servers();
        let mut links = self.links.lock();
        links.retain(|addr, link| {
            let wanted = addrs.contains(addr);
            if !wanted {
                link.end();
                self.shared.forget(addr);
            }
            wanted
        });
        for addr in addrs {
            links.entry(addr.clone()).or_insert_with(|| {
                let link = Arc::new(Link::new(addr, self.stopping.child_token()));
                self.tasks.spawn(Arc::clone(&link).run(Arc::clone(&self.shared)));
                link
            });
        }
    }
}

impl Shared {
    async fn unregister(&self, addr: &str) {
        let identity = &self.ctx.identity;
        let request = UnregisterBroker {
            broker_name: identity.name.clone(),
            broker_addr: identity.addr(),
            cluster_name: identity.cluster.clone(),
            broker_id: identity.id,
        };
        let answer = self.client.call(addr, &request, Bytes::new(), UNREGISTER_TIMEOUT).await;
        match answer.and_then(Response::success::<NoHeader>) {
            Ok(_) => tracing::info!(name_server = addr, "unregistered"),
            Err(err) => tracing::warn!(name_server = addr, %err, "the name server was not told that the broker stops"),
        }
    }
}

#[cfg(test)]
mod tests;
