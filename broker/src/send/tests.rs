use std::time::Duration;

use remoting::body::{MessageQueue, SubscriptionGroupConfig, TopicConfig};
use remoting::connection::Peer;
use remoting::protocol::ResponseCode;
use remoting::router::HandleBatch;
use remoting::types::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use store::message::id;
use store::{FlushMode, StoreConfig};

use super::fixture::{Fixture, Send, field};
use crate::context::Role;
use crate::topic::AttributeChanges;

const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";
const ILLEGAL: &str = "the message is illegal, maybe msg body or properties length not matched. msg body length limit 4194304B, msg properties length limit 32KB.";
const READ: i32 = 4;

impl Fixture {
    fn refused(&self, send: Send, code: ResponseCode, remark: &str) {
        let before = self.store.max_physical_offset();
        assert_eq!(self.outcome(send), (code, Some(remark.to_owned())));
        assert_eq!(self.store.max_physical_offset(), before, "nothing is stored: {remark}");
    }

    fn accepted(&self, send: Send) -> remoting::frame::RemotingCommand {
        let answer = self.send(send);
        assert_eq!((answer.response_code(), &answer.remark), (ResponseCode::SUCCESS, &None));
        answer
    }

    fn put_topic(&self, config: TopicConfig, attributes: &str) {
        self.topics.put(config, &AttributeChanges::parse(attributes).unwrap()).unwrap();
    }
}

// What is stored and answered.

#[test]
fn a_message_is_stored_as_it_came_and_its_place_is_answered() {
    let fixture = Fixture::new();
    let send = Send::to("T", "hello").with("queueId", "3").with("sysFlag", "769").with("reconsumeTimes", "2");
    let answer = fixture.accepted(send.properties("UNIQ_KEY=K1;TAGS=TagA;a=1"));
    let stored = fixture.queue("T", 3);
    let [stored] = &stored[..] else { panic!("one message, not {}", stored.len()) };
    let message = stored.get();
    assert_eq!(
        (message.topic, message.flag, message.sys_flag, message.reconsume_times, message.prepared_transaction_offset),
        ("T", 7, 769, 2, 0)
    );
    assert_eq!((message.born_timestamp, message.store_timestamp), (Timestamp(999_000), Timestamp(1_000_000)));
    assert_eq!((message.born_host, message.store_host), (fixture.peer.remote(), fixture.ctx.identity.host));
    assert_eq!(stored.body(), "hello");
    let added = "MSG_REGION=DefaultRegion;TRACE_ON=true;CLUSTER=cluster-a;";
    assert_eq!(stored.properties(), format!("UNIQ_KEY=K1;TAGS=TagA;a=1;{added}"));
    assert_eq!(fixture.tags_codes("T", 3), [i64::from(store::message::java_hash("TagA"))]);

    let offset_id = id::encode(fixture.ctx.identity.host, message.physical_offset);
    assert_eq!(field(&answer, "msgId"), offset_id);
    assert_eq!((field(&answer, "queueId"), field(&answer, "queueOffset")), ("3", "0"));
    assert_eq!(field(&answer, "transactionId"), "K1");
    assert_eq!((field(&answer, "MSG_REGION"), field(&answer, "TRACE_ON")), ("DefaultRegion", "true"));
    assert!(answer.body.is_empty());
}

#[test]
fn ids_of_answers_are_those_of_the_store() {
    let fixture = Fixture::new();
    for number in 0..20 {
        let answer = fixture.accepted(Send::to("T", &"x".repeat(number * 100 + 1)));
        let last = fixture.queue("T", 0).pop().unwrap();
        let message = last.get();
        assert_eq!(id::decode(field(&answer, "msgId")), Some((message.store_host, message.physical_offset)));
        assert_eq!(field(&answer, "queueOffset"), number.to_string());
    }
}

#[test]
fn a_message_without_a_key_gets_one() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.accepted(Send::to("T", "a")), fixture.accepted(Send::to("T", "b").properties("x=y;")));
    let keys = [field(&one, "transactionId"), field(&two, "transactionId")];
    assert_ne!(keys[0], keys[1]);
    let stored = fixture.queue("T", 0);
    assert_eq!([0, 1].map(|at| stored[at].property("UNIQ_KEY").unwrap()), keys);
}

#[test]
fn short_names_and_any_queue_are_understood() {
    let fixture = Fixture::new();
    let mut send = Send::to("T", "x");
    send.0.code = 310;
    send.0.ext = remoting::frame::ExtFields::from_iter([
        ("a", "PG"),
        ("b", "T"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "-1"),
        ("f", "0"),
        ("g", "5"),
        ("h", "0"),
        ("i", "TAGS\u{1}t\u{2}"),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ]);
    let answer = fixture.accepted(send);
    let queue: i32 = field(&answer, "queueId").parse().unwrap();
    assert!((0..4).contains(&queue), "{queue}");
    assert_eq!(fixture.queue("T", queue).len(), 1);
}

#[test]
fn settings_of_the_moment_are_stored_and_answered() {
    let fixture = Fixture::new();
    fixture.accepted(Send::to("T", "a"));
    fixture.settings.send_modify(|settings| {
        let settings = std::sync::Arc::make_mut(settings);
        settings.region_id = "R2".to_owned();
        settings.trace_on = false;
    });
    let answer = fixture.accepted(Send::to("T", "b").properties("UNIQ_KEY=k"));
    assert_eq!((field(&answer, "MSG_REGION"), field(&answer, "TRACE_ON")), ("R2", "false"));
    assert_eq!(fixture.queue("T", 0)[1].properties(), "UNIQ_KEY=k;MSG_REGION=R2;TRACE_ON=false;CLUSTER=cluster-a;");
}

#[test]
fn topics_of_several_tags_mark_their_messages() {
    let fixture = Fixture::new();
    let config = TopicConfig { topic_filter_type: "MULTI_TAG".to_owned(), ..TopicConfig::new("T", 1, 6) };
    fixture.put_topic(config, "");
    fixture.accepted(Send::to("T", "a").with("sysFlag", "1"));
    assert_eq!(fixture.queue("T", 0)[0].get().sys_flag, 3);
}

// Many at once.

#[test]
fn a_refused_send_does_not_hold_up_the_others_and_answers_keep_their_order() {
    let fixture = Fixture::new();
    let answers = fixture.send_all([
        Send::to("T", "one").opaque(1),
        Send::to("a b", "no such name").opaque(2),
        Send::batch("T", &[("two", ""), ("three", "")]).opaque(3),
        Send::to("T", "four").opaque(4).one_way(),
        Send::to("OFFSET_MOVED_EVENT", "no").opaque(5).one_way(),
        Send::to("U", "five").opaque(6),
    ]);
    let outcome: Vec<_> = answers.iter().map(|answer| (answer.opaque.0, answer.response_code())).collect();
    let success = ResponseCode::SUCCESS;
    assert_eq!(outcome, [(1, success), (2, ResponseCode::INVALID_PARAMETER), (3, success), (6, success)]);
    let bodies: Vec<_> = fixture.queue("T", 0).iter().map(super::fixture::Stored::body).collect();
    assert_eq!(bodies, ["one", "two", "three", "four"]);
    let offsets: Vec<_> = answers.iter().map(|answer| field(answer, "queueOffset")).collect();
    assert_eq!(offsets, ["0", "", "1", "0"]);
    assert_eq!(fixture.queue("U", 0).len(), 1);
}

#[test]
fn a_desk_is_as_new_for_the_next_batch() {
    let fixture = Fixture::new();
    for round in 0..5 {
        let answers = fixture.send_all((0..40).map(|number| Send::to(&format!("T{}", number % 3), "x").opaque(number)));
        assert_eq!(answers.len(), 40, "round {round}");
        assert!(answers.iter().all(|answer| answer.response_code() == ResponseCode::SUCCESS));
    }
    assert_eq!(["T0", "T1", "T2"].map(|topic| fixture.queue(topic, 0).len()), [70, 65, 65]);
}

#[test]
fn one_way_sends_write_nothing_back() {
    let fixture = Fixture::new();
    assert_eq!(fixture.send_all([Send::to("T", "x").one_way(), Send::to("T", "").one_way()]), []);
    assert_eq!(fixture.queue("T", 0).len(), 1);
}

#[test]
fn a_client_batch_is_stored_side_by_side_under_joined_ids() {
    let fixture = Fixture::new();
    let send = Send::batch("T", &[("a", "KEYS=1;UNIQ_KEY=u1;"), ("bb", "TAGS=t;WAIT=true"), ("c", "")]);
    let answer = fixture.accepted(send.properties("UNIQ_KEY=whole;WAIT=true").with("queueId", "1"));
    let stored = fixture.queue("T", 1);
    let seen: Vec<_> = stored.iter().map(|one| (one.body(), one.properties(), one.get().flag)).collect();
    let expect = [("a", "KEYS=1;UNIQ_KEY=u1;"), ("bb", "TAGS=t;WAIT=true"), ("c", "")];
    assert_eq!(seen, expect.map(|(body, properties)| (body.to_owned(), properties.to_owned(), 9)));
    let mut end = stored[0].get().physical_offset;
    let mut ids = Vec::new();
    for one in &stored {
        let message = one.get();
        assert_eq!(message.physical_offset, end, "neighbours");
        ids.push(id::encode(message.store_host, message.physical_offset));
        end = PhysicalOffset(message.physical_offset.0 + message.size as i64);
    }
    assert_eq!(field(&answer, "msgId"), ids.join(","));
    assert_eq!((field(&answer, "queueId"), field(&answer, "queueOffset")), ("1", "0"));
    assert_eq!(field(&answer, "transactionId"), "whole");
}

// Checks, in Java's order, with Java's codes and remarks.

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
fn a_compaction_topic_wants_keys() {
    let fixture = Fixture::new();
    fixture.put_topic(TopicConfig::new("C", 1, 6), "+cleanup.policy=COMPACTION");
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

#[test]
fn a_batch_for_queues_of_batches_becomes_one_record() {
    let fixture = Fixture::new();
    fixture.put_topic(TopicConfig::new("B", 1, 6), "+queue.type=BatchCQ");
    let refused = "topic[B] has the queue type BatchCQ: it takes batches with a unique id, and no single messages";
    fixture.refused(Send::to("B", "x"), ResponseCode::MESSAGE_ILLEGAL, refused);
    fixture.refused(Send::batch("B", &[("x", "")]), ResponseCode::MESSAGE_ILLEGAL, refused);
    for base in [0, 3] {
        let batch = Send::batch("B", &[("x", "KEYS=k"), ("y", ""), ("z", "")]);
        let answer = fixture.send(batch.properties("UNIQ_KEY=U1;WAIT=true"));
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
        assert_eq!(answer.ext.get("queueOffset"), Some(base.to_string().as_str()));
        assert_eq!(answer.ext.get("batchUniqId"), Some("U1"));
        assert!(!answer.ext.get("msgId").unwrap().contains(','), "one id for one record");
    }
    assert_eq!(fixture.store.max_offset("B", QueueId(0)), Some(QueueOffset(6)));
    let stored = fixture.queue("B", 0);
    assert_eq!(stored[3].get().sys_flag, 0xC0);
    assert_eq!(stored[3].property("INNER_NUM"), Some("3"));
    assert_eq!(stored[3].property("INNER_BASE"), Some("0000000000000000003"));
    assert_eq!(stored[3].property("CLUSTER"), Some("cluster-a"));
    let plain = fixture.send(Send::batch("T", &[("x", "")]).properties("UNIQ_KEY=U1"));
    assert_eq!(plain.ext.get("batchUniqId"), None);
}

#[test]
fn client_batches_have_rules_of_their_own() {
    let fixture = Fixture::new();
    let check = |send: Send, remark: &str| fixture.refused(send, ResponseCode::MESSAGE_ILLEGAL, remark);
    let one = [("x", "")];
    check(Send::batch("%RETRY%g", &one), "batch request does not support retry group %RETRY%g");
    let long = format!("%DLQ%{}", "g".repeat(123));
    check(Send::batch(&long, &one), "message topic length too long 128");
    check(Send::batch("T", &one).properties("DELAY=1"), ILLEGAL);
    check(Send::batch("T", &one).with("sysFlag", "8"), ILLEGAL);
    check(Send::batch("T", &[("x", ""), ("y", "")]).body(vec![0; 30]), "message 1 of the batch is malformed");
    check(Send::batch("T", &one).body(vec![0; (4 << 20) + 1]), ILLEGAL);
    // What the elements say of delays does not count, as in Java.
    fixture.accepted(Send::batch("T", &[("x", "DELAY=3;")]));
}

// Delays.

#[test]
fn a_delayed_message_waits_in_the_queue_of_its_level() {
    let fixture = Fixture::new();
    let send = Send::to("T", "later").with("queueId", "2").properties("UNIQ_KEY=k;TAGS=t;DELAY=3;");
    let answer = fixture.accepted(send);
    assert_eq!((field(&answer, "queueId"), field(&answer, "queueOffset")), ("2", "0"), "the queue that was asked for");
    assert!(fixture.queue("T", 2).is_empty());
    let waiting = fixture.queue("SCHEDULE_TOPIC_XXXX", 2);
    let added = "MSG_REGION=DefaultRegion;TRACE_ON=true;CLUSTER=cluster-a;";
    let expect = format!("UNIQ_KEY=k;TAGS=t;{added}DELAY=3;REAL_TOPIC=T;REAL_QID=2;");
    assert_eq!((waiting[0].body(), waiting[0].properties()), ("later".to_owned(), expect));
    assert_eq!(fixture.tags_codes("SCHEDULE_TOPIC_XXXX", 2), [1_010_000], "the time to deliver");
}

#[test]
fn levels_above_the_last_are_clipped_and_those_below_one_mean_none() {
    let fixture = Fixture::new();
    fixture.accepted(Send::to("T", "x").properties("DELAY=99;"));
    assert_eq!(fixture.queue("SCHEDULE_TOPIC_XXXX", 17)[0].property("DELAY"), Some("18"));
    for level in ["0", "-1"] {
        fixture.accepted(Send::to("T", "x").properties(&format!("DELAY={level};")));
    }
    assert_eq!(fixture.queue("T", 0).len(), 2);
    let remark = r#"the delay level is "soon", which is not a number"#;
    fixture.refused(Send::to("T", "x").properties("DELAY=soon;"), ResponseCode::SYSTEM_ERROR, remark);
}

#[test]
fn a_timed_message_waits_in_the_timer_topic() {
    let fixture = Fixture::new();
    // It is 1,000,000 ms.
    for (properties, slot) in [
        ("TIMER_DELAY_SEC=5;", Some("1004000")),
        ("TIMER_DELAY_MS=5001;", Some("1005000")),
        ("TIMER_DELIVER_MS=1000001;", Some("1000000")),
        ("DELAY=0;TIMER_DELAY_SEC=1;", Some("1000000")),
        ("TIMER_DELAY_SEC=259200;", Some("260199000")),
        ("TIMER_DELIVER_MS=9;", None),
        ("TIMER_DELAY_MS=0;", None),
        ("TIMER_DELAY_SEC=-5;", None),
    ] {
        let send = Send::to("T", "x").with("queueId", "2").properties(&format!("UNIQ_KEY=k;{properties}"));
        let answer = fixture.accepted(send);
        assert_eq!(field(&answer, "queueId"), "2", "{properties}");
        let handle = slot.map_or("", |_| answer.ext.get("recallHandle").unwrap());
        assert_eq!(field(&answer, "recallHandle"), handle, "{properties}");
        match slot {
            Some(slot) => {
                let waiting = fixture.queue("rmq_sys_wheel_timer", 0);
                let stored = waiting.last().unwrap();
                let added = "MSG_REGION=DefaultRegion;TRACE_ON=true;CLUSTER=cluster-a;";
                let expect = format!("UNIQ_KEY=k;{properties}{added}TIMER_OUT_MS={slot};REAL_TOPIC=T;REAL_QID=2;");
                assert_eq!(stored.properties(), expect);
            }
            None => assert_eq!(fixture.queue("T", 2).last().unwrap().property("TIMER_OUT_MS"), None),
        }
    }
    assert_eq!((fixture.queue("rmq_sys_wheel_timer", 0).len(), fixture.queue("T", 2).len()), (5, 3));
    let answer = fixture.accepted(Send::to("T", "x").properties("UNIQ_KEY=k;TIMER_DELAY_SEC=5;"));
    assert_eq!(field(&answer, "recallHandle"), "djEgVCBicm9rZXItYSAxMDA0MDAxIGs=", "v1 T broker-a 1004001 k");
    fixture.accepted(Send::to("T", "x").properties("TIMER_DELAY_SEC=5;DELAY=1;"));
    let waiting = fixture.queue("SCHEDULE_TOPIC_XXXX", 0);
    assert_eq!((waiting.len(), waiting[0].property("TIMER_DELAY_SEC")), (1, None), "a level beats a time");
    fixture.accepted(Send::to("T", "again").properties("TIMER_DELAY_SEC=5;TIMER_OUT_MS=7;"));
    assert_eq!(fixture.queue("T", 0).last().unwrap().body(), "again", "the timer has had it");
}

#[test]
fn a_time_that_is_none_or_too_far_ahead_is_refused() {
    let fixture = Fixture::new();
    let remark = "timer message illegal, the delay time should not be bigger than the max delay 259200000ms; or if set del msg, the delay time should be bigger than the current time";
    for properties in [
        "TIMER_DELAY_SEC=soon;",
        "TIMER_DELAY_SEC=259201;",
        "TIMER_DELIVER_MS=260200001;",
        "TIMER_DELAY_MS=;TIMER_DELAY_SEC=x;",
    ] {
        fixture.refused(Send::to("T", "x").properties(properties), ResponseCode::MESSAGE_ILLEGAL, remark);
    }
    // What cancels a message must come before that is due.
    let late = Send::to("T", "x").properties("TIMER_DELIVER_MS=9;TIMER_DEL_UNIQKEY=k;");
    fixture.refused(late, ResponseCode::MESSAGE_ILLEGAL, remark);
    let batch = Send::batch("T", &[("x", "")]).properties("TIMER_DELAY_SEC=5;");
    assert_eq!(fixture.outcome(batch).0, ResponseCode::MESSAGE_ILLEGAL);

    let years = Fixture::with(|settings| settings.timer_max_delay_sec = 10 * 365 * 24 * 3600, |_| {});
    years.accepted(Send::to("T", "x").properties("TIMER_DELAY_SEC=300000000;"));
    let off = Fixture::with(|settings| settings.timer_wheel_enable = false, |_| {});
    let remark = "accurate timer message is not enabled, timerWheelEnable is false";
    off.refused(Send::to("T", "x").properties("TIMER_DELAY_SEC=5;"), ResponseCode::SYSTEM_ERROR, remark);
    assert!(!off.folder.path().join("timerwheel").exists());
}

// Retry topics.

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
    let dead =
        |fixture: &Fixture| fixture.queue("%DLQ%g", 0).iter().map(super::fixture::Stored::body).collect::<Vec<_>>();
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

// Confirmation and failure.

fn sync_flush(timeout: Duration) -> impl FnOnce(&mut StoreConfig) {
    move |config| {
        config.flush = FlushMode::Sync;
        config.sync_flush_timeout = timeout;
    }
}

/// Waits for answers that come from the store's own threads.
fn within_a_while<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "waited too long");
        std::thread::yield_now();
    }
}

#[test]
fn under_sync_flush_answers_come_once_the_disk_has_it() {
    let fixture = Fixture::with(|_| {}, sync_flush(Duration::from_secs(20)));
    let sends = || [Send::to("T", "a").opaque(1), Send::to("a b", "x").opaque(2), Send::to("T", "b").opaque(3)];
    let mut answers = fixture.send_all(sends());
    within_a_while(|| {
        answers.extend(fixture.answers());
        (answers.len() == 3).then_some(())
    });
    assert_eq!(answers.iter().map(|answer| answer.opaque.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(field(&answers[2], "queueOffset"), "1");
    assert!(fixture.store.figures().flushed_offset >= fixture.store.confirmed());
}

#[test]
fn a_flush_that_takes_too_long_is_answered_with_the_place_all_the_same() {
    let fixture = Fixture::with(|_| {}, sync_flush(Duration::ZERO));
    // With no time at all a flush may still win the race; it does not do so every time.
    let late = within_a_while(|| {
        let mut answers = fixture.send_all([Send::to("T", "a").properties("UNIQ_KEY=k")]);
        within_a_while(|| {
            answers.extend(fixture.answers());
            (!answers.is_empty()).then_some(())
        });
        answers.pop().filter(|answer| answer.response_code() == ResponseCode::FLUSH_DISK_TIMEOUT)
    });
    assert!(id::decode(field(&late, "msgId")).is_some());
    assert_eq!((field(&late, "queueId"), field(&late, "transactionId")), ("0", "k"));
    assert_eq!((field(&late, "MSG_REGION"), late.remark.as_deref()), ("DefaultRegion", None));
}

#[test]
fn a_closed_store_refuses_in_javas_words() {
    let fixture = Fixture::new();
    fixture.accepted(Send::to("T", "a"));
    fixture.store.close().unwrap();
    let (code, remark) = fixture.outcome(Send::to("T", "b"));
    assert_eq!(code, ResponseCode::SERVICE_NOT_AVAILABLE);
    let begin =
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full";
    assert!(remark.unwrap().starts_with(begin));
}

#[test]
fn sends_are_counted() {
    let fixture = Fixture::new();
    let batch = Send::batch("T", &[("b", ""), ("c", "")]).with("queueId", "1");
    let delayed = Send::to("T", "e").properties("DELAY=1;");
    fixture.send_all([Send::to("T", "a"), batch, Send::to("a b", "no"), Send::to("T", "d"), delayed]);
    assert_eq!(fixture.stats.daily_totals().now.put, 4, "the schedule topic belongs to the system");
    for (name, key) in [("TOPIC_PUT_NUMS", "T"), ("QUEUE_PUT_NUMS", "T@1"), ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@0")]
    {
        assert!(fixture.stats.view(name, key).is_some(), "{name} {key}");
    }
    fixture.store.close().unwrap();
    fixture.send(Send::to("T", "f"));
    assert_eq!(fixture.stats.daily_totals().now.put, 4, "what is not stored does not count");
}

#[test]
fn two_peers_get_their_own_answers() {
    let fixture = Fixture::new();
    let other = Peer::detached(std::net::SocketAddr::from(([10, 0, 0, 8], 1)));
    fixture.sends.handle_batch(&mut vec![Send::to("T", "a").opaque(1).0], &fixture.peer);
    fixture.sends.handle_batch(&mut vec![Send::to("T", "b").opaque(2).0], &other);
    assert_eq!(fixture.answers()[0].opaque.0, 1);
    let answers = other.take_sent().unwrap();
    assert_eq!((answers.len(), answers[0].opaque.0), (1, 2));
    assert_eq!(fixture.queue("T", 0)[1].get().born_host, other.remote());
}
