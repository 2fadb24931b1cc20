//! Acknowledgements by the dozen.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{BrokerName, GroupName, QueueId, QueueOffset, Timestamp, TopicName};

/// Java: `BatchAckMessageRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BatchAckBody {
    pub acks: Vec<BatchAck>,
    pub broker_name: BrokerName,
}

/// Messages of one lease. Java: `BatchAck`, whose long names are read as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchAck {
    /// Distances of the messages from the start.
    #[serde(rename = "b", alias = "bitSet")]
    pub distances: BitSet,
    #[serde(rename = "c", alias = "consumerGroup")]
    pub consumer_group: GroupName,
    /// Milliseconds.
    #[serde(rename = "it", alias = "invisibleTime")]
    pub invisible_time: i64,
    #[serde(rename = "pt", alias = "popTime")]
    pub pop_time: Timestamp,
    #[serde(rename = "q", alias = "queueId")]
    pub queue_id: QueueId,
    /// 0: the topic itself; 1 and 2: its retry topic of that version.
    #[serde(rename = "r", alias = "retry")]
    pub retry: String,
    #[serde(rename = "rq", alias = "reviveQueueId")]
    pub revive_queue: i32,
    #[serde(rename = "so", alias = "startOffset")]
    pub start_offset: QueueOffset,
    #[serde(rename = "t", alias = "topic")]
    pub topic: TopicName,
}

/// A set of small numbers, spelled as base64 of its bits, the lowest first. Java: `BitSet.toByteArray`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitSet(Vec<u8>);

impl BitSet {
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let bits = |(at, byte): (usize, &u8)| {
            let byte = *byte;
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit)
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}

impl FromIterator<usize> for BitSet {
    fn from_iter<T: IntoIterator<Item = usize>>(numbers: T) -> Self {
        let mut bytes = Vec::new();
        for number in numbers {
            if bytes.len() <= number / 8 {
                bytes.resize(number / 8 + 1, 0);
            }
            bytes[number / 8] |= 1 << (number % 8);
        }
        Self(bytes)
    }
}

impl Serialize for BitSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

/// What Java writes; read with or without the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Java's fastjson reads bytes from either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sent {
    Text(String),
    Numbers(Vec<i16>),
}

impl<'de> Deserialize<'de> for BitSet {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        match Sent::deserialize(json)? {
            Sent::Text(text) => BASE64.decode(text).map(Self).map_err(D::Error::custom),
            // Java's bytes are signed.
            Sent::Numbers(numbers) => Ok(Self(numbers.into_iter().map(|number| number as u8).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::fastjson;

    #[test]
    fn a_batch_of_acks_is_read_by_short_and_by_long_names() {
        let short = r#"{"acks":[{"b":"DQ==","c":"g","it":60000,"pt":5,"q":3,"r":"1","rq":7,"so":10,"t":"T"}],"brokerName":"a"}"#;
        let body: BatchAckBody = fastjson::read(short.as_bytes()).unwrap();
        assert_eq!(body.acks[0].distances.iter().collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(fastjson::write(&body), short);
        let long = r#"{"brokerName":"a","acks":[{"bitSet":"DQ==","consumerGroup":"g","invisibleTime":60000,"popTime":5,
            "queueId":3,"retry":"1","reviveQueueId":7,"startOffset":10,"topic":"T"}]}"#;
        assert_eq!(fastjson::read::<BatchAckBody>(long.as_bytes()).unwrap(), body);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        for numbers in [vec![], vec![0], vec![0, 7, 8, 31, 64], vec![1, 9, 17], vec![63]] {
            let set: BitSet = numbers.iter().copied().collect();
            assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
            let text = fastjson::write(&set);
            assert_eq!(fastjson::read::<BitSet>(text.as_bytes()).unwrap(), set, "{text}");
        }
        assert_eq!(fastjson::read::<BitSet>(b"[-128,1]").unwrap().iter().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(fastjson::read::<BitSet>(b"\"DQ\"").unwrap().iter().collect::<Vec<_>>(), [0, 2, 3]);
        assert!(fastjson::read::<BitSet>(b"\"no!\"").is_err());
    }
}
