//! Who is in the broker set, as name servers know it: they are asked every moment, and tell it when the smallest id changes.
//!
//! Java: `BrokerController.syncBrokerMemberGroup`, `BrokerController.updateMinBroker`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use remoting::body::{BrokerMemberGroupBody, fastjson};
use remoting::client::{Client, ClientConfig};
use remoting::header::NoHeader;
use remoting::protocol::register::{GetBrokerMemberGroup, NotifyMinBrokerId};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::BrokerId;
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::BrokerConfig;
use crate::context::Identity;

/// Longest wait for a name server. Java: `BrokerOuterAPI.getBrokerMemberGroup`.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest time between two looks.
const PERIOD_MIN: Duration = Duration::from_millis(100);

/// Keeps up with the members.
pub(crate) struct Members {
    identity: Arc<Identity>,
    settings: watch::Receiver<Arc<BrokerConfig>>,
    client: Client,
    /// By id, as a name server told them last.
    known: watch::Sender<BTreeMap<i64, String>>,
    told: Notify,
}

pub(crate) fn routes(members: &Arc<Members>, router: &mut Router) {
    router.on::<NotifyMinBrokerId>(members);
}

impl Members {
    pub(crate) fn new(identity: Arc<Identity>, settings: watch::Receiver<Arc<BrokerConfig>>) -> Arc<Self> {
        let client = Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new());
        Arc::new(Self { identity, settings, client, known: watch::Sender::default(), told: Notify::new() })
    }

    /// Asks until the broker stops.
    pub(super) async fn follow(&self, stopping: &CancellationToken) {
        while !stopping.is_cancelled() {
            let period = (*self.settings.borrow().sync_broker_member_group_period).max(PERIOD_MIN);
            tokio::select! {
                () = stopping.cancelled() => {}
                members = self.ask() => if let Some(members) = members {
                    self.known.send_if_modified(|known| {
                        let is_news = *known != members;
                        *known = members;
                        is_news
                    });
                },
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = sleep(period) => {}
                () = self.told.notified() => {}
            }
        }
        self.client.close().await;
    }

    /// The members, from the first name server that answers.
    pub(super) async fn ask(&self) -> Option<BTreeMap<i64, String>> {
        let servers = self.settings.borrow().name_servers();
        for server in servers {
            let request = GetBrokerMemberGroup {
                cluster_name: self.identity.cluster.clone(),
                broker_name: self.identity.name.clone(),
            };
            let answer = self.client.call(&server, &request, Bytes::new(), TIMEOUT).await;
            let answer = answer.and_then(|answer| answer.success::<NoHeader>());
            let body = answer.map(|(_, body)| fastjson::read::<BrokerMemberGroupBody>(&body));
            match body {
                Ok(Ok(body)) => return Some(body.broker_member_group.broker_addrs),
                Ok(Err(err)) => tracing::debug!(name_server = server, %err, "the members of the set do not parse"),
                Err(err) => tracing::debug!(name_server = server, %err, "the members of the set are not told"),
            }
        }
        None
    }

    pub(super) fn known(&self) -> watch::Receiver<BTreeMap<i64, String>> {
        self.known.subscribe()
    }

    /// Whether this broker is the smallest member, and so the one that acts for a master that is away.
    pub(super) fn is_smallest(&self, members: &BTreeMap<i64, String>) -> bool {
        let own = self.identity.id;
        own != BrokerId::MASTER && members.first_key_value().is_some_and(|(smallest, _)| *smallest == own.0)
    }
}

impl Handle<NotifyMinBrokerId> for Members {
    type Error = Infallible;

    /// A reason to ask at once. Java: `AdminBrokerProcessor.notifyMinBrokerIdChange`.
    async fn handle(&self, call: Call<NotifyMinBrokerId>) -> Result<Reply<NoHeader>, Infallible> {
        tracing::info!(
            min = call.header.min_broker_id.map(|id| id.0),
            "a name server tells the smallest id of the set"
        );
        self.told.notify_one();
        Ok(Reply::done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Surroundings;

    #[test]
    fn the_smallest_slave_acts_while_there_is_no_master() {
        let surroundings = Surroundings::new();
        let identity = Identity { id: BrokerId(2), ..Identity::clone(&surroundings.ctx.identity) };
        let members = Members::new(Arc::new(identity), surroundings.ctx.config.clone());
        let acts = |ids: &[i64]| members.is_smallest(&ids.iter().map(|id| (*id, String::new())).collect());
        assert!(acts(&[2]) && acts(&[2, 3]));
        assert!(!acts(&[0, 2]) && !acts(&[1, 2]) && !acts(&[3]) && !acts(&[]));
    }
}
