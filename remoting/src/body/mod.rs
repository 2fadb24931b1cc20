//! Bodies of requests and answers: Java's objects as JSON, one family per file, members as Java names and sorts them.
//!
//! Nulls are left out when written; members that a peer does not send take Java's defaults.

mod assignment;
mod client;
mod cold_data;
mod data_version;
pub mod fastjson;
mod group;
mod ha;
mod java_enum;
mod kv;
mod lists;
mod lock;
mod offset;
mod pop;
mod producer;
mod queue;
mod raft;
mod register;
mod route;
mod stats;
mod tables;
mod timer;
mod topic;

pub use assignment::{
    MessageQueueAssignment, MessageRequestMode, MessageRequestModes, QueryAssignmentBody, QueryAssignmentReplyBody,
    RequestMode,
};
pub use client::{
    CheckClientRequestBody, Connection, ConsumeFromWhere, ConsumeType, ConsumerConnection, ConsumerData,
    ExpressionType, HeartbeatData, MessageModel, ProducerData, SubscriptionData,
};
pub use cold_data::{ColdDataFlow, ColdDataReads};
pub use data_version::DataVersion;
pub use group::{
    GroupForbidden, GroupRetryPolicy, SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupWrapper,
};
pub use ha::{HaClientRuntimeInfo, HaConnectionRuntimeInfo, HaRuntimeInfo};
pub use kv::KvTable;
pub use lists::{
    ConsumerIdList, GroupList, QuerySubscriptionBody, QueueTimeSpan, QueueTimeSpanList, TopicList, TopicsByConsumer,
};
pub use lock::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
pub use offset::{
    ConsumerOffsets, ConsumerStatusBody, CorrectionOffsets, DelayOffsets, LightConsumerOffsets, QueueWithOffset,
    ResetOffsetBody, ResetOffsetBodyForCpp,
};
pub use pop::{BatchAck, BatchAckBody, BitSet};
pub use producer::{ProducerConnection, ProducerInfo, ProducerTableInfo};
pub use queue::{MessageQueue, QueueMap};
pub use raft::{RaftFill, RaftGroupMember, RaftGroupStatus, RaftHealth, RaftRole};
pub use register::{RegisterBodyError, RegisterBrokerBody};
pub use route::{BrokerData, BrokerMemberGroup, BrokerMemberGroupBody, ClusterInfo, QueueData, TopicRouteData};
pub use stats::{
    BrokerStatsData, BrokerStatsItem, ConsumeStats, ConsumeStatsList, OffsetWrapper, TopicOffset, TopicStatsTable,
};
pub use tables::{OffsetNews, TableNews, TopicNews};
pub use timer::{TimerMetric, TimerMetrics};
pub use topic::{CreateTopicListBody, TopicConfig, TopicConfigWrapper};

#[cfg(test)]
mod tests;
