use std::path::Path;
use std::sync::Arc;

use remoting::body::SubscriptionGroupConfig;
use serde_json::Value;

use super::*;
use crate::config::BrokerConfig;
use crate::testing::Surroundings;

fn open(change: impl FnOnce(&mut BrokerConfig)) -> (Surroundings, Arc<GroupTable>) {
    let surroundings = Surroundings::with(change);
    let table = reopen(&surroundings);
    (surroundings, table)
}

fn reopen(surroundings: &Surroundings) -> Arc<GroupTable> {
    GroupTable::open(surroundings.ctx.clone(), surroundings.folder.path()).unwrap()
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/config").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_group_is_made_on_first_use() {
    let (surroundings, groups) = open(|_| {});
    assert_eq!(groups.snapshot().subscription_group_table.len(), 8);
    assert!(groups.get("TOOLS_CONSUMER").unwrap().consume_broadcast_enable);
    assert!(groups.get("G").is_none());
    assert_eq!(groups.find("G").unwrap().retry_max_times, 16);
    assert_eq!(groups.find("G"), groups.get("G"));
    assert!(groups.find("a b").is_none() && groups.find("").is_none() && groups.find(&"g".repeat(121)).is_none());
    assert_eq!(reopen(&surroundings).snapshot(), groups.snapshot());
    assert_eq!(groups.snapshot().data_version.counter, 1);
}

#[test]
fn groups_are_made_only_where_that_is_on() {
    let (_surroundings, groups) = open(|settings| settings.auto_create_subscription_group = false);
    assert!(groups.find("G").is_none());
    assert!(groups.find("CID_RMQ_SYS_mine").is_some());
    let (_surroundings, groups) = open(|settings| {
        settings.auto_create_subscription_group = false;
        settings.enable_create_sys_group = false;
    });
    assert!(groups.find("CID_RMQ_SYS_mine").is_none());
}

#[test]
fn an_administrator_creates_changes_and_deletes_groups() {
    let (surroundings, groups) = open(|_| {});
    let group = |retries, attributes: &[(&str, &str)]| SubscriptionGroupConfig {
        retry_max_times: retries,
        attributes: attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..SubscriptionGroupConfig::new("G")
    };
    groups.put_all(vec![group(3, &[("+priority.factor", "50")])]).unwrap();
    groups.put_all(vec![group(5, &[])]).unwrap();
    let now = groups.get("G").unwrap();
    assert_eq!((now.retry_max_times, now.attributes["priority.factor"].as_str()), (5, "50"));
    assert_eq!(reopen(&surroundings).snapshot(), groups.snapshot());

    let refusal = |config| groups.put_all(vec![SubscriptionGroupConfig::new("new"), config]).unwrap_err().to_string();
    assert_eq!(refusal(group(1, &[("+colour", "red")])), "unsupported key: colour");
    assert_eq!(refusal(SubscriptionGroupConfig::new("")), "The specified group is blank.");
    assert!(groups.get("new").is_none(), "all or none");

    assert!(groups.delete("G").unwrap());
    assert!(!groups.delete("G").unwrap());
    assert!(reopen(&surroundings).get("G").is_none());
}

#[test]
fn what_is_forbidden_is_kept_per_topic() {
    let (surroundings, groups) = open(|_| {});
    let forbid = |topic: &str, forbid| groups.forbid_read(&"G".into(), &topic.into(), forbid).unwrap();
    forbid("A", true);
    forbid("B", true);
    forbid("A", false);
    assert!(!groups.is_read_forbidden("G", "A") && groups.is_read_forbidden("G", "B"));
    assert!(!groups.is_read_forbidden("H", "B"));
    let again = reopen(&surroundings);
    assert!(again.is_read_forbidden("G", "B"));
    assert_eq!(again.snapshot(), groups.snapshot());
    forbid("B", false);
    assert!(groups.snapshot().forbidden_table.is_empty());
    forbid("B", true);
    groups.delete("G").unwrap();
    assert!(!groups.is_read_forbidden("G", "B"), "a deleted group is forbidden nothing");
}

#[test]
fn groups_of_java_5_load_and_save_back_equal() {
    let surroundings = Surroundings::new();
    let path = surroundings.folder.path().join("subscriptionGroup.json");
    std::fs::write(&path, golden("java-5.5.0-subscriptionGroup.json")).unwrap();
    let groups = reopen(&surroundings);
    groups.find("one_more").unwrap();
    groups.delete("one_more").unwrap();
    let mut java: Value = serde_json::from_str(&golden("java-5.5.0-subscriptionGroup.json")).unwrap();
    let ours: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    java["dataVersion"]["counter"] = 8.into();
    java["dataVersion"]["timestamp"] = 1_700_000_000_000_i64.into();
    assert_eq!(ours, java);
}

#[test]
fn groups_of_java_4_load() {
    let surroundings = Surroundings::new();
    std::fs::write(
        surroundings.folder.path().join("subscriptionGroup.json"),
        golden("java-4.9.7-subscriptionGroup.json"),
    )
    .unwrap();
    let groups = reopen(&surroundings);
    let java: Value = serde_json::from_str(&golden("java-4.9.7-subscriptionGroup.json")).unwrap();
    for (group, config) in java["subscriptionGroupTable"].as_object().unwrap() {
        let ours = serde_json::to_value(&*groups.get(group).unwrap()).unwrap();
        for (key, value) in config.as_object().unwrap() {
            assert_eq!(&ours[key], value, "{group} {key}");
        }
    }
    assert!(groups.get("CID_RMQ_SYS_TRANS").is_some(), "new since 4.9");
}

#[test]
fn groups_of_light_queues_are_there_unmade() {
    let (_, groups) = open(|config| (config.enable_lmq, config.auto_create_subscription_group) = (true, false));
    let before = groups.snapshot();
    assert_eq!(groups.find("%LMQ%g").unwrap().retry_queue_nums, 1);
    let off = SubscriptionGroupConfig { consume_enable: false, ..SubscriptionGroupConfig::new("%LMQ%g") };
    groups.put_all(vec![off]).unwrap();
    assert!(groups.get("%LMQ%g").unwrap().consume_enable);
    assert_eq!(groups.snapshot(), before);
    assert!(open(|_| {}).1.get("%LMQ%g").is_none());
}

#[test]
fn a_slave_has_its_masters_groups() {
    let (_master, groups) = open(|_| {});
    groups.put_all(vec![SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("G") }]).unwrap();
    groups.forbid_read(&"G".into(), &"T".into(), true).unwrap();
    let (surroundings, slave) = open(|_| {});
    slave.put_all(vec![SubscriptionGroupConfig::new("gone")]).unwrap();
    slave.forbid_read(&"gone".into(), &"T".into(), true).unwrap();
    assert_eq!(slave.copy(groups.snapshot()), ["gone"]);
    assert_eq!(reopen(&surroundings).snapshot(), groups.snapshot());
    assert!(slave.is_read_forbidden("G", "T") && slave.changes() > 0);
    groups.delete("G").unwrap();
    assert_eq!(slave.copy(groups.snapshot()), ["G"]);
    assert_eq!(slave.snapshot(), groups.snapshot());
}
