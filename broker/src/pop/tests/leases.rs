//! Leases, and what becomes of them.

use remoting::body::{BatchAck, BatchAckBody, fastjson};
use remoting::protocol::pop::{BatchAckMessage, ChangeInvisibleTime};
use remoting::router::Handle as _;

use super::*;
use crate::testing::call;

#[tokio::test]
async fn what_is_acknowledged_never_comes_back() {
    let fixture = Fixture::new();
    (0..6).for_each(|number| fixture.send(number % 2, &number.to_string()));
    let popped = fixture.pop_all();
    assert_eq!(bodies(&popped), ["0", "1", "2", "3", "4", "5"]);
    popped.iter().for_each(|message| fixture.ack_ok(message));
    for _ in 0..10 {
        fixture.pass(LASTS_MS / 4);
        assert!(fixture.pop_all().is_empty());
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_back_after_its_time_and_not_before() {
    let fixture = Fixture::new();
    ["a", "b", "c"].iter().for_each(|body| fixture.send(0, body));
    let popped = fixture.pop_all();
    fixture.ack_ok(&popped[1]);
    for attempt in 1..4 {
        fixture.pass(LASTS_MS);
        assert!(fixture.pop_all().is_empty(), "the lease is just over");
        fixture.pass(2001);
        let again = fixture.pop_all();
        assert_eq!(bodies(&again), ["a", "c"]);
        assert!(again.iter().all(|message| message.attempts == attempt && message.topic == "%RETRY%g_T"));
    }
    let last = fixture.pop_all();
    assert!(last.is_empty());
}

#[tokio::test]
async fn a_late_acknowledgement_counts_as_long_as_the_lease_is_not_worked_off() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let popped = fixture.pop_all();
    fixture.pass(LASTS_MS + 1500);
    fixture.ack_ok(&popped[0]);
    fixture.pass(5000);
    assert!(fixture.pop_all().is_empty());
}

#[tokio::test]
async fn a_message_that_comes_again_remembers_its_first_lease() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    fixture.pop_all();
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    let (_, first) = fixture.all_of("%RETRY%g_T", 0, 0).remove(0);
    let property = |name: &str| properties::get(&first.properties, name).map(str::to_owned);
    assert_eq!(property("1ST_POP_TIME"), Some(START.0.to_string()));
    assert_eq!((property("ORIGIN_GROUP").as_deref(), property("TAGS").as_deref()), (Some("g"), Some("tag")));
    assert_eq!(property("UNIQ_KEY").as_deref(), Some("key-a"));
    fixture.pop_all();
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    let (_, second) = fixture.all_of("%RETRY%g_T", 0, 1).remove(0);
    assert_eq!(properties::get(&second.properties, "1ST_POP_TIME"), Some(START.0.to_string().as_str()));
}

fn change(message: &Popped, invisible_time: i64, suspend: Option<bool>) -> ChangeInvisibleTime {
    ChangeInvisibleTime {
        consumer_group: "g".into(),
        topic: message.topic.clone(),
        queue_id: message.queue,
        extra_info: message.handle.clone(),
        offset: message.offset,
        invisible_time,
        suspend,
    }
}

#[tokio::test]
async fn a_lease_can_be_made_longer_or_shorter() {
    for (millis, suspend, attempts) in [(30_000, None, 1), (1500, None, 1), (500, Some(true), 0)] {
        let fixture = Fixture::new();
        fixture.send(0, "a");
        let popped = fixture.pop_all();
        fixture.pass(1000);
        let reply = fixture.pops.handle(call(change(&popped[0], millis, suspend), "", &fixture.peer)).await.unwrap();
        let reply = reply.header().unwrap().clone();
        assert_eq!((reply.pop_time, reply.invisible_time), (fixture.clock.now(), millis));
        fixture.pass(millis);
        fixture.pass(1000);
        assert!(fixture.pop_all().is_empty());
        fixture.pass(1001);
        let again = fixture.pop_all();
        assert_eq!((bodies(&again), again[0].attempts), (vec!["a"], attempts));
        // The old lease brings nothing more.
        again.iter().for_each(|message| fixture.ack_ok(message));
        fixture.pass(LASTS_MS);
        fixture.pass(LASTS_MS);
        assert!(fixture.pop_all().is_empty());
    }
}

#[tokio::test]
async fn the_new_lease_can_be_acknowledged_with_its_own_handle() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let popped = fixture.pop_all();
    fixture.pass(5);
    let reply = fixture.pops.handle(call(change(&popped[0], 5000, None), "", &fixture.peer)).await.unwrap();
    let reply = reply.header().unwrap().clone();
    let Popped { queue, offset, .. } = popped[0];
    let handle = format!("{offset} {} 5000 {} 0 broker-a {queue} {offset}", reply.pop_time.0, reply.revive_queue);
    fixture.ack_ok(&Popped { handle, ..popped[0].clone() });
    (0..5).for_each(|_| fixture.pass(5000));
    assert!(fixture.pop_all().is_empty());
}

#[tokio::test]
async fn many_messages_are_acknowledged_at_once() {
    let fixture = Fixture::new();
    (0..5).for_each(|number| fixture.send(0, &number.to_string()));
    let popped = fixture.pop(&any()).messages;
    let handle = parse(&popped[0].handle);
    let ack = BatchAck {
        distances: [0, 2, 3].into_iter().collect(),
        consumer_group: "g".into(),
        invisible_time: handle.invisible_ms,
        pop_time: handle.pop_time,
        queue_id: QueueId(0),
        retry: "0".into(),
        revive_queue: handle.revive_queue,
        start_offset: handle.start,
        topic: "T".into(),
    };
    let body = BatchAckBody { acks: vec![ack], broker_name: "broker-a".into() };
    fixture.pops.handle(call(BatchAckMessage {}, fastjson::write(&body), &fixture.peer)).await.unwrap();
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    assert_eq!(bodies(&fixture.pop_all()), ["1", "4"]);
    for nothing in ["", r#"{"acks":[],"brokerName":"broker-a"}"#] {
        let refused = fixture.pops.handle(call(BatchAckMessage {}, nothing, &fixture.peer)).await;
        assert!(matches!(refused, Err(PopError::NothingToAck)));
    }
}

#[tokio::test]
async fn a_pop_brings_no_more_than_asked_for_and_says_what_is_left() {
    let fixture = Fixture::new();
    (0..10).for_each(|number| fixture.send(0, &number.to_string()));
    let answer = fixture.pop(&PopMessage { max_msg_nums: 4, queue_id: QueueId(0), ..any() });
    assert_eq!((answer.messages.len(), answer.reply.unwrap().rest_num), (4, 6));
    let answer = fixture.pop(&PopMessage { max_msg_nums: 32, queue_id: QueueId(0), ..any() });
    let reply = answer.reply.unwrap();
    assert_eq!((answer.messages.len(), reply.rest_num), (6, 0));
    assert_eq!(reply.start_offset_info.as_deref(), Some("0 0 4"));
    assert_eq!(reply.msg_offset_info.as_deref(), Some("0 0 4,5,6,7,8,9"));
}

#[tokio::test]
async fn messages_with_other_tags_are_passed_over_for_good() {
    let fixture = Fixture::new();
    for (number, tags) in ["A", "B", "A", "B", "C"].iter().enumerate() {
        assert!(fixture.send_to(0, &number.to_string(), tags));
    }
    let only_a = PopMessage { expression: Some("A".into()), ..any() };
    let popped = fixture.pop(&only_a).messages;
    assert_eq!(bodies(&popped), ["0", "2"]);
    fixture.ack_ok(&popped[0]);
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    assert_eq!(bodies(&fixture.pop(&only_a).messages), ["2"]);
}

#[tokio::test]
async fn messages_are_chosen_by_an_expression_also_when_they_come_again() {
    let fixture = Fixture::new();
    for number in 0..6 {
        let properties = format!("UNIQ_KEY\x01k{number}\x02n\x01{number}\x02");
        assert!(fixture.put("T", 0, &properties, number.to_string().as_bytes()));
    }
    let header = PopMessage { expression_type: Some("SQL92".into()), expression: Some("n > 3".into()), ..any() };
    let popped = fixture.pop(&header).messages;
    assert_eq!(bodies(&popped), ["4", "5"]);
    fixture.ack_ok(&popped[0]);
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    assert_eq!(bodies(&fixture.pop(&header).messages), ["5"]);
    let wrong = PopMessage { expression: Some("n >".into()), ..header };
    assert_eq!(fixture.pop(&wrong).code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
}

#[tokio::test]
async fn retry_topics_of_both_names_are_popped() {
    let fixture = Fixture::new();
    let over = || {
        fixture.pass(LASTS_MS);
        fixture.pass(2001);
    };
    fixture.send(0, "old");
    fixture.pop_all();
    over();
    fixture.config.send_modify(|config| Arc::make_mut(config).enable_retry_topic_v2 = true);
    fixture.send(0, "new");
    fixture.pop(&PopMessage { queue_id: QueueId(0), ..any() });
    over();
    let mut found = HashSet::new();
    for _ in 0..200 {
        for message in fixture.pop(&any()).messages {
            found.insert((message.body, message.topic.to_string()));
        }
    }
    // Which may have been popped along with the new one.
    over();
    for _ in 0..200 {
        for message in fixture.pop(&any()).messages {
            found.insert((message.body, message.topic.to_string()));
        }
    }
    assert!(found.contains(&("new".to_owned(), "%RETRY%g+T".to_owned())), "{found:?}");
    assert!(found.contains(&("old".to_owned(), "%RETRY%g_T".to_owned())), "{found:?}");
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let fixture = Fixture::new();
    ["a", "b", "c"].iter().for_each(|body| fixture.send(0, body));
    let popped = fixture.pop_all();
    fixture.ack_ok(&popped[0]);
    let fixture = fixture.restart();
    assert!(fixture.pop_all().is_empty());
    fixture.ack_ok(&popped[1]);
    fixture.pass(LASTS_MS);
    let fixture = fixture.restart();
    fixture.pass(2001);
    assert_eq!(bodies(&fixture.pop_all()), ["c"]);
    let fixture = fixture.restart();
    assert!(fixture.pop_all().is_empty());
}

#[tokio::test]
async fn an_administrators_reset_takes_the_group_elsewhere() {
    let fixture = Fixture::new();
    ["a", "b", "c"].iter().for_each(|body| fixture.send(0, body));
    fixture.pop_all().iter().for_each(|message| fixture.ack_ok(message));
    fixture.pops.offsets.progress(&"g".into(), &"T".into()).reset(QueueId(0), QueueOffset(1));
    assert_eq!(bodies(&fixture.pop_all()), ["b", "c"]);
}

#[tokio::test]
async fn what_was_worked_off_is_not_remembered() {
    let fixture = Fixture::new();
    for round in 0..50 {
        (0..20).for_each(|number| fixture.send(number % 2, &format!("{round}-{number}")));
        for message in fixture.pop_all().iter().step_by(2) {
            fixture.ack_ok(message);
        }
        fixture.pass(1000);
    }
    (0..20).for_each(|_| fixture.pass(1000));
    let logs = fixture.pops.logs.lock();
    // A second's leases come back at a time, and each of their retries is a lease of its own.
    assert!(logs.iter().map(Log::remembered).sum::<usize>() < 200);
}
