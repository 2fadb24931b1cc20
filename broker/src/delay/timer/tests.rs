use std::time::Duration;

use remoting::body::TimerMetrics;
use remoting::frame::ExtFields;
use remoting::language::LanguageCode;
use remoting::protocol::ResponseCode;
use remoting::protocol::timer::RecallMessage;
use remoting::router::{Call, Handle, IntoResponse};
use remoting::version::Version;

use super::*;
use crate::context::Role;
use crate::send::fixture::{Fixture, Send};

/// The timer on a store in a temporary folder.
struct Running {
    fixture: Fixture,
    timers: Arc<Timers>,
}

impl Running {
    fn new(fixture: Fixture) -> Self {
        let timers = Arc::clone(&fixture.timers);
        timers.start();
        Self { fixture, timers }
    }

    async fn stop(self) -> Fixture {
        self.fixture.stop().await;
        self.fixture
    }

    async fn restart(self) -> Self {
        let mut fixture = self.stop().await;
        fixture.go_on();
        fixture.timers = open(&fixture);
        Self::new(fixture)
    }
}

fn open(fixture: &Fixture) -> Arc<Timers> {
    let (store, stats) = (Arc::clone(&fixture.store), Arc::clone(&fixture.stats));
    Timers::open(fixture.ctx.clone(), &fixture.folder.path().join("config"), store, stats).unwrap()
}

fn timed(topic: &str, body: &str, timing: &str) -> Send {
    Send::to(topic, body).properties(&format!("UNIQ_KEY=k{body};TAGS=TagA;{timing};"))
}

fn after(topic: &str, body: &str, millis: i64) -> Send {
    timed(topic, body, &format!("TIMER_DELAY_MS={millis}"))
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_when_it_is_due_and_not_before() {
    let running = Running::new(Fixture::new());
    running.fixture.send(timed("T", "five", "TIMER_DELAY_SEC=5").with("queueId", "3"));
    running.fixture.send(timed("T", "one", "TIMER_DELIVER_MS=1001234").with("queueId", "3"));
    running.fixture.send(after("T", "two", 1567).with("queueId", "3"));
    let now = || running.fixture.ctx.clock.now().0;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        running.fixture.pass(1).await;
        let bodies = running.fixture.bodies("T", 3);
        seen.extend(bodies.into_iter().skip(seen.len()).map(|body| (body, now())));
    }
    for ((body, at), (expect, due)) in seen.iter().zip([("one", 1_001_234), ("two", 1_001_567), ("five", 1_005_000)]) {
        assert_eq!(body, expect);
        assert!((due..=due + 10).contains(at), "{body} came at {at}");
    }

    let fixture = running.stop().await;
    let waiting = fixture.queue("rmq_sys_wheel_timer", 0);
    let (source, five) = (waiting[0].get(), &fixture.queue("T", 3)[2]);
    let came = five.property("TIMER_DEQUEUE_MS").unwrap();
    assert_eq!(
        five.properties(),
        format!("{}TIMER_ENQUEUE_MS=1000000;TIMER_DEQUEUE_MS={came};", waiting[0].properties())
    );
    let five = five.get();
    assert_eq!((five.flag, five.sys_flag, five.born_timestamp), (source.flag, source.sys_flag, source.born_timestamp));
    assert_eq!((five.born_host, five.store_host), (source.born_host, source.store_host));
    assert_eq!(fixture.tags_codes("T", 3), [2_598_919; 3], "the hash of the tag");
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_the_order_of_their_times() {
    let running = Running::new(Fixture::new());
    // Against the order of sending, several in one second, some at the same time.
    let delays = [1900, 1100, 1500, 900, 1500, 20, 1501, 2100, 1500];
    running.fixture.send_all(delays.iter().enumerate().map(|(n, delay)| after("T", &format!("{delay}-{n}"), *delay)));
    running.fixture.pass(2200).await;
    let expect = ["20-5", "900-3", "1100-1", "1500-2", "1500-4", "1500-8", "1501-6", "1900-0", "2100-7"];
    assert_eq!(running.fixture.bodies("T", 0), expect);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_for_the_second_that_is_read_joins_it() {
    let running = Running::new(Fixture::new());
    for number in 0..50 {
        running.fixture.send(after("T", &number.to_string(), 30));
        running.fixture.pass(40).await;
    }
    running.fixture.pass(100).await;
    let expect: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(running.fixture.bodies("T", 0), expect);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_delivers_each_message_once() {
    let mut running = Running::new(Fixture::new());
    for number in 0..200 {
        running.fixture.send(after("T", &number.to_string(), 100 + number * 17 % 4000));
    }
    for _ in 0..8 {
        running.fixture.pass(333).await;
        running = running.restart().await;
    }
    running.fixture.pass(4000).await;
    let mut bodies: Vec<i64> = running.fixture.bodies("T", 0).iter().map(|body| body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..200).collect::<Vec<_>>());
    assert_eq!(running.timers.figures().pending, 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_became_due_meanwhile_comes_at_once_after_a_long_stop() {
    let running = Running::new(Fixture::new());
    for (body, hours) in [("a", 1), ("b", 30), ("c", 47), ("d", 71)] {
        running.fixture.send(timed("T", body, &format!("TIMER_DELAY_SEC={}", hours * 3600)));
    }
    running.fixture.pass(10).await;
    let mut fixture = running.stop().await;
    // Longer than the wheel's window.
    fixture.ctx.clock.advance(Duration::from_secs(8 * 24 * 3600));
    fixture.ctx.stopping = tokio_util::sync::CancellationToken::new();
    fixture.ctx.tasks = tokio_util::task::TaskTracker::new();
    fixture.timers = open(&fixture);
    fixture.send(timed("T", "new", "TIMER_DELAY_SEC=1"));
    let running = Running::new(fixture);
    running.fixture.pass(1100).await;
    assert_eq!(running.fixture.bodies("T", 0), ["a", "b", "c", "d", "new"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_behind_the_window_is_reached_by_rolling() {
    let running = Running::new(Fixture::with(
        |settings| {
            settings.timer_roll_window_slot = 6;
            settings.timer_max_delay_sec = 1000;
        },
        |_| {},
    ));
    for (body, delay) in [("near", 5500), ("far", 8250), ("farther", 21_777), ("given", 21_500)] {
        match body {
            "given" => running.fixture.send(timed("T", body, "TIMER_DELIVER_MS=1021500")),
            _ => running.fixture.send(after("T", body, delay)),
        };
    }
    for (body, due) in [("near", 1_005_500), ("far", 1_008_250), ("given", 1_021_500), ("farther", 1_021_777)] {
        let count = running.fixture.bodies("T", 0).len();
        while running.fixture.bodies("T", 0).len() == count {
            running.fixture.pass(1).await;
        }
        let at = running.fixture.ctx.clock.now().0;
        assert_eq!(running.fixture.bodies("T", 0).last().unwrap(), body);
        assert!((due..=due + 10).contains(&at), "{body} at {at}");
    }
    let delivered = running.fixture.queue("T", 0);
    assert_eq!(delivered[0].property("TIMER_ROLL_TIMES"), None);
    assert_eq!(delivered[1].property("TIMER_ROLL_TIMES"), Some("1"));
    assert!(delivered[3].property("TIMER_ROLL_TIMES").unwrap().parse::<i32>().unwrap() >= 3);
    assert_eq!(running.timers.metrics.encode().matches(r#""count":0"#).count(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_message_is_not_delivered() {
    let running = Running::new(Fixture::new());
    let cancel = |key: &str, millis: i64| timed("T", "0", &format!("TIMER_DELAY_MS={millis};TIMER_DEL_UNIQKEY={key}"));
    running.fixture.send_all([after("T", "a", 2500), after("T", "b", 2501), after("T", "c", 2502)]);
    running.fixture.send_all([cancel("ka", 2500), cancel("T+kc", 2500), cancel("nobody", 2500)]);
    running.fixture.pass(100).await;
    let count = |running: &Running| {
        let table: TimerMetrics = serde_json::from_str(&running.timers.metrics.encode()).unwrap();
        table.timing_count["T"].count
    };
    assert_eq!((running.timers.figures().pending, count(&running)), (0, 0), "three, less three");
    running.fixture.pass(2300).await;
    // The second is read already.
    running.fixture.send_all([after("T", "d", 300), after("T", "e", 301)]);
    running.fixture.send(cancel("kd", 250));
    running.fixture.pass(2000).await;
    assert_eq!(running.fixture.bodies("T", 0), ["b", "e"]);
    assert_eq!((running.timers.figures().pending, count(&running)), (0, 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_hold_up_what_comes_then() {
    let running = Running::new(Fixture::new());
    running.fixture.pass(10).await;
    running.fixture.ctx.clock.advance(Duration::from_secs(7200));
    running.fixture.pass(1500).await;
    running.fixture.ctx.clock.set(Timestamp(1_002_000));
    running.fixture.send(after("T", "x", 500));
    running.fixture.pass(499).await;
    assert_eq!(running.fixture.bodies("T", 0), [""; 0]);
    running.fixture.pass(1100).await;
    assert_eq!(running.fixture.bodies("T", 0), ["x"]);
    let running = running.restart().await;
    running.fixture.send(after("T", "y", 500));
    running.fixture.pass(510).await;
    assert_eq!(running.fixture.bodies("T", 0), ["x", "y"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slave_delivers_nothing_until_it_becomes_the_master() {
    let fixture = Fixture::new();
    fixture.send(after("T", "x", 1000));
    fixture.role.send_replace(Role::Slave);
    let running = Running::new(fixture);
    running.fixture.pass(2000).await;
    assert_eq!(running.fixture.bodies("T", 0), [""; 0]);
    running.fixture.role.send_replace(Role::Master);
    running.fixture.pass(5).await;
    assert_eq!(running.fixture.bodies("T", 0), ["x"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_messages_in_one_second_than_are_held_come_in_order() {
    let running = Running::new(Fixture::new());
    // More than twice as many as `reading` holds.
    const COUNT: i64 = 1800;
    running.fixture.send_all((0..COUNT).map(|n| after("T", "x", 1000 + (n * 7919) % 999 + 1)));
    running.fixture.pass(2500).await;
    let mut last = 0;
    let mut offset = remoting::types::QueueOffset(0);
    let mut seen = 0;
    loop {
        let entries = running.fixture.store.entries("T", QueueId(0), offset, 1000);
        let Some(end) = entries.last() else { break };
        offset = end.queue_offset.after(1);
        for entry in &entries {
            let record = running.fixture.store.record_at(entry.physical_offset).unwrap();
            let stored = store::message::StoredMessage::parse(&record).unwrap();
            let delay: i64 = stored.property("TIMER_DELAY_MS").unwrap().parse().unwrap();
            assert!(delay >= last, "{delay} after {last}");
            last = delay;
            seen += 1;
        }
    }
    assert_eq!(seen, COUNT);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_is_passed_over() {
    let fixture = Fixture::new();
    for properties in [
        "",
        "TIMER_OUT_MS=1000000;",
        "TIMER_OUT_MS=soon;REAL_TOPIC=T;REAL_QID=0;",
        "TIMER_OUT_MS=1000000;REAL_TOPIC=T;REAL_QID=x;",
        "TIMER_OUT_MS=1000000;REAL_TOPIC=RMQ_SYS_TRANS_HALF_TOPIC;REAL_QID=0;",
    ] {
        let mut batch = fixture.store.batch();
        let properties = properties.replace('=', "\u{1}").replace(';', "\u{2}");
        let host = fixture.ctx.identity.host;
        let message = store::message::Message::new(timer_topic(), QUEUE, b"bad", host);
        batch.push(&store::message::Message { properties: &properties, ..message }).unwrap();
        fixture.store.append(&mut batch).unwrap();
    }
    fixture.send(after("T", "good", 100));
    let running = Running::new(fixture);
    running.fixture.pass(1200).await;
    assert_eq!(running.fixture.bodies("T", 0), ["good"]);
    running.stop().await;
}

fn call<R>(fixture: &Fixture, header: R) -> Call<R> {
    Call {
        header,
        body: bytes::Bytes::new(),
        peer: fixture.peer.clone(),
        version: Version::CURRENT,
        language: LanguageCode::JAVA,
        ext: ExtFields::default(),
    }
}

fn recalls(fixture: &Fixture) -> Arc<Recalls> {
    Recalls::new(fixture.ctx.clone(), Arc::clone(&fixture.topics), Arc::clone(&fixture.writer))
}

async fn recall(fixture: &Fixture, topic: &str, handle: &str) -> Result<String, (ResponseCode, String)> {
    let header =
        RecallMessage { producer_group: Some("PG".to_owned()), topic: topic.into(), recall_handle: handle.to_owned() };
    match recalls(fixture).handle(call(fixture, header)).await {
        Ok(reply) => Ok(reply.header().unwrap().msg_id.clone()),
        Err(err) => Err((err.code(), err.to_string())),
    }
}

fn with_recalls() -> Fixture {
    Fixture::with(|settings| settings.recall_message_enable = true, |_| {})
}

#[tokio::test(start_paused = true)]
async fn a_producer_recalls_a_message_by_its_handle() {
    let running = Running::new(with_recalls());
    let answer = running.fixture.send(after("T", "x", 1500));
    running.fixture.send(after("T", "y", 1500));
    let handle = answer.ext.get("recallHandle").unwrap();
    assert_eq!(recall(&running.fixture, "T", handle).await, Ok("kx".to_owned()));
    let cancel = running.fixture.queue("rmq_sys_wheel_timer", 0).pop().unwrap();
    let expect = "TAGS=_RECALL_TAG_;TIMER_DEL_UNIQKEY=kx;UNIQ_KEY=kx;TIMER_DELIVER_MS=1001001;BORN_TIMESTAMP=1000000;PGROUP=PG;TIMER_OUT_MS=1001000;REAL_TOPIC=T;REAL_QID=0;";
    assert_eq!((cancel.body(), cancel.properties()), ("0".to_owned(), expect.to_owned()));
    running.fixture.pass(2100).await;
    assert_eq!(running.fixture.bodies("T", 0), ["y"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_recall_names_the_topic_too_where_the_settings_say_so() {
    let fixture = Fixture::with(
        |settings| (settings.recall_message_enable, settings.append_topic_for_timer_delete_key) = (true, true),
        |_| {},
    );
    let running = Running::new(fixture);
    let answer = running.fixture.send(after("T", "x", 1500));
    let handle = answer.ext.get("recallHandle").unwrap();
    assert_eq!(recall(&running.fixture, "T", handle).await, Ok("kx".to_owned()));
    let cancel = running.fixture.queue("rmq_sys_wheel_timer", 0).pop().unwrap();
    assert!(cancel.properties().contains(";TIMER_DEL_UNIQKEY=T+kx;UNIQ_KEY=kx;"), "{}", cancel.properties());
    running.fixture.pass(2100).await;
    assert_eq!(running.fixture.bodies("T", 0), [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn recalls_are_refused_in_javas_words() {
    let off = Fixture::new();
    let refused = recall(&off, "T", "x").await.unwrap_err();
    assert_eq!(refused, (ResponseCode::NO_PERMISSION, "recall failed, operation is forbidden".to_owned()));
    let fixture = with_recalls();
    fixture.send(after("T", "x", 1500));
    fixture.send(Send::to("U", "x"));
    let handle = |broker: &str, begin: i64| handle_of("T", broker, Timestamp(begin), "kx");
    let good = handle("broker-a", 1_001_000);
    for (topic, handle, code, remark) in [
        ("none", good.clone(), ResponseCode::TOPIC_NOT_EXIST, "recall failed, the topic[none] not exist"),
        ("T", "x".to_owned(), ResponseCode::ILLEGAL_OPERATION, "recall handle is invalid"),
        ("U", good.clone(), ResponseCode::ILLEGAL_OPERATION, "recall failed, topic not match"),
        (
            "T",
            handle("broker-b", 1_001_000),
            ResponseCode::ILLEGAL_OPERATION,
            "recall failed, broker service not available",
        ),
        ("T", handle("broker-a", 999_999), ResponseCode::ILLEGAL_OPERATION, "recall failed, timestamp invalid"),
        ("T", handle("broker-a", 260_199_999), ResponseCode::ILLEGAL_OPERATION, "recall failed, timestamp invalid"),
    ] {
        assert_eq!(recall(&fixture, topic, &handle).await, Err((code, remark.to_owned())), "{topic}");
    }
    fixture.role.send_replace(Role::Slave);
    assert_eq!(recall(&fixture, "T", &good).await.unwrap_err().0, ResponseCode::SLAVE_NOT_AVAILABLE);
    assert_eq!(fixture.queue("rmq_sys_wheel_timer", 0).len(), 1, "nothing was stored");
}

#[tokio::test(start_paused = true)]
async fn slaves_and_tools_are_told_how_far_the_timer_is() {
    let running = Running::new(Fixture::new());
    running.fixture.send(after("T", "x", 5000));
    running.fixture.pass(2500).await;
    let Ok(reply) = running.timers.handle(call(&running.fixture, GetTimerCheckPoint {})).await;
    let body = reply.content();
    let fields: Vec<i64> = body.as_chunks().0.iter().map(|field| i64::from_be_bytes(*field)).collect();
    assert_eq!((fields[1..4].to_vec(), fields.len()), (vec![52, 1, 1], 7));
    assert!((1_000_000..=1_002_000).contains(&fields[0]), "{fields:?}");
    let Ok(reply) = running.timers.handle(call(&running.fixture, GetTimerMetrics {})).await;
    assert!(String::from_utf8(reply.content()).unwrap().contains(r#""timingCount":{"T":{"count":1,"#));
    let figures = running.timers.figures();
    assert_eq!((figures.pending, figures.offset_behind, figures.read_behind_seconds), (1, 0, 0));
    for (engine, outcome) in [
        (Some("F"), None),
        (Some("R"), Some("timerRocksDBEnable must be configured true when broker start")),
        (Some("x"), Some("param error")),
        (None, Some("param error")),
    ] {
        let header = SwitchTimerEngine { engine: engine.map(str::to_owned) };
        let answer = running.timers.handle(call(&running.fixture, header)).await;
        let refusal = answer.err().map(|err| (err.code(), err.to_string()));
        assert_eq!(refusal, outcome.map(|remark| (ResponseCode::INVALID_PARAMETER, remark.to_owned())));
    }
    running.stop().await;
}
