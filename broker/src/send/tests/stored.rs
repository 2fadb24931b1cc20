//! What is stored and answered.

use super::*;

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
fn a_priority_says_which_queue_a_message_goes_to() {
    let fixture = Fixture::new();
    for (priority, queue) in [("0", "0"), ("2", "2"), ("9", "3"), ("-1", "1"), ("high", "1")] {
        let send = Send::to("T", priority).with("queueId", "1");
        let answer = fixture.accepted(send.properties(&format!("_SYS_MSG_PRIORITY_={priority};")));
        assert_eq!(field(&answer, "queueId"), queue, "priority {priority}");
        let stored = fixture.queue("T", queue.parse().unwrap()).pop().unwrap();
        assert_eq!((stored.body().as_str(), stored.property("_SYS_MSG_PRIORITY_")), (priority, Some(priority)));
    }
    // A message of another type keeps its queue and loses the priority.
    for other in ["__SHARDINGKEY=k;", "DELAY=0;"] {
        let send = Send::to("T", other).with("queueId", "1");
        let answer = fixture.accepted(send.properties(&format!("_SYS_MSG_PRIORITY_=2;{other}a=1;")));
        assert_eq!(field(&answer, "queueId"), "1", "{other}");
        let stored = fixture.queue("T", 1).pop().unwrap();
        assert_eq!((stored.property("_SYS_MSG_PRIORITY_"), stored.property("a")), (None, Some("1")));
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
    let bodies = fixture.bodies("T", 0);
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
