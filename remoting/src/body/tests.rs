//! Texts as Java 5.x writes them.

use expect_test::{Expect, expect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

/// Java's text is read, and written again as expected.
fn check<T: Serialize + DeserializeOwned>(text: &str, expect: &Expect) {
    let body: T = fastjson::read(text.as_bytes()).unwrap_or_else(|err| panic!("{err}: {text}"));
    expect.assert_eq(&fastjson::write(&body));
}

/// Java's text is written exactly as it was read.
fn same<T: Serialize + DeserializeOwned>(text: &str) {
    let body: T = fastjson::read(text.as_bytes()).unwrap_or_else(|err| panic!("{err}: {text}"));
    assert_eq!(fastjson::write(&body), text);
}

#[test]
fn bodies_are_written_as_java_writes_them() {
    same::<TopicRouteData>(
        r#"{"brokerDatas":[{"brokerAddrs":{0:"1.1.1.1:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#,
    );
    same::<ClusterInfo>(
        r#"{"brokerAddrTable":{"b":{"brokerAddrs":{0:"1.1.1.1:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}},"clusterAddrTable":{"C":["b"]}}"#,
    );
    same::<LockBatchRequestBody>(
        r#"{"clientId":"c","consumerGroup":"g","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}],"onlyThisBroker":false}"#,
    );
    same::<LockBatchResponseBody>(r#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#);
    same::<ConsumerIdList>(r#"{"consumerIdList":["c1"]}"#);
    same::<ResetOffsetBody>(r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:5}}"#);
    same::<ResetOffsetBodyForCpp>(r#"{"offsetTable":[{"brokerName":"b","offset":5,"queueId":0,"topic":"T"}]}"#);
    same::<ConsumeStats>(
        r#"{"consumeTps":0.0,"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"brokerOffset":5,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0}}}"#,
    );
    same::<TopicStatsTable>(
        r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}},"topicPutTps":0.0}"#,
    );
    same::<KvTable>(r#"{"table":{"a":"b"}}"#);
    same::<TopicList>(r#"{"topicList":["T"]}"#);
    same::<GroupList>(r#"{"groupList":["g"]}"#);
    same::<DataVersion>(r#"{"counter":0,"stateVersion":0,"timestamp":1700000000000}"#);
    same::<TopicConfig>(
        r#"{"attributes":{"message.type":"NORMAL"},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}"#,
    );
    same::<HeartbeatData>(
        r#"{"clientID":"ip@pid","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[65,66],"expressionType":"TAG","subString":"A || B","subVersion":1,"tagsSet":["A","B"],"topic":"T"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"pg"}],"withoutSub":false}"#,
    );
    same::<ConsumerConnection>(
        r#"{"connectionSet":[{"clientAddr":"1.1.1.1:2","clientId":"c","language":"JAVA","version":479}],"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{}}"#,
    );
    same::<ProducerTableInfo>(
        r#"{"data":{"pg":[{"clientId":"c","language":"JAVA","lastUpdateTimestamp":5,"remoteIP":"/1.1.1.1:2","version":479}]}}"#,
    );
    same::<SubscriptionGroupConfig>(
        r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"g","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#,
    );
    same::<BrokerStatsData>(
        r#"{"statsDay":{"avgpt":0.0,"sum":0,"tps":0.0},"statsHour":{"avgpt":0.0,"sum":0,"tps":0.0},"statsMinute":{"avgpt":1.5,"sum":3,"tps":0.05}}"#,
    );
    same::<CorrectionOffsets>(r#"{"correctionOffsets":{0:5,1:9223372036854775807}}"#);
}

#[test]
fn a_route_is_standard_json_for_those_who_ask_for_it() {
    let route = TopicRouteData {
        broker_datas: vec![BrokerData {
            broker_addrs: [(0, "1.1.1.1:10911".to_owned())].into(),
            broker_name: "b".into(),
            cluster: "C".into(),
            ..BrokerData::default()
        }],
        ..TopicRouteData::default()
    };
    expect![[r#"{"brokerDatas":[{"brokerAddrs":{"0":"1.1.1.1:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[]}"#]]
        .assert_eq(&fastjson::write_standard(&route));
}

#[test]
fn what_older_peers_leave_out_takes_javas_defaults() {
    check::<DataVersion>(
        r#"{"counter":1,"timestamp":5}"#,
        &expect![[r#"{"counter":1,"stateVersion":0,"timestamp":5}"#]],
    );
    // Go's heartbeat has neither fingerprint nor withoutSub, and its sets may be null-free but in another order.
    check::<HeartbeatData>(
        r#"{"clientID":"c","producerDataSet":[{"groupName":"g"}],"consumerDataSet":[]}"#,
        &expect![[
            r#"{"clientID":"c","consumerDataSet":[],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"g"}],"withoutSub":false}"#
        ]],
    );
    check::<TopicConfig>(
        r#"{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}"#,
        &expect![[
            r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}"#
        ]],
    );
}
