//! What reading comes to.

use remoting::protocol::cold_data::{GetColdDataFlow, RemoveColdDataLimit, UpdateColdDataLimits};

use super::*;

#[tokio::test]
async fn messages_are_found_in_order_with_the_bounds_of_their_queue() {
    let fixture = Fixture::new().await;
    for body in ["a", "b", "c"] {
        fixture.append(0, "", body.as_bytes());
        fixture.append(1, "", b"elsewhere");
    }
    let answer = fixture.pull(&PullMessage { max_msg_nums: 2, ..from(1) });
    assert_eq!(answer.summary(), (ResponseCode::SUCCESS, "FOUND", 3));
    assert_eq!(answer.bodies(), ["b", "c"]);
    let expect = PullMessageReply {
        suggest_which_broker_id: 0,
        next_begin_offset: QueueOffset(3),
        min_offset: QueueOffset(0),
        max_offset: QueueOffset(3),
        offset_delta: None,
        topic_sys_flag: Some(0),
        group_sys_flag: Some(0),
        forbidden_type: None,
    };
    assert_eq!(answer.header, Some(expect));
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 1, ..from(0) }).bodies(), ["a"]);
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 0, ..from(0) }).bodies(), ["a"], "one always fits");
    assert_eq!(fixture.pull(&PullMessage { max_msg_bytes: Some(1), ..from(0) }).bodies(), ["a"]);
    assert_eq!(fixture.pull(&PullMessage { max_msg_bytes: Some(-1), ..from(0) }).bodies(), ["a", "b", "c"]);
    let view = fixture.pulls.reader.stats.view("GROUP_GET_NUMS", "T@g");
    assert!(view.is_some(), "what a group is given is counted");
    assert!(fixture.pulls.reader.stats.view("GROUP_GET_NUMS", "T@h").is_none());
}

#[tokio::test]
async fn what_cannot_be_found_says_where_to_go_on() {
    let fixture = Fixture::new().await;
    let check = |offset, expect| assert_eq!(fixture.pull(&from(offset)).summary(), expect, "from {offset}");
    check(0, (ResponseCode::PULL_NOT_FOUND, "NO_MATCHED_LOGIC_QUEUE", 0));
    check(5, (ResponseCode::PULL_OFFSET_MOVED, "NO_MATCHED_LOGIC_QUEUE", 0));
    fixture.append(0, "", b"a");
    fixture.append(0, "", b"b");
    check(2, (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 2));
    check(3, (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY", 2));
    check(-1, (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL", 0));
}

#[tokio::test]
async fn messages_are_chosen_by_the_hash_of_their_tags() {
    let fixture = Fixture::subscribed("A || Aa").await;
    for tags in ["A", "B", "", "BB", "A"] {
        fixture.append(0, tags, tags.as_bytes());
    }
    let answer = fixture.pull(&from(0));
    assert_eq!(answer.bodies(), ["A", "BB", "A"], "Aa and BB share a hash: the client looks again");
    assert_eq!(answer.next(), 5);
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 1, ..from(0) }).next(), 1);
    let answer = fixture.pull(&PullMessage { max_msg_nums: 1, ..from(1) });
    assert_eq!((answer.bodies(), answer.next()), (vec!["BB".into()], 4));
    for _ in 0..3 {
        fixture.append(0, "B", b"");
    }
    assert_eq!(fixture.pull(&from(5)).summary(), (ResponseCode::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE", 8));
}

#[tokio::test]
async fn a_pull_may_bring_its_subscription() {
    let fixture = Fixture::new().await;
    fixture.append(0, "A", b"a");
    fixture.append(0, "B", b"b");
    let header = PullMessage {
        consumer_group: "nobody".into(),
        sys_flag: PullSysFlag::SUBSCRIPTION,
        subscription: Some("B".into()),
        ..from(0)
    };
    assert_eq!(fixture.pull(&header).bodies(), ["b"]);
    let known = fixture.pulls.reader.clients.consumers.subscription("nobody", "T").unwrap();
    assert_eq!(known.sub_string, "B");
    assert_eq!(fixture.pull(&PullMessage { subscription: None, ..header }).bodies(), ["a", "b"], "no text: all");
}

#[tokio::test]
async fn a_pull_commits_what_it_brings() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.append(0, "", b"b");
    assert_eq!(fixture.pull(&PullMessage { commit_offset: QueueOffset(1), ..from(0) }).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.committed(), None, "only if its flag says so");
    let header = PullMessage { commit_offset: QueueOffset(1), sys_flag: PullSysFlag::COMMIT_OFFSET, ..from(0) };
    fixture.pull(&header);
    assert_eq!(fixture.committed(), Some(1));
    let pulled = fixture.pulls.reader.offsets.pull_offset("g", "T", QueueId(0));
    assert_eq!(pulled, Some(QueueOffset(2)), "where the next pull starts is another matter");
}

#[tokio::test]
async fn a_reset_is_handed_out_by_the_next_pull() {
    let fixture = Fixture::new().await;
    for _ in 0..3 {
        fixture.append(0, "", b"a");
    }
    let progress = fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into());
    progress.reset(QueueId(0), QueueOffset(1));
    let header = PullMessage { commit_offset: QueueOffset(3), sys_flag: PullSysFlag::COMMIT_OFFSET, ..from(3) };
    let answer = fixture.pull(&header);
    assert_eq!(answer.summary(), (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_RESET", 1));
    let header = answer.header.unwrap();
    assert_eq!((header.min_offset.0, header.max_offset.0), (0, 3));
    assert_eq!(fixture.committed(), Some(1), "the pull's own commit is from before");
    assert_eq!(fixture.pull(&from(1)).code, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn messages_that_only_the_disk_has_are_read_on_other_threads() {
    let fixture = Fixture::new().await;
    for _ in 0..40 {
        fixture.append(0, "", &[b'x'; 500_000]);
    }
    fixture.forget_pages();
    fixture.send(&from(0));
    let mut answers = fixture.answers();
    if answers.pop().is_some() {
        // A file system in memory: nothing is on disk only.
        return;
    }
    let answer = fixture.later_answer().await;
    assert_eq!((answer.bodies().len(), answer.next()), (1, 1));
    assert!(fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into()).begin(QueueId(0)).cold);
    // The next one was read ahead, or is read on the same threads.
    fixture.send(&from(1));
    fixture.later_answer().await;
    let other = fixture.pull(&PullMessage { queue_id: QueueId(1), ..from(0) });
    assert_eq!(other.code, ResponseCode::PULL_NOT_FOUND, "others are answered at once");
}

#[tokio::test]
async fn queue_files_are_opened_on_other_threads() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.append(0, "", b"b");
    let fixture = fixture.restarted().await;
    fixture.send(&from(1));
    assert_eq!(fixture.answers(), []);
    assert_eq!(fixture.later_answer().await.bodies(), ["b"]);
    assert_eq!(fixture.pull(&from(0)).bodies(), ["a", "b"], "it is open now");
}

#[tokio::test]
async fn a_group_too_far_behind_may_not_go_on_if_so_set() {
    let fixture = Fixture::new().await;
    for _ in 0..10 {
        fixture.append(0, "", &[b'x'; 1000]);
    }
    fixture.surroundings.set(|config| config.consumer_fallbehind_threshold = 5000);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::SUCCESS, "not unless it is set");
    fixture.surroundings.set(|config| config.disable_consume_if_consumer_read_slowly = true);
    assert_eq!(fixture.pull(&from(8)).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.pull(&from(8)).forbidden_type, Some(2));
}

/// A group that wants `expression` of `T`, at a broker that filters by properties.
async fn subscribed_by_sql(expression: &str) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.surroundings.set(|config| config.enable_property_filter = true);
    let subscription = format!(r#"{{"topic":"T","subString":"{expression}","subVersion":6,"expressionType":"SQL92"}}"#);
    fixture.join(&subscription, "").await;
    fixture
}

#[tokio::test]
async fn an_expression_chooses_by_properties() {
    let fixture = subscribed_by_sql("TAGS IN ('A','B') AND n > 1").await;
    for (tags, n) in [("A", 1), ("A", 2), ("C", 3), ("B", 4)] {
        fixture.append(0, &format!("{tags}\u{2}n\u{1}{n}"), n.to_string().as_bytes());
    }
    assert_eq!(fixture.pull(&from(0)).bodies(), ["2", "4"]);
    assert_eq!(fixture.pull(&from(2)).bodies(), ["4"]);
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 1, ..from(0) }).next(), 2);
}

#[tokio::test]
async fn an_expression_that_comes_with_the_pull_counts_for_it() {
    let fixture = subscribed_by_sql("n = 9").await;
    fixture.append(0, "A\u{2}n\u{1}1", b"1");
    fixture.append(0, "A\u{2}n\u{1}2", b"2");
    let attached = |text: &str| PullMessage {
        sys_flag: PullSysFlag::SUBSCRIPTION,
        subscription: Some(text.into()),
        expression_type: Some("SQL92".into()),
        ..from(0)
    };
    assert_eq!(fixture.pull(&attached("n = 2")).bodies(), ["2"]);
    assert_eq!(fixture.pull(&attached("n = 1")).bodies(), ["1"]);
    let none = fixture.pull(&from(0));
    assert_eq!((none.code, none.next()), (ResponseCode::PULL_RETRY_IMMEDIATELY, 2));
}

#[tokio::test]
async fn messages_that_come_again_are_chosen_by_the_expression_of_their_topic_if_so_set() {
    let fixture = subscribed_by_sql("n > 1").await;
    fixture.put_topic(TopicConfig::new("%RETRY%g", 1, 6));
    fixture.surroundings.set(|config| config.filter_support_retry = true);
    let sql = |topic: &str, text: &str| {
        format!(r#"{{"topic":"{topic}","subString":"{text}","subVersion":7,"expressionType":"SQL92"}}"#)
    };
    fixture.join(&format!("{},{}", sql("T", "n > 1"), sql("%RETRY%g", "n = 7")), "").await;
    for (topic, n) in [("T", 1), ("T", 2), ("U", 3)] {
        fixture.append_to(
            "%RETRY%g",
            0,
            &format!("A\u{2}RETRY_TOPIC\u{1}{topic}\u{2}n\u{1}{n}"),
            n.to_string().as_bytes(),
        );
    }
    let retries = PullMessage { topic: "%RETRY%g".into(), ..from(0) };
    assert_eq!(fixture.pull(&retries).bodies(), ["2", "3"]);
    fixture.surroundings.set(|config| config.filter_support_retry = false);
    assert_eq!(fixture.pull(&retries).code, ResponseCode::PULL_RETRY_IMMEDIATELY);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_has_read_too_much_from_disk_is_put_off() {
    let fixture = Fixture::new().await;
    fixture.surroundings.set(|config| {
        config.cold_data_flow_control_enable = true;
        config.cg_cold_read_threshold = 10;
    });
    for _ in 0..80 {
        for body in [&b"a"[..], b"b", &[b'x'; 500_000]] {
            fixture.append(0, "", body);
        }
    }
    fixture.append(1, "", b"new");
    // Each time from messages that nobody has come near.
    let mut at = -24;
    let mut cold = || {
        at += 24;
        fixture.forget_pages();
        fixture.send(&from(at));
    };
    cold();
    if !fixture.answers().is_empty() {
        // A file system in memory: nothing is on disk only.
        return;
    }
    assert_eq!(fixture.later_answer().await.bodies(), ["a", "b"]);
    cold();
    let refused = fixture.answer();
    assert_eq!(refused.code, ResponseCode::SYSTEM_BUSY);
    assert_eq!(refused.remark, "This consumer group is reading cold data. It has been flow control");
    let other = fixture.pull(&PullMessage { queue_id: QueueId(1), ..from(0) });
    assert_eq!(other.bodies(), ["new"], "it may have what is in memory");

    fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","consumeType":"CONSUME_ACTIVELY""#).await;
    let began = tokio::time::Instant::now();
    cold();
    assert_eq!(fixture.later_answer().await.bodies(), ["a"], "a pull consumer gets one message");
    assert!(began.elapsed() >= Duration::from_secs(3), "after a while");

    fixture.surroundings.set(|config| config.cold_data_flow_control_enable = false);
    cold();
    assert_eq!(fixture.later_answer().await.bodies(), ["a", "b"]);
}

#[tokio::test]
async fn limits_of_reads_from_disk_are_set_shown_and_removed() {
    let fixture = Fixture::new().await;
    let flow = &fixture.pulls.reader.cold_flow;
    let set = |body: &'static str| flow.handle(call(UpdateColdDataLimits {}, body, &fixture.peer));
    let shown = async || {
        let reply = flow.handle(call(GetColdDataFlow {}, "", &fixture.peer)).await.unwrap();
        String::from_utf8(reply.content()).unwrap()
    };
    set("g=5\nother=7\n").await.unwrap();
    let refused = set("g=6\nother=much\n").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        r#"the limit of consumer group other is to be "much", which is not a number of bytes"#
    );
    flow.handle(call(RemoveColdDataLimit {}, "other", &fixture.peer)).await.unwrap();
    expect_test::expect![[r#"{"runtimeTable":{},"configTable":{"g":5},"cgColdReadThreshold":3145728,"globalColdReadThreshold":104857600,"globalAcc":0}"#]].assert_eq(&shown().await);
}
