use std::path::Path;

use remoting::body::{TopicConfig, TopicConfigWrapper};
use serde_json::Value;

use super::*;
use crate::config::BrokerConfig;
use crate::context::{Context, Identity};
use crate::testing::Surroundings;

struct Fixture {
    surroundings: Surroundings,
    table: std::sync::Arc<TopicTable>,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let surroundings = Surroundings::with(change);
        let table = open(&surroundings, surroundings.ctx.clone());
        Self { surroundings, table }
    }

    /// What a restart would find.
    fn reopened(&self) -> TopicConfigWrapper {
        open(&self.surroundings, self.surroundings.ctx.clone()).snapshot()
    }

    fn put(&self, config: TopicConfig, attributes: &str) -> Result<std::sync::Arc<TopicConfig>, String> {
        let put = AttributeChanges::parse(attributes).map_err(TopicError::from);
        put.and_then(|changes| self.table.put(config, &changes)).map_err(|err| err.to_string())
    }

    fn create(&self, topic: &str, template: &str, queues: i32) -> Option<(i32, i32)> {
        let created = self.table.create_on_send(&topic.into(), template, queues, false);
        created.ok().map(|topic| (topic.write_queue_nums, topic.perm))
    }
}

fn open(surroundings: &Surroundings, ctx: Context) -> std::sync::Arc<TopicTable> {
    TopicTable::open(ctx, surroundings.folder.path()).unwrap()
}

/// Of the name that the golden files are of.
fn in_fix_cluster(surroundings: &Surroundings) -> Context {
    let mut ctx = surroundings.ctx.clone();
    ctx.identity = Identity { cluster: "FixCluster".into(), ..Identity::clone(&ctx.identity) }.into();
    ctx
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/config").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_first_start_makes_javas_topics() {
    let fixture = Fixture::new(|_| {});
    let topics = fixture.table.snapshot().topic_config_table;
    let shape = |topic: &str| topics.get(topic).map(|topic| (topic.write_queue_nums, topic.perm));
    assert_eq!(shape("TBW102"), Some((8, 7)));
    assert_eq!(shape("BenchmarkTest"), Some((1024, 6)));
    assert_eq!(shape("DefaultCluster"), Some((16, 7)));
    assert_eq!(shape("broker-a"), Some((1, 7)));
    assert_eq!(shape("SCHEDULE_TOPIC_XXXX"), Some((18, 6)));
    assert_eq!(shape("rmq_sys_REVIVE_LOG_DefaultCluster"), Some((8, 6)));
    assert_eq!(shape("rmq_sys_SYNC_BROKER_MEMBER_broker-a"), Some((1, 1)));
    assert_eq!(shape("DefaultCluster_REPLY_TOPIC"), Some((1, 6)));
    assert_eq!(shape("RMQ_SYS_TRACE_TOPIC"), None);
    assert_eq!(topics.len(), 15);
    assert_eq!(fixture.reopened(), fixture.table.snapshot());

    let fixture = Fixture::new(|settings| {
        settings.auto_create_topic_enable = false;
        settings.cluster_topic_enable = false;
        settings.trace_topic_enable = true;
    });
    assert!(fixture.table.get("TBW102").is_none());
    assert_eq!(fixture.table.get("DefaultCluster").unwrap().perm, 1);
    assert!(fixture.table.is_system("RMQ_SYS_TRACE_TOPIC"));
}

#[test]
fn a_topic_is_made_of_its_template_when_sent_to() {
    let fixture = Fixture::new(|_| {});
    assert_eq!(fixture.create("A", "TBW102", 4), Some((4, 6)));
    assert_eq!(fixture.create("B", "TBW102", 100), Some((8, 6)), "no more queues than the template has");
    assert_eq!(fixture.create("C", "TBW102", -1), Some((0, 6)));
    assert_eq!(fixture.create("A", "none", 1), Some((4, 6)), "it exists");
    assert_eq!(fixture.create("D", "none", 4), None);
    assert_eq!(fixture.create("D", "BenchmarkTest", 4), None, "may not be inherited");
    assert_eq!(fixture.create("%RETRY%G", "none", 4), Some((1, 6)));
    assert_eq!(fixture.create("%DLQ%G", "none", 4), None);
    let refusal = fixture.table.create_on_send(&"D".into(), "none", 4, false).unwrap_err().to_string();
    assert!(refusal.starts_with("topic[D] not exist, apply first please!"), "{refusal}");
    let flag = |topic: &str| fixture.table.create_on_send(&topic.into(), "TBW102", 1, true).unwrap().topic_sys_flag;
    assert_eq!((flag("U"), flag("%RETRY%U")), (1, 2));
    assert_eq!(fixture.reopened(), fixture.table.snapshot());
    assert_eq!(fixture.table.version().counter, 6);
}

#[test]
fn no_topic_is_made_by_sending_if_that_is_off() {
    let fixture = Fixture::new(|_| {});
    // The template is still there from before.
    fixture.surroundings.set(|settings| settings.auto_create_topic_enable = false);
    let table = open(&fixture.surroundings, fixture.surroundings.ctx.clone());
    assert!(table.create_on_send(&"A".into(), "TBW102", 4, false).is_err());
    assert!(table.create_on_send(&"A".into(), "DefaultCluster", 4, false).is_ok(), "other templates serve on");
}

#[test]
fn a_retry_topic_keeps_the_order_that_heartbeats_say() {
    let fixture = Fixture::new(|_| {});
    let table = &fixture.table;
    assert!(!table.create_retry("G", 2, false, None).order);
    assert!(table.create_retry("G", 2, false, true).order);
    assert!(table.create_retry("G", 2, false, None).order, "a send-back does not know");
    assert!(!table.create_retry("G", 2, false, false).order);
    assert_eq!(table.get("%RETRY%G").unwrap().write_queue_nums, 2);
    assert_eq!(table.create_dead_letter("G").perm, 6);
    assert_eq!(table.version().counter, 4);
    assert_eq!(fixture.reopened(), table.snapshot());
}

#[test]
fn an_administrator_creates_and_changes_topics() {
    let fixture = Fixture::new(|_| {});
    let mut changes = fixture.table.changes();
    let first = fixture.put(TopicConfig::new("A", 4, 6), "+message.type=FIFO").unwrap();
    assert_eq!(first.attributes["message.type"], "FIFO");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    fixture.put(TopicConfig::new("A", 4, 6), "").unwrap();
    fixture.put(TopicConfig::new("A", 4, 6), "+message.type=FIFO").unwrap();
    assert!(!changes.has_changed().unwrap(), "the same once more is no change");
    let changed = fixture.put(TopicConfig::new("A", 2, 4), "-message.type").unwrap();
    assert_eq!((changed.write_queue_nums, changed.perm, changed.attributes.len()), (2, 4, 0));
    assert!(fixture.table.delete("A").unwrap());
    assert!(!fixture.table.delete("A").unwrap());
    assert_eq!(fixture.reopened(), fixture.table.snapshot());
    assert_eq!(fixture.table.version().counter, 3);
}

#[test]
fn an_administrator_is_refused_in_javas_words() {
    let fixture = Fixture::new(|_| {});
    let check = |topic: &str, attributes: &str, expect: &str| {
        assert_eq!(fixture.put(TopicConfig::new(topic, 4, 6), attributes).unwrap_err(), expect);
    };
    check("", "", "The specified topic is blank.");
    check("TBW102", "", "The topic[TBW102] is conflict with system topic.");
    check("rmq_sys_x", "", "The topic[rmq_sys_x] is conflict with system topic.");
    check("DefaultCluster", "", "The topic[DefaultCluster] is conflict with system topic.");
    check("A", "+message.type=MIXED", "MIXED message type is not supported.");
    check("A", "+reserve.time=x", "For input string: \"x\"");
    check("A", "+a=b", "unsupported key: a");
    assert_eq!(fixture.table.version().counter, 0);
    let all = fixture.table.put_all(vec![
        (TopicConfig::new("A", 1, 6), AttributeChanges::default()),
        (TopicConfig::new("b c", 1, 6), AttributeChanges::default()),
    ]);
    assert!(all.is_err() && fixture.table.get("A").is_none(), "all or none");

    let lenient = Fixture::new(|settings| {
        settings.validate_system_topic_when_update_topic = false;
        settings.enable_mixed_message_type = true;
    });
    lenient.put(TopicConfig::new("TBW102", 1, 7), "+message.type=MIXED").unwrap();
}

#[test]
fn name_servers_are_told_what_changed() {
    let fixture = Fixture::new(|_| {});
    let since = |step| {
        let (step, topics) = fixture.table.changed_since(step)?;
        let names = topics.topic_config_table.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Some((step, topics.data_version.counter, names))
    };
    let told = |step, counter, names: &str| Some((step, counter, names.to_owned()));
    assert_eq!(since(0), told(0, 0, ""));
    fixture.put(TopicConfig::new("A", 1, 6), "").unwrap();
    fixture.put(TopicConfig::new("B", 1, 6), "").unwrap();
    assert_eq!(since(1), told(2, 2, "B"));
    fixture.table.delete("A").unwrap();
    assert_eq!(since(0), told(3, 3, "B"));
    fixture.table.touch();
    assert_eq!(since(3), None);
    assert_eq!(since(4), told(4, 4, ""));
    fixture.table.mark_ordered(["B", "unknown"]);
    fixture.table.mark_ordered(["B"]);
    assert_eq!(since(4), told(5, 5, "B"));
    assert!(fixture.table.get("B").unwrap().order);
    assert_eq!(fixture.reopened(), fixture.table.snapshot());
}

#[test]
fn topics_of_java_5_load_and_save_back_equal() {
    let surroundings = Surroundings::new();
    let path = surroundings.folder.path().join("topics.json");
    std::fs::write(&path, golden("java-5.5.0-topics.json")).unwrap();
    let table = open(&surroundings, in_fix_cluster(&surroundings));
    table.touch();
    let mut java: Value = serde_json::from_str(&golden("java-5.5.0-topics.json")).unwrap();
    let ours: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    // One change, at our clock's time.
    java["dataVersion"]["counter"] = 28.into();
    java["dataVersion"]["timestamp"] = 1_700_000_000_000_i64.into();
    assert_eq!(ours, java);
    assert_eq!(std::fs::read_to_string(path.with_extension("json.bak")).unwrap(), golden("java-5.5.0-topics.json"));
}

#[test]
fn topics_of_java_4_load_and_gain_what_5_has() {
    let surroundings = Surroundings::new();
    let path = surroundings.folder.path().join("topics.json");
    std::fs::write(&path, golden("java-4.9.7-topics.json")).unwrap();
    let table = open(&surroundings, in_fix_cluster(&surroundings));
    let java: Value = serde_json::from_str(&golden("java-4.9.7-topics.json")).unwrap();
    let ours: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for (topic, config) in java["topicConfigTable"].as_object().unwrap() {
        let mut config = config.clone();
        config["attributes"] = serde_json::json!({});
        assert_eq!(ours["topicConfigTable"][topic], config, "{topic}");
    }
    assert_eq!(ours["dataVersion"]["timestamp"], java["dataVersion"]["timestamp"]);
    assert_eq!(table.version().counter, 17);
    assert!(table.get("rmq_sys_wheel_timer").is_some(), "new since 4.9");
}

#[test]
fn a_damaged_table_stops_the_start() {
    let fixture = Fixture::new(|_| {});
    let folder = fixture.surroundings.folder.path();
    std::fs::write(folder.join("topics.json"), "{\"topicConfigTable\":").unwrap();
    let _ = std::fs::remove_file(folder.join("topics.json.bak"));
    assert!(matches!(TopicTable::open(fixture.surroundings.ctx.clone(), folder), Err(TopicError::Load(_))));
}

#[test]
fn light_queues_are_topics_that_nobody_makes_and_nobody_is_told_of() {
    let fixture = Fixture::new(|config| config.enable_lmq = true);
    let before = fixture.table.snapshot();
    let light = fixture.table.get("%LMQ%a").unwrap();
    assert_eq!((light.read_queue_nums, light.write_queue_nums, light.perm), (1, 1, 6));
    assert_eq!(fixture.put(TopicConfig::new("%LMQ%a", 8, 2), "").unwrap().perm, 6);
    assert_eq!(fixture.create("%LMQ%b", "TBW102", 4), Some((1, 6)));
    assert_eq!(fixture.table.snapshot(), before);
    assert!(Fixture::new(|_| {}).table.get("%LMQ%a").is_none());
}

#[test]
fn a_slave_has_its_masters_topics() {
    let (master, slave) = (Fixture::new(|_| {}), Fixture::new(|_| {}));
    for topic in ["A", "B"] {
        master.put(TopicConfig::new(topic, 4, 6), "").unwrap();
    }
    slave.put(TopicConfig::new("gone", 1, 6), "").unwrap();
    let copy = |step| {
        let (step, news) = master.table.news(step);
        let whole = news.whole;
        // As it comes over the wire.
        let news = serde_json::from_str(&serde_json::to_string(&news).unwrap()).unwrap();
        let gone: Vec<_> = slave.table.copy(news).iter().map(ToString::to_string).collect();
        assert_eq!(slave.table.version(), master.table.version());
        assert_eq!(slave.reopened(), master.table.snapshot());
        (Some(step), whole, gone.join(" "))
    };
    let (step, whole, gone) = copy(None);
    assert_eq!((whole, &*gone), (true, "gone"));
    master.put(TopicConfig::new("A", 8, 6), "").unwrap();
    assert!(master.table.delete("B").unwrap());
    let changes = slave.table.changes();
    let (step, whole, gone) = copy(step);
    assert_eq!((whole, &*gone), (false, "B"));
    assert!(changes.has_changed().unwrap(), "name servers are told");
    let known = slave.table.step();
    let (_, whole, gone) = copy(step);
    assert_eq!((whole, &*gone, slave.table.step()), (false, "", known));
}
