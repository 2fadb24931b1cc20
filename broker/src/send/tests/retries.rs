//! Retry topics and dead letters.

use super::*;

#[test]
fn a_retry_topic_needs_its_group() {
    let fixture = Fixture::with(|settings| settings.auto_create_subscription_group = false, |_| {});
    let remark = format!("subscription group not exist, g {FAQ}");
    fixture.refused(Send::to("%RETRY%g", "x"), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, &remark);
    fixture.groups.put_all(vec![SubscriptionGroupConfig::new("g")]).unwrap();
    fixture.accepted(Send::to("%RETRY%g", "x"));
    assert_eq!(fixture.queue("%RETRY%g", 0).len(), 1);
}

#[test]
fn a_message_retried_too_often_becomes_a_dead_letter() {
    let fixture = Fixture::new();
    let retry =
        |times: &str| Send::to("%RETRY%g", times).with("reconsumeTimes", times).properties("UNIQ_KEY=k;DELAY=5;");
    let dead = |fixture: &Fixture| fixture.bodies("%DLQ%g", 0);
    fixture.accepted(retry("16"));
    assert_eq!(dead(&fixture), [""; 0]);
    let answer = fixture.accepted(retry("17"));
    assert_eq!((dead(&fixture), field(&answer, "queueId")), (vec!["17".to_owned()], "0"));
    let letter = &fixture.queue("%DLQ%g", 0)[0];
    assert_eq!((letter.property("DELAY"), letter.get().reconsume_times), (Some("-1"), 17));
    // The limit of the request counts for clients that know it.
    fixture.accepted(retry("3").with("maxReconsumeTimes", "2").version(120));
    fixture.accepted(retry("3").with("maxReconsumeTimes", "2").version(121));
    assert_eq!(dead(&fixture), ["17", "3"]);
    assert_eq!(fixture.topics.get("%DLQ%g").unwrap().perm, 6);
    assert_eq!(fixture.queue("SCHEDULE_TOPIC_XXXX", 4).len(), 2);
}

#[test]
fn an_ordered_group_retries_nothing() {
    let fixture = Fixture::new();
    let queue = MessageQueue { topic: "T".into(), broker_name: "broker-a".into(), queue_id: 0.into() };
    fixture.locks.lock(&"g".into(), vec![queue], &"client".into());
    fixture.accepted(Send::to("%RETRY%g", "x").with("reconsumeTimes", "1"));
    assert_eq!((fixture.queue("%RETRY%g", 0).len(), fixture.queue("%DLQ%g", 0).len()), (0, 1));
}
