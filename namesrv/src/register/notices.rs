//! Tells the members of a broker set who is the smallest among them now.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::client::{Client, ClientConfig};
use remoting::router::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::route::Notice;

/// Sends notices, each on a task of its own: a member that cannot be reached delays nobody.
pub(crate) struct Notices {
    client: Client,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// A member that takes longer finds out by asking.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// Notices under way; beyond, members find out by asking.
const TASKS_MAX: usize = 1000;

impl Notices {
    pub(crate) fn new(tasks: TaskTracker, stopping: CancellationToken) -> Arc<Self> {
        let config = ClientConfig { connect_timeout: CONNECT_TIMEOUT, ..ClientConfig::default() };
        let client = Client::new(config, Arc::new(Router::default()), stopping.child_token());
        Arc::new(Self { client, tasks, stopping })
    }

    pub(crate) fn send(self: &Arc<Self>, notice: Option<Notice>) {
        let Some(Notice { to, header }) = notice else { return };
        for addr in to {
            if self.tasks.len() >= TASKS_MAX {
                tracing::warn!(addr, "too many notices under way, this one is dropped");
                continue;
            }
            let (notices, header) = (Arc::clone(self), header.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = notices.stopping.cancelled() => {}
                    sent = notices.client.one_way(&addr, &header, Bytes::new()) => match sent {
                        Ok(()) => tracing::info!(addr, min = header.min_broker_id.map(|id| id.0), "told a broker the smallest id of its set"),
                        Err(err) => tracing::warn!(addr, %err, "could not tell a broker the smallest id of its set"),
                    },
                }
            });
        }
    }

    pub(crate) async fn close(&self) {
        self.client.close().await;
    }
}
