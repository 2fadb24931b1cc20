//! A client: one kept connection per address, calls matched by opaque.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{CallError, Connection, ConnectionLimits, Peer, Response};
use crate::header::Request;
use crate::router::{Router, Routes};

#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Java: `connectTimeoutMillis`.
    pub connect_timeout: Duration,
    pub limits: ConnectionLimits,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(3), limits: ConnectionLimits::default() }
    }
}

/// Calls other processes by `host:port`, and answers what they ask over the same connections.
pub struct Client {
    config: ClientConfig,
    router: Routes,
    peers: DashMap<String, Arc<Mutex<Option<Peer>>>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Client {
    /// `router` answers requests that the other end sends.
    pub fn new(config: ClientConfig, router: Arc<Router>, stopping: CancellationToken) -> Self {
        Self { config, router: router.into(), peers: DashMap::new(), tasks: TaskTracker::new(), stopping }
    }

    /// Sends a request and waits for its answer; connecting counts towards `within`.
    ///
    /// # Errors
    /// [`CallError`]; an answer with any response code is `Ok`.
    pub async fn call<R: Request>(
        &self,
        addr: &str,
        header: &R,
        body: Bytes,
        within: Duration,
    ) -> Result<Response, CallError> {
        let deadline = Instant::now() + within;
        let peer = self.peer(addr, within).await?;
        peer.call(header, body, deadline.saturating_duration_since(Instant::now())).await
    }

    /// Sends a request that wants no answer.
    ///
    /// # Errors
    /// [`CallError::Connect`].
    pub async fn one_way<R: Request>(&self, addr: &str, header: &R, body: Bytes) -> Result<(), CallError> {
        self.peer(addr, self.config.connect_timeout).await?.one_way(header, body);
        Ok(())
    }

    /// Closes all connections and waits for them.
    pub async fn close(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The kept connection, or a new one. Callers of one address wait for one connect, not for many.
    ///
    /// # Errors
    /// [`CallError::Connect`].
    pub async fn peer(&self, addr: &str, within: Duration) -> Result<Peer, CallError> {
        let slot = Arc::clone(&self.peers.entry(addr.to_owned()).or_default());
        let mut slot = slot.lock().await;
        if let Some(peer) = slot.as_ref().filter(|peer| !peer.is_closed()) {
            return Ok(peer.clone());
        }
        let connect_timeout = self.config.connect_timeout.min(within);
        let connecting = async {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let peer = Peer::new(stream.peer_addr()?, stream.local_addr()?, self.stopping.child_token());
            Ok((stream, peer))
        };
        let (stream, peer) = timeout(connect_timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|cause| CallError::Connect { addr: addr.to_owned(), cause })?;
        let (router, tasks, limits) = (self.router.clone(), self.tasks.clone(), self.config.limits.clone());
        let connection = Connection { stream, peer: peer.clone(), router, limits, tasks };
        self.tasks.spawn(connection.run(Arc::new(())));
        *slot = Some(peer.clone());
        Ok(peer)
    }
}
