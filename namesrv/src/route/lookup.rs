//! `GET_ROUTEINFO_BY_TOPIC`: the request that all clients live by.

use std::sync::Arc;

use bytes::Bytes;
use remoting::body::{TopicRouteData, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::route::GetRoute;
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};
use remoting::types::{Clock, Timestamp, TopicName};
use remoting::version::Version;

use super::cache::{Dialect, Stamp};
use super::pick::keep_zone;
use super::table::shard_of;
use super::{RouteCache, RouteTable};
use crate::kv::Kv;
use crate::settings::LiveConfig;

/// Answers routes.
pub(crate) struct Lookup {
    table: Arc<RouteTable>,
    kv: Arc<Kv>,
    config: Arc<LiveConfig>,
    clock: Clock,
    started: Timestamp,
    cache: RouteCache,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("name server not ready")]
    NotReady,
    #[error(
        "No topic route info in name server for the topic: {0}\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for \
         further details."
    )]
    Unknown(TopicName),
}

impl IntoResponse for LookupError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NotReady => ResponseCode::SYSTEM_ERROR,
            Self::Unknown(_) => ResponseCode::TOPIC_NOT_EXIST,
        }
    }
}

/// Memory for encoded routes; a topic on four brokers needs about 1 KB in each dialect.
const CACHE_BYTES_MAX: usize = 64 << 20;

impl Lookup {
    pub(crate) fn new(table: Arc<RouteTable>, kv: Arc<Kv>, config: Arc<LiveConfig>, clock: Clock) -> Arc<Self> {
        let started = clock.now();
        Arc::new(Self { table, kv, config, clock, started, cache: RouteCache::new(CACHE_BYTES_MAX) })
    }

    pub(crate) fn routes(self: &Arc<Self>, router: &mut Router) {
        router.on::<GetRoute>(self);
    }

    fn is_ready(&self) -> bool {
        let config = self.config.now();
        !config.need_wait_for_service || self.clock.now().since(self.started) >= *config.wait_seconds_for_service
    }

    /// The body for most callers.
    fn body(&self, topic: &TopicName, dialect: Dialect) -> Option<Bytes> {
        // Versions are taken before what they are of, so that a body may be stamped too old, never too new.
        let (order, settings) = (self.kv.order_version(), self.config.version());
        let routes = self.table.now();
        let stamp = Stamp { routes: routes.stamp(shard_of(topic)), order, settings };
        if let Some(body) = self.cache.get(topic, dialect, stamp) {
            return Some(body);
        }
        let route = self.with_order(routes.route(topic, self.config.now().support_acting_master)?, topic);
        let body: Bytes = match dialect {
            Dialect::Plain => fastjson::write(&route).into(),
            Dialect::Standard => fastjson::write_standard(&route).into(),
        };
        self.cache.put(topic, dialect, stamp, body.clone());
        Some(body)
    }

    /// The body for callers that want only what is near them; always in the plain dialect, as Java's is.
    fn body_of_zone(&self, topic: &TopicName, zone: &str) -> Option<Bytes> {
        let route = self.table.now().route(topic, self.config.now().support_acting_master)?;
        let mut route = self.with_order(route, topic);
        keep_zone(&mut route, zone);
        Some(fastjson::write(&route).into())
    }

    fn with_order(&self, route: TopicRouteData, topic: &TopicName) -> TopicRouteData {
        let is_on = self.config.now().order_message_enable;
        TopicRouteData { order_topic_conf: is_on.then(|| self.kv.order_of(topic)).flatten(), ..route }
    }
}

impl Handle<GetRoute> for Lookup {
    type Error = LookupError;

    async fn handle(&self, call: Call<GetRoute>) -> Result<Reply<NoHeader>, LookupError> {
        if !self.is_ready() {
            return Err(LookupError::NotReady);
        }
        let GetRoute { topic, accept_standard_json_only } = call.header;
        let is_zoned = call.ext.get("__ZONE_MODE").is_some_and(|mode| mode.eq_ignore_ascii_case("true"));
        let zone = call.ext.get("__ZONE_NAME").filter(|zone| is_zoned && !zone.trim().is_empty());
        let is_standard = call.version >= Version::V4_9_4 || accept_standard_json_only == Some(true);
        let body = match zone {
            Some(zone) => self.body_of_zone(&topic, zone),
            None => self.body(&topic, if is_standard { Dialect::Standard } else { Dialect::Plain }),
        };
        body.map(|body| Reply::done().body(body)).ok_or(LookupError::Unknown(topic))
    }
}
