//! A listener: accepts connections and serves each with a router.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, ConnectionEvents, ConnectionLimits, Peer};
use crate::router::Routes;

#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// Connections beyond this wait in the kernel's backlog until one closes.
    pub connections_max: usize,
    /// Java: `serverSocketBacklog`.
    pub backlog: u32,
    pub limits: ConnectionLimits,
}

impl ServerConfig {
    pub fn listening(listen: SocketAddr) -> Self {
        Self { listen, connections_max: 100_000, backlog: 1024, limits: ConnectionLimits::default() }
    }
}

/// A bound listener that does not accept yet, so that a port conflict stops the start before anything else happens.
pub struct Server {
    listener: TcpListener,
    config: ServerConfig,
}

/// Pause after a failed accept: the usual cause is too many open files, which needs time, not more tries.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// # Errors
    /// Whatever the system says about the address, usually that it is in use.
    pub fn bind(config: ServerConfig) -> io::Result<Self> {
        let socket = if config.listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(config.listen)?;
        Ok(Self { listener: socket.listen(config.backlog)?, config })
    }

    /// The address in fact bound, with the port the system chose for port 0.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until `stopping`, then waits until the connections have written their last answers and closed.
    ///
    /// Boxed, as what serves connections is then compiled here and not once more wherever there is a server.
    pub fn run(
        self,
        router: impl Into<Routes>,
        events: Arc<dyn ConnectionEvents>,
        stopping: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.accept(router.into(), events, stopping))
    }

    async fn accept(self, router: Routes, events: Arc<dyn ConnectionEvents>, stopping: CancellationToken) {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(self.config.connections_max));
        while let Some((stream, place)) = self.next(&places, &stopping).await {
            let connection = match self.connection(stream, &router, &connections, &stopping) {
                Ok(connection) => connection,
                Err(err) => {
                    tracing::debug!(%err, "a connection was gone before it was served");
                    continue;
                }
            };
            let events = Arc::clone(&events);
            connections.spawn(async move {
                connection.run(events).await;
                drop(place);
            });
        }
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }

    /// The next connection and its place; `None` when stopping.
    async fn next(
        &self,
        places: &Arc<Semaphore>,
        stopping: &CancellationToken,
    ) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let accept = async {
            let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => return (stream, place),
                    Err(err) => {
                        tracing::warn!(%err, listen = %self.config.listen, "accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => None,
            accepted = accept => Some(accepted),
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        router: &Routes,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        let peer = Peer::new(stream.peer_addr()?, stream.local_addr()?, stopping.child_token());
        let (router, tasks, limits) = (router.clone(), tasks.clone(), self.config.limits.clone());
        Ok(Connection { stream, peer, router, limits, tasks })
    }
}
