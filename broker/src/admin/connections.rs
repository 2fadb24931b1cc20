//! `consumerConnection`, `producerConnection`, `producer`: who is connected.

use std::sync::Arc;

use remoting::body::{
    Connection, ConsumerConnection, ProducerConnection, ProducerInfo, ProducerTableInfo, SubscriptionData, fastjson,
};
use remoting::header::NoHeader;
use remoting::protocol::client::{GetAllProducers, GetConsumerConnections, GetProducerConnections};
use remoting::router::{Call, Handle, Reply, Router};

use super::AdminError;
use crate::client::{Clients, Member};

pub(super) struct Connections {
    pub(super) clients: Arc<Clients>,
}

pub(super) fn routes(connections: &Arc<Connections>, router: &mut Router) {
    router.on::<GetConsumerConnections>(connections).on::<GetProducerConnections>(connections);
    router.on::<GetAllProducers>(connections);
}

impl Handle<GetConsumerConnections> for Connections {
    type Error = AdminError;

    /// Java: `getConsumerConnectionList`.
    async fn handle(&self, call: Call<GetConsumerConnections>) -> Result<Reply<NoHeader>, AdminError> {
        let name = call.header.consumer_group;
        let Some(group) = self.clients.consumers.group(&name) else { return Err(AdminError::ConsumersOffline(name)) };
        let subscriptions = group.subscriptions().map(|data| (data.topic.clone(), SubscriptionData::clone(data)));
        let body = ConsumerConnection {
            connection_set: group.members().iter().map(|member| connection(member)).collect(),
            consume_from_where: group.from_where,
            consume_type: group.consume_type,
            message_model: group.model,
            subscription_table: subscriptions.collect(),
        };
        Ok(Reply::done().body(fastjson::write(&body)))
    }
}

impl Handle<GetProducerConnections> for Connections {
    type Error = AdminError;

    /// Java: `getProducerConnectionList`.
    async fn handle(&self, call: Call<GetProducerConnections>) -> Result<Reply<NoHeader>, AdminError> {
        let group = call.header.producer_group;
        let members = self.clients.producers.members(&group);
        if members.is_empty() {
            return Err(AdminError::ProducersUnknown(group));
        }
        let connection_set = members.iter().map(|member| connection(member)).collect();
        Ok(Reply::done().body(fastjson::write(&ProducerConnection { connection_set })))
    }
}

impl Handle<GetAllProducers> for Connections {
    type Error = AdminError;

    /// Java: `getAllProducerInfo`.
    async fn handle(&self, _: Call<GetAllProducers>) -> Result<Reply<NoHeader>, AdminError> {
        let groups = self.clients.producers.snapshot();
        let data =
            groups.into_iter().map(|(group, members)| (group, members.iter().map(|member| info(member)).collect()));
        Ok(Reply::done().body(fastjson::write(&ProducerTableInfo { data: data.collect() })))
    }
}

fn connection(member: &Member) -> Connection {
    Connection {
        client_addr: member.peer.remote().to_string(),
        client_id: member.client_id.clone(),
        language: member.language.to_string(),
        version: member.version.0,
    }
}

fn info(member: &Member) -> ProducerInfo {
    ProducerInfo {
        client_id: member.client_id.clone(),
        language: member.language.to_string(),
        last_update_timestamp: member.last_heartbeat(),
        // As Java prints an address without a host name.
        remote_ip: format!("/{}", member.peer.remote()),
        version: member.version.0,
    }
}
