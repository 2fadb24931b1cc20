//! Requests that the broker passes on to a consumer over the connection that the consumer opened: `consumerStatus`,
//! `consumeMessageDirectly`, the offsets that consumers hold.
//!
//! Java: `Broker2Client`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::body::{ConsumerStatusBody, fastjson};
use remoting::connection::CallError;
use remoting::frame::ExtFields;
use remoting::header::NoHeader;
use remoting::protocol::RequestCode;
use remoting::protocol::callback::{
    ConsumeMessageDirectly, GetConsumerRunningInfo, GetConsumerStatus, GetConsumerStatusFromClient,
};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{ClientId, GroupName};
use remoting::version::Version;
use store::Store;
use store::message::id;
use tokio::task::JoinSet;

use super::AdminError;
use crate::client::{Clients, Member};
use crate::context::Context;
use crate::group::GroupTable;
use crate::topic::TopicTable;

pub(super) struct Relay {
    pub(super) ctx: Context,
    pub(super) clients: Arc<Clients>,
    pub(super) topics: Arc<TopicTable>,
    pub(super) groups: Arc<GroupTable>,
    pub(super) store: Arc<Store>,
}

/// How long a consumer may take for one request. Java: `Broker2Client.callClient`.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for its offsets, which it has in memory. Java: `Broker2Client.getConsumeStatus`.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn routes(relay: &Arc<Relay>, router: &mut Router) {
    router.on::<GetConsumerRunningInfo>(relay).on::<ConsumeMessageDirectly>(relay).on::<GetConsumerStatus>(relay);
}

impl Handle<GetConsumerRunningInfo> for Relay {
    type Error = AdminError;

    /// Java: `getConsumerRunningInfo`.
    async fn handle(&self, call: Call<GetConsumerRunningInfo>) -> Result<Reply<ExtFields>, AdminError> {
        let GetConsumerRunningInfo { consumer_group, client_id, .. } = call.header;
        self.pass_on(RequestCode::GET_CONSUMER_RUNNING_INFO, consumer_group, client_id, call.ext, call.body).await
    }
}

impl Handle<ConsumeMessageDirectly> for Relay {
    type Error = AdminError;

    /// The consumer gets the stored message along with the request. Java: `consumeMessageDirectly`.
    async fn handle(&self, call: Call<ConsumeMessageDirectly>) -> Result<Reply<ExtFields>, AdminError> {
        let ConsumeMessageDirectly { consumer_group, client_id, msg_id, topic, .. } = call.header;
        let msg_id = msg_id.unwrap_or_default();
        let (_, offset) = id::decode(&msg_id).ok_or(AdminError::MessageId(msg_id))?;
        let record = self.store.record_at(offset).ok_or(AdminError::NoMessage(offset))?;
        let topic = topic.and_then(|topic| self.topics.get(&topic));
        let group = self.groups.find(&consumer_group);
        let facts = [
            ("brokerName", Some(self.ctx.identity.name.to_string())),
            ("topicSysFlag", topic.map(|topic| topic.topic_sys_flag.to_string())),
            ("groupSysFlag", group.map(|group| group.group_sys_flag.to_string())),
        ];
        let ext = with_fields(&call.ext, &facts);
        let client = client_id.unwrap_or_default();
        self.pass_on(RequestCode::CONSUME_MESSAGE_DIRECTLY, consumer_group, client, ext, record).await
    }
}

impl Handle<GetConsumerStatus> for Relay {
    type Error = AdminError;

    /// Asks one client or all of the group at once; those that do not answer are left out. Java: `getConsumeStatus`.
    async fn handle(&self, call: Call<GetConsumerStatus>) -> Result<Reply<NoHeader>, AdminError> {
        let GetConsumerStatus { topic, group, client_addr: wanted } = call.header;
        let Some(members) = self.clients.consumers.group(&group) else { return Err(AdminError::NobodyOnline(group)) };
        if let Some(old) = members.members().iter().find(|member| member.version < Version::V3_0_7_SNAPSHOT) {
            return Err(AdminError::ClientFeature(old.version));
        }
        let wanted = wanted.filter(|client| !client.trim().is_empty());
        let asked =
            members.members().iter().filter(|member| wanted.as_ref().is_none_or(|id| member.client_id == *id.as_str()));
        let mut answers = JoinSet::new();
        for member in asked {
            let request = GetConsumerStatusFromClient { topic: topic.clone(), group: group.clone(), client_addr: None };
            answers.spawn(offsets_of(Arc::clone(member), request));
        }
        let consumer_table: BTreeMap<_, _> = answers.join_all().await.into_iter().flatten().collect();
        let body = ConsumerStatusBody { consumer_table, ..ConsumerStatusBody::default() };
        Ok(Reply::done().body(fastjson::write(&body)))
    }
}

type Offsets = remoting::body::QueueMap<i64>;

async fn offsets_of(member: Arc<Member>, request: GetConsumerStatusFromClient) -> Option<(ClientId, Offsets)> {
    let answer = member.peer.call(&request, Bytes::new(), STATUS_TIMEOUT).await;
    let body = answer.and_then(|response| response.success::<ExtFields>()).map(|(_, body)| body);
    let status = body.map(|body| fastjson::read::<ConsumerStatusBody>(&body));
    match status {
        Ok(Ok(status)) => return Some((member.client_id.clone(), status.message_queue_table)),
        Ok(Err(err)) => tracing::warn!(client_id = %member.client_id, %err, "a consumer's offsets do not parse"),
        Err(err) => tracing::warn!(client_id = %member.client_id, %err, "a consumer did not tell its offsets"),
    }
    None
}

impl Relay {
    /// Whatever the client answers goes back as it is.
    async fn pass_on(
        &self,
        code: RequestCode,
        group: GroupName,
        client: ClientId,
        ext: ExtFields,
        body: Bytes,
    ) -> Result<Reply<ExtFields>, AdminError> {
        let members = self.clients.consumers.group(&group);
        let Some(member) = members.as_ref().and_then(|members| members.member(&client)) else {
            return Err(AdminError::ClientOffline { group, client });
        };
        if member.version < Version::V3_1_8_SNAPSHOT {
            return Err(AdminError::ClientTooOld { client, version: member.version });
        }
        match member.peer.call_raw(code, &ext, body, CALL_TIMEOUT).await {
            Ok(response) => {
                let answer = response.0;
                let reply = Reply::new(answer.ext.clone()).code(answer.response_code()).body(answer.body);
                Ok(match answer.remark {
                    Some(remark) => reply.remark(remark),
                    None => reply,
                })
            }
            Err(CallError::Timeout { within, .. }) => Err(AdminError::ClientTimeout { group, client, within }),
            Err(cause) => Err(AdminError::ClientCall { group, client, cause }),
        }
    }
}

/// The fields, with some of them replaced or added.
fn with_fields(ext: &ExtFields, new: &[(&str, Option<String>)]) -> ExtFields {
    let new = new.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
    let kept = ext.iter().filter(|(key, _)| !new.clone().any(|(new, _)| new == *key));
    kept.chain(new.clone()).collect()
}
