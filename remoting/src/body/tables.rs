//! Changes of the tables that a master keeps beside the messages. Not Java's.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::assignment::MessageRequestModes;
use super::data_version::DataVersion;
use super::fastjson;
use super::group::SubscriptionGroupWrapper;
use super::offset::DelayOffsets;
use super::timer::TimerMetrics;
use super::topic::TopicConfig;
use crate::types::TopicName;

/// What a slave has to know of its master beside the log; members that did not change are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TableNews {
    /// How far this goes, for the next question. Only who wrote it can read it.
    pub seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delays: Option<DelayOffsets>,
    /// Where the master's log ended when this was told. What it delivered up to then is before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_end: Option<i64>,
    /// All groups, as they change seldom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<SubscriptionGroupWrapper>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<MessageRequestModes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsets: Option<OffsetNews>,
    /// The master is back, but first hears from its slaves what happened while it was away. Its tables are not told yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub returning: bool,
    /// The seven fields of Java's timer checkpoint, in the order of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<[i64; 7]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer_metrics: Option<TimerMetrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<TopicNews>,
}

/// Changed topics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicNews {
    pub data_version: DataVersion,
    pub gone: Vec<TopicName>,
    pub set: Vec<Arc<TopicConfig>>,
    /// These are all topics: others are gone.
    pub whole: bool,
}

/// Changed offsets, by `topic@group` and queue id. What is not named stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetNews {
    pub data_version: DataVersion,
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// Bodies from here on are compressed: whole tables may be larger than a frame.
const PLAIN_BYTES_MAX: usize = 256 << 10;
/// Inflated bodies beyond this are refused.
const INFLATED_BYTES_MAX: u64 = 1 << 30;

impl TableNews {
    /// As JSON or, if that is long, compressed by zlib.
    pub fn to_body(&self) -> Vec<u8> {
        let text = fastjson::write(self).into_bytes();
        if text.len() <= PLAIN_BYTES_MAX {
            return text;
        }
        let mut deflated = ZlibEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(&text).expect("writing to memory");
        deflated.finish().expect("writing to memory")
    }

    /// # Errors
    /// It is none of these.
    pub fn from_body(body: &[u8]) -> io::Result<Self> {
        // No zlib stream begins like an object.
        if body.first() == Some(&b'{') {
            return Ok(fastjson::read(body)?);
        }
        let mut text = Vec::new();
        ZlibDecoder::new(body).take(INFLATED_BYTES_MAX).read_to_end(&mut text)?;
        Ok(fastjson::read(&text)?)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let Self { seen: _, log_end: _, returning: _, delays, groups, modes, offsets, timer, timer_metrics, topics } =
            self;
        delays.is_none()
            && groups.is_none()
            && modes.is_none()
            && offsets.is_none()
            && timer.is_none()
            && timer_metrics.is_none()
            && topics.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_come_back_as_they_were() {
        let topic = TopicNews { set: vec![Arc::new(TopicConfig::new("T", 4, 6))], whole: true, ..TopicNews::default() };
        let offsets = OffsetNews { offset_table: [("T@g".into(), [(0, 5)].into())].into(), ..OffsetNews::default() };
        let news = TableNews {
            seen: "1.2".into(),
            topics: Some(topic),
            offsets: Some(offsets),
            timer: Some([1, 2, 3, 4, 5, 6, 7]),
            ..TableNews::default()
        };
        assert_eq!(TableNews::from_body(&news.to_body()).unwrap(), news);
        assert!(!news.is_empty() && TableNews { seen: "1".into(), ..TableNews::default() }.is_empty());
        assert!(!fastjson::write(&news).contains("groups"));
    }

    #[test]
    fn long_news_are_compressed() {
        let offset_table = (0..20_000).map(|topic| (format!("T{topic}@g"), [(0, topic)].into())).collect();
        let offsets = OffsetNews { offset_table, ..OffsetNews::default() };
        let news = TableNews { offsets: Some(offsets), ..TableNews::default() };
        let body = news.to_body();
        assert!(body.len() < PLAIN_BYTES_MAX, "{}", body.len());
        assert_eq!(TableNews::from_body(&body).unwrap(), news);
        assert!(TableNews::from_body(&body[..body.len() / 2]).is_err() && TableNews::from_body(b"").is_err());
    }
}
