//! Asking brokers and name servers what tools ask them, of either make.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use remoting::body::{
    ClusterInfo, ConsumeStats, ConsumerConnection, ConsumerOffsets, DelayOffsets, KvTable, ProducerTableInfo,
    SubscriptionGroupWrapper, TopicConfigWrapper, TopicList, TopicRouteData, TopicStatsTable, fastjson,
};
use remoting::client::Client;
use remoting::config::Properties;
use remoting::connection::CallError;
use remoting::frame::RemotingCommand;
use remoting::header::{DecodeHeader, Request};
use remoting::language::LanguageCode;
use remoting::protocol::ResponseCode;
use remoting::protocol::admin::GetBrokerRuntimeInfo;
use remoting::protocol::client::{GetAllProducers, GetConsumerConnections};
use remoting::protocol::config::{GetBrokerConfig, UpdateBrokerConfig};
use remoting::protocol::group::{GetAllGroupConfig, GetConsumeStats, UpdateGroup};
use remoting::protocol::kv::{GetKvList, PutKvConfig};
use remoting::protocol::offset::{GetAllConsumerOffset, GetAllDelayOffset, UpdateConsumerOffset};
use remoting::protocol::query::{QueryConsumeQueue, ViewMessageById};
use remoting::protocol::route::{
    AddWritePerm, AddWritePermReply, GetAllTopics, GetClusterInfo, GetRoute, WipeWritePerm, WipeWritePermReply,
};
use remoting::protocol::topic::{GetAllTopicConfig, GetTopicStats, UpdateTopic};
use remoting::types::{BrokerName, GroupName, PhysicalOffset, QueueId, QueueOffset, TopicName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ask::{ANSWER_MAX, client};

/// For questions that only find out whether somebody is there.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Who made a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Make {
    Java,
    Ferromq,
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Java => "Java",
            Self::Ferromq => "Ferromq",
        })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {cause}")]
pub(crate) struct AskError {
    pub(crate) at: String,
    pub(crate) cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the answer is not understood: {0}")]
    Body(String),
}

impl AskError {
    /// The process knows no such request.
    pub(crate) fn is_unknown(&self) -> bool {
        self.is(ResponseCode::REQUEST_CODE_NOT_SUPPORTED)
    }

    pub(crate) fn is(&self, wanted: ResponseCode) -> bool {
        matches!(&self.cause, Cause::Call(CallError::Refused { code, .. }) if *code == wanted)
    }

    /// It answered, and would not.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.cause, Cause::Call(CallError::Refused { .. }))
    }

    /// Nobody listens there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.cause, Cause::Call(CallError::Connect { .. }))
    }
}

pub(crate) struct Desk {
    client: Client,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { client: client() }
    }

    pub(crate) async fn close(&self) {
        self.client.close().await;
    }

    /// Who answers, and the answer, which is a success.
    async fn call<R: Request>(
        &self,
        at: &str,
        header: &R,
        body: Bytes,
        within: Duration,
    ) -> Result<(Make, RemotingCommand), AskError> {
        let wrong = |cause: CallError| AskError { at: at.to_owned(), cause: cause.into() };
        let answer = crate::ask::call(&self.client, at, header, body, within).await.map_err(wrong)?;
        let make = if answer.language == LanguageCode::RUST { Make::Ferromq } else { Make::Java };
        Ok((make, answer))
    }

    async fn ask<R: Request>(&self, at: &str, header: &R) -> Result<Bytes, AskError> {
        self.call(at, header, Bytes::new(), ANSWER_MAX).await.map(|(_, answer)| answer.body)
    }

    async fn read<R: Request, T: DeserializeOwned>(&self, at: &str, header: &R) -> Result<T, AskError> {
        let body = self.ask(at, header).await?;
        fastjson::read(&body).map_err(|err| not_understood(at, err))
    }

    // Name servers.

    pub(crate) async fn cluster_info(&self, at: &str) -> Result<(Make, ClusterInfo), AskError> {
        let (make, answer) = self.call(at, &GetClusterInfo {}, Bytes::new(), LOOK_MAX).await?;
        fastjson::read(&answer.body).map(|info| (make, info)).map_err(|err| not_understood(at, err))
    }

    /// `None`: it knows no such topic.
    pub(crate) async fn route(&self, at: &str, topic: &TopicName) -> Result<Option<TopicRouteData>, AskError> {
        let request = GetRoute { topic: topic.clone(), accept_standard_json_only: Some(true) };
        let missing = ResponseCode::TOPIC_NOT_EXIST;
        match self.read(at, &request).await {
            Ok(route) => Ok(Some(route)),
            Err(err) if err.is(missing) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// The settings that order topics have there; none is no error.
    pub(crate) async fn key_values(&self, at: &str, namespace: &str) -> Result<BTreeMap<String, String>, AskError> {
        match self.read::<_, KvTable>(at, &GetKvList { namespace: namespace.to_owned() }).await {
            Ok(list) => Ok(list.table),
            Err(err) if err.is(ResponseCode::QUERY_NOT_FOUND) => Ok(BTreeMap::new()),
            Err(err) => Err(err),
        }
    }

    pub(crate) async fn put_key_value(
        &self,
        at: &str,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Result<(), AskError> {
        let [namespace, key, value] = [namespace, key, value].map(str::to_owned);
        self.ask(at, &PutKvConfig { namespace, key, value }).await.map(|_| ())
    }

    /// How many topics clients are told not to write to there from now on.
    pub(crate) async fn wipe_writes(&self, at: &str, set: &str) -> Result<i32, AskError> {
        let request = WipeWritePerm { broker_name: BrokerName::new(set) };
        let (_, answer) = self.call(at, &request, Bytes::new(), ANSWER_MAX).await?;
        let reply = WipeWritePermReply::decode(&answer.ext).map_err(|err| not_understood(at, err))?;
        Ok(reply.wipe_topic_count)
    }

    pub(crate) async fn add_writes(&self, at: &str, set: &str) -> Result<i32, AskError> {
        let request = AddWritePerm { broker_name: BrokerName::new(set) };
        let (_, answer) = self.call(at, &request, Bytes::new(), ANSWER_MAX).await?;
        let reply = AddWritePermReply::decode(&answer.ext).map_err(|err| not_understood(at, err))?;
        Ok(reply.add_topic_count)
    }

    pub(crate) async fn all_topics(&self, at: &str) -> Result<BTreeSet<String>, AskError> {
        let list: TopicList = self.read(at, &GetAllTopics {}).await?;
        Ok(list.topic_list.iter().map(ToString::to_string).collect())
    }

    // Brokers.

    pub(crate) async fn config(&self, at: &str) -> Result<(Make, BTreeMap<String, String>), AskError> {
        let (make, answer) = self.call(at, &GetBrokerConfig {}, Bytes::new(), LOOK_MAX).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let properties = Properties::parse(&text).map_err(|err| not_understood(at, err))?;
        let pairs = properties.iter().map(|property| (property.key.clone(), property.value.clone()));
        Ok((make, pairs.collect()))
    }

    pub(crate) async fn set_config(&self, at: &str, key: &str, value: &str) -> Result<(), AskError> {
        let body = Bytes::from(remoting::config::line(key, value));
        self.call(at, &UpdateBrokerConfig {}, body, ANSWER_MAX).await.map(|_| ())
    }

    pub(crate) async fn runtime_info(&self, at: &str) -> Result<BTreeMap<String, String>, AskError> {
        self.read::<_, KvTable>(at, &GetBrokerRuntimeInfo {}).await.map(|info| info.table)
    }

    pub(crate) async fn topics(&self, at: &str) -> Result<TopicConfigWrapper, AskError> {
        self.read(at, &GetAllTopicConfig { topic_seq: None, data_version: None, max_topic_num: None }).await
    }

    pub(crate) async fn groups(&self, at: &str) -> Result<SubscriptionGroupWrapper, AskError> {
        self.read(at, &GetAllGroupConfig { group_seq: None, data_version: None, max_group_num: None }).await
    }

    pub(crate) async fn topic_stats(&self, at: &str, topic: &TopicName) -> Result<TopicStatsTable, AskError> {
        self.read(at, &GetTopicStats { topic: topic.clone() }).await
    }

    pub(crate) async fn consumer_offsets(&self, at: &str) -> Result<ConsumerOffsets, AskError> {
        self.read(at, &GetAllConsumerOffset {}).await
    }

    pub(crate) async fn delay_offsets(&self, at: &str) -> Result<DelayOffsets, AskError> {
        self.read(at, &GetAllDelayOffset {}).await
    }

    /// How far a group is behind, per queue.
    pub(crate) async fn progress(&self, at: &str, group: &GroupName) -> Result<ConsumeStats, AskError> {
        self.read(at, &GetConsumeStats { consumer_group: group.clone(), topic: None, topic_list: None }).await
    }

    /// `None`: no member of the group is there.
    pub(crate) async fn consumers(&self, at: &str, group: &GroupName) -> Result<Option<ConsumerConnection>, AskError> {
        match self.read(at, &GetConsumerConnections { consumer_group: group.clone() }).await {
            Ok(connection) => Ok(Some(connection)),
            Err(err) if err.is(ResponseCode::CONSUMER_NOT_ONLINE) => Ok(None),
            Err(err) => Err(err),
        }
    }

    pub(crate) async fn producers(&self, at: &str) -> Result<ProducerTableInfo, AskError> {
        self.read(at, &GetAllProducers {}).await
    }

    /// Where the message at this place of a queue lies in the log; `None`: there is none.
    pub(crate) async fn place(
        &self,
        at: &str,
        topic: &TopicName,
        queue_id: i32,
        offset: i64,
    ) -> Result<Option<PhysicalOffset>, AskError> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Page {
            queue_data: Vec<Line>,
        }

        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Line {
            physic_offset: PhysicalOffset,
        }

        let topic = Some(topic.clone());
        let request =
            QueryConsumeQueue { topic, queue_id: QueueId(queue_id), index: offset, count: 1, consumer_group: None };
        let body = self.ask(at, &request).await?;
        if body.is_empty() {
            return Ok(None);
        }
        let page: Page = fastjson::read(&body).map_err(|err| not_understood(at, err))?;
        Ok(page.queue_data.first().map(|line| line.physic_offset))
    }

    /// The bytes of the record at this place of the log.
    pub(crate) async fn record(&self, at: &str, topic: &TopicName, offset: PhysicalOffset) -> Result<Bytes, AskError> {
        self.ask(at, &ViewMessageById { topic: Some(topic.clone()), offset }).await
    }

    /// Commits for a group; what has gone further meanwhile is left so by Ferromq, and committed again by its consumer at Java.
    pub(crate) async fn put_forward(
        &self,
        at: &str,
        group: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> Result<(), AskError> {
        let request = UpdateConsumerOffset {
            consumer_group: GroupName::new(group),
            topic: TopicName::new(topic),
            queue_id: QueueId(queue_id),
            commit_offset: QueueOffset(offset),
            forward: Some(true),
        };
        self.ask(at, &request).await.map(|_| ())
    }

    pub(crate) async fn make_topic(&self, at: &str, topic: &remoting::body::TopicConfig) -> Result<(), AskError> {
        // Java adds what has a plus.
        let attributes: Vec<_> = topic.attributes.iter().map(|(key, value)| format!("+{key}={value}")).collect();
        let request = UpdateTopic {
            topic: topic.topic_name.clone(),
            default_topic: TopicName::new("TBW102"),
            read_queue_nums: topic.read_queue_nums,
            write_queue_nums: topic.write_queue_nums,
            perm: topic.perm,
            topic_filter_type: topic.topic_filter_type.clone(),
            topic_sys_flag: Some(topic.topic_sys_flag),
            order: Some(topic.order),
            attributes: (!attributes.is_empty()).then(|| attributes.join(",")),
            force: None,
        };
        self.ask(at, &request).await.map(|_| ())
    }

    pub(crate) async fn make_group(
        &self,
        at: &str,
        group: &remoting::body::SubscriptionGroupConfig,
    ) -> Result<(), AskError> {
        let body = Bytes::from(fastjson::write(group));
        self.call(at, &UpdateGroup {}, body, ANSWER_MAX).await.map(|_| ())
    }
}

pub(crate) fn not_understood(at: &str, cause: impl fmt::Display) -> AskError {
    AskError { at: at.to_owned(), cause: Cause::Body(cause.to_string()) }
}
