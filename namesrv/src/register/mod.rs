//! Brokers come, say that they are alive, and leave.

mod janitor;
mod notices;

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use remoting::body::{DataVersion, RegisterBodyError, RegisterBrokerBody, TopicConfigWrapper, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::register::{
    BrokerHeartbeat, QueryDataVersion, QueryDataVersionReply, RegisterBroker, RegisterBrokerReply, UnregisterBroker,
};
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};
use remoting::types::{Clock, Timestamp};
use remoting::version::Version;

pub(crate) use janitor::Janitor;
pub(crate) use notices::Notices;

use crate::kv::Kv;
use crate::route::{
    Address, Change, Fingerprint, Gone, Notice, OnlyOneTopic, Registered, Registration, RouteTable, Rules, Why,
};
use crate::settings::LiveConfig;

/// What brokers tell the name server about themselves.
pub(crate) struct Registry {
    table: Arc<RouteTable>,
    kv: Arc<Kv>,
    config: Arc<LiveConfig>,
    notices: Arc<Notices>,
    clock: Clock,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error("crc32 not match")]
    Crc,
    #[error("register broker failed")]
    OnlyOneTopic,
    #[error("Failed to decode RegisterBrokerBody: {0}")]
    Body(#[from] RegisterBodyError),
    #[error("the data version does not parse: {0}")]
    DataVersion(serde_json::Error),
}

impl IntoResponse for RegisterError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Crc | Self::OnlyOneTopic | Self::Body(_) | Self::DataVersion(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl From<OnlyOneTopic> for RegisterError {
    fn from(_: OnlyOneTopic) -> Self {
        Self::OnlyOneTopic
    }
}

/// Bodies above this take longer to read and apply than a worker may be held.
const INLINE_BODY_BYTES_MAX: usize = 32 << 10;

impl Registry {
    pub(crate) fn new(
        table: Arc<RouteTable>,
        kv: Arc<Kv>,
        config: Arc<LiveConfig>,
        notices: Arc<Notices>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self { table, kv, config, notices, clock })
    }

    pub(crate) fn routes(self: &Arc<Self>, router: &mut Router) {
        router.on::<RegisterBroker>(self).on::<UnregisterBroker>(self);
        router.on::<BrokerHeartbeat>(self).on::<QueryDataVersion>(self);
    }

    /// Takes a registration over unless it says what the last one said.
    async fn take(&self, call: Call<RegisterBroker>) -> Result<(), RegisterError> {
        let now = self.clock.now();
        let fingerprint = fingerprint(&call);
        if let Some(live) = self.table.now().repeated(&call.header, fingerprint, &call.peer) {
            live.heard(now);
            return Ok(());
        }
        let (broker, remote) = (call.header.clone(), call.peer.remote());
        let applied = self.apply(call, fingerprint, now).await;
        let RegisterBroker { broker_name: name, broker_id: id, broker_addr: addr, cluster_name: cluster, .. } = &broker;
        match applied {
            Ok((Registered::Again, _)) => {}
            Ok((Registered::New(notice), topics)) => {
                tracing::info!(%cluster, %name, %id, addr, topics, "a broker registered");
                self.notices.send(notice);
            }
            Ok((Registered::Outdated, _)) => {
                tracing::warn!(%cluster, %name, %id, addr, "ignored a broker: another of its id has later topics");
            }
            Err(err) => {
                tracing::warn!(%cluster, %name, %id, addr, %remote, %err, "refused a broker");
                return Err(err);
            }
        }
        Ok(())
    }

    /// Reads and applies a registration: here if it is small, else on a thread of its own. Answers its number of topics.
    async fn apply(
        &self,
        call: Call<RegisterBroker>,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<(Registered, usize), RegisterError> {
        let rules = rules(&self.config);
        let is_small = call.body.len() <= INLINE_BODY_BYTES_MAX && call.header.compressed != Some(true);
        let read = move || {
            let topics = read_topics(&call)?;
            let Call { header, peer, .. } = call;
            Ok::<_, RegisterError>(Registration { header, topics, peer, fingerprint })
        };
        let register = move |change: &mut Change<'_>, registration: &Registration| {
            let registered = change.register(registration, rules, now)?;
            Ok((registered, registration.topics.topic_config_table.len()))
        };
        if is_small {
            let registration = read()?;
            return self.table.change(|change| register(change, &registration)).await;
        }
        let registration = tokio::task::spawn_blocking(read).await;
        let registration = registration.expect("reading does not panic, and blocking tasks run to their end")?;
        self.table.change_much(move |change| register(change, &registration)).await
    }
}

impl Handle<RegisterBroker> for Registry {
    type Error = RegisterError;

    async fn handle(&self, call: Call<RegisterBroker>) -> Result<Reply<RegisterBrokerReply>, RegisterError> {
        let expected = call.header.body_crc32.unwrap_or(0);
        if expected != 0 && expected != crc32(&call.body) {
            return Err(RegisterError::Crc);
        }
        let header = call.header.clone();
        self.take(call).await?;
        let reply = Reply::new(self.table.now().master_of(&header));
        let order_topics = self.config.now().return_order_topic_config_to_broker.then(|| self.kv.order_topics());
        Ok(reply.body(order_topics.flatten().map_or_else(Bytes::new, Bytes::from)))
    }
}

impl Handle<UnregisterBroker> for Registry {
    type Error = Infallible;

    /// Java queues this and answers before it is done.
    async fn handle(&self, call: Call<UnregisterBroker>) -> Result<Reply<NoHeader>, Infallible> {
        let UnregisterBroker { broker_name, broker_addr, cluster_name, broker_id } = call.header;
        let gone = Gone {
            address: Address { cluster: cluster_name, addr: broker_addr },
            member: Some((broker_name, broker_id)),
            why: Why::Unregistered,
        };
        forget(&self.table, &self.notices, rules(&self.config), vec![gone]).await;
        Ok(Reply::done())
    }
}

impl Handle<BrokerHeartbeat> for Registry {
    type Error = Infallible;

    async fn handle(&self, call: Call<BrokerHeartbeat>) -> Result<Reply<NoHeader>, Infallible> {
        if let Some(live) = self.table.now().live_at(&call.header.cluster_name, &call.header.broker_addr) {
            live.heard(self.clock.now());
        }
        Ok(Reply::done())
    }
}

impl Handle<QueryDataVersion> for Registry {
    type Error = RegisterError;

    async fn handle(&self, call: Call<QueryDataVersion>) -> Result<Reply<QueryDataVersionReply>, RegisterError> {
        let theirs: DataVersion = fastjson::read(&call.body).map_err(RegisterError::DataVersion)?;
        let routes = self.table.now();
        let Some(live) = routes.live_at(&call.header.cluster_name, &call.header.broker_addr) else {
            return Ok(QueryDataVersionReply { changed: true }.into());
        };
        live.heard(self.clock.now());
        let reply = Reply::new(QueryDataVersionReply { changed: live.version != theirs });
        Ok(reply.body(fastjson::write(&live.version)))
    }
}

fn rules(config: &LiveConfig) -> Rules {
    let config = config.now();
    Rules {
        delete_missing_topics: config.delete_topic_with_broker_registration,
        notify: config.notify_min_broker_id_changed,
    }
}

/// Forgets brokers, says so, and tells those who stay.
async fn forget(table: &Arc<RouteTable>, notices: &Arc<Notices>, rules: Rules, gone: Vec<Gone>) {
    for Gone { address, member, why } in &gone {
        let (name, id) = member.as_ref().map(|(name, id)| (name.as_str(), id.0)).unzip();
        match why {
            Why::Unregistered => {
                tracing::info!(cluster = %address.cluster, name, id, addr = address.addr, "a broker left")
            }
            Why::Silent => {
                tracing::warn!(cluster = %address.cluster, name, id, addr = address.addr, "lost a silent broker")
            }
            Why::Disconnected => {
                tracing::warn!(cluster = %address.cluster, name, id, addr = address.addr, "lost a broker's connection");
            }
        }
    }
    let told = table.change_much(move |change| Ok::<Vec<Notice>, Infallible>(change.remove(&gone, rules)));
    let Ok(told) = told.await;
    told.into_iter().for_each(|notice| notices.send(Some(notice)));
}

/// Java: `UtilAll.crc32`.
fn crc32(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

/// A body below 5.x's compressed form may be plain JSON of topics alone; no body is no topics.
fn read_topics(call: &Call<RegisterBroker>) -> Result<TopicConfigWrapper, RegisterBodyError> {
    if call.body.is_empty() {
        return Ok(TopicConfigWrapper::default());
    }
    if call.version < Version::V3_0_11 {
        return Ok(fastjson::read(&call.body)?);
    }
    let body = RegisterBrokerBody::read(&call.body, call.header.compressed == Some(true), call.version)?;
    Ok(body.topic_config_serialize_wrapper)
}

fn fingerprint(call: &Call<RegisterBroker>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    for field in call.ext.iter() {
        field.hash(&mut hasher);
    }
    call.version.hash(&mut hasher);
    call.body.hash(&mut hasher);
    Fingerprint(hasher.finish())
}
