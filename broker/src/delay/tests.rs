use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::frame::ExtFields;
use remoting::language::LanguageCode;
use remoting::protocol::offset::GetAllDelayOffset;
use remoting::router::{Call, Handle};
use remoting::types::{QueueId, QueueOffset, Timestamp, TopicName};
use remoting::version::Version;
use store::message::Message;

use super::*;
use crate::context::Role;
use crate::send::fixture::{Fixture, Send};

/// Delivery on a store in a temporary folder.
struct Running {
    fixture: Fixture,
    delays: Arc<Delays>,
}

impl Running {
    fn new(fixture: Fixture) -> Self {
        let delays = open(&fixture);
        delays.start();
        Self { fixture, delays }
    }

    async fn stop(self) -> Fixture {
        self.fixture.stop().await;
        self.fixture
    }
}

fn open(fixture: &Fixture) -> Arc<Delays> {
    let (store, stats, levels) = (&fixture.store, &fixture.stats, &fixture.levels);
    let dir = fixture.folder.path().join("config");
    Delays::open(fixture.ctx.clone(), &dir, Arc::clone(store), Arc::clone(stats), Arc::clone(levels)).unwrap()
}

fn delayed(topic: &str, body: &str, level: i32) -> Send {
    Send::to(topic, body).properties(&format!("UNIQ_KEY=k;TAGS=TagA;DELAY={level};"))
}

fn saved(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("config/delayOffset.json")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_when_it_is_due_and_not_before() {
    let running = Running::new(Fixture::new());
    running.fixture.send(delayed("T", "five", 2).with("queueId", "3"));
    running.fixture.send(delayed("T", "one", 1).with("queueId", "3"));
    running.fixture.pass(999).await;
    assert_eq!(running.fixture.bodies("T", 3), [""; 0]);
    running.fixture.pass(2).await;
    assert_eq!(running.fixture.bodies("T", 3), ["one"]);
    running.fixture.pass(3998).await;
    assert_eq!(running.fixture.bodies("T", 3), ["one"]);
    running.fixture.pass(2).await;
    assert_eq!(running.fixture.bodies("T", 3), ["one", "five"]);

    let fixture = running.stop().await;
    let delivered = fixture.queue("T", 3);
    let (one, five) = (delivered[0].get(), delivered[1].get());
    let waiting = fixture.queue("SCHEDULE_TOPIC_XXXX", 0);
    let source = waiting[0].get();
    // The place, and the time it was stored, are its own; all else is as it was.
    assert_eq!(one.properties, source.properties);
    assert_eq!((one.flag, one.sys_flag, one.born_timestamp), (source.flag, source.sys_flag, source.born_timestamp));
    assert_eq!((one.born_host, one.store_host, one.reconsume_times), (source.born_host, source.store_host, 0));
    assert!(one.store_timestamp >= Timestamp(1_001_000) && one.store_timestamp <= Timestamp(1_001_002));
    assert_eq!((one.queue_offset, five.queue_offset), (QueueOffset(0), QueueOffset(1)));
    assert_eq!(fixture.tags_codes("T", 3), [2_598_919, 2_598_919], "the hash of the tag again");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_level_sleeps_is_delivered_in_order() {
    let running = Running::new(Fixture::new());
    for number in 0..20 {
        running.fixture.send(delayed("T", &number.to_string(), 1));
        running.fixture.pass(100).await;
    }
    running.fixture.pass(1000).await;
    let expect: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(running.fixture.bodies("T", 0), expect);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_delivered_in_large_batches() {
    let fixture = Fixture::new();
    let body = "x".repeat(10_000);
    for _ in 0..30 {
        fixture.send_all((0..20).map(|_| delayed("T", &body, 1)));
    }
    fixture.ctx.clock.advance(Duration::from_secs(60));
    let running = Running::new(fixture);
    running.fixture.pass(5).await;
    assert_eq!(running.fixture.bodies("T", 0).len(), 600);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn levels_do_not_wait_for_each_other() {
    let running = Running::new(Fixture::new());
    for level in 1..=18 {
        running.fixture.send(delayed(&format!("L{level}"), "x", level));
    }
    running.fixture.pass(10_001).await;
    let delivered = (1..=18).filter(|level| !running.fixture.bodies(&format!("L{level}"), 0).is_empty());
    assert_eq!(delivered.collect::<Vec<_>>(), [1, 2, 3]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn progress_is_saved_and_delivery_goes_on_after_a_restart() {
    let running = Running::new(Fixture::new());
    running.fixture.send_all([delayed("T", "a", 1), delayed("T", "b", 2)]);
    running.fixture.pass(1001).await;
    assert_eq!(running.fixture.bodies("T", 0), ["a"]);
    running.fixture.pass(1000).await;
    let text = saved(running.fixture.folder.path());
    assert!(text.contains(r#""offsetTable":{1:1}"#), "{text}");
    let mut fixture = running.stop().await;
    // As another process: the same store and file, tasks of its own.
    fixture.ctx.stopping = tokio_util::sync::CancellationToken::new();
    fixture.ctx.tasks = tokio_util::task::TaskTracker::new();
    let running = Running::new(fixture);
    running.fixture.pass(5000).await;
    assert_eq!(running.fixture.bodies("T", 0), ["a", "b"]);
    let fixture = running.stop().await;
    assert!(saved(fixture.folder.path()).contains(r#""offsetTable":{1:1,2:1}"#));
}

#[tokio::test(start_paused = true)]
async fn a_slave_delivers_nothing_until_it_becomes_the_master() {
    let fixture = Fixture::new();
    fixture.send(delayed("T", "x", 1));
    fixture.role.send_replace(Role::Slave);
    let running = Running::new(fixture);
    running.fixture.pass(2000).await;
    assert_eq!(running.fixture.bodies("T", 0), [""; 0]);
    running.fixture.role.send_replace(Role::Master);
    running.fixture.pass(1).await;
    assert_eq!(running.fixture.bodies("T", 0), ["x"]);
    running.stop().await;
}

/// Stores a message in the queue of level 1, as no send would.
fn put_raw(fixture: &Fixture, properties: &str, body: &str) {
    let mut batch = fixture.store.batch();
    let properties = properties.replace('=', "\u{1}").replace(';', "\u{2}");
    let host = fixture.ctx.identity.host;
    let message =
        Message { properties: &properties, ..Message::new(schedule_topic(), QueueId(0), body.as_bytes(), host) };
    batch.push(&message).unwrap();
    fixture.store.append(&mut batch).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_is_passed_over() {
    let fixture = Fixture::new();
    for properties in [
        "DELAY=1;",
        "DELAY=1;REAL_TOPIC=T;",
        "DELAY=1;REAL_TOPIC=T;REAL_QID=x;",
        "DELAY=1;REAL_TOPIC=T;REAL_QID=-1;",
        "DELAY=1;REAL_TOPIC=RMQ_SYS_TRANS_HALF_TOPIC;REAL_QID=0;",
        "DELAY=1;REAL_TOPIC=a/b;REAL_QID=0;",
    ] {
        put_raw(&fixture, properties, "bad");
    }
    fixture.send(delayed("T", "good", 1));
    let running = Running::new(fixture);
    running.fixture.pass(1001).await;
    assert_eq!(running.fixture.bodies("T", 0), ["good"]);
    assert_eq!(running.delays.progress.offset(1), Some(QueueOffset(7)));
    assert!(running.fixture.bodies("RMQ_SYS_TRANS_HALF_TOPIC", 0).is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_further_ahead_than_the_delay_is_taken_as_due() {
    // The clock was set back by an hour after the message was stored.
    let fixture = Fixture::new();
    fixture.ctx.clock.advance(Duration::from_secs(3600));
    fixture.send(delayed("T", "x", 1));
    fixture.ctx.clock.set(Timestamp(1_000_000));
    let running = Running::new(fixture);
    running.fixture.pass(1).await;
    assert_eq!(running.fixture.bodies("T", 0), ["x"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_is_noticed() {
    let running = Running::new(Fixture::new());
    running.fixture.send(delayed("T", "x", 18));
    running.fixture.pass(10).await;
    running.fixture.ctx.clock.advance(Duration::from_secs(7200));
    running.fixture.pass(1001).await;
    assert_eq!(running.fixture.bodies("T", 0), ["x"]);
    running.stop().await;
}

#[tokio::test]
async fn an_offset_outside_of_its_queue_is_corrected() {
    let fixture = Fixture::new();
    fixture.send_all([delayed("T", "a", 1), delayed("T", "b", 2)]);
    let dir = fixture.folder.path().join("config");
    std::fs::write(dir.join("delayOffset.json"), r#"{"offsetTable":{1:99,2:-5,18:7}}"#).unwrap();
    let delays = open(&fixture);
    let offsets = [1, 2, 18].map(|level| delays.progress.offset(level).unwrap());
    assert_eq!(offsets, [1, 0, 7].map(QueueOffset), "a level without a queue stays as it is");
}

#[tokio::test]
async fn slaves_and_tools_are_told_how_far_levels_are() {
    let fixture = Fixture::new();
    fixture.send_all([delayed("T", "a", 1), delayed("T", "b", 1)]);
    let delays = open(&fixture);
    delays.progress.set(1, QueueOffset(1));
    let call = Call {
        header: GetAllDelayOffset {},
        body: Bytes::new(),
        peer: fixture.peer.clone(),
        version: Version::CURRENT,
        language: LanguageCode::JAVA,
        ext: ExtFields::default(),
    };
    let Ok(reply) = delays.handle(call).await;
    let text = r#"{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":1000000},"offsetTable":{1:1}}"#;
    assert_eq!(String::from_utf8(reply.content()).unwrap(), text);
    assert_eq!(delays.running_stats(), [("scheduleMessageOffset_1".to_owned(), "1,2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_counted_unless_they_are_not_to_be() {
    for counted in [true, false] {
        let fixture = Fixture::with(|settings| settings.enable_schedule_message_stats = counted, |_| {});
        let topic = TopicName::new("T");
        fixture.send(delayed(&topic, "x", 1));
        let running = Running::new(fixture);
        running.fixture.pass(1001).await;
        let stats = &running.fixture.stats;
        assert_eq!(stats.view("TOPIC_PUT_NUMS", "T").is_some(), counted);
        assert_eq!(stats.view("QUEUE_GET_NUMS", "SCHEDULE_TOPIC_XXXX@0@SCHEDULE_CONSUMER").is_some(), counted);
        running.stop().await;
    }
}
