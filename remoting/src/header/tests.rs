use super::*;
use crate::protocol::offset::QueryConsumerOffset;
use crate::protocol::pull::PullMessage;
use crate::protocol::send::SendMessage;
use crate::types::{QueueId, Timestamp};

#[derive(Default)]
struct Written(Vec<(String, String)>);

impl FieldSink for Written {
    fn put(&mut self, key: &str, value: &str) {
        self.0.push((key.to_owned(), value.to_owned()));
    }
}

const OFFSET_FIELDS: [(&str, &str); 4] =
    [("consumerGroup", "g"), ("topic", "t"), ("queueId", "3"), ("setZeroIfNotFound", "FALSE")];

#[test]
fn fields_are_read_by_type() {
    let header = QueryConsumerOffset::decode(&ExtFields::from_iter(OFFSET_FIELDS)).expect("a header");
    assert_eq!((header.queue_id, header.set_zero_if_not_found), (QueueId(3), Some(false)));
    assert_eq!(header.consumer_group, "g");
}

#[test]
fn headers_are_written_as_they_are_read() {
    let header = QueryConsumerOffset::decode(&ExtFields::from_iter(OFFSET_FIELDS)).expect("a header");
    let mut written = Written::default();
    header.encode(&mut written);
    let expected = [("consumerGroup", "g"), ("topic", "t"), ("queueId", "3"), ("setZeroIfNotFound", "false")];
    assert_eq!(written.0, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn a_missing_required_field_is_named() {
    let err = QueryConsumerOffset::decode(&ExtFields::from_iter([("topic", "t")])).expect_err("no group");
    assert_eq!(err.to_string(), "the field consumerGroup is missing");
}

#[test]
fn a_wrong_required_field_is_named_with_its_text() {
    let fields = [("consumerGroup", "g"), ("topic", "t"), ("queueId", "three")];
    let err = QueryConsumerOffset::decode(&ExtFields::from_iter(fields)).expect_err("a wrong number");
    assert_eq!(err.to_string(), r#"the field queueId is "three", which is not a number in range"#);
}

#[test]
fn a_wrong_optional_field_is_as_absent() {
    let mut fields = ExtFields::from_iter([
        ("consumerGroup", "g"),
        ("topic", "t"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "0"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subVersion", "0"),
    ]);
    fields.push("maxMsgBytes", "many");
    assert_eq!(PullMessage::decode(&fields).expect("a header").max_msg_bytes, None);
}

#[test]
fn short_names_are_the_same_request() {
    let short = [
        ("a", "pg"),
        ("b", "t"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "1"),
        ("f", "0"),
        ("g", "1700000000000"),
        ("h", "0"),
        ("m", "true"),
    ];
    let long = [
        ("producerGroup", "pg"),
        ("topic", "t"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "1"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("batch", "true"),
    ];
    let short = SendMessage::decode(&ExtFields::from_iter(short)).expect("a header");
    assert_eq!(short, SendMessage::decode(&ExtFields::from_iter(long)).expect("a header"));
    assert_eq!(short.born_timestamp, Timestamp(1_700_000_000_000));
}
