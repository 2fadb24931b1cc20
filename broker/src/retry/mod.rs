//! Messages that consumers could not handle: they come again later, and end in the group's dead-letter queue.
//!
//! Java: `AbstractSendMessageProcessor.consumerSendMsgBack`.

mod again;
mod send_back;

use std::net::IpAddr;
use std::sync::Arc;

use remoting::protocol::send::ConsumerSendMsgBack;
use remoting::router::Router;
use remoting::types::{GroupName, PhysicalOffset, TopicName};
use store::Store;
use thiserror::Error;

use crate::context::Context;
use crate::group::GroupTable;
use crate::response::SEE;
use crate::send::{PutError, Writer};
use crate::stats::Stats;
use crate::topic::TopicTable;

/// Takes messages back from consumers.
pub(crate) struct Retries {
    ctx: Context,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    writer: Arc<Writer>,
    stats: Arc<Stats>,
}

/// Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum RetryError {
    #[error("no master available along with {ip}")]
    NoMaster { ip: IpAddr },
    #[error("subscription group not exist, {group} {SEE}")]
    GroupUnknown { group: GroupName },
    #[error("the broker[{ip}] sending message is forbidden")]
    BrokerForbidden { ip: IpAddr },
    #[error("the topic[{topic}] sending message is forbidden")]
    TopicForbidden { topic: TopicName },
    #[error("look message by offset failed, {offset}")]
    NoMessage { offset: PhysicalOffset },
    /// Java's name of the outcome.
    #[error("{}", .0.java_name())]
    Put(#[from] PutError),
}

pub(crate) fn routes(retries: &Arc<Retries>, router: &mut Router) {
    router.on::<ConsumerSendMsgBack>(retries);
}

impl Retries {
    pub(crate) fn new(
        ctx: Context,
        store: Arc<Store>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        writer: Arc<Writer>,
        stats: Arc<Stats>,
    ) -> Arc<Self> {
        Arc::new(Self { ctx, store, topics, groups, writer, stats })
    }
}

#[cfg(test)]
mod tests;
