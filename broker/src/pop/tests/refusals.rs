//! Who is refused, and in which words.

use remoting::protocol::pop::{PeekMessage, PollingInfo};
use remoting::router::{Handle as _, IntoResponse};

use super::*;
use crate::testing::call;

fn check(header: &PopMessage, code: ResponseCode, remark: &str) {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let answer = fixture.pop(header);
    assert_eq!(answer.code, code, "{}", answer.remark);
    assert!(answer.remark.contains(remark), "{}", answer.remark);
}

#[tokio::test]
async fn pops_are_refused_in_javas_words() {
    let long_ago = Some(Timestamp(START.0 - 501));
    check(&PopMessage { born_time: long_ago, ..any() }, ResponseCode::POLLING_TIMEOUT, "timeout too much");
    check(&PopMessage { max_msg_nums: 33, ..any() }, ResponseCode::INVALID_PARAMETER, "num is greater than 32");
    check(&PopMessage { topic: "X".into(), ..any() }, ResponseCode::TOPIC_NOT_EXIST, "topic[X] not exist");
    check(&PopMessage { queue_id: QueueId(2), ..any() }, ResponseCode::INVALID_PARAMETER, "queueId[2] is illegal");
    check(&PopMessage { expression: Some("||".into()), ..any() }, ResponseCode::SUBSCRIPTION_PARSE_FAILED, "parse");
}

#[tokio::test]
async fn a_time_of_zero_is_now() {
    for born_time in [None, Some(Timestamp(0))] {
        check(&PopMessage { born_time, ..any() }, ResponseCode::SUCCESS, "FOUND");
    }
}

#[tokio::test]
async fn what_may_not_be_consumed_is_not_popped() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let disabled = SubscriptionGroupConfig { consume_enable: false, ..SubscriptionGroupConfig::new("g") };
    fixture.pops.groups.put_all(vec![disabled]).unwrap();
    assert_eq!(fixture.pop(&any()).code, ResponseCode::NO_PERMISSION);
    fixture.pops.groups.put_all(vec![SubscriptionGroupConfig::new("g")]).unwrap();
    fixture.pops.topics.put(TopicConfig::new("T", 2, 2), &AttributeChanges::default()).unwrap();
    assert_eq!(fixture.pop(&any()).code, ResponseCode::NO_PERMISSION);
    fixture.config.send_modify(|config| Arc::make_mut(config).auto_create_subscription_group = false);
    fixture.pops.topics.put(TopicConfig::new("T", 2, 6), &AttributeChanges::default()).unwrap();
    let unknown = PopMessage { consumer_group: "unknown".into(), ..any() };
    assert_eq!(fixture.pop(&unknown).code, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
}

#[tokio::test]
async fn acknowledgements_are_refused_in_javas_words() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let popped = fixture.pop_all().remove(0);
    let check = |message: Popped, code: ResponseCode| {
        let answer = fixture.ack(&message);
        assert_eq!(answer.code, code, "{}", answer.remark);
    };
    check(Popped { topic: "X".into(), ..popped.clone() }, ResponseCode::TOPIC_NOT_EXIST);
    for queue in [-1, 2] {
        check(Popped { queue: QueueId(queue), ..popped.clone() }, ResponseCode::MESSAGE_ILLEGAL);
    }
    for offset in [-1, 2] {
        check(Popped { offset: QueueOffset(offset), ..popped.clone() }, ResponseCode::NO_MESSAGE);
    }
    for handle in ["", "1 2 3", "1 2 3 8 0 broker-a 0 0", "1 2 3 -1 0 broker-a 0 0"] {
        check(Popped { handle: handle.into(), ..popped.clone() }, ResponseCode::SYSTEM_ERROR);
    }
    // Java has the end of the queue acknowledged, too.
    check(Popped { offset: QueueOffset(1), ..popped }, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn a_look_leases_nothing() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(1, body));
    let peek = |queue: i32, max: i32| PeekMessage {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(queue),
        max_msg_nums: max,
    };
    let peeked = fixture.pops.handle(call(peek(-1, 32), "", &fixture.peer)).await.unwrap();
    assert_eq!(take::each(&peeked.content()).map(|message| message.body.to_vec()).collect::<Vec<_>>(), [b"a", b"b"]);
    let peeked = fixture.pops.handle(call(peek(0, 32), "", &fixture.peer)).await.unwrap();
    assert_eq!(peeked.response_code(), ResponseCode::PULL_NOT_FOUND);
    assert_eq!(bodies(&fixture.pop_all()), ["a", "b"]);
    let polling = PollingInfo { consumer_group: "g".into(), topic: "X".into(), queue_id: QueueId(0) };
    let refused = fixture.pops.handle(call(polling, "", &fixture.peer)).await.unwrap_err();
    assert_eq!(refused.code(), ResponseCode::TOPIC_NOT_EXIST);
}
