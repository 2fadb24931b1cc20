//! Java's records, and whatever bytes a disk or a client may hand us.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use remoting::types::{Host, QueueId, QueueOffset, Timestamp, TopicName};

use super::*;
use crate::batch::Code;
use crate::commit_log::code_of;
use crate::config::StoreConfig;

macro_rules! golden {
    ($($name:literal)*) => {
        [$(($name, &include_bytes!(concat!("../../golden/records/java-", $name, ".bin"))[..])),*]
    };
}

fn records() -> Vec<(&'static str, &'static [u8])> {
    golden! {
        "4.9.7-batch" "4.9.7-comp3" "4.9.7-dlq" "4.9.7-multi" "4.9.7-op" "4.9.7-plain" "4.9.7-schedule" "4.9.7-tx8"
        "5.5.0-batch" "5.5.0-comp1" "5.5.0-comp2" "5.5.0-comp3" "5.5.0-crc+batch" "5.5.0-crc" "5.5.0-dlq" "5.5.0-inner"
        "5.5.0-multi" "5.5.0-op" "5.5.0-plain" "5.5.0-schedule" "5.5.0-tx8" "5.5.0-v2"
    }
    .to_vec()
}

fn golden(name: &str) -> StoredMessage<'static> {
    let (_, bytes) = records().into_iter().find(|(found, _)| *found == name).expect("a golden record");
    StoredMessage::parse(bytes).expect("a record")
}

/// Writes `message` as the append does.
fn again(message: &StoredMessage<'_>) -> Vec<u8> {
    again_with(message, Trailer::default())
}

fn again_with(message: &StoredMessage<'_>, trailer: Trailer) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    let patch = encode(
        &mut bytes,
        &Message {
            topic: &TopicName::new(message.topic),
            queue_id: message.queue_id,
            flag: message.flag,
            sys_flag: message.sys_flag,
            born_timestamp: message.born_timestamp,
            born_host: message.born_host,
            store_host: message.store_host,
            reconsume_times: message.reconsume_times,
            prepared_transaction_offset: message.prepared_transaction_offset,
            body: message.body,
            properties: message.properties,
        },
        trailer,
    );
    let mut bytes = bytes.split_off(6);
    patch.apply(&mut bytes, message.queue_offset, message.physical_offset, message.store_timestamp);
    bytes
}

#[test]
fn javas_records_are_read_and_written_to_the_same_bytes() {
    for (name, bytes) in records() {
        let message = StoredMessage::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        message.check_crc().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(store_timestamp(bytes), Some(message.store_timestamp), "{name}");
        assert!(again(&message) == bytes, "{name} is written differently");
    }
}

#[test]
fn records_with_a_checksum_over_all_have_javas_bytes() {
    for name in ["5.5.0-crc", "5.5.0-crc+batch"] {
        let (_, bytes) = records().into_iter().find(|(found, _)| *found == name).expect("a golden record");
        assert_eq!(check_record_crc(bytes), Some(true), "{name}");
        let java = StoredMessage::parse(bytes).expect("a record");
        let (properties, checksum) =
            java.properties.split_at(java.properties.rfind(properties::name::CRC32).expect("one"));
        assert_eq!(checksum.len(), 20);
        let ours = again_with(&StoredMessage { properties, ..java }, Trailer { inner_batch: None, crc: true });
        assert!(ours == bytes, "{name} is written differently");
        for at in 0..bytes.len() - 20 {
            let mut broken = bytes.to_vec();
            broken[at] ^= 0x10;
            assert_eq!(check_record_crc(&broken), Some(false), "{name}: byte {at}");
        }
    }
    assert_eq!(check_record_crc(records()[0].1), None);
    assert_eq!(check_record_crc(b"short"), None);
}

#[test]
fn an_inner_batch_says_how_many_messages_it_has_and_where_they_begin() {
    let java = golden("5.5.0-inner");
    let own = properties::remove(&properties::remove(java.properties, "INNER_NUM"), "INNER_BASE");
    for crc in [false, true] {
        let count = batch_elements(java.body).count() as u16;
        let ours = again_with(
            &StoredMessage { properties: &own, queue_offset: QueueOffset(1_234_567), ..java },
            Trailer { inner_batch: Some(count), crc },
        );
        let ours_read = StoredMessage::parse(&ours).expect("a record");
        assert_eq!(ours_read.property("INNER_NUM"), java.property("INNER_NUM"));
        assert_eq!(ours_read.property("INNER_BASE").map(str::parse), Some(Ok(1_234_567)));
        assert_eq!(ours_read.body, java.body);
        assert_eq!(check_record_crc(&ours), crc.then_some(true));
    }
}

#[test]
fn the_fields_of_javas_records_are_where_java_put_them() {
    fn check(name: &str, expected: Expect) {
        let m = golden(name);
        let properties: Vec<_> = properties::iter(m.properties).collect();
        expected.assert_eq(&format!(
            "{}-{}@{} at {} size {} flag {} sys {:#x} born {} {} stored {} {} times {} prepared {} body {} bytes\n{properties:?}\n",
            m.topic, m.queue_id, m.queue_offset, m.physical_offset, m.size, m.flag, m.sys_flag, m.born_timestamp, m.born_host,
            m.store_timestamp, m.store_host, m.reconsume_times, m.prepared_transaction_offset, m.body.len(),
        ));
    }
    check(
        "5.5.0-plain",
        expect![[r#"
        FixNormal-0@0 at 0 size 231 flag -50 sys 0x0 born 1795255389830 127.0.0.1:54042 stored 1795255389885 127.0.0.1:21911 times 0 prepared 0 body 7 bytes
        [("名", "値 0"), ("MSG_REGION", "DefaultRegion"), ("UNIQ_KEY", "7F0000017FD25FFD2B27692766850000"), ("CLUSTER", "FixCluster"), ("WAIT", "true"), ("a", "0"), ("TRACE_ON", "true")]
    "#]],
    );
    check(
        "5.5.0-tx8",
        expect![[r#"
        FixTrans-0@0 at 1417348 size 326 flag 0 sys 0x8 born 1795255401568 127.0.0.1:37820 stored 1795255401614 127.0.0.1:21911 times 0 prepared 1416602 body 13 bytes
        [("MSG_REGION", "DefaultRegion"), ("UNIQ_KEY", "7F0000017FD25FFD2B2769279460017F"), ("CLUSTER", "FixCluster"), ("PGROUP", "GID_trans"), ("__transactionId__", "7F0000017FD25FFD2B2769279460017F"), ("TAGS", "tx"), ("TRAN_MSG", "true"), ("KEYS", "tx-0"), ("WAIT", "true"), ("TRACE_ON", "true"), ("n", "0")]
    "#]],
    );
    check(
        "4.9.7-dlq",
        expect![[r#"
        %DLQ%GID_retry-0@0 at 1406264 size 323 flag 0 sys 0x0 born 1795256374041 127.0.0.1:51930 stored 1795256377149 127.0.0.1:21911 times 2 prepared 0 body 7 bytes
        [("REAL_TOPIC", "%RETRY%GID_retry"), ("ORIGIN_MESSAGE_ID", "7F000001000055970000000000154848"), ("RETRY_TOPIC", "FixRetry"), ("KEYS", "retry-0"), ("UNIQ_KEY", "7F0000017E8B5FFD2B2769366B19012A"), ("CLUSTER", "FixCluster"), ("WAIT", "false"), ("DELAY", "0"), ("TAGS", "R0"), ("REAL_QID", "0")]
    "#]],
    );
    check(
        "5.5.0-v2",
        expect![[r#"
        %RETRY%GID_longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-+FixPop_longtopic-longtopic-longtopic-longtopic-longtopic-longtopic--0@0 at 1458170 size 559 flag 0 sys 0x0 born 1795255400603 127.0.0.1:21911 stored 1795255436158 127.0.0.1:21911 times 1 prepared 0 body 9 bytes
        [("ORIGIN_GROUP", "GID_longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-longgroup-"), ("TRACE_ON", "true"), ("MSG_REGION", "DefaultRegion"), ("KEYS", "poplong-3"), ("UNIQ_KEY", "7F0000017FD25FFD2B276927909B0174"), ("CLUSTER", "FixCluster"), ("1ST_POP_TIME", "1795255403804"), ("WAIT", "true"), ("TAGS", "pop")]
    "#]],
    );
}

#[test]
fn a_delayed_record_gets_the_deliver_time_that_java_gave_it() {
    let config = StoreConfig::new("");
    // From the units of SCHEDULE_TOPIC_XXXX in the same stores.
    for (name, code) in [("5.5.0-schedule", 1_795_255_401_325), ("4.9.7-schedule", 1_795_256_375_031)] {
        let message = golden(name);
        assert_eq!(
            code_of(Code::of(message.topic, message.properties), message.store_timestamp, &config),
            code,
            "{name}"
        );
    }
    let stored = Timestamp(1000);
    for (level, code) in [(1, 2000), (18, 7_201_000), (19, 7_201_000), (99, 7_201_000)] {
        assert_eq!(code_of(Code::DelayLevel(level), stored, &config), code, "level {level}");
    }
    assert_eq!(Code::of(SCHEDULE_TOPIC, "DELAY\u{1}0\u{2}TAGS\u{1}a\u{2}"), Code::Tags(97));
    assert_eq!(Code::of("other", "DELAY\u{1}3\u{2}"), Code::Tags(0));
}

#[test]
fn what_is_wrong_with_a_record_is_told() {
    fn check(change: impl FnOnce(&mut Vec<u8>), expected: DecodeError) {
        let mut bytes = again(&golden("5.5.0-plain"));
        change(&mut bytes);
        let found = StoredMessage::parse(&bytes).and_then(|message| message.check_crc()).expect_err("broken");
        assert_eq!(found, expected);
    }
    let len = again(&golden("5.5.0-plain")).len();
    let body_at = 88;
    check(|bytes| bytes[4] = 0, DecodeError::Magic(0x00A3_20A7));
    check(|bytes| bytes.truncate(len - 1), DecodeError::Truncated { needed: len, left: len - 1 });
    check(|bytes| bytes[0] = 0x80, DecodeError::NegativeLength);
    check(|bytes| bytes[84] = 0x80, DecodeError::NegativeLength);
    check(|bytes| bytes[..4].fill(0), DecodeError::Length { total: 0, computed: 8 });
    let mut crc = (0, 0);
    {
        let mut bytes = again(&golden("5.5.0-plain"));
        bytes[body_at] ^= 1;
        if let Err(DecodeError::Crc { stored, computed }) = StoredMessage::parse(&bytes).expect("whole").check_crc() {
            crc = (stored, computed);
        }
    }
    assert_ne!(crc.0, crc.1);
    check(|bytes| bytes[body_at] ^= 1, DecodeError::Crc { stored: crc.0, computed: crc.1 });
}

prop_compose! {
    fn any_host()(v6: bool, bytes: [u8; 16], port: i32) -> Host {
        let [a, b, c, d, ..] = bytes;
        Host { ip: if v6 { bytes.into() } else { [a, b, c, d].into() }, port }
    }
}

prop_compose! {
    fn any_record()(
        topic in "[%|a-zA-Z0-9_-]{1,255}",
        numbers: (i32, i32, i32, i32),
        times: (i64, i64),
        places: (i64, i64, i64),
        hosts in (any_host(), any_host()),
        body in proptest::collection::vec(any::<u8>(), 0..300),
        properties in "([A-Z]{1,5}\u{1}[a-zé]{1,9}\u{2}){0,5}",
    ) -> Vec<u8> {
        let (queue_id, flag, sys_flag, reconsume_times) = numbers;
        let topic = TopicName::new(topic);
        let mut bytes = Vec::new();
        let patch = encode(&mut bytes, &Message {
            topic: &topic,
            queue_id: QueueId(queue_id),
            flag,
            sys_flag,
            born_timestamp: Timestamp(times.0),
            born_host: hosts.0,
            store_host: hosts.1,
            reconsume_times,
            prepared_transaction_offset: places.0,
            body: &body,
            properties: &properties,
        }, Trailer::default());
        let (queue, physical) = (remoting::types::QueueOffset(places.1), remoting::types::PhysicalOffset(places.2));
        patch.apply(&mut bytes, queue, physical, Timestamp(times.1));
        bytes
    }
}

proptest! {
    #[test]
    fn every_record_survives_the_round_trip(bytes in any_record()) {
        let message = StoredMessage::parse(&bytes).expect("a record");
        prop_assert_eq!(message.size, bytes.len());
        prop_assert_eq!(message.magic, if message.topic.len() > 127 { MAGIC_V2 } else { MAGIC_V1 });
        prop_assert_eq!(message.check_crc(), Ok(()));
        prop_assert_eq!(store_timestamp(&bytes), Some(message.store_timestamp));
        prop_assert_eq!(again(&message), bytes);
    }

    #[test]
    fn every_strict_prefix_of_a_record_is_an_error(bytes in any_record(), cut: prop::sample::Index) {
        let cut = cut.index(bytes.len());
        prop_assert!(StoredMessage::parse(&bytes[..cut]).is_err());
    }

    #[test]
    fn broken_records_never_panic(mut bytes in any_record(), changes: Vec<(prop::sample::Index, u8)>) {
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Ok(message) = StoredMessage::parse(&bytes) {
            prop_assert!(message.size <= bytes.len());
        }
        store_timestamp(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, text in "[AB\u{1}\u{2}é]{0,30}|.*") {
        prop_assert!(StoredMessage::parse(&bytes).is_err());
        prop_assert!(batch_elements(&bytes).count() <= bytes.len());
        let slow = |name| properties::iter(&text).filter(|(found, _)| *found == name).last().map(|(_, value)| value);
        prop_assert_eq!(properties::get(&text, "A"), slow("A"));
        id::decode(&text);
    }
}
