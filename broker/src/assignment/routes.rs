//! The queues of topics on all brokers, as the name servers say.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use remoting::body::{MessageQueue, TopicConfig, TopicRouteData};
use remoting::types::{QueueId, TopicName};
use tokio::time::Instant;

use super::allocate::unique;
use crate::register::Registrar;

/// How long a route is believed. Java: `loadBalancePollNameServerInterval`.
const KEPT: Duration = Duration::from_secs(30);
/// Routes that are kept; beyond, all are asked for anew.
const ROUTES_MAX: usize = 10_000;
/// Queues that one topic may have according to a name server.
const QUEUES_MAX: i32 = 100_000;

pub(super) struct Routes {
    registrar: Arc<Registrar>,
    pub(super) known: DashMap<TopicName, Known>,
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) queues: Arc<Vec<MessageQueue>>,
    asked: Instant,
}

impl Routes {
    pub(super) fn new(registrar: Arc<Registrar>) -> Self {
        Self { registrar, known: DashMap::new() }
    }

    /// Readable queues, in order; `None`: no name server knows the topic.
    pub(super) async fn queues(&self, topic: &TopicName) -> Option<Arc<Vec<MessageQueue>>> {
        let known = self.known.get(topic).map(|known| known.clone());
        if let Some(fresh) = known.as_ref().filter(|known| known.asked.elapsed() < KEPT) {
            return Some(Arc::clone(&fresh.queues));
        }
        let Ok(route) = self.registrar.route(topic).await else {
            // A name server that does not answer does not make topics go away.
            return known.map(|known| known.queues);
        };
        let Some(route) = route else {
            self.known.remove(topic);
            return None;
        };
        Some(self.believe(topic, &route))
    }

    pub(super) fn believe(&self, topic: &TopicName, route: &TopicRouteData) -> Arc<Vec<MessageQueue>> {
        let queues = Arc::new(queues_of(topic, route));
        if self.known.len() >= ROUTES_MAX {
            self.known.clear();
        }
        if !queues.is_empty() {
            self.known.insert(topic.clone(), Known { queues: Arc::clone(&queues), asked: Instant::now() });
        }
        queues
    }
}

/// Java: `MQClientInstance.topicRouteData2TopicSubscribeInfo`.
fn queues_of(topic: &TopicName, route: &TopicRouteData) -> Vec<MessageQueue> {
    let readable = route.queue_datas.iter().filter(|data| data.perm & TopicConfig::READ != 0);
    let queues = readable.flat_map(|data| {
        let ids = 0..data.read_queue_nums.min(QUEUES_MAX);
        ids.map(|id| MessageQueue {
            topic: topic.clone(),
            broker_name: data.broker_name.clone(),
            queue_id: QueueId(id),
        })
    });
    unique(queues.collect())
}
