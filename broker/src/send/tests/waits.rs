//! Messages that wait for their time.

use super::*;

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
