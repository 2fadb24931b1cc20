//! One name server: what it knows of us, and keeping that up to date.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::body::{DataVersion, KvTable, fastjson};
use remoting::connection::{CallError, Peer};
use remoting::protocol::register::{QueryDataVersion, QueryDataVersionReply, RegisterBroker, RegisterBrokerReply};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::body::{self, Body};

/// A name server that is told of every change, from a task of its own.
pub(super) struct Link {
    pub(super) addr: String,
    state: watch::Sender<State>,
    stopping: CancellationToken,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The step of the topic table that the name server knows; `None`: it may not know us at all.
    step: Option<u64>,
    /// The last call failed.
    failing: bool,
}

/// Java's bounds of `registerNameServerPeriod`.
const PERIOD_MIN: Duration = Duration::from_secs(10);
const PERIOD_MAX: Duration = Duration::from_secs(60);
/// Shortest time between two heartbeats.
const BEAT_MIN: Duration = Duration::from_millis(100);
/// Between tries while a name server fails; doubled each time, up to the second.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Time between two registrations of a slave that has not heard yet where its master is.
const SEARCH_PERIOD: Duration = Duration::from_secs(1);

impl Link {
    pub(super) fn new(addr: String, stopping: CancellationToken) -> Self {
        Self { addr, state: watch::Sender::default(), stopping }
    }

    pub(super) fn end(&self) {
        self.stopping.cancel();
    }

    pub(super) fn is_registered(&self) -> bool {
        self.state.borrow().step.is_some()
    }

    /// Waits until the name server knows a step, or fails, or the link ends.
    pub(super) async fn reached(&self, step: u64) {
        let mut state = self.state.subscribe();
        tokio::select! {
            () = self.stopping.cancelled() => {}
            _ = state.wait_for(|state| state.failing || state.step.is_some_and(|known| known >= step)) => {}
        }
    }

    pub(super) async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        let ended = self.stopping.clone();
        // Dropping a registration half-way does no harm: it is not awaited by anybody any more.
        tokio::select! {
            () = ended.cancelled() => {}
            () = self.keep_registered(&shared) => {}
        }
    }

    async fn keep_registered(&self, shared: &Shared) {
        let mut changes = shared.topics.changes();
        let mut retry = RETRY_MIN;
        loop {
            let registered = self.register(shared, true).await;
            let Ok(peer) = registered.inspect_err(|err| self.failed(shared, err)) else {
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                continue;
            };
            retry = RETRY_MIN;
            let due = Instant::now() + period(shared);
            while self.until_news(shared, &peer, &mut changes, due).await {
                if let Err(err) = self.register(shared, false).await {
                    self.failed(shared, &err);
                    break;
                }
            }
        }
    }

    /// True if topics changed; false if all are to be registered, because it is time to or the name server went away.
    async fn until_news(&self, shared: &Shared, peer: &Peer, changes: &mut watch::Receiver<u64>, due: Instant) -> bool {
        loop {
            let settings = shared.ctx.settings();
            // A member of a set that lets slaves act is missed soon, so it is heard often.
            let pause = (*settings.broker_heartbeat_interval).max(BEAT_MIN);
            let pause = settings.enable_slave_acting_master.then_some(pause);
            let beat = Instant::now() + pause.unwrap_or(PERIOD_MAX);
            tokio::select! {
                biased;
                () = peer.closed() => {
                    tracing::warn!(name_server = self.addr, "the name server closed the connection");
                    self.state.send_modify(|state| state.step = None);
                    return false;
                }
                () = sleep_until(due) => return false,
                changed = changes.changed() => return changed.is_ok(),
                () = sleep_until(beat) => {
                    if pause.is_some() {
                        let (request, version) = query(shared);
                        peer.one_way(&request, version);
                    }
                }
            }
        }
    }

    /// Tells the name server what it does not know, or everything if `all`.
    pub(super) async fn register(&self, shared: &Shared, all: bool) -> Result<Peer, CallError> {
        let settings = shared.ctx.settings();
        let (within, permission) = (*settings.register_broker_timeout_mills, settings.broker_permission);
        let peer = shared.client.peer(&self.addr, within).await?;
        let known = self.state.borrow().step;
        let news = known.filter(|_| !all).and_then(|step| shared.topics.changed_since(step));
        let body = match news {
            Some((step, topics)) if topics.topic_config_table.is_empty() => {
                self.succeeded(step);
                return Ok(peer);
            }
            Some((step, topics)) => body::encode(step, topics, permission, shared.shown),
            // Slaves hear of their master by registering.
            None if known.is_some()
                && !(settings.force_register || shared.is_slave())
                && self.is_current(shared, &peer, within).await? =>
            {
                return Ok(peer);
            }
            None => shared.bodies.all(&shared.topics, permission, shared.shown),
        };
        self.send(shared, &peer, &body, within).await?;
        self.succeeded(body.step);
        Ok(peer)
    }

    async fn send(&self, shared: &Shared, peer: &Peer, body: &Body, within: Duration) -> Result<(), CallError> {
        let (identity, settings) = (&shared.ctx.identity, shared.ctx.settings());
        let acting = settings.enable_slave_acting_master;
        let request = RegisterBroker {
            broker_name: identity.name.clone(),
            broker_addr: identity.addr(),
            cluster_name: identity.cluster.clone(),
            ha_server_addr: identity.ha_addr.clone(),
            broker_id: identity.id,
            heartbeat_timeout_millis: acting.then(|| settings.broker_not_active_timeout_millis.as_millis() as i64),
            enable_acting_master: Some(acting),
            compressed: Some(false),
            body_crc32: Some(body.crc32),
            zone_name: None,
        };
        let answer = peer.call(&request, body.bytes.clone(), within).await?;
        let (header, answer) = answer.success::<RegisterBrokerReply>()?;
        shared.learn(&self.addr, header);
        // Absent when the name server is told to keep it to itself.
        if let Ok(ordered) = fastjson::read::<KvTable>(&answer) {
            shared.topics.mark_ordered(ordered.table.keys().map(String::as_str));
        }
        Ok(())
    }

    /// Whether the name server has our topics as they are; asking also shows that we live.
    async fn is_current(&self, shared: &Shared, peer: &Peer, within: Duration) -> Result<bool, CallError> {
        let version = shared.topics.version();
        let (request, body) = query(shared);
        let answer = peer.call(&request, body, within).await?;
        let (header, body) = answer.success::<QueryDataVersionReply>()?;
        let theirs = fastjson::read::<DataVersion>(&body).ok();
        Ok(!header.changed && theirs.is_none_or(|theirs| theirs == version))
    }

    fn succeeded(&self, step: u64) {
        let before = self.state.send_replace(State { step: Some(step), failing: false });
        if before.step.is_none() {
            tracing::info!(name_server = self.addr, "registered");
        }
    }

    /// What the name server knows is uncertain now, so it is told everything next time.
    fn failed(&self, shared: &Shared, err: &CallError) {
        shared.forget(&self.addr);
        let before = self.state.send_replace(State { step: None, failing: true });
        if before.failing {
            tracing::debug!(name_server = self.addr, %err, "registration failed again");
        } else {
            tracing::warn!(name_server = self.addr, %err, "registration failed; it is tried again until it succeeds");
        }
    }
}

/// Whether the name server has our topics as they are; also a heartbeat, which every release of name servers takes for one.
///
/// Java: `BrokerOuterAPI.sendHeartbeatViaDataVersion`.
fn query(shared: &Shared) -> (QueryDataVersion, Bytes) {
    let identity = &shared.ctx.identity;
    let request = QueryDataVersion {
        broker_name: identity.name.clone(),
        broker_addr: identity.addr(),
        cluster_name: identity.cluster.clone(),
        broker_id: identity.id,
    };
    (request, Bytes::from(fastjson::write(&shared.topics.version())))
}

fn period(shared: &Shared) -> Duration {
    if shared.looks_for_master() {
        return SEARCH_PERIOD;
    }
    Duration::clamp(*shared.ctx.settings().register_name_server_period, PERIOD_MIN, PERIOD_MAX)
}
