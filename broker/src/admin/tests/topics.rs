use remoting::body::{GroupList, TopicConfigWrapper, TopicList, TopicStatsTable};
use remoting::protocol::topic::{
    CleanUnusedTopic, DeleteTopic, GetAllTopicConfig, GetBrokerSystemTopics, GetTopicConfig, GetTopicStats,
    QueryTopicConsumers, UpdateTopic, UpdateTopicList,
};
use remoting::types::Timestamp;

use super::*;

fn update(topic: &str, queues: i32, attributes: Option<&str>) -> UpdateTopic {
    UpdateTopic {
        topic: topic.into(),
        default_topic: "TBW102".into(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".to_owned(),
        topic_sys_flag: None,
        order: Some(true),
        attributes: attributes.map(str::to_owned),
        force: None,
    }
}

#[tokio::test]
async fn a_topic_is_created_shown_and_deleted() {
    let fixture = Fixture::new();
    let (topics, info) = (&fixture.admin.topics, &fixture.admin.topic_info);
    ask(topics, update("A", 3, Some("+message.type=FIFO")), "").await.unwrap();
    let show = || GetTopicConfig { topic: "A".into() };
    assert_eq!(
        ask(info, show(), "").await.unwrap(),
        r#"{"attributes":{"message.type":"FIFO"},"order":true,"perm":6,"readQueueNums":3,"topicFilterType":"SINGLE_TAG","topicName":"A","topicSysFlag":0,"writeQueueNums":3}"#
    );
    fixture.append("A", 1, 2);
    fixture.append("%RETRY%G+A", 0, 1);
    fixture.topics.create_internal(&"%RETRY%G+A".into(), 1, 6, 0);
    fixture.commit("G", "A", 1, 2);
    ask(topics, DeleteTopic { topic: "A".into() }, "").await.unwrap();
    assert_eq!(
        ask(info, show(), "").await,
        refused(ResponseCode::TOPIC_NOT_EXIST, "No topic in this broker. topic: A")
    );
    assert!(fixture.store.queues("A").is_empty() && fixture.store.queues("%RETRY%G+A").is_empty());
    assert!(fixture.topics.get("%RETRY%G+A").is_none(), "where POP retried its messages");
    assert!(fixture.offsets.groups_of("A").is_empty());
    ask(topics, DeleteTopic { topic: "A".into() }, "").await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_java_does() {
    let fixture = Fixture::new();
    let topics = &fixture.admin.topics;
    let invalid = |remark: &str| refused(ResponseCode::INVALID_PARAMETER, remark);
    let wrong = |remark: &str| refused(ResponseCode::SYSTEM_ERROR, remark);
    assert_eq!(ask(topics, update("", 1, None), "").await, invalid("The specified topic is blank."));
    let system = "The topic[TBW102] is conflict with system topic.";
    assert_eq!(ask(topics, update("TBW102", 1, None), "").await, invalid(system));
    assert_eq!(ask(topics, DeleteTopic { topic: "TBW102".into() }, "").await, invalid(system));
    assert_eq!(ask(topics, DeleteTopic { topic: " ".into() }, "").await, invalid("The specified topic is blank."));
    let mixed = update("A", 1, Some("+message.type=MIXED"));
    assert_eq!(ask(topics, mixed, "").await, invalid("MIXED message type is not supported."));
    assert_eq!(ask(topics, update("A", 1, Some("+a=b")), "").await, wrong("unsupported key: a"));
    assert_eq!(
        ask(topics, update("A", -1, None), "").await,
        invalid("The topic[A] can have 0 to 100000 queues, not -1.")
    );
    let filter = UpdateTopic { topic_filter_type: "ALL".to_owned(), ..update("A", 1, None) };
    assert_eq!(ask(topics, filter, "").await, wrong("topicFilterType = [ALL] value invalid"));
    assert!(fixture.topics.get("A").is_none());
}

#[tokio::test]
async fn a_list_of_topics_is_created_whole() {
    let fixture = Fixture::new();
    let list = r#"{"topicConfigList":[{"topicName":"T","readQueueNums":2,"writeQueueNums":2},
        {"topicName":"A","readQueueNums":1,"writeQueueNums":1,"attributes":{"+message.type":"DELAY"}}]}"#;
    ask(&fixture.admin.topics, UpdateTopicList {}, list).await.unwrap();
    // Java would have stopped at `T`, which is as it was.
    assert_eq!(fixture.topics.get("A").unwrap().attributes["message.type"], "DELAY");
    assert!(ask(&fixture.admin.topics, UpdateTopicList {}, "{").await.is_err());
}

#[tokio::test]
async fn all_topics_are_told_at_once_or_in_pages() {
    let fixture = Fixture::new();
    let info = &fixture.admin.topic_info;
    let page = |topic_seq, data_version, max_topic_num| GetAllTopicConfig { topic_seq, data_version, max_topic_num };
    let all: TopicConfigWrapper = ask_json(info, page(None, None, None)).await.unwrap();
    assert_eq!(all, fixture.topics.snapshot());
    let first: TopicConfigWrapper = ask_json(info, page(Some(0), None, Some(3))).await.unwrap();
    let version = fastjson::write(&first.data_version);
    let rest: TopicConfigWrapper = ask_json(info, page(Some(3), Some(version), Some(1000))).await.unwrap();
    let mut joined = first.topic_config_table.clone();
    joined.extend(rest.topic_config_table);
    assert_eq!((first.topic_config_table.len(), joined), (3, all.topic_config_table));
}

#[tokio::test]
async fn queues_of_a_topic_are_shown_with_their_ends() {
    let fixture = Fixture::new();
    let start = fixture.surroundings.ctx.clock.now();
    fixture.append("T", 1, 3);
    let stats: TopicStatsTable =
        ask_json(&fixture.admin.topic_info, GetTopicStats { topic: "T".into() }).await.unwrap();
    let rows: Vec<_> = stats.offset_table.iter().map(|(queue, offset)| (queue.0.queue_id.0, *offset)).collect();
    let empty = remoting::body::TopicOffset::default();
    let filled =
        remoting::body::TopicOffset { last_update_timestamp: Timestamp(start.0 + 3000), max_offset: 3, min_offset: 0 };
    assert_eq!(rows, [(0, empty), (1, filled)]);
    let unknown = ask(&fixture.admin.topic_info, GetTopicStats { topic: "U".into() }, "").await;
    assert_eq!(unknown, refused(ResponseCode::TOPIC_NOT_EXIST, "topic[U] not exist"));
}

#[tokio::test]
async fn system_topics_and_consumers_of_a_topic_are_listed() {
    let fixture = Fixture::new();
    let system: TopicList = ask_json(&fixture.admin.topic_info, GetBrokerSystemTopics {}).await.unwrap();
    for topic in ["TBW102", "DefaultCluster", "broker-a", "CHECKPOINT_TOPIC"] {
        assert!(system.topic_list.iter().any(|known| known == topic), "{topic}");
    }
    fixture.commit("H", "T", 0, 1);
    fixture.commit("G", "T", 0, 1);
    let groups: GroupList =
        ask_json(&fixture.admin.consumption, QueryTopicConsumers { topic: "T".into() }).await.unwrap();
    assert_eq!(groups.group_list, ["G", "H"]);
}

#[tokio::test]
async fn queues_without_a_topic_are_cleaned() {
    let fixture = Fixture::new();
    for topic in ["T", "gone", "%LMQ%x", "rmq_sys_x"] {
        fixture.append(topic, 0, 1);
    }
    ask(&fixture.admin.cleaning, CleanUnusedTopic {}, "").await.unwrap();
    let mut left: Vec<_> = fixture.store.topics().iter().map(ToString::to_string).collect();
    left.sort();
    assert_eq!(left, ["%LMQ%x", "T", "rmq_sys_x"]);
}
