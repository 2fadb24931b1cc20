//! Where what a broker delivers goes: into its own store or, while it is a slave that acts for its master and so must not write,
//! to the masters of other broker sets.
//!
//! Java: `EscapeBridge`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use remoting::body::{TopicRouteData, fastjson};
use remoting::client::{Client, ClientConfig};
use remoting::connection::CallError;
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::route::GetRoute;
use remoting::protocol::send::SendMessage;
use remoting::router::Router;
use remoting::types::{BrokerName, GroupName, QueueId, TopicName};
use store::message::properties::{Builder, name};
use store::message::{StoredMessage, sys_flag};
use store::{AppendBatch, AppendError, Store};
use thiserror::Error;
use tokio::time::Duration;

use crate::context::{Context, Role};
use crate::settle::append_settled;

/// Longest wait for a name server or a broker. Java: `EscapeBridge.SEND_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(3);

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
    Append(#[from] AppendError),
    #[error(transparent)]
    Escape(#[from] EscapeError),
}

impl OutletError {
    /// The store closes, which is no news.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Append(AppendError::Closed))
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
}

impl Escape {
    fn new(ctx: Context) -> Self {
        let client = Client::new(ClientConfig::default(), Arc::new(Router::default()), ctx.stopping.child_token());
        let group = format!("InnerProducerGroup_{}_{}", ctx.identity.name, ctx.identity.id);
        Self { ctx, client: Arc::new(client), next: AtomicUsize::new(0), group: group.into() }
    }

    /// Sends an encoded message as its producer did. Returns once another broker has it.
    ///
    /// # Errors
    /// [`EscapeError`]; it may be there all the same.
    pub(crate) async fn send(&self, record: &[u8]) -> Result<(), EscapeError> {
        let stored = StoredMessage::parse(record).map_err(|_| EscapeError::NoMessage)?;
        let topic = TopicName::new(stored.topic);
        let route = self.route(&topic).await?;
        let (broker, addr, queue_id) = self.choose(&topic, &route)?;
        let mut properties = Builder::with_capacity(stored.properties.len());
        properties.extend_without(stored.properties, &[name::CRC32]);
        let header = SendMessage {
            producer_group: stored.property(name::PRODUCER_GROUP).map_or_else(|| self.group.clone(), GroupName::new),
            topic,
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
        let answer = self.client.call(&addr, &header, body, TIMEOUT).await;
        let answer = answer.map_err(|cause| EscapeError::Send { broker: broker.clone(), cause })?;
        match answer.code() {
            ResponseCode::SUCCESS => Ok(()),
            code => Err(EscapeError::Refused { broker, code, remark: answer.0.remark.unwrap_or_default() }),
        }
    }

    async fn route(&self, topic: &TopicName) -> Result<TopicRouteData, EscapeError> {
        for server in self.ctx.settings().name_servers() {
            let request = GetRoute { topic: topic.clone(), accept_standard_json_only: Some(true) };
            match self.client.call(&server, &request, Bytes::new(), TIMEOUT).await {
                Ok(answer) if answer.code() == ResponseCode::TOPIC_NOT_EXIST => {
                    return Err(EscapeError::Nowhere(topic.clone()));
                }
                Ok(answer) => {
                    if let Ok((_, body)) = answer.success::<NoHeader>()
                        && let Ok(route) = fastjson::read(&body)
                    {
                        return Ok(route);
                    }
                }
                Err(err) => tracing::debug!(name_server = server, %topic, %err, "the route of a topic is not told"),
            }
        }
        Err(EscapeError::NoAnswer(topic.clone()))
    }

    /// One of the queues in turn that other masters have.
    fn choose(&self, topic: &TopicName, route: &TopicRouteData) -> Result<(BrokerName, String, QueueId), EscapeError> {
        let own = &self.ctx.identity.name;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let queues = queues(route, own);
        let chosen = queues.get(turn % queues.len().max(1)).ok_or_else(|| EscapeError::Nowhere(topic.clone()))?;
        let (broker, addr, count) = chosen;
        // Less than the number of queues.
        let queue = (turn / queues.len()) % *count as usize;
        Ok((broker.clone(), addr.clone(), QueueId(queue as i32)))
    }
}

/// Sets that take messages: their names, masters, and numbers of queues.
fn queues(route: &TopicRouteData, own: &BrokerName) -> Vec<(BrokerName, String, i32)> {
    use remoting::body::TopicConfig;
    let takes = |perm: i32, queues: i32| perm & TopicConfig::WRITE != 0 && queues > 0;
    let data = route.queue_datas.iter().filter(|data| data.broker_name != *own);
    let data = data.filter(|data| takes(data.perm, data.write_queue_nums));
    let with_master = data.filter_map(|data| {
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == data.broker_name)?;
        Some((data.broker_name.clone(), broker.master()?.to_owned(), data.write_queue_nums))
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
        let expect = [("a".into(), "a:0".to_owned(), 4), ("d".into(), "d:0".to_owned(), 1)];
        assert_eq!(queues(&route, &"own".into()), expect);
    }
}
