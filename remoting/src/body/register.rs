//! What a broker registers: its topics, as JSON or compressed.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data_version::DataVersion;
use super::fastjson;
use super::topic::{TopicConfig, TopicConfigWrapper};
use crate::types::TopicName;
use crate::version::Version;

/// Java: `RegisterBrokerBody`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// History; always empty in what we send.
    pub filter_server_list: Vec<String>,
    pub topic_config_serialize_wrapper: TopicConfigWrapper,
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterBodyError {
    #[error("the body does not parse: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the body does not inflate: {0}")]
    Inflate(#[from] std::io::Error),
    #[error("the body inflates to more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the inflated body ends before its {expected}")]
    Short { expected: &'static str },
    #[error("{line:?} is not a topic line")]
    TopicLine { line: String },
}

/// Inflated bodies beyond this are refused: 100,000 topics need about 5 MB, and a frame of zeros would inflate to 16 GB.
const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;

impl RegisterBrokerBody {
    /// Reads the body of a registration.
    ///
    /// # Errors
    /// [`RegisterBodyError`].
    pub fn read(body: &[u8], compressed: bool, sender: Version) -> Result<Self, RegisterBodyError> {
        if compressed { Self::inflate(body, sender) } else { Ok(fastjson::read(body)?) }
    }

    /// The compressed form.
    ///
    /// ```text
    /// zlib of [len: i32][DataVersion JSON] [count: i32] count × [len: i32][topic line]
    ///         [len: i32][filter server JSON] [count: i32] count × [len: i32][mapping JSON]
    /// ```
    pub fn deflate(&self) -> Vec<u8> {
        let wrapper = &self.topic_config_serialize_wrapper;
        let mut plain = Vec::new();
        put(&mut plain, fastjson::write(&wrapper.data_version).as_bytes());
        plain.extend((wrapper.topic_config_table.len() as i32).to_be_bytes());
        for topic in wrapper.topic_config_table.values() {
            put(&mut plain, topic.to_line().as_bytes());
        }
        put(&mut plain, fastjson::write(&self.filter_server_list).as_bytes());
        plain.extend((wrapper.topic_queue_mapping_info_map.len() as i32).to_be_bytes());
        for mapping in wrapper.topic_queue_mapping_info_map.values() {
            put(&mut plain, fastjson::write(mapping).as_bytes());
        }
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&plain).and_then(|()| zlib.finish()).expect("writing to memory")
    }

    fn inflate(body: &[u8], sender: Version) -> Result<Self, RegisterBodyError> {
        let mut rest = Bytes::from(unzip(body, INFLATED_BYTES_MAX)?);
        let data_version: DataVersion = fastjson::read(&piece(&mut rest, "data version")?)?;
        let mut wrapper = TopicConfigWrapper { data_version, ..TopicConfigWrapper::default() };
        for _ in 0..number(&mut rest, "topic count")? {
            let line = piece(&mut rest, "topic")?;
            let line = String::from_utf8_lossy(&line);
            let topic = TopicConfig::from_line(&line)
                .ok_or_else(|| RegisterBodyError::TopicLine { line: line.clone().into_owned() })?;
            wrapper.topic_config_table.insert(topic.topic_name.clone(), Arc::new(topic));
        }
        // Nobody uses filter servers any more, so what they are must not stop a registration; nor does it in Java.
        let filter_server_list = fastjson::read(&piece(&mut rest, "filter servers")?).unwrap_or_default();
        // Older senders end here.
        if sender >= Version::V5_0_0 {
            for _ in 0..number(&mut rest, "mapping count")? {
                let mapping: Value = fastjson::read(&piece(&mut rest, "mapping")?)?;
                let topic = mapping.get("topic").and_then(Value::as_str).unwrap_or_default();
                wrapper.topic_queue_mapping_info_map.insert(TopicName::new(topic), mapping);
            }
        }
        Ok(Self { filter_server_list, topic_config_serialize_wrapper: wrapper })
    }
}

fn unzip(body: &[u8], limit: usize) -> Result<Vec<u8>, RegisterBodyError> {
    let mut plain = Vec::new();
    ZlibDecoder::new(body).take(limit as u64 + 1).read_to_end(&mut plain)?;
    if plain.len() > limit { Err(RegisterBodyError::TooLarge { limit }) } else { Ok(plain) }
}

fn put(plain: &mut Vec<u8>, piece: &[u8]) {
    plain.extend((piece.len() as i32).to_be_bytes());
    plain.extend(piece);
}

fn number(rest: &mut Bytes, expected: &'static str) -> Result<usize, RegisterBodyError> {
    let number = rest.try_get_i32().map_err(|_| RegisterBodyError::Short { expected })?;
    usize::try_from(number).map_err(|_| RegisterBodyError::Short { expected })
}

fn piece(rest: &mut Bytes, expected: &'static str) -> Result<Bytes, RegisterBodyError> {
    let length = number(rest, expected)?;
    if length > rest.len() {
        return Err(RegisterBodyError::Short { expected });
    }
    Ok(rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> RegisterBrokerBody {
        let attributes = [("message.type".to_owned(), "NORMAL".to_owned())].into();
        let topics = [TopicConfig::new("a", 4, 6), TopicConfig { attributes, ..TopicConfig::new("b", 1, 4) }];
        let table = topics.map(|topic| (topic.topic_name.clone(), Arc::new(topic))).into();
        let data_version =
            DataVersion { counter: 3, state_version: 0, timestamp: crate::types::Timestamp(1_700_000_000_000) };
        let wrapper = TopicConfigWrapper { data_version, topic_config_table: table, ..TopicConfigWrapper::default() };
        RegisterBrokerBody { topic_config_serialize_wrapper: wrapper, ..RegisterBrokerBody::default() }
    }

    #[test]
    fn both_forms_survive() {
        let body = body();
        let json = fastjson::write(&body);
        assert_eq!(RegisterBrokerBody::read(json.as_bytes(), false, Version::CURRENT).expect("JSON"), body);
        assert_eq!(RegisterBrokerBody::read(&body.deflate(), true, Version::CURRENT).expect("compressed"), body);
        assert_eq!(RegisterBrokerBody::read(&body.deflate(), true, Version::V4_9_4).expect("compressed"), body);
    }

    #[test]
    fn a_cut_body_is_an_error() {
        let whole = body().deflate();
        for end in 0..whole.len() {
            assert!(RegisterBrokerBody::read(&whole[..end], true, Version::CURRENT).is_err(), "{end}");
        }
    }

    #[test]
    fn a_body_that_inflates_too_far_is_refused() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&[0; 1000]).expect("writing to memory");
        let zeros = zlib.finish().expect("writing to memory");
        assert_eq!(unzip(&zeros, 1000).expect("at the limit").len(), 1000);
        assert!(matches!(unzip(&zeros, 999), Err(RegisterBodyError::TooLarge { limit: 999 })));
    }
}
