use std::collections::BTreeMap;

use remoting::body::{
    ConsumeStats, ConsumeStatsList, ConsumerConnection, ConsumerData, HeartbeatData, OffsetWrapper, ProducerConnection,
    ProducerData, ProducerTableInfo, QuerySubscriptionBody, QueueTimeSpanList, SubscriptionData, TopicList,
};
use remoting::protocol::admin::ViewBrokerStats;
use remoting::protocol::client::{GetAllProducers, GetConsumerConnections, GetProducerConnections, Heartbeat};
use remoting::protocol::group::{GetBrokerConsumeStats, GetConsumeStats, QueryConsumeTimeSpan, QuerySubscription};
use remoting::protocol::topic::QueryTopicsByConsumer;
use remoting::types::Timestamp;

use super::*;

impl Fixture {
    async fn progress(&self, topic: Option<&str>, list: Option<&str>) -> BTreeMap<String, OffsetWrapper> {
        let header = GetConsumeStats {
            consumer_group: "G".into(),
            topic: topic.map(Into::into),
            topic_list: list.map(str::to_owned),
        };
        let stats: ConsumeStats = ask_json(&self.admin.consumption, header).await.unwrap();
        let rows = stats.offset_table.into_iter();
        rows.map(|(queue, row)| (format!("{}/{}", queue.0.topic, queue.0.queue_id), row)).collect()
    }

    /// A client that consumes `T` in group `G` and produces in group `P`.
    async fn connect(&self) {
        let subscription = SubscriptionData { topic: "T".into(), sub_string: "*".to_owned(), ..Default::default() };
        let consumer = ConsumerData {
            group_name: "G".into(),
            subscription_data_set: vec![subscription],
            ..ConsumerData::default()
        };
        let heartbeat = HeartbeatData {
            client_id: "client-1".into(),
            consumer_data_set: vec![consumer],
            producer_data_set: vec![ProducerData { group_name: "P".into() }],
            ..HeartbeatData::default()
        };
        self.clients.handle(call(Heartbeat {}, fastjson::write(&heartbeat), &peer(7))).await.unwrap();
    }
}

#[tokio::test]
async fn progress_is_shown_per_queue() {
    let fixture = Fixture::new();
    let start = fixture.surroundings.ctx.clock.now();
    fixture.append("T", 0, 5);
    fixture.commit("G", "T", 0, 3);
    fixture.commit("G", "gone", 0, 3);
    let consumed = OffsetWrapper {
        broker_offset: 5,
        consumer_offset: 3,
        last_timestamp: Timestamp(start.0 + 3000),
        pull_offset: 3,
    };
    let expect: BTreeMap<_, _> = [("T/0".to_owned(), consumed), ("T/1".to_owned(), OffsetWrapper::default())].into();
    assert_eq!(fixture.progress(None, None).await, expect, "a topic that is gone is left out");
    assert_eq!(fixture.progress(Some("T"), None).await, expect);
    assert_eq!(fixture.progress(Some("T"), Some("gone; ;T")).await, expect);
    assert!(fixture.progress(Some("gone"), None).await.is_empty());
}

#[tokio::test]
async fn topics_no_longer_subscribed_to_are_left_out() {
    let fixture = Fixture::new();
    fixture.topics.put(TopicConfig::new("U", 1, 6), &AttributeChanges::default()).unwrap();
    fixture.commit("G", "T", 0, 0);
    fixture.commit("G", "U", 0, 0);
    let topics = async || fixture.progress(None, None).await.into_keys().collect::<Vec<_>>();
    assert_eq!(topics().await, ["T/0", "T/1", "U/0"], "while the group is offline");
    fixture.connect().await;
    assert_eq!(topics().await, ["T/0", "T/1"]);
    assert_eq!(fixture.progress(None, Some("U")).await.len(), 1, "a list counts as it is");
}

#[tokio::test]
async fn progress_of_all_groups_has_totals() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 5);
    fixture.commit("G", "T", 0, 3);
    let ask_for = async |is_order| {
        let header = GetBrokerConsumeStats { is_order };
        ask_json::<_, _, ConsumeStatsList>(&fixture.admin.consumption, header).await.unwrap()
    };
    let list = ask_for(false).await;
    assert_eq!((list.broker_addr.as_str(), list.total_diff, list.total_inflight_diff), ("127.0.0.1:10911", 2, 0));
    let lengths: BTreeMap<_, _> =
        list.consume_stats_list.iter().flatten().map(|(g, s)| (g.as_str(), s.len())).collect();
    assert_eq!(
        (lengths["G"], lengths["TOOLS_CONSUMER"], lengths.len()),
        (1, 0, fixture.groups.snapshot().subscription_group_table.len())
    );
    assert_eq!(ask_for(true).await.total_diff, 0, "T is not ordered");
}

#[tokio::test]
async fn time_spans_tell_how_long_messages_wait() {
    let fixture = Fixture::new();
    let start = fixture.surroundings.ctx.clock.now().0;
    fixture.append("T", 0, 5);
    fixture.commit("G", "T", 0, 3);
    let header = |topic: &str| QueryConsumeTimeSpan { topic: topic.into(), group: "G".into() };
    let spans: QueueTimeSpanList = ask_json(&fixture.admin.consumption, header("T")).await.unwrap();
    let [filled, empty] = &spans.consume_time_span_set[..] else { panic!("two queues") };
    assert_eq!((filled.min_time_stamp.0, filled.max_time_stamp.0), (start + 1000, start + 5000));
    // The fourth message waits, and the clock stands where the fifth was stored.
    assert_eq!((filled.consume_time_stamp.0, filled.delay_time), (start + 3000, 1000));
    assert_eq!((empty.min_time_stamp.0, empty.max_time_stamp.0, empty.delay_time), (-1, -1, 0));
    let unknown = ask(&fixture.admin.consumption, header("U"), "").await;
    assert_eq!(unknown, refused(ResponseCode::TOPIC_NOT_EXIST, "topic[U] not exist"));
}

#[tokio::test]
async fn topics_and_subscriptions_of_a_group_are_listed() {
    let fixture = Fixture::new();
    fixture.commit("G", "T", 0, 0);
    let topics: TopicList =
        ask_json(&fixture.admin.consumption, QueryTopicsByConsumer { group: "G".into() }).await.unwrap();
    assert_eq!((topics.topic_list, topics.broker_addr.as_deref()), (vec!["T".into()], Some("127.0.0.1:10911")));
    let header = || QuerySubscription { group: "G".into(), topic: Some("T".into()) };
    let none: QuerySubscriptionBody = ask_json(&fixture.admin.consumption, header()).await.unwrap();
    assert_eq!(none.subscription_data, None);
    fixture.connect().await;
    let one: QuerySubscriptionBody = ask_json(&fixture.admin.consumption, header()).await.unwrap();
    assert_eq!(one.subscription_data.unwrap().sub_string, "*");
}

#[tokio::test]
async fn connections_are_shown_while_they_last() {
    let fixture = Fixture::new();
    let connections = &fixture.admin.connections;
    let consumers = || GetConsumerConnections { consumer_group: "G".into() };
    let producers = || GetProducerConnections { producer_group: "P".into() };
    let offline = refused(ResponseCode::CONSUMER_NOT_ONLINE, "the consumer group[G] not online");
    assert_eq!(ask(connections, consumers(), "").await, offline);
    let unknown = refused(ResponseCode::SYSTEM_ERROR, "the producer group[P] not exist");
    assert_eq!(ask(connections, producers(), "").await, unknown);
    fixture.connect().await;
    let group: ConsumerConnection = ask_json(connections, consumers()).await.unwrap();
    let [member] = &group.connection_set[..] else { panic!("one member") };
    assert_eq!((member.client_id.as_str(), member.client_addr.as_str()), ("client-1", "127.0.0.1:7"));
    assert_eq!((member.language.as_str(), member.version), ("JAVA", 513));
    assert_eq!(group.subscription_table["T"].sub_string, "*");
    let group: ProducerConnection = ask_json(connections, producers()).await.unwrap();
    assert_eq!(group.connection_set.len(), 1);
    let all: ProducerTableInfo = ask_json(connections, GetAllProducers {}).await.unwrap();
    assert_eq!(all.data["P"][0].remote_ip, "/127.0.0.1:7");
}

#[tokio::test]
async fn figures_are_shown_or_refused() {
    let fixture = Fixture::new();
    let header = |key: &str| ViewBrokerStats { stats_name: "TOPIC_PUT_NUMS".to_owned(), stats_key: key.to_owned() };
    fixture.stats.put(&"T".into(), QueueId(0), 1, 1, 1);
    let data: Value = ask_json(&fixture.admin.statistics, header("T")).await.unwrap();
    assert_eq!(data["statsMinute"], serde_json::json!({"avgpt": 0.0, "sum": 0, "tps": 0.0}));
    let unknown = ask(&fixture.admin.statistics, header("U"), "").await;
    assert_eq!(unknown, refused(ResponseCode::SYSTEM_ERROR, "The stats <TOPIC_PUT_NUMS> <U> not exist"));
}
