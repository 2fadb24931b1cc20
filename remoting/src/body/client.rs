//! What clients say of themselves.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::java_enum::java_enum;
use crate::types::{ClientId, GroupName, TopicName};

/// Java: `HeartbeatData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    #[serde(rename = "clientID")]
    pub client_id: ClientId,
    pub consumer_data_set: Vec<ConsumerData>,
    /// Not 0: a heartbeat of version 2.
    pub heartbeat_fingerprint: i32,
    pub producer_data_set: Vec<ProducerData>,
    #[serde(rename = "withoutSub")]
    pub without_sub: bool,
}

/// Java: `ProducerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    pub group_name: GroupName,
}

/// Java: `ConsumerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    pub consume_from_where: ConsumeFromWhere,
    pub consume_type: ConsumeType,
    pub group_name: GroupName,
    pub message_model: MessageModel,
    pub subscription_data_set: Vec<SubscriptionData>,
    pub unit_mode: bool,
}

java_enum! {
    pub enum ConsumeType {
        /// A client that pulls when it likes.
        ConsumeActively = "CONSUME_ACTIVELY",
        /// A client that is pushed to (by pulling all the time).
        #[default]
        ConsumePassively = "CONSUME_PASSIVELY",
        ConsumePop = "CONSUME_POP",
    }
}

java_enum! {
    pub enum MessageModel {
        Broadcasting = "BROADCASTING",
        #[default]
        Clustering = "CLUSTERING",
        LiteSelective = "LITE_SELECTIVE",
    }
}

java_enum! {
    pub enum ConsumeFromWhere {
        #[default]
        ConsumeFromLastOffset = "CONSUME_FROM_LAST_OFFSET",
        ConsumeFromLastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        ConsumeFromMinOffset = "CONSUME_FROM_MIN_OFFSET",
        ConsumeFromMaxOffset = "CONSUME_FROM_MAX_OFFSET",
        ConsumeFromFirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        ConsumeFromTimestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// What a group wants of a topic. Sets are read in order, so that equal subscriptions are equal. Java: `SubscriptionData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    pub class_filter_mode: bool,
    /// Java hashes of the tags.
    #[serde(deserialize_with = "tag_hashes")]
    pub code_set: Vec<i32>,
    pub expression_type: ExpressionType,
    pub sub_string: String,
    pub sub_version: i64,
    #[serde(deserialize_with = "set")]
    pub tags_set: Vec<String>,
    pub topic: TopicName,
}

/// Java sends numbers, Go their texts.
fn tag_hashes<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<i32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Hash {
        Number(i32),
        Text(String),
    }

    let mut hashes = Vec::new();
    for hash in Vec::deserialize(json)? {
        hashes.push(match hash {
            Hash::Number(hash) => hash,
            Hash::Text(text) => text.parse().map_err(D::Error::custom)?,
        });
    }
    hashes.sort_unstable();
    hashes.dedup();
    Ok(hashes)
}

fn set<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<String>, D::Error> {
    let mut members = Vec::deserialize(json)?;
    members.sort_unstable();
    members.dedup();
    Ok(members)
}

/// `TAG` or `SQL92`; other texts are kept, so that they can be refused by name. Java: `ExpressionType`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExpressionType(pub String);

impl ExpressionType {
    pub const TAG: &'static str = "TAG";
    pub const SQL92: &'static str = "SQL92";

    /// Java: `ExpressionType.isTagType`, where no type is a tag as well.
    pub fn is_tag(&self) -> bool {
        self.0.is_empty() || self.0 == Self::TAG
    }
}

impl Default for ExpressionType {
    fn default() -> Self {
        Self(Self::TAG.to_owned())
    }
}

/// Java: `CheckClientRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientRequestBody {
    pub client_id: ClientId,
    pub group: GroupName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub subscription_data: SubscriptionData,
}

/// Members of a consumer group as tools see them. Java: `ConsumerConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    pub connection_set: Vec<Connection>,
    pub consume_from_where: ConsumeFromWhere,
    pub consume_type: ConsumeType,
    pub message_model: MessageModel,
    pub subscription_table: BTreeMap<TopicName, SubscriptionData>,
}

/// Java: `Connection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    pub client_addr: String,
    pub client_id: ClientId,
    pub language: String,
    pub version: i32,
}
