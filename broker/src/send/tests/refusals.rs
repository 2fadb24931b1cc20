//! What is refused, and in which words.

use super::*;

#[test]
fn a_slave_takes_no_sends() {
    let fixture = Fixture::new();
    fixture.role.send_replace(Role::Slave);
    let answer = fixture.send(Send::to("T", "x"));
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_BUSY);
    assert_eq!(answer.remark.as_deref(), Some("[REJECTREQUEST]system busy, start flow control for a while"));
    assert!(answer.ext.is_empty());
    fixture.role.send_replace(Role::Master);
    fixture.accepted(Send::to("T", "x"));
}

#[test]
fn a_send_with_a_broken_header_or_without_a_body_is_refused() {
    let fixture = Fixture::new();
    let remark = r#"SEND_MESSAGE (10): the field queueId is "x", which is not a number in range"#;
    fixture.refused(Send::to("T", "x").with("queueId", "x"), ResponseCode::SYSTEM_ERROR, remark);
    let mut send = Send::to("T", "x");
    send.0.ext = remoting::frame::ExtFields::from_iter([("topic", "T")]);
    fixture.refused(send, ResponseCode::SYSTEM_ERROR, "SEND_MESSAGE (10): the field producerGroup is missing");
    fixture.refused(Send::to("T", ""), ResponseCode::SYSTEM_ERROR, "the message has no body");
}

#[test]
fn a_broker_that_is_not_open_yet_refuses() {
    let opens = Timestamp(1_000_001);
    let fixture = Fixture::with(|settings| settings.start_accept_send_request_time_stamp = opens, |_| {});
    let (code, remark) = fixture.outcome(Send::to("T", "x"));
    assert_eq!(code, ResponseCode::SYSTEM_ERROR);
    // The hour depends on where the machine stands.
    let remark = remark.unwrap();
    assert!(remark.starts_with("broker unable to service, until 19") && remark.ends_with(":40,001"), "{remark}");
    fixture.ctx.clock.advance(Duration::from_millis(1));
    fixture.accepted(Send::to("T", "x"));
}

#[test]
fn a_read_only_broker_refuses_order_topics_only() {
    let fixture = Fixture::with(|settings| settings.broker_permission = READ, |_| {});
    fixture.put_topic(TopicConfig { order: true, ..TopicConfig::new("ordered", 1, 6) }, "");
    let remark = "the broker[127.0.0.1] sending message is forbidden";
    fixture.refused(Send::to("ordered", "x"), ResponseCode::NO_PERMISSION, remark);
    fixture.accepted(Send::to("T", "x"));
}

#[test]
fn topics_that_cannot_be_sent_to_are_refused() {
    let fixture = Fixture::with(|settings| settings.auto_create_topic_enable = false, |_| {});
    let check = |topic: &str, code, remark: &str| fixture.refused(Send::to(topic, "x"), code, remark);
    check("", ResponseCode::INVALID_PARAMETER, "The specified topic is blank.");
    check(
        "a b",
        ResponseCode::INVALID_PARAMETER,
        "The specified topic: a b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
    );
    let long = "t".repeat(128);
    let remark = format!("The specified topic: {long}, is longer than topic max length: 127");
    check(&long, ResponseCode::INVALID_PARAMETER, &remark);
    for topic in ["SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "SELF_TEST_TOPIC"] {
        let remark = format!("Sending message to topic[{topic}] is forbidden.");
        check(topic, ResponseCode::NO_PERMISSION, &remark);
    }
    let remark = format!("topic[unknown] not exist, apply first please!{FAQ}");
    check("unknown", ResponseCode::TOPIC_NOT_EXIST, &remark);
    let refusal = fixture.send(Send::to("unknown", "x"));
    assert_eq!((field(&refusal, "MSG_REGION"), field(&refusal, "TRACE_ON")), ("DefaultRegion", "true"));
}

#[test]
fn an_unknown_topic_is_made_from_its_template() {
    let fixture = Fixture::new();
    fixture.accepted(Send::to("new", "x").with("defaultTopicQueueNums", "3"));
    let made = fixture.topics.get("new").unwrap();
    assert_eq!((made.write_queue_nums, made.read_queue_nums, made.perm), (3, 3, 6));
}

#[test]
fn a_topic_nobody_may_write_to_is_still_written_to() {
    // As in Java: wiping the permission changes routes, not what the broker takes.
    let fixture = Fixture::new();
    fixture.put_topic(TopicConfig::new("T", 1, READ), "");
    fixture.accepted(Send::to("T", "x"));
}

#[test]
fn a_queue_that_does_not_exist_is_refused() {
    let fixture = Fixture::new();
    fixture.put_topic(TopicConfig { write_queue_nums: 1, ..TopicConfig::new("T", 2, 6) }, "");
    fixture.accepted(Send::to("T", "x").with("queueId", "1"));
    let remark = "request queueId[2] is illegal, TopicConfig [topicName=T, readQueueNums=2, writeQueueNums=1, perm=RW-, \
                  topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, attributes={}] Producer: 10.0.0.7:4567";
    fixture.refused(Send::to("T", "x").with("queueId", "2"), ResponseCode::INVALID_PARAMETER, remark);
    fixture.put_topic(TopicConfig { write_queue_nums: 0, ..TopicConfig::new("none", 1, 6) }, "");
    let any = Send::to("none", "x").with("queueId", "-1");
    fixture.refused(any, ResponseCode::SYSTEM_ERROR, "topic[none] has no queue to write to");
}

#[test]
fn a_compaction_topic_that_java_left_behind_wants_keys() {
    let fixture = Fixture::new();
    let attributes = [("cleanup.policy".to_owned(), "COMPACTION".to_owned())].into();
    fixture.topics.inherit(TopicConfig { attributes, ..TopicConfig::new("C", 1, 6) });
    let check = |properties: &str| {
        let remark = "Required message key is missing";
        fixture.refused(Send::to("C", "x").properties(properties), ResponseCode::MESSAGE_ILLEGAL, remark);
    };
    check("");
    check("KEYS= ;");
    fixture.accepted(Send::to("C", "x").properties("KEYS=k;"));
}

#[test]
fn only_messages_that_say_so_are_part_of_a_transaction() {
    let fixture = Fixture::new();
    let remark = "the broker[127.0.0.1] sending transaction message is forbidden";
    fixture.refused(Send::to("T", "x").with("sysFlag", "4"), ResponseCode::NO_PERMISSION, remark);
    fixture.accepted(Send::to("T", "x").properties("TRAN_MSG=false;"));
    // One that was part of a transaction and now comes again is an ordinary message.
    let again = Send::to("T", "x").with("sysFlag", "5").with("reconsumeTimes", "1");
    fixture.accepted(again.properties("TRAN_MSG=true;DELAY=1;"));
    let waiting = fixture.queue("SCHEDULE_TOPIC_XXXX", 0);
    assert_eq!((waiting[0].get().sys_flag, fixture.queue("RMQ_SYS_TRANS_HALF_TOPIC", 0).len()), (1, 0));
}

#[test]
fn illegal_messages_are_refused() {
    let fixture = Fixture::new();
    let check = |send: Send| fixture.refused(send, ResponseCode::MESSAGE_ILLEGAL, ILLEGAL);
    check(Send::to("T", "x").body(vec![b'x'; (4 << 20) + 1]));
    check(Send::to("T", "x").properties(&format!("a={}", "v".repeat(32_700))));
    check(Send::to("T", "x").properties("INNER_NUM=2"));
    check(Send::to("T", "x").with("sysFlag", "128"));
    check(Send::to(&format!("%DLQ%{}", "g".repeat(123)), "x"));
    fixture.accepted(Send::to("T", "x").body(vec![b'x'; 4 << 20]));
    fixture.accepted(Send::to("T", "x").properties(&format!("a={}", "v".repeat(32_600))));
}
