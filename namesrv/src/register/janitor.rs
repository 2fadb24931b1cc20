//! Looks for brokers that are gone without having said so.

use std::sync::Arc;

use remoting::connection::{ConnectionEvents, Peer};
use remoting::types::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Notices, forget, rules};
use crate::route::RouteTable;
use crate::settings::LiveConfig;

/// Forgets brokers that fell silent, every few seconds, and those that lost their connection, at once.
pub(crate) struct Janitor {
    table: Arc<RouteTable>,
    config: Arc<LiveConfig>,
    notices: Arc<Notices>,
    clock: Clock,
    disconnected: Notify,
}

impl Janitor {
    pub(crate) fn new(
        table: Arc<RouteTable>,
        config: Arc<LiveConfig>,
        notices: Arc<Notices>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self { table, config, notices, clock, disconnected: Notify::new() })
    }

    pub(crate) async fn run(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            let interval = *self.config.now().scan_not_active_broker_interval;
            tokio::select! {
                // First: the connections that our own stop closes are no loss.
                biased;
                () = stopping.cancelled() => return,
                () = self.disconnected.notified() => {}
                () = tokio::time::sleep(interval) => {}
            }
            self.sweep().await;
        }
    }

    async fn sweep(&self) {
        let routes = self.table.now();
        let lost = routes.lost(self.clock.now());
        if lost.is_empty() {
            return;
        }
        for live in lost.iter().filter_map(|gone| routes.live.get(&gone.address)) {
            // A silent broker that still lives has to connect and register anew.
            live.peer.close();
        }
        forget(&self.table, &self.notices, rules(&self.config), lost).await;
    }
}

impl ConnectionEvents for Janitor {
    fn closed(&self, peer: &Peer) {
        if self.table.now().live.values().any(|live| live.peer == *peer) {
            self.disconnected.notify_one();
        }
    }
}
