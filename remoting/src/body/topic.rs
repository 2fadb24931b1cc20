//! Settings of topics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data_version::DataVersion;
use super::fastjson;
use crate::types::TopicName;

/// Java: `TopicConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Without the `+` of the text that sets them.
    pub attributes: BTreeMap<String, String>,
    pub order: bool,
    /// Bits of [`Perm`](TopicConfig::READ).
    pub perm: i32,
    pub read_queue_nums: i32,
    /// `SINGLE_TAG` or `MULTI_TAG`.
    pub topic_filter_type: String,
    pub topic_name: TopicName,
    /// 1: unit, 2: has unit subscribers.
    pub topic_sys_flag: i32,
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: Self::READ | Self::WRITE,
            read_queue_nums: 16,
            topic_filter_type: "SINGLE_TAG".to_owned(),
            topic_name: TopicName::default(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

impl TopicConfig {
    /// The topic may serve as a template for new ones.
    pub const INHERIT: i32 = 1;
    pub const WRITE: i32 = 1 << 1;
    pub const READ: i32 = 1 << 2;
    pub const PRIORITY: i32 = 1 << 3;

    pub fn new(topic_name: impl Into<TopicName>, queues: i32, perm: i32) -> Self {
        Self {
            topic_name: topic_name.into(),
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm,
            ..Self::default()
        }
    }

    pub fn is_readable(&self) -> bool {
        self.perm & Self::READ != 0
    }

    pub fn is_writable(&self) -> bool {
        self.perm & Self::WRITE != 0
    }

    pub fn is_inherited(&self) -> bool {
        self.perm & Self::INHERIT != 0
    }

    /// The line of a compressed registration. Java: `TopicConfig.encode`.
    pub fn to_line(&self) -> String {
        let Self { topic_name, read_queue_nums, write_queue_nums, perm, topic_filter_type, attributes, .. } = self;
        let mut line = format!("{topic_name} {read_queue_nums} {write_queue_nums} {perm} {topic_filter_type}");
        if !attributes.is_empty() {
            let attributes = serde_json::to_string(attributes).expect("texts are JSON");
            write!(line, " {attributes}").expect("writing to memory");
        }
        line
    }

    /// Reads [`TopicConfig::to_line`]; `None` if it is not one. Java: `TopicConfig.decode`.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let config = Self {
            topic_name: words.next().filter(|name| !name.is_empty())?.into(),
            read_queue_nums: words.next()?.parse().ok()?,
            write_queue_nums: words.next()?.parse().ok()?,
            perm: words.next()?.parse().ok()?,
            topic_filter_type: words.next()?.to_owned(),
            ..Self::default()
        };
        // Java goes on without attributes that do not parse; where there are none, it may end the line with a space.
        let attributes = words.next().and_then(|attributes| fastjson::read(attributes.as_bytes()).ok());
        Some(Self { attributes: attributes.unwrap_or_default(), ..config })
    }
}

/// All topics of a broker. Mappings of static topics pass through as they are.
///
/// Java: `TopicConfigSerializeWrapper`, `TopicConfigAndMappingSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigWrapper {
    pub data_version: DataVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_data_version: Option<DataVersion>,
    /// Shared with the table it was taken from.
    pub topic_config_table: BTreeMap<TopicName, Arc<TopicConfig>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_queue_mapping_detail_map: BTreeMap<TopicName, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_queue_mapping_info_map: BTreeMap<TopicName, Value>,
}

/// Java: `CreateTopicListRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateTopicListBody {
    pub topic_config_list: Vec<TopicConfig>,
}
