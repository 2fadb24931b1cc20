//! The checks of a pull, in their order.

use super::*;
use crate::context::Role;

const SEE: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

async fn refused(
    change: impl AsyncFnOnce(&Fixture),
    header: PullMessage,
    code: ResponseCode,
    forbidden_type: Option<i32>,
    remark: &str,
) {
    let fixture = Fixture::new().await;
    change(&fixture).await;
    let answer = fixture.pull(&header);
    assert_eq!((answer.code, answer.forbidden_type, answer.remark.as_str()), (code, forbidden_type, remark));
    assert!(answer.header.is_none() && answer.body.is_empty());
}

#[tokio::test]
async fn a_slave_serves_no_pulls() {
    let slave = async |fixture: &Fixture| {
        fixture.surroundings.role.send_replace(Role::Slave);
    };
    let remark = "[REJECTREQUEST]system busy, start flow control for a while";
    refused(slave, from(0), ResponseCode::SYSTEM_BUSY, None, remark).await;
}

#[tokio::test]
async fn a_broker_that_may_not_be_read_refuses() {
    let unreadable = async |fixture: &Fixture| fixture.surroundings.set(|config| config.broker_permission = 2);
    let remark = "the broker[127.0.0.1] pulling message is forbidden";
    refused(unreadable, from(0), ResponseCode::NO_PERMISSION, Some(1), remark).await;
}

#[tokio::test]
async fn lite_pulls_can_be_forbidden_and_are_else_like_others() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    let lite = || RemotingCommand { code: RequestCode::LITE_PULL_MESSAGE.0, ..command(&from(0)) };
    fixture.pulls.handle_batch(&mut vec![lite()], &fixture.peer);
    assert_eq!(fixture.answer().bodies(), ["a"]);
    fixture.surroundings.set(|config| config.lite_pull_message_enable = false);
    fixture.pulls.handle_batch(&mut vec![lite(), command(&from(0))], &fixture.peer);
    let [refused, served] = <[_; 2]>::try_from(fixture.answers()).unwrap();
    assert_eq!((refused.code, refused.forbidden_type), (ResponseCode::NO_PERMISSION, Some(1)));
    assert_eq!(refused.remark, "the broker[127.0.0.1] for lite pull consumer is forbidden");
    assert_eq!(served.code, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn an_unknown_group_is_refused() {
    let no_creation =
        async |fixture: &Fixture| fixture.surroundings.set(|config| config.auto_create_subscription_group = false);
    let header = PullMessage { consumer_group: "x".into(), ..from(0) };
    let remark = format!("subscription group [x] does not exist, {SEE}");
    refused(no_creation, header, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_group_that_may_not_consume_is_refused() {
    let disabled = async |fixture: &Fixture| {
        fixture.put_group(SubscriptionGroupConfig { consume_enable: false, ..SubscriptionGroupConfig::new("g") });
    };
    refused(disabled, from(0), ResponseCode::NO_PERMISSION, Some(2), "subscription group no permission, g").await;
}

#[tokio::test]
async fn an_unknown_topic_is_refused() {
    let header = PullMessage { topic: "X".into(), ..from(0) };
    let remark = format!("topic[X] not exist, apply first please! {SEE}");
    refused(async |_| {}, header, ResponseCode::TOPIC_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_topic_that_may_not_be_read_is_refused() {
    let write_only = async |fixture: &Fixture| fixture.put_topic(TopicConfig::new("T", 2, TopicConfig::WRITE));
    let remark = "the topic[T] pulling message is forbidden";
    refused(write_only, from(0), ResponseCode::NO_PERMISSION, Some(3), remark).await;
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_refused() {
    for queue in [-1, 2] {
        let header = PullMessage { queue_id: QueueId(queue), ..from(0) };
        let remark =
            format!("queueId[{queue}] is illegal, topic:[T] topicConfig.readQueueNums:[2] consumer:[/127.0.0.1:7]");
        refused(async |_| {}, header, ResponseCode::INVALID_PARAMETER, None, &remark).await;
    }
}

#[tokio::test]
async fn a_subscription_that_does_not_parse_is_refused() {
    let attached = |text: &str, expression_type: &str| PullMessage {
        sys_flag: PullSysFlag::SUBSCRIPTION,
        subscription: Some(text.into()),
        expression_type: Some(expression_type.into()),
        ..from(0)
    };
    for header in [attached("||", "TAG"), attached("", "SQL92")] {
        let remark = "parse the consumer's subscription failed";
        refused(async |_| {}, header, ResponseCode::SUBSCRIPTION_PARSE_FAILED, None, remark).await;
    }
    let remark = "The broker does not support consumer to filter message by SQL92";
    refused(async |_| {}, attached("a > 1", "SQL92"), ResponseCode::SYSTEM_ERROR, None, remark).await;
    refused(async |_| {}, attached("a >", "SQL92"), ResponseCode::SYSTEM_ERROR, None, remark).await;
    let remark = "parse the consumer's subscription failed";
    refused(filtering, attached("a >", "SQL92"), ResponseCode::SUBSCRIPTION_PARSE_FAILED, None, remark).await;
    refused(filtering, attached("a > 1", "SQL95"), ResponseCode::SUBSCRIPTION_PARSE_FAILED, None, remark).await;
}

#[tokio::test]
async fn a_group_without_members_is_refused() {
    let header = PullMessage { consumer_group: "h".into(), ..from(0) };
    let remark = format!("the consumer's group info not exist{SEE}");
    refused(async |_| {}, header, ResponseCode::SUBSCRIPTION_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_group_that_may_not_broadcast_is_refused() {
    let broadcasting = async |fixture: &Fixture| {
        let config = SubscriptionGroupConfig { consume_broadcast_enable: false, ..SubscriptionGroupConfig::new("g") };
        fixture.put_group(config);
        fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","messageModel":"BROADCASTING""#).await;
    };
    let remark = "the consumer group[g] can not consume by broadcast way";
    refused(broadcasting, from(0), ResponseCode::NO_PERMISSION, Some(4), remark).await;
}

#[tokio::test]
async fn a_group_forbidden_this_topic_is_refused() {
    let forbidden = async |fixture: &Fixture| {
        fixture.pulls.reader.groups.forbid_read(&"g".into(), &"T".into(), true).unwrap();
    };
    let remark = "the consumer group[g] is forbidden for topic[T]";
    refused(forbidden, from(0), ResponseCode::NO_PERMISSION, Some(5), remark).await;
}

#[tokio::test]
async fn a_topic_the_group_does_not_subscribe_to_is_refused() {
    let other_topic = async |fixture: &Fixture| fixture.put_topic(TopicConfig::new("U", 2, 6));
    let header = PullMessage { topic: "U".into(), ..from(0) };
    let remark = format!("the consumer's subscription not exist{SEE}");
    refused(other_topic, header, ResponseCode::SUBSCRIPTION_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_subscription_newer_than_ours_is_refused() {
    let header = PullMessage { sub_version: 6, ..from(0) };
    let remark = "the consumer's subscription not latest";
    refused(async |_| {}, header, ResponseCode::SUBSCRIPTION_NOT_LATEST, None, remark).await;
}

#[tokio::test]
async fn an_expression_is_refused_while_properties_are_not_filtered_by() {
    let sql = async |fixture: &Fixture| {
        fixture.join(r#"{"topic":"T","subString":"a > 1","subVersion":6,"expressionType":"SQL92"}"#, "").await;
    };
    let remark = "The broker does not support consumer to filter message by SQL92";
    refused(sql, from(0), ResponseCode::SYSTEM_ERROR, None, remark).await;
}

#[tokio::test]
async fn pull_consumers_are_refused_where_they_are_rejected() {
    let fixture = Fixture::new().await;
    fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","consumeType":"CONSUME_ACTIVELY""#).await;
    fixture.surroundings.set(|config| config.reject_pull_consumer_enable = true);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::PULL_NOT_FOUND, "a member may");
    let code = |group: &str| {
        let stranger = peer(8);
        let header = PullMessage {
            consumer_group: group.into(),
            sys_flag: PullSysFlag::SUBSCRIPTION,
            subscription: Some("*".into()),
            ..from(0)
        };
        fixture.pulls.handle_batch(&mut vec![command(&header)], &stranger);
        let [answer] = <[_; 1]>::try_from(stranger.take_sent().unwrap()).unwrap();
        answer.response_code()
    };
    assert_eq!(code("g"), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    assert_eq!(code("h"), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    assert_eq!(code("TOOLS_CONSUMER"), ResponseCode::PULL_NOT_FOUND);
    assert_eq!(code("CID_RMQ_SYS_x"), ResponseCode::PULL_NOT_FOUND);
    fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","consumeType":"CONSUME_PASSIVELY""#).await;
    assert_eq!(code("g"), ResponseCode::PULL_NOT_FOUND, "a pushed group is no pull consumer");
}

#[tokio::test]
async fn a_pull_without_its_fields_is_refused() {
    let fixture = Fixture::new().await;
    let mut bare = RemotingCommand::request(RequestCode::PULL_MESSAGE);
    bare.ext = [("consumerGroup", "g")].into_iter().collect();
    fixture.pulls.handle_batch(&mut vec![bare], &fixture.peer);
    assert_eq!(fixture.answer().code, ResponseCode::SYSTEM_ERROR);
}

async fn filtering(fixture: &Fixture) {
    fixture.surroundings.set(|config| config.enable_property_filter = true);
}

#[tokio::test]
async fn an_expression_that_the_broker_has_not_is_refused() {
    let wants = |text: &str, version: i64| {
        format!(r#"{{"topic":"T","subString":"{text}","subVersion":{version},"expressionType":"SQL92"}}"#)
    };
    let wrong = async |fixture: &Fixture| {
        filtering(fixture).await;
        fixture.join(&wants("a >", 6), "").await;
    };
    let remark = "The broker's consumer filter data is not exist!Your expression may be wrong!";
    refused(wrong, from(0), ResponseCode::FILTER_DATA_NOT_EXIST, None, remark).await;
    let off = async |fixture: &Fixture| fixture.join(&wants("a > 1", 6), "").await;
    let remark = "The broker does not support consumer to filter message by SQL92";
    refused(off, from(0), ResponseCode::SYSTEM_ERROR, None, remark).await;
}
