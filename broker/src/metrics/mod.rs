//! What the broker shows to those who watch over it: metrics for Prometheus, and whether it is ready.
//!
//! ```text
//! GET /metrics ─▶ registry ─▶ each room tells its figures as they are at this moment ─▶ text
//! GET /ready   ─▶ 200, or 503 and why not
//! GET /live    ─▶ 200
//! ```
//!
//! Nothing is counted for this alone, and nothing runs while nobody asks: a room reads counters that are there anyway. To add
//! figures, [tell](Registry::add) them on a [`Page`], and write them down in `docs/metrics.md`, which a test compares.
//!
//! A member of a Raft group gets new rooms with its new features whenever its role changes; counters begin again then.
//!
//! Java: `BrokerMetricsManager`, whose names and labels these are where Java has them.

mod broker;
mod group;
mod http;
mod page;

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::encoding::text::encode;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::broker::Rooms;
pub(crate) use self::group::tell_group;
use self::page::Room;
pub(crate) use self::page::{Named, Page};
use crate::assemble::StartError;
use crate::config::{BrokerConfig, MetricsExporterType};
use crate::context::Identity;

/// All rooms of a broker in one role.
pub(crate) struct Registry(prometheus_client::registry::Registry);

impl Registry {
    /// With Java's labels of all metrics of a broker, and those of the settings.
    pub(crate) fn new(identity: &Identity, settings: &BrokerConfig) -> Self {
        let own = [("cluster", identity.cluster.to_string()), ("node_type", "broker".into())];
        let own = own.into_iter().chain([("node_id", identity.name.to_string())]);
        // Checked as the settings are read.
        let others = settings.metrics_labels().unwrap_or_default();
        let own = own.map(|(name, value)| (Cow::from(name), Cow::from(value)));
        let others = others.into_iter().map(|(name, value)| (Cow::from(name), Cow::from(value)));
        Self(prometheus_client::registry::Registry::with_labels(own.chain(others)))
    }

    /// `tell` writes the figures of a room, whenever somebody asks.
    pub(crate) fn add(&mut self, tell: impl Fn(&mut Page<'_>) -> std::fmt::Result + Send + Sync + 'static) {
        self.0.register_collector(Box::new(Room(Box::new(tell))));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if let Err(err) = encode(&mut text, &self.0) {
            tracing::warn!(%err, "write metrics");
        }
        text
    }
}

/// Tells whether the broker is ready, and if not, why.
type Look = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// What is shown now.
#[derive(Default)]
pub(crate) struct Site {
    registry: ArcSwapOption<Registry>,
    readiness: ArcSwap<Readiness>,
}

#[derive(Default)]
enum Readiness {
    #[default]
    Starting,
    /// A broker of its own serves.
    Ready,
    /// A member of a group, which is asked.
    Ask(Box<Look>),
    Stopping,
}

impl Site {
    pub(crate) fn show(&self, registry: Registry) {
        self.registry.store(Some(Arc::new(registry)));
    }

    pub(crate) fn set_ready(&self) {
        self.readiness.store(Arc::new(Readiness::Ready));
    }

    pub(crate) fn ask(&self, look: Box<Look>) {
        self.readiness.store(Arc::new(Readiness::Ask(look)));
    }

    pub(crate) fn set_stopping(&self) {
        self.readiness.store(Arc::new(Readiness::Stopping));
    }

    /// # Errors
    /// Why the broker is not ready.
    async fn readiness(&self) -> Result<(), String> {
        let now = self.readiness.load_full();
        match &*now {
            Readiness::Starting => Err("the broker starts: it opens its store".to_owned()),
            Readiness::Ready => Ok(()),
            Readiness::Ask(look) => look().await,
            Readiness::Stopping => Err("the broker stops".to_owned()),
        }
    }
}

/// Shows a [`Site`] by HTTP, if the settings want that.
pub(crate) struct Exporter {
    serving: JoinHandle<()>,
    stopping: DropGuard,
}

impl Exporter {
    /// # Errors
    /// [`StartError`]: the port is taken, or the address is none of this machine.
    pub(crate) async fn start(config: &BrokerConfig, site: &Arc<Site>) -> Result<Option<Self>, StartError> {
        if config.metrics_exporter_type != MetricsExporterType::Prom {
            return Ok(None);
        }
        let host = match &*config.metrics_prom_exporter_host {
            "" => &*config.broker_ip1,
            host => host,
        };
        let (host, port) = (host.trim_matches(['[', ']']), config.metrics_prom_exporter_port);
        let listener = TcpListener::bind((host, port)).await;
        let listener = listener.map_err(|cause| StartError::Metrics { at: format!("{host}:{port}"), cause })?;
        tracing::info!(at = %local(&listener)?, "shows metrics and readiness by HTTP");
        let stopping = CancellationToken::new();
        let serving = tokio::spawn(http::serve(listener, Arc::clone(site), stopping.clone()));
        Ok(Some(Self { serving, stopping: stopping.drop_guard() }))
    }

    pub(crate) async fn stop(self) {
        drop(self.stopping);
        if self.serving.await.is_err() {
            tracing::error!("showing metrics panicked");
        }
    }
}

fn local(listener: &TcpListener) -> Result<std::net::SocketAddr, StartError> {
    let unknown = |cause: io::Error| StartError::Metrics { at: "an address of its own".to_owned(), cause };
    listener.local_addr().map_err(unknown)
}

#[cfg(test)]
mod tests;
