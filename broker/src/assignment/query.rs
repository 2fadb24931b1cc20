//! Telling a client what is its own.

use std::sync::Arc;

use remoting::body::{
    MessageModel, MessageQueue, MessageQueueAssignment, QueryAssignmentBody, QueryAssignmentReplyBody, RequestMode,
    fastjson,
};
use remoting::header::NoHeader;
use remoting::protocol::assignment::QueryAssignment;
use remoting::router::{Call, Handle, Reply};
use store::LIGHT_QUEUE;

use super::allocate::Strategy;
use super::{AssignmentError, Assignments};
use crate::config::DefaultRequestMode;
use crate::topic::validate::RETRY_PREFIX;

impl Handle<QueryAssignment> for Assignments {
    type Error = AssignmentError;

    /// Java: `QueryAssignmentProcessor.queryAssignment`.
    async fn handle(&self, call: Call<QueryAssignment>) -> Result<Reply<NoHeader>, AssignmentError> {
        let asked: QueryAssignmentBody = fastjson::read(&call.body)?;
        let (mode, share) = self.mode(&asked);
        let queues = self.divide(&asked, mode, share).await;
        let assign = |message_queue| MessageQueueAssignment { message_queue, mode };
        let message_queue_assignments = queues.map(|queues| queues.into_iter().map(assign).collect());
        Ok(Reply::done().body(fastjson::write(&QueryAssignmentReplyBody { message_queue_assignments })))
    }
}

impl Assignments {
    /// With the queues that poppers share.
    fn mode(&self, asked: &QueryAssignmentBody) -> (RequestMode, i32) {
        self.modes.get(&asked.topic, &asked.consumer_group).unwrap_or_else(|| {
            let settings = self.ctx.settings();
            let pops = settings.default_message_request_mode == DefaultRequestMode::Pop;
            // What consumers sent back is only pulled.
            let pops = pops && !asked.topic.starts_with(RETRY_PREFIX);
            (if pops { RequestMode::Pop } else { RequestMode::Pull }, settings.default_pop_share_queue_num)
        })
    }

    /// `None`: the client keeps what it has. Java: `QueryAssignmentProcessor.doLoadBalance`.
    async fn divide(&self, asked: &QueryAssignmentBody, mode: RequestMode, share: i32) -> Option<Vec<MessageQueue>> {
        let queues: Arc<Vec<MessageQueue>> = if self.topics.is_light(&asked.topic) {
            // No name server knows it.
            let (topic, broker_name) = (asked.topic.clone(), self.ctx.identity.name.clone());
            Arc::new(vec![MessageQueue { topic, broker_name, queue_id: LIGHT_QUEUE }])
        } else {
            self.routes.queues(&asked.topic).await?
        };
        let all = || Some(Vec::clone(&queues));
        match asked.message_model {
            MessageModel::Broadcasting => return all(),
            MessageModel::Clustering if !self.ctx.settings().server_load_balancer_enable => return all(),
            MessageModel::Clustering => {}
            // Java knows it here no more than others do.
            MessageModel::LiteSelective => return None,
        }
        let mut clients = self.clients.consumers.group(&asked.consumer_group)?.client_ids();
        clients.sort_unstable();
        let Some(strategy) = Strategy::of(&asked.strategy_name) else {
            tracing::warn!(group = %asked.consumer_group, strategy = asked.strategy_name, "unknown strategy");
            return None;
        };
        Some(match mode {
            RequestMode::Pop => strategy.allocate_pop(&asked.client_id, &queues, &clients, share),
            RequestMode::Pull => strategy.allocate(&asked.client_id, &queues, &clients),
        })
    }
}
