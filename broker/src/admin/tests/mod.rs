//! The families as tools meet them: a request in, an answer out, on real tables and a real store.

mod config;
mod consumption;
mod groups;
mod relay;
mod runtime;
mod topics;

use bytes::Bytes;
use remoting::body::{SubscriptionGroupConfig, TopicConfig, fastjson};
use remoting::header::Request;
use remoting::protocol::ResponseCode;
use remoting::router::{Handle, IntoResponse};
use remoting::types::{QueueId, QueueOffset};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::StoreConfig;
use store::message::Message;

use super::*;
use crate::config::BrokerConfig;
use crate::delay::{Levels, Timers};
use crate::register::Shown;
use crate::testing::{Surroundings, call, peer};
use crate::topic::AttributeChanges;

struct Fixture {
    surroundings: Surroundings,
    admin: Admin,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    clients: Arc<Clients>,
    offsets: Arc<Offsets>,
    stats: Arc<Stats>,
}

/// Code and remark of a refusal.
type Refusal = (ResponseCode, String);

impl Fixture {
    /// Topic `T` of two queues, group `G`.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut surroundings = Surroundings::new();
        let mut settings = BrokerConfig::clone(&surroundings.ctx.settings());
        settings.store_path_root_dir = surroundings.folder.path().to_owned();
        change(&mut settings);
        let (config, receiver) = LiveConfig::new(settings, Some(surroundings.folder.path().join("broker.conf")));
        surroundings.ctx.config = receiver;
        let (ctx, root) = (surroundings.ctx.clone(), surroundings.folder.path());
        let config_dir = root.join("config");
        let store = StoreConfig { commit_log_file_bytes: 1 << 20, ..StoreConfig::new(root.join("store")) };
        let (store, _) = Store::open(store, ctx.clock.clone()).unwrap();
        let topics = TopicTable::open(ctx.clone(), &config_dir).unwrap();
        let groups = GroupTable::open(ctx.clone(), &config_dir).unwrap();
        topics.put(TopicConfig::new("T", 2, 6), &AttributeChanges::default()).unwrap();
        groups.put_all(vec![SubscriptionGroupConfig::new("G")]).unwrap();
        let clients =
            Clients::open(ctx.clone(), &config_dir, Arc::clone(&topics), Arc::clone(&groups), Arc::default()).unwrap();
        let offsets = Offsets::open(
            ctx.clone(),
            &config_dir,
            Arc::clone(&store),
            Arc::clone(&topics),
            Arc::clone(&groups),
            Arc::clone(&clients),
        )
        .unwrap();
        let stats = Stats::new(ctx.clone());
        let levels = Arc::new(Levels::new(ctx.settings().delay_levels().unwrap()));
        let delays = Delays::open(ctx.clone(), &config_dir, Arc::clone(&store), Arc::clone(&stats), levels).unwrap();
        let timers = Timers::open(ctx.clone(), &config_dir, Arc::clone(&store), Arc::clone(&stats)).unwrap();
        let registrar = Registrar::new(ctx.clone(), Arc::clone(&topics), Arc::default(), Shown::AsTheyAre);
        let admin = Admin::new(Parts {
            ctx,
            config,
            store: Arc::clone(&store),
            topics: Arc::clone(&topics),
            groups: Arc::clone(&groups),
            clients: Arc::clone(&clients),
            offsets: Arc::clone(&offsets),
            delays,
            timers,
            stats: Arc::clone(&stats),
            registrar,
        });
        Self { surroundings, admin, store, topics, groups, clients, offsets, stats }
    }

    /// Stores so many messages, a second apart, the first one a second from now.
    fn append(&self, topic: &str, queue: i32, count: usize) {
        let mut batch = self.store.batch();
        for _ in 0..count {
            self.surroundings.ctx.clock.advance(std::time::Duration::from_secs(1));
            let host = self.surroundings.ctx.identity.host;
            batch.push(&Message::new(&topic.into(), QueueId(queue), b"hello", host)).unwrap();
            self.store.append(&mut batch).unwrap();
        }
        // Queue entries follow a moment later.
        while self.store.max_offset(topic, QueueId(queue)).is_none_or(|max| max.0 < count as i64) {
            std::thread::yield_now();
        }
    }

    fn commit(&self, group: &str, topic: &str, queue: i32, offset: i64) {
        self.offsets.commit(&group.into(), &topic.into(), QueueId(queue), QueueOffset(offset));
    }
}

/// The answer's body as text, or the refusal.
async fn ask<R: Request, H: Handle<R>>(handler: &Arc<H>, header: R, body: impl Into<Bytes>) -> Result<String, Refusal> {
    let reply = handler.handle(call(header, body, &peer(9))).await.map_err(|err| (err.code(), err.to_string()))?;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
    Ok(String::from_utf8(reply.content()).unwrap())
}

async fn ask_json<R: Request, H: Handle<R>, T: DeserializeOwned>(handler: &Arc<H>, header: R) -> Result<T, Refusal> {
    let body = ask(handler, header, "").await?;
    Ok(fastjson::read(body.as_bytes()).unwrap())
}

fn refused(code: ResponseCode, remark: &str) -> Result<String, Refusal> {
    Err((code, remark.to_owned()))
}

/// Every route once: two routes for one code panic.
#[tokio::test]
async fn every_family_has_its_routes() {
    let fixture = Fixture::new();
    let mut router = Router::default();
    routes(&fixture.admin, &mut router);
    let codes: Vec<_> = router.codes().iter().map(|code| code.0).collect();
    assert_eq!(
        codes,
        [
            17, 18, 21, 25, 26, 28, 200, 201, 202, 203, 204, 207, 208, 215, 223, 225, 300, 303, 305, 306, 307, 309,
            315, 316, 317, 328, 329, 343, 345, 351, 352, 353
        ]
    );
}
