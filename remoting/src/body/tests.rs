//! Texts as Java writes them.

use std::fmt::Debug;

use expect_test::{Expect, expect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::version::Version;

/// A type of the texts of Java's class of this name.
macro_rules! with_type_of {
    ($class:expr, $check:ident($($argument:expr),*)) => {
        match $class {
            "BrokerStatsData" => $check::<BrokerStatsData>($($argument),*),
            "CheckClientRequestBody" => $check::<CheckClientRequestBody>($($argument),*),
            "ClusterInfo" => $check::<ClusterInfo>($($argument),*),
            "ConsumeStats" => $check::<ConsumeStats>($($argument),*),
            "ConsumeStatsList" => $check::<ConsumeStatsList>($($argument),*),
            "ConsumerConnection" => $check::<ConsumerConnection>($($argument),*),
            "ConsumerOffsetSerializeWrapper" => $check::<ConsumerOffsets>($($argument),*),
            "CreateTopicListRequestBody" => $check::<CreateTopicListBody>($($argument),*),
            "DataVersion" => $check::<DataVersion>($($argument),*),
            "DelayOffsetSerializeWrapper" => $check::<DelayOffsets>($($argument),*),
            "GetBrokerMemberGroupResponseBody" => $check::<BrokerMemberGroupBody>($($argument),*),
            "GetConsumerListByGroupResponseBody" => $check::<ConsumerIdList>($($argument),*),
            "GetConsumerStatusBody" => $check::<ConsumerStatusBody>($($argument),*),
            "GroupForbidden" => $check::<GroupForbidden>($($argument),*),
            "GroupList" => $check::<GroupList>($($argument),*),
            "HeartbeatData" => $check::<HeartbeatData>($($argument),*),
            "KVTable" => $check::<KvTable>($($argument),*),
            "LockBatchRequestBody" => $check::<LockBatchRequestBody>($($argument),*),
            "LockBatchResponseBody" => $check::<LockBatchResponseBody>($($argument),*),
            "ProducerConnection" => $check::<ProducerConnection>($($argument),*),
            "ProducerTableInfo" => $check::<ProducerTableInfo>($($argument),*),
            "QueryCorrectionOffsetBody" => $check::<CorrectionOffsets>($($argument),*),
            "QuerySubscriptionResponseBody" => $check::<QuerySubscriptionBody>($($argument),*),
            "RegisterBrokerBody" => $check::<RegisterBrokerBody>($($argument),*),
            "ResetOffsetBody" => $check::<ResetOffsetBody>($($argument),*),
            "ResetOffsetBodyForC" => $check::<ResetOffsetBodyForCpp>($($argument),*),
            "SubscriptionGroupConfig" => $check::<SubscriptionGroupConfig>($($argument),*),
            "SubscriptionGroupList" => $check::<SubscriptionGroupList>($($argument),*),
            "SubscriptionGroupWrapper" => $check::<SubscriptionGroupWrapper>($($argument),*),
            "TopicConfig" => $check::<TopicConfig>($($argument),*),
            "TopicList" => $check::<TopicList>($($argument),*),
            "TopicRouteData" => $check::<TopicRouteData>($($argument),*),
            "TopicStatsTable" => $check::<TopicStatsTable>($($argument),*),
            "UnlockBatchRequestBody" => $check::<UnlockBatchRequestBody>($($argument),*),
            class => panic!("no type for {class}"),
        }
    };
}

/// Lines of `golden/bodies` that are no bodies in the plain dialect.
const OTHER_FORMS: [&str; 3] = ["line", "compressed", "standard"];

fn golden() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../golden/bodies/java-5.5.0.tsv").lines();
    lines.map(|line| line.split_once('\t').expect("a class and a text"))
}

fn bodies() -> impl Iterator<Item = (&'static str, &'static str)> {
    golden().filter(|(class, _)| !OTHER_FORMS.contains(class))
}

fn other_form(form: &str) -> impl Iterator<Item = &'static str> {
    golden().filter(move |(class, _)| *class == form).map(|(_, text)| text)
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    fastjson::read(text.as_bytes()).unwrap_or_else(|err| panic!("{err}: {text}"))
}

/// The text is written exactly as it was read.
fn same<T: Serialize + DeserializeOwned>(text: &str) {
    assert_eq!(fastjson::write(&read::<T>(text)), text);
}

fn prefixes_fail<T: DeserializeOwned>(text: &str) {
    for (end, _) in text.char_indices() {
        assert!(fastjson::read::<T>(&text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
    }
}

fn survives_bytes<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) {
    if let Ok(read) = fastjson::read::<T>(body) {
        let text = fastjson::write(&read);
        assert_eq!(fastjson::read::<T>(text.as_bytes()).unwrap_or_else(|err| panic!("{err}: {text}")), read);
    }
}

/// The text is read, and written as expected.
fn check<T: Serialize + DeserializeOwned>(text: &str, expect: &Expect) {
    expect.assert_eq(&fastjson::write(&read::<T>(text)));
}

#[test]
fn bodies_are_written_as_java_writes_them() {
    for (class, text) in bodies() {
        with_type_of!(class, same(text));
    }
}

#[test]
fn a_cut_body_is_an_error() {
    for (class, text) in bodies() {
        with_type_of!(class, prefixes_fail(text));
    }
}

const DAMAGE: &[u8] = b"{}[]:,\"'\\0n\xFF";

#[test]
fn a_damaged_body_is_refused_or_means_something() {
    for (class, text) in bodies() {
        for at in 0..text.len() {
            for turn in [0, 5] {
                let mut damaged = text.as_bytes().to_vec();
                damaged[at] = DAMAGE[(at + turn) % DAMAGE.len()];
                with_type_of!(class, survives_bytes(&damaged));
            }
        }
    }
}

#[test]
fn topic_lines_are_javas() {
    let topics: Vec<TopicConfig> =
        bodies().filter(|(class, _)| *class == "TopicConfig").map(|(_, text)| read(text)).collect();
    let lines: Vec<&str> = other_form("line").collect();
    assert_eq!(lines.len(), topics.len());
    for (line, topic) in lines.iter().zip(&topics) {
        assert_eq!(TopicConfig::from_line(line).as_ref(), Some(topic));
        assert_eq!(TopicConfig::from_line(&topic.to_line()).as_ref(), Some(topic));
    }
    let odd = |line: &str| TopicConfig::from_line(line).map(|topic| fastjson::write(&topic.attributes));
    assert_eq!(odd("T 4 4 6 SINGLE_TAG ").as_deref(), Some("{}"), "Java's, without attributes");
    assert_eq!(odd(r#"T 4 4 6 SINGLE_TAG {"a":"b c"}"#).as_deref(), Some(r#"{"a":"b c"}"#));
    assert_eq!(odd("T 4 4 6 SINGLE_TAG nonsense").as_deref(), Some("{}"));
    for line in ["", "T", "T 4 4 6", "T 4 x 6 SINGLE_TAG", " 4 4 6 SINGLE_TAG"] {
        assert_eq!(odd(line), None, "{line}");
    }
}

#[test]
fn a_compressed_registration_says_what_the_plain_one_says() {
    let (_, plain) = bodies().find(|(class, _)| *class == "RegisterBrokerBody").expect("recorded");
    let mut plain: RegisterBrokerBody = read(plain);
    // The compressed form has less of the mappings.
    plain.topic_config_serialize_wrapper.mapping_data_version = None;
    plain.topic_config_serialize_wrapper.topic_queue_mapping_detail_map.clear();
    let compressed = bytes(other_form("compressed").next().expect("recorded"));
    assert_eq!(RegisterBrokerBody::read(&compressed, true, Version::V5_5_0).expect("Java's"), plain);

    // Of 4.9.7: neither attributes nor mappings, and a data version without state version.
    let old = bytes(
        "78da63606050af564ace2fcd2b492d52b232d0512ac9cc4d2d2e49cc2d50b232343740805a0606064620160a513001423385604f3f771fd7f8104777a02853742c00c2811100",
    );
    let old = RegisterBrokerBody::read(&old, true, Version(407)).expect("4.9.7's");
    expect![[r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":1700000000000},"topicConfigTable":{"T":{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}}}}"#]]
        .assert_eq(&fastjson::write(&old));
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).expect("ASCII"), 16).expect("hex")).collect()
}

#[test]
fn a_route_is_standard_json_for_those_who_ask_for_it() {
    let (_, plain) = bodies().find(|(class, _)| *class == "TopicRouteData").expect("recorded");
    let plain: TopicRouteData = read(plain);
    let standard = other_form("standard").next().expect("recorded");
    assert_eq!(serde_json::from_str::<TopicRouteData>(standard).expect("JSON"), plain);
    assert_eq!(fastjson::write_standard(&plain), standard);
    // 5.5.0 does not escape for browsers any more; 4.9.7, whose text this is, and 5.3 do.
    let broker_name = "b/ä\u{7F}\u{1} 😀<>&'".into();
    let strange = TopicRouteData { broker_datas: vec![BrokerData { broker_name, ..BrokerData::default() }], ..plain };
    let text = fastjson::write_standard(&strange);
    assert!(text.contains(r#""brokerName":"b\/\u00E4\u007F\u0001 \uD83D\uDE00<>&'""#), "{text}");
}

#[test]
fn what_older_peers_leave_out_takes_javas_defaults() {
    check::<DataVersion>(
        r#"{"counter":1,"timestamp":5}"#,
        &expect![[r#"{"counter":1,"stateVersion":0,"timestamp":5}"#]],
    );
    check::<TopicConfig>(
        r#"{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}"#,
        &expect![[
            r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}"#
        ]],
    );
    check::<TopicConfig>(
        r#"{"attributes":null,"topicName":"T"}"#,
        &expect![[
            r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":16}"#
        ]],
    );
}

#[test]
fn heartbeats_of_other_clients_are_understood() {
    // Go: tag hashes as texts, null for what it does not have, neither fingerprint nor withoutSub.
    check::<HeartbeatData>(
        r#"{"clientID":"c","producerDataSet":[{"groupName":"p"}],"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"Clustering","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","subscriptionDataSet":[{"classFilterMode":false,"topic":"T","subString":"b || a","tagsSet":["b","a"],"codeSet":["98","-97"],"subVersion":1795255352797000000,"expressionType":"TAG"}],"unitMode":false},{"groupName":"h","subscriptionDataSet":null}]}"#,
        &expect![[
            r#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[-97,98],"expressionType":"TAG","subString":"b || a","subVersion":1795255352797000000,"tagsSet":["a","b"],"topic":"T"}],"unitMode":false},{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"h","messageModel":"CLUSTERING","subscriptionDataSet":[],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"p"}],"withoutSub":false}"#
        ]],
    );
    // C++: numbers for enums.
    let heartbeat: HeartbeatData =
        read(r#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":4,"consumeType":0,"messageModel":0}]}"#);
    assert_eq!(
        heartbeat.consumer_data_set,
        [ConsumerData {
            consume_from_where: ConsumeFromWhere::ConsumeFromFirstOffset,
            consume_type: ConsumeType::ConsumeActively,
            message_model: MessageModel::Broadcasting,
            ..ConsumerData::default()
        }]
    );
    let hash = r#"{"consumerDataSet":[{"subscriptionDataSet":[{"codeSet":["3000000000"]}]}]}"#;
    assert!(fastjson::read::<HeartbeatData>(hash.as_bytes()).is_err(), "not a Java hash");
}

#[test]
fn references_of_older_java_do_no_harm() {
    let status: ConsumerStatusBody = read(
        r#"{"consumerTable":{"c":{{"brokerName":"b","queueId":1,"topic":"T"}:5}},"messageQueueTable":{{"$ref":"$.consumerTable.c.null"}:5}}"#,
    );
    let queue = MessageQueue { broker_name: "b".into(), queue_id: 1.into(), topic: "T".into() };
    assert_eq!(status.consumer_table["c"][&fastjson::ObjectKey(queue)], 5);
}

#[test]
fn tables_on_the_disks_of_java_brokers_are_read() {
    let topics = |text: &str| read::<TopicConfigWrapper>(text).topic_config_table;
    let new = topics(include_str!("../../golden/config/java-5.5.0/topics.json"));
    let old = topics(include_str!("../../golden/config/java-4.9.7/topics.json"));
    assert_eq!(new["FixCompact"].attributes["cleanup.policy"], "COMPACTION");
    assert_eq!((new["SCHEDULE_TOPIC_XXXX"].read_queue_nums, old["SCHEDULE_TOPIC_XXXX"].read_queue_nums), (18, 18));
    assert!(new.iter().chain(&old).all(|(name, topic)| topic.topic_name == *name));

    let groups = |text: &str| read::<SubscriptionGroupWrapper>(text).subscription_group_table;
    let new = groups(include_str!("../../golden/config/java-5.5.0/subscriptionGroup.json"));
    let old = groups(include_str!("../../golden/config/java-4.9.7/subscriptionGroup.json"));
    assert_eq!(*new["SELF_TEST_C_GROUP"], SubscriptionGroupConfig::new("SELF_TEST_C_GROUP"));
    assert_eq!(new["SELF_TEST_C_GROUP"], old["SELF_TEST_C_GROUP"]);

    let offsets = |text: &str| read::<ConsumerOffsets>(text).offset_table;
    let new = offsets(include_str!("../../golden/config/java-5.5.0/consumerOffset.json"));
    let old = offsets(include_str!("../../golden/config/java-4.9.7/consumerOffset.json"));
    assert_eq!(new["FixRetry@GID_retry"], [(0, 5), (1, 5)].into());
    assert_eq!(old["FixRetry@GID_retry"], [(0, 5), (1, 5)].into());

    let delays = |text: &str| read::<DelayOffsets>(text).offset_table;
    let new = delays(include_str!("../../golden/config/java-5.5.0/delayOffset.json"));
    let old = delays(include_str!("../../golden/config/java-4.9.7/delayOffset.json"));
    assert_eq!(new, [(1, 8), (2, 3), (3, 1), (17, 0), (18, 0)].into());
    assert_eq!(old, [(1, 8), (2, 3), (3, 1)].into());
}
