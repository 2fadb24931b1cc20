use std::collections::BTreeMap;
use std::fs;

use super::super::survey::{ClientKind, NameServer, Topic};
use super::*;

/// The settings that a Java 5.5.0 broker told (`compat-tests/golden`).
fn javas() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/compat-tests/golden/frames/26.response");
    let frame = fs::read(path).unwrap();
    let body = 8 + u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
    let properties = Properties::parse(&String::from_utf8_lossy(&frame[body..])).unwrap();
    let mut config: BTreeMap<_, _> =
        properties.iter().map(|property| (property.key.clone(), property.value.clone())).collect();
    // Set for the recording of other frames.
    config.insert("enableSlaveActingMaster".to_owned(), "false".to_owned());
    config
}

fn broker(id: i64, settings: &[(&str, &str)]) -> Broker {
    let mut config = javas();
    config.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let (address, version) = (format!("b{id}:1"), "V5_5_0".to_owned());
    Broker { address, id, make: Some(Make::Java), version, config, ..Broker::default() }
}

fn survey(brokers: Vec<Broker>) -> Survey {
    let brokers_known: std::collections::BTreeSet<_> = brokers.iter().map(|broker| broker.address.clone()).collect();
    let server = |address: &str| {
        let brokers = brokers_known.clone();
        NameServer { address: address.into(), make: Some(Make::Java), brokers, wrong: None }
    };
    let name_servers = vec![server("ns1:1"), server("ns2:1")];
    let set = BrokerSet { name: "a".into(), brokers, ..BrokerSet::default() };
    Survey { cluster: "c".into(), name_servers, sets: vec![set], ..Survey::default() }
}

fn scope(masters: Masters) -> Scope {
    Scope { sets: Vec::new(), keep_name_servers: false, masters, into: Vec::new() }
}

/// Weight, place and name of each finding, but for those that every cluster gets.
fn found(survey: &Survey, masters: Masters) -> Vec<(Weight, String, String)> {
    let findings = check(survey, &scope(masters)).into_iter();
    let findings = findings.filter(|finding| (finding.check.as_str(), finding.weight) != ("tls", Weight::Notes));
    findings.map(|finding| (finding.weight, finding.at, finding.check)).collect()
}

#[track_caller]
fn expect(survey: &Survey, masters: Masters, expect: &[(Weight, &str, &str)]) {
    let found = found(survey, masters);
    let found: Vec<_> = found.iter().map(|(weight, at, check)| (*weight, at.as_str(), check.as_str())).collect();
    assert_eq!(found, expect);
}

#[test]
fn an_ordinary_broker_of_java_has_nothing_in_the_way() {
    expect(&survey(vec![broker(0, &[])]), Masters::InPlace, &[]);
}

#[test]
fn settings_that_ask_for_what_is_not_there_are_in_the_way() {
    let check = |key: &str, value: &str, check: &str| {
        expect(&survey(vec![broker(0, &[(key, value)])]), Masters::InPlace, &[(Weight::Blocks, "b0:1", check)]);
    };
    check("storePathCommitLog", "/a,/b", "several-folders");
    check("timerRocksDBEnable", "true", "rocksdb");
    check("inBrokerContainer", "true", "container");
    check("someFancyPlugIn", "com.example.Store", "plugin");
    // Of whatever is missing in Ferromq now.
    for missing in BrokerConfig::MISSING {
        for (key, harmless) in missing.keys {
            let asked = if harmless.parse::<bool>().is_ok() { "true" } else { "7" };
            let findings = check_settings(key, asked);
            assert!(findings.iter().any(|finding| finding.weight == Weight::Blocks), "{key}={asked}: {findings:?}");
        }
    }
}

fn check_settings(key: &str, value: &str) -> Vec<Finding> {
    check(&survey(vec![broker(0, &[(key, value)])]), &scope(Masters::InPlace))
}

#[test]
fn who_cannot_be_asked_is_in_the_way() {
    let mut cluster = survey(vec![broker(0, &[]), broker(1, &[])]);
    cluster.sets[0].brokers[1].wrong = Some("connect".into());
    cluster.name_servers[1].brokers.pop_last();
    let expected = [(Weight::Blocks, "ns2:1", "name-servers-differ"), (Weight::Blocks, "b1:1", "unreachable")];
    expect(&cluster, Masters::InPlace, &expected);
    cluster.name_servers.pop();
    cluster.sets[0].brokers[1].refuses = true;
    expect(&cluster, Masters::InPlace, &[(Weight::Blocks, "b1:1", "acl"), (Weight::Warns, "ns1:1", "one-name-server")]);
    cluster.sets[0].brokers.remove(0);
    assert_eq!(found(&cluster, Masters::InPlace)[0], (Weight::Blocks, "a".into(), "no-master".into()));
}

#[test]
fn topics_and_clients_of_a_kind_that_was_not_tried_are_told_of() {
    let mut cluster = survey(vec![broker(0, &[])]);
    let topic = |key: &str, value: &str| {
        let attributes = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Topic { perm: 4, attributes }
    };
    cluster.sets[0].topics.insert("k".into(), topic("cleanup.policy", "COMPACTION"));
    cluster.sets[0].static_topics.insert("s".into());
    let kind = |language: &str, number| {
        let version = Version(number).to_string();
        ClientKind { language: language.into(), version, number, ids: ["1@x".to_owned()].into() }
    };
    cluster.clients = vec![kind("JAVA", 407), kind("GO", 317), kind("CPP", 373), kind("JAVA", 121)];
    let expected = [
        (Weight::Blocks, "a", "static-topics"),
        (Weight::Blocks, "a", "topic-kinds"),
        (Weight::Warns, "c", "clients"),
        (Weight::Warns, "c", "clients"),
        (Weight::Notes, "c", "clients"),
        (Weight::Notes, "c", "clients"),
    ];
    expect(&cluster, Masters::InPlace, &expected);
    cluster = survey(vec![broker(0, &[])]);
    cluster.sets[0].topics.insert("t".into(), Topic { perm: 6, ..Topic::default() });
    expect(&cluster, Masters::InPlace, &[(Weight::Warns, "a", "only-here")]);
}

#[test]
fn a_slave_that_joined_late_cannot_be_the_master() {
    let mut cluster = survey(vec![broker(0, &[]), broker(1, &[])]);
    cluster.sets[0].brokers[1].log = (1024, 4096);
    expect(&cluster, Masters::InPlace, &[]);
    expect(&cluster, Masters::Switch, &[(Weight::Blocks, "b1:1", "slave-lacks")]);
    cluster.sets[0].brokers[0].log = (1024, 4096);
    expect(&cluster, Masters::Switch, &[]);
    cluster.sets[0].brokers[0].config.insert("brokerRole".into(), "SYNC_MASTER".into());
    expect(&cluster, Masters::InPlace, &[(Weight::Warns, "a", "sync-master")]);
}

#[test]
fn other_versions_and_settings_that_do_not_parse_are_told_of() {
    let mut cluster = survey(vec![broker(0, &[("brokerIP1", "10.0.0.1"), ("fileReservedTime", "long")])]);
    cluster.sets[0].brokers[0].version = "V4_8_0".into();
    expect(&cluster, Masters::InPlace, &[(Weight::Warns, "b0:1", "version"), (Weight::Warns, "b0:1", "settings")]);
    assert!(is_tried("V4_9_7"));
    assert!(is_tried("V5_3_3_SNAPSHOT"));
    assert!(!is_tried("V5_6_0"));
    assert!(!is_tried("HIGHER_VERSION"));
}

#[test]
fn many_names_are_cut_short() {
    assert_eq!(some(["a", "b"].into_iter()), "a, b");
    assert_eq!(some(["a", "b", "c", "d", "e", "f", "g"].into_iter()), "a, b, c, d, e and 2 more");
}
