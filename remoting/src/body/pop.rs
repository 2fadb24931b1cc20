//! Acknowledgements by the dozen.

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
        serializer.serialize_str(&to_base64(&self.0))
    }
}

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
            Sent::Text(text) => from_base64(&text).map(Self).ok_or_else(|| D::Error::custom("no base64")),
            // Java's bytes are signed.
            Sent::Numbers(numbers) => Ok(Self(numbers.into_iter().map(|number| number as u8).collect())),
        }
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let six = (group >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[six]) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut bits) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let six = DIGITS.iter().position(|known| *known == digit)?;
        group = group << 6 | six as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
            group &= (1 << bits) - 1;
        }
    }
    Some(bytes)
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
        assert!(fastjson::read::<BitSet>(b"\"no!\"").is_err());
    }
}
