//! Which groups consume a topic, and which topics a group.

use std::collections::BTreeSet;

use remoting::body::{GroupList, QuerySubscriptionBody, SubscriptionData, TopicList, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::group::QuerySubscription;
use remoting::protocol::topic::{QueryTopicConsumers, QueryTopicsByConsumer};
use remoting::router::{Call, Handle, Reply};

use super::Consumption;
use crate::admin::AdminError;

impl Handle<QueryTopicConsumers> for Consumption {
    type Error = AdminError;

    /// Groups that are online, and groups with offsets. Java: `queryTopicConsumeByWho`.
    async fn handle(&self, call: Call<QueryTopicConsumers>) -> Result<Reply<NoHeader>, AdminError> {
        let topic = call.header.topic;
        let mut groups: BTreeSet<_> = self.clients.consumers.groups_of(&topic).into_iter().collect();
        groups.extend(self.offsets.groups_of(&topic));
        let body = GroupList { group_list: groups.into_iter().collect() };
        Ok(Reply::done().body(fastjson::write(&body)))
    }
}

impl Handle<QueryTopicsByConsumer> for Consumption {
    type Error = AdminError;

    /// Java: `queryTopicsByConsumer`.
    async fn handle(&self, call: Call<QueryTopicsByConsumer>) -> Result<Reply<NoHeader>, AdminError> {
        let topics: BTreeSet<_> = self.offsets.topics_of(&call.header.group).into_iter().collect();
        let topic_list = topics.into_iter().collect();
        let body = TopicList { broker_addr: Some(self.ctx.identity.addr()), topic_list };
        Ok(Reply::done().body(fastjson::write(&body)))
    }
}

impl Handle<QuerySubscription> for Consumption {
    type Error = AdminError;

    /// Java: `querySubscriptionByConsumer`.
    async fn handle(&self, call: Call<QuerySubscription>) -> Result<Reply<NoHeader>, AdminError> {
        let QuerySubscription { group, topic } = call.header;
        let found = topic.as_ref().and_then(|topic| self.clients.consumers.subscription(&group, topic));
        let subscription_data = found.map(|found| SubscriptionData::clone(&found));
        Ok(Reply::done().body(fastjson::write(&QuerySubscriptionBody { group, subscription_data, topic })))
    }
}
