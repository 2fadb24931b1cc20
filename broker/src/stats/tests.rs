use super::*;
use crate::testing::{Surroundings, peer};

struct Fixture {
    stats: Arc<Stats>,
    ticks: u64,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut crate::config::BrokerConfig)) -> Self {
        Self { stats: Stats::new(Surroundings::with(change).ctx), ticks: 0 }
    }

    /// 10 s pass.
    fn tick(&mut self) {
        self.stats.ctx.clock.advance(Span::Minute.period());
        self.stats.tick(self.ticks);
        self.ticks += 1;
    }

    /// (sum, tps, avgpt) of the last minute.
    fn minute(&self, name: &str, key: &str) -> Option<(i64, f64, f64)> {
        let item = self.stats.view(name, key)?.stats_minute;
        Some((item.sum, item.tps, item.avgpt))
    }

    fn put(&self, topic: &str, queue: i32, requests: u64, messages: u64, bytes: u64) {
        self.stats.put(&topic.into(), QueueId(queue), requests, messages, bytes);
    }

    fn get(&self, group: &str, topic: &str, queue: i32, messages: u64, bytes: u64) {
        self.stats.get(&group.into(), &topic.into(), QueueId(queue), messages, bytes);
    }
}

#[test]
fn what_is_put_is_shown_under_javas_names() {
    let mut fixture = Fixture::new(|_| {});
    fixture.put("T", 3, 2, 10, 5000);
    fixture.put("TBW102", 0, 1, 1, 100);
    fixture.stats.put_latency(&"T".into(), QueueId(3), 2, 8);
    fixture.tick();
    for (name, key, expect) in [
        ("TOPIC_PUT_NUMS", "T", (10, 1.0, 5.0)),
        ("TOPIC_PUT_SIZE", "T", (5000, 500.0, 2500.0)),
        ("QUEUE_PUT_NUMS", "T@3", (10, 1.0, 5.0)),
        ("QUEUE_PUT_SIZE", "T@3", (5000, 500.0, 2500.0)),
        ("TOPIC_PUT_LATENCY", "3@T", (8, 0.8, 4.0)),
        ("BROKER_PUT_NUMS", "DefaultCluster", (11, 1.1, 0.0)),
        ("BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC", "DefaultCluster", (10, 1.0, 0.0)),
    ] {
        assert_eq!(fixture.minute(name, key), Some(expect), "{name} {key}");
    }
    assert_eq!(fixture.stats.topic_put_tps("T"), 1.0);
}

#[test]
fn what_is_got_is_shown_under_javas_names() {
    let mut fixture = Fixture::new(|_| {});
    let (group, topic): (GroupName, TopicName) = ("G".into(), "T".into());
    fixture.get("G", "T", 1, 20, 2000);
    fixture.stats.get_latency(&group, &topic, QueueId(1), 4);
    fixture.stats.get_from_disk(&group, &topic, 5, 500);
    fixture.stats.acknowledged(&group, &topic, 3);
    fixture.stats.check_point(&group, &topic);
    fixture.stats.send_back(&group, &topic);
    fixture.stats.dead_letter(&group, &topic);
    fixture.tick();
    for (name, key, expect) in [
        ("GROUP_GET_NUMS", "T@G", (20, 2.0, 20.0)),
        ("GROUP_GET_SIZE", "T@G", (2000, 200.0, 2000.0)),
        ("QUEUE_GET_NUMS", "T@1@G", (20, 2.0, 20.0)),
        ("QUEUE_GET_SIZE", "T@1@G", (2000, 200.0, 2000.0)),
        ("GROUP_GET_LATENCY", "1@T@G", (4, 0.4, 4.0)),
        ("GROUP_GET_FROM_DISK_NUMS", "T@G", (5, 0.5, 5.0)),
        ("GROUP_GET_FROM_DISK_SIZE", "T@G", (500, 50.0, 500.0)),
        ("GROUP_ACK_NUMS", "T@G", (3, 0.3, 3.0)),
        ("GROUP_CK_NUMS", "T@G", (1, 0.1, 1.0)),
        ("BROKER_ACK_NUMS", "DefaultCluster", (3, 0.3, 0.0)),
        ("BROKER_CK_NUMS", "DefaultCluster", (1, 0.1, 0.0)),
        ("SNDBCK_PUT_NUMS", "T@G", (1, 0.1, 1.0)),
        ("SNDBCK2DLQ_TIMES", "null@T@G@SEND_BACK_TO_DLQ", (1, 0.1, 1.0)),
        ("BROKER_GET_NUMS", "DefaultCluster", (20, 2.0, 0.0)),
        ("BROKER_GET_FROM_DISK_NUMS", "DefaultCluster", (5, 0.5, 5.0)),
    ] {
        assert_eq!(fixture.minute(name, key), Some(expect), "{name} {key}");
    }
    assert_eq!(fixture.stats.group_get_tps(&group, "T"), 2.0);
    assert_eq!(fixture.stats.group_get_tps(&group, "U"), 0.0);
}

#[test]
fn what_was_never_counted_does_not_exist() {
    let fixture = Fixture::new(|_| {});
    fixture.put("T", 0, 1, 1, 1);
    fixture.get("G", "T", 0, 1, 1);
    for (name, key) in [
        ("TOPIC_PUT_NUMS", "U"),
        ("QUEUE_PUT_NUMS", "T@1"),
        ("QUEUE_PUT_NUMS", "T"),
        ("GROUP_GET_NUMS", "T@H"),
        ("GROUP_GET_LATENCY", "T@G"),
        ("GROUP_GET_LATENCY", "0@T@G"),
        ("SNDBCK_PUT_NUMS", "T@G"),
        ("SNDBCK2DLQ_TIMES", "T@G"),
        ("BROKER_PUT_NUMS", "cluster-b"),
        ("CHANNEL_ACTIVITY", "CONNECT"),
        ("CHANNEL_ACTIVITY", "DefaultCluster"),
        ("TOPIC_PUT_NUMSE", "T"),
    ] {
        assert_eq!(fixture.stats.view(name, key), None, "{name} {key}");
    }
}

#[test]
fn hour_and_day_are_sampled_at_their_own_pace() {
    let mut fixture = Fixture::new(|_| {});
    fixture.tick();
    fixture.put("T", 0, 1, 6, 6);
    // One period of the hour: 10 min.
    for _ in 0..60 {
        fixture.tick();
    }
    let data = fixture.stats.view("TOPIC_PUT_NUMS", "T").unwrap();
    assert_eq!((data.stats_minute.sum, data.stats_hour.sum, data.stats_day.sum), (0, 6, 0));
    assert_eq!(data.stats_hour.tps, 0.01);
    for _ in 0..300 {
        fixture.tick();
    }
    let data = fixture.stats.view("TOPIC_PUT_NUMS", "T").unwrap();
    assert_eq!((data.stats_minute.sum, data.stats_hour.sum, data.stats_day.sum), (0, 6, 6));
}

#[test]
fn queues_are_counted_only_in_detail() {
    let mut fixture = Fixture::new(|settings| settings.enable_detail_stat = false);
    fixture.put("T", 0, 1, 1, 1);
    fixture.get("G", "T", 0, 1, 1);
    fixture.stats.get_latency(&"G".into(), &"T".into(), QueueId(0), 7);
    fixture.tick();
    assert_eq!(fixture.minute("QUEUE_PUT_NUMS", "T@0"), None);
    assert_eq!(fixture.minute("QUEUE_GET_NUMS", "T@0@G"), None);
    assert_eq!(fixture.minute("GROUP_GET_LATENCY", "0@T@G"), None);
    assert_eq!(fixture.minute("GROUP_GET_LATENCY", "T@G"), Some((7, 0.7, 7.0)));
}

#[test]
fn the_deleted_are_forgotten() {
    let fixture = Fixture::new(|_| {});
    for topic in ["T", "U"] {
        fixture.put(topic, 0, 1, 1, 1);
        fixture.get("G", topic, 0, 1, 1);
        fixture.get("H", topic, 0, 1, 1);
    }
    let known = |name: &str, key: &str| fixture.stats.view(name, key).is_some();
    fixture.stats.group_deleted(&"G".into());
    assert!(!known("GROUP_GET_NUMS", "T@G") && !known("GROUP_GET_NUMS", "U@G") && known("GROUP_GET_NUMS", "T@H"));
    fixture.stats.topic_deleted("T");
    assert!(!known("TOPIC_PUT_NUMS", "T") && !known("GROUP_GET_NUMS", "T@H") && known("TOPIC_PUT_NUMS", "U"));
    assert!(known("BROKER_PUT_NUMS", "DefaultCluster"));
}

#[test]
fn connections_are_counted() {
    let mut fixture = Fixture::new(|_| {});
    let peer = peer(5);
    fixture.stats.opened(&peer);
    fixture.stats.opened(&peer);
    fixture.stats.idle(&peer);
    fixture.stats.closed(&peer);
    fixture.stats.failed(&peer);
    fixture.stats.closed(&peer);
    fixture.tick();
    assert_eq!(fixture.minute("CHANNEL_ACTIVITY", "CONNECT"), Some((2, 0.2, 1.0)));
    assert_eq!(fixture.minute("CHANNEL_ACTIVITY", "IDLE"), Some((1, 0.1, 1.0)));
    assert_eq!(fixture.minute("CHANNEL_ACTIVITY", "EXCEPTION"), Some((1, 0.1, 1.0)));
    assert_eq!(fixture.minute("CHANNEL_ACTIVITY", "CLOSE"), Some((2, 0.2, 1.0)));
}

#[test]
fn totals_leave_out_system_topics() {
    let fixture = Fixture::new(|_| {});
    fixture.put("T", 0, 1, 5, 1);
    fixture.put("DefaultCluster", 0, 1, 5, 1);
    fixture.put("rmq_sys_x", 0, 1, 5, 1);
    fixture.get("G", "T", 0, 3, 1);
    assert_eq!(fixture.stats.daily_totals().now, daily::Totals { put: 5, get: 3 });
}

#[test]
fn light_queues_are_counted_together_unless_each_is_to_be_counted() {
    for (each, together) in [(false, true), (true, false)] {
        let fixture = Fixture::new(|config| (config.enable_lmq, config.enable_lmq_stats) = (true, each));
        for queue in ["%LMQ%a", "%LMQ%b"] {
            fixture.get("%LMQ%g", queue, 0, 2, 10);
            fixture.get("g", queue, 0, 1, 10);
        }
        assert_eq!(fixture.stats.topics.contains_key("%LMQ%"), together);
        assert_eq!(fixture.stats.topics.len(), if together { 1 } else { 2 });
        let group = if together { "%LMQ%" } else { "%LMQ%g" };
        assert!(fixture.stats.all_topics().iter().all(|topic| topic.groups.get(&group.into()).is_some()));
    }
}
