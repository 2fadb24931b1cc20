//! Where what a broker delivers goes: into its own store or, while it is a slave that acts for its master and so must not write,
//! to the masters of other broker sets.
//!
//! Java: `EscapeBridge`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::body::TopicRouteData;
use remoting::client::{Client, ClientConfig};
use remoting::connection::CallError;
use remoting::protocol::ResponseCode;
use remoting::protocol::send::SendMessage;
use remoting::router::Router;
use remoting::types::{BrokerName, GroupName, QueueId, TopicName};
use store::message::properties::{Builder, name};
use store::message::{StoredMessage, sys_flag};
use store::{AppendBatch, Store};
use thiserror::Error;
use tokio::time::{Duration, Instant};

use crate::context::{Context, Role};
use crate::register::{self, NoAnswer};
use crate::settle::{Unsettled, append_settled};

/// Longest wait for a broker. Java: `EscapeBridge.SEND_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long it is believed where a topic is.
const KEPT: Duration = Duration::from_secs(1);
/// Topics of which that is kept; beyond, name servers are asked for all of them anew.
const TOPICS_MAX: usize = 10_000;

/// Takes what a feature delivers.
pub(crate) enum Outlet {
    Own,
    /// The store belongs to the master.
    Elsewhere(Escape),
}

/// What is delivered was not taken.
#[derive(Debug, Error)]
pub(crate) enum OutletError {
    #[error(transparent)]
    Own(#[from] Unsettled),
    #[error(transparent)]
    Escape(#[from] EscapeError),
}

impl OutletError {
    /// As [`Unsettled::is_news`].
    pub(crate) fn is_news(&self) -> bool {
        if let Self::Own(err) = self { err.is_news() } else { true }
    }
}

impl Outlet {
    pub(crate) fn of(ctx: &Context) -> Self {
        match *ctx.role.borrow() {
            Role::Acting => Self::Elsewhere(Escape::new(ctx.clone())),
            Role::Master | Role::Slave => Self::Own,
        }
    }

    /// Messages are to be given one by one: some may be taken where others are not, and none shall be sent twice for that.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere(_))
    }

    /// Returns once the messages are stored for sure; the bytes of each.
    ///
    /// # Errors
    /// [`OutletError`].
    pub(crate) async fn put(
        &self,
        ctx: &Context,
        store: &Store,
        batch: &mut AppendBatch,
    ) -> Result<Vec<usize>, OutletError> {
        match self {
            Self::Own => {
                let positions = append_settled(ctx, store, batch).await?;
                Ok(positions.iter().map(|position| position.size).collect())
            }
            Self::Elsewhere(escape) => {
                let mut sizes = Vec::with_capacity(batch.len());
                for record in batch.records() {
                    escape.send(record).await?;
                    sizes.push(record.len());
                }
                Ok(sizes)
            }
        }
    }
}

/// A message could not be sent to another broker.
#[derive(Debug, Error)]
pub(crate) enum EscapeError {
    #[error("no name server tells where topic {0} is")]
    NoAnswer(TopicName),
    #[error("no master of another broker set takes messages of topic {0}")]
    Nowhere(TopicName),
    #[error("send to {broker}: {cause}")]
    Send { broker: BrokerName, cause: CallError },
    #[error("{broker} answers {code}: {remark}")]
    Refused { broker: BrokerName, code: ResponseCode, remark: String },
    #[error("it is no message")]
    NoMessage,
}

/// Sends messages to other broker sets.
pub(crate) struct Escape {
    ctx: Context,
    client: Arc<Client>,
    /// Of all that could be chosen from.
    next: AtomicUsize,
    group: GroupName,
    /// As name servers told it last.
    known: Mutex<HashMap<TopicName, Known>>,
}

struct Known {
    sets: Arc<Vec<Takes>>,
    asked: Instant,
}

/// The master of a set that takes messages of a topic.
#[derive(Debug, PartialEq)]
struct Takes {
    broker: BrokerName,
    addr: String,
    queues: i32,
}

impl Escape {
    fn new(ctx: Context) -> Self {
        let client = Client::new(ClientConfig::default(), Arc::new(Router::default()), ctx.stopping.child_token());
        let group = format!("InnerProducerGroup_{}_{}", ctx.identity.name, ctx.identity.id);
        let (next, known) = (AtomicUsize::new(0), Mutex::default());
        Self { ctx, client: Arc::new(client), next, group: group.into(), known }
    }

    /// Sends an encoded message as its producer did. Returns once another broker has it.
    ///
    /// # Errors
    /// [`EscapeError`]; it may be there all the same.
    pub(crate) async fn send(&self, record: &[u8]) -> Result<(), EscapeError> {
        let stored = StoredMessage::parse(record).map_err(|_| EscapeError::NoMessage)?;
        let topic = TopicName::new(stored.topic);
        let sets = self.sets(&topic).await?;
        let (to, queue_id) = self.choose(&topic, &sets)?;
        let mut properties = Builder::with_capacity(stored.properties.len());
        properties.extend_without(stored.properties, &[name::CRC32]);
        let header = SendMessage {
            producer_group: stored.property(name::PRODUCER_GROUP).map_or_else(|| self.group.clone(), GroupName::new),
            topic: topic.clone(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id,
            sys_flag: stored.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6),
            born_timestamp: stored.born_timestamp,
            flag: stored.flag,
            properties: Some(properties.finish()),
            reconsume_times: Some(stored.reconsume_times),
            unit_mode: Some(false),
            max_reconsume_times: None,
            batch: Some(false),
        };
        let body = Bytes::copy_from_slice(stored.body);
        let broker = to.broker.clone();
        let err = match self.client.call(&to.addr, &header, body, TIMEOUT).await {
            Ok(answer) if answer.code() == ResponseCode::SUCCESS => return Ok(()),
            Ok(answer) => {
                let (code, remark) = (answer.code(), answer.0.remark.unwrap_or_default());
                EscapeError::Refused { broker, code, remark }
            }
            Err(cause) => EscapeError::Send { broker, cause },
        };
        // It may not be there any more.
        self.known.lock().remove(&topic);
        Err(err)
    }

    /// Sets that take messages of the topic.
    async fn sets(&self, topic: &TopicName) -> Result<Arc<Vec<Takes>>, EscapeError> {
        if let Some(known) = self.known.lock().get(topic).filter(|known| known.asked.elapsed() < KEPT) {
            return Ok(Arc::clone(&known.sets));
        }
        let servers = self.ctx.settings().name_servers();
        let route = register::route(&self.client, &servers, topic).await;
        let route = route.map_err(|NoAnswer| EscapeError::NoAnswer(topic.clone()))?;
        let sets = Arc::new(route.map(|route| sets(&route, &self.ctx.identity.name)).unwrap_or_default());
        let mut known = self.known.lock();
        if known.len() >= TOPICS_MAX {
            known.clear();
        }
        known.insert(topic.clone(), Known { sets: Arc::clone(&sets), asked: Instant::now() });
        Ok(sets)
    }

    /// One of the queues in turn that other masters have.
    fn choose<'a>(&self, topic: &TopicName, sets: &'a [Takes]) -> Result<(&'a Takes, QueueId), EscapeError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let chosen = sets.get(turn % sets.len().max(1)).ok_or_else(|| EscapeError::Nowhere(topic.clone()))?;
        // Less than the number of queues.
        let queue = (turn / sets.len()) % chosen.queues as usize;
        Ok((chosen, QueueId(queue as i32)))
    }
}

/// Sets but the own one that take messages, and have a master.
fn sets(route: &TopicRouteData, own: &BrokerName) -> Vec<Takes> {
    use remoting::body::TopicConfig;
    let takes = |perm: i32, queues: i32| perm & TopicConfig::WRITE != 0 && queues > 0;
    let data = route.queue_datas.iter().filter(|data| data.broker_name != *own);
    let data = data.filter(|data| takes(data.perm, data.write_queue_nums));
    let with_master = data.filter_map(|data| {
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == data.broker_name)?;
        let addr = broker.master()?.to_owned();
        Some(Takes { broker: data.broker_name.clone(), addr, queues: data.write_queue_nums })
    });
    with_master.collect()
}

#[cfg(test)]
mod tests {
    use remoting::body::{BrokerData, QueueData};

    use super::*;

    #[test]
    fn messages_go_to_masters_of_other_sets() {
        let set = |name: &str, ids: &[i64]| BrokerData {
            broker_name: name.into(),
            broker_addrs: ids.iter().map(|id| (*id, format!("{name}:{id}"))).collect(),
            ..BrokerData::default()
        };
        let has = |name: &str, perm, queues| QueueData {
            broker_name: name.into(),
            perm,
            write_queue_nums: queues,
            ..QueueData::default()
        };
        let route = TopicRouteData {
            broker_datas: vec![set("own", &[0]), set("a", &[0, 1]), set("b", &[1]), set("c", &[0]), set("d", &[0])],
            queue_datas: vec![has("own", 6, 4), has("a", 6, 4), has("b", 6, 4), has("c", 4, 4), has("d", 2, 1)],
            ..TopicRouteData::default()
        };
        let expect = [("a", "a:0", 4), ("d", "d:0", 1)];
        let expect =
            expect.map(|(broker, addr, queues)| Takes { broker: broker.into(), addr: addr.to_owned(), queues });
        assert_eq!(sets(&route, &"own".into()), expect);
    }
}
