use std::collections::BTreeMap;

use super::super::survey::{NameServer, Topic};
use super::*;

/// A broker by its address, with the settings `key=value`, separated by blanks.
fn broker(address: &str, id: i64, make: Make, settings: &str) -> Broker {
    let role = if id == 0 { "ASYNC_MASTER" } else { "SLAVE" };
    let mut config = BTreeMap::from([("brokerRole".to_owned(), role.to_owned())]);
    config.insert("storePathRootDir".to_owned(), "/data".to_owned());
    for setting in settings.split_whitespace() {
        let (key, value) = setting.split_once('=').unwrap();
        config.insert(key.to_owned(), value.to_owned());
    }
    Broker { address: address.into(), id, make: Some(make), version: "V4_9_7".into(), config, ..Broker::default() }
}

fn set(name: &str, topics: &[&str], brokers: Vec<Broker>) -> BrokerSet {
    let topics = topics.iter().map(|topic| ((*topic).to_owned(), Topic { perm: 6, ..Topic::default() })).collect();
    BrokerSet { name: name.into(), brokers, topics, ..BrokerSet::default() }
}

fn survey(sets: Vec<BrokerSet>) -> Survey {
    let server = NameServer { address: "ns:1".into(), make: Some(Make::Java), brokers: [].into(), wrong: None };
    Survey { cluster: "c".into(), name_servers: vec![server], sets, ..Survey::default() }
}

fn scope(masters: Masters) -> Scope {
    Scope { sets: Vec::new(), keep_name_servers: false, masters, into: Vec::new() }
}

fn stages_of(sets: Vec<BrokerSet>, masters: Masters) -> Vec<Stage> {
    stages(&survey(sets), &scope(masters))
}

fn shown(stages: &[Stage]) -> Vec<String> {
    stages.iter().map(ToString::to_string).collect()
}

fn steps(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

fn pair(slave: Make) -> BrokerSet {
    set("a", &["t"], vec![broker("a0:1", 0, Make::Java, ""), broker("a1:1", 1, slave, "")])
}

#[test]
fn name_servers_come_first_and_slaves_before_their_master() {
    let expect = [
        "name server ns:1: swapped in place",
        "a: slave 1 at a1:1: swapped on its folder, and follows the master",
        "a: master at a0:1: swapped on its folder",
        "b: master at b0:1: swapped on its folder",
    ];
    let b = || set("b", &["t"], vec![broker("b0:1", 0, Make::Java, "")]);
    assert_eq!(shown(&stages_of(vec![pair(Make::Java), b()], Masters::InPlace)), expect);
    // What is Ferromq is left alone.
    let done = set("b", &["t"], vec![broker("b0:1", 0, Make::Ferromq, "")]);
    assert_eq!(shown(&stages_of(vec![pair(Make::Ferromq), done], Masters::InPlace)), [expect[0], expect[2]]);
    let some = Scope { sets: vec!["b".into()], keep_name_servers: true, ..scope(Masters::InPlace) };
    assert_eq!(shown(&stages(&survey(vec![pair(Make::Java), b()]), &some)), [expect[3]]);
    // A set without a slave has nobody to switch to.
    let switch = "a: the slave at a1:1 becomes the master, and the master at a0:1 its slave";
    let expect = [expect[0], expect[1], switch, expect[3]];
    assert_eq!(shown(&stages_of(vec![pair(Make::Java), b()], Masters::Switch)), expect);
}

#[test]
fn producers_are_sent_away_only_where_they_have_somewhere_to_go() {
    let master = |name, topics: &[&str]| set(name, topics, vec![broker("x:1", 0, Make::Java, "")]);
    let wipes = |sets| {
        let wipe = |stage: &Stage| matches!(stage, Stage::Master { wipe: true, .. });
        stages_of(sets, Masters::InPlace).iter().skip(1).map(wipe).collect::<Vec<_>>()
    };
    assert_eq!(wipes(vec![master("a", &["t"])]), [false]);
    assert_eq!(wipes(vec![master("a", &["t"]), master("b", &["t", "u"])]), [true, false]);
    // Topics of brokers themselves do not count.
    assert_eq!(wipes(vec![master("a", &["t", "%RETRY%g", "a"]), master("b", &["t"])]), [true, true]);
}

#[test]
fn a_master_in_place_is_noted_before_and_checked_after() {
    let two = vec![pair(Make::Ferromq), set("b", &["t"], vec![broker("b0:1", 0, Make::Java, "")])];
    let stage = &stages_of(two, Masters::InPlace)[1];
    let expect = [
        "have name servers tell producers to leave a (wipeWritePerm)",
        "wait until no message comes to a any more",
        "wait until the slave at a1:1 has what the master has",
        "write down what a0:1 has: offsets, consumers' offsets and samples",
        "stop the Java master of a at a0:1",
        "start the Ferromq master of a at a0:1",
        "check that a0:1 has what was written down",
        "have name servers send producers to a again",
        "wait until the slave at a1:1 has what the master has",
    ];
    assert_eq!(steps(&stage.forward()), expect);
    // Nothing of Ferromq was started yet.
    let early = ["start the Java master of a at a0:1", expect[7]];
    assert_eq!(steps(&stage.back(1)), early);
    assert_eq!(steps(&stage.back(5)), early);
    let mut late = expect;
    (late[4], late[5]) = ("stop the Ferromq master of a at a0:1", "start the Java master of a at a0:1");
    assert_eq!(steps(&stage.back(6)), late);
    assert_eq!(steps(&stage.back(9)), late);
}

#[test]
fn a_switch_stops_both_before_the_slave_is_the_master() {
    let stage = &stages_of(vec![pair(Make::Ferromq)], Masters::Switch)[1];
    let expect = [
        "wait until the slave at a1:1 has what the master has",
        "have a0:1 refuse new messages (brokerPermission=4)",
        "wait until no message comes to a any more",
        "write down what a0:1 has: offsets, consumers' offsets and samples",
        "wait until the slave at a1:1 has what the master has",
        "stop the Java master of a at a0:1",
        "stop the Ferromq slave 1 of a at a1:1",
        "start the Ferromq master of a at a1:1",
        "check that a1:1 has what was written down",
        "have name servers send producers to a again",
        "start the Ferromq slave 1 of a at a0:1",
        "wait until the slave at a0:1 has what the master has",
        "compare the slave at a0:1 with the master",
    ];
    assert_eq!(steps(&stage.forward()), expect);
    let early = [
        "start the Java master of a at a0:1",
        "have a0:1 take messages again (brokerPermission)",
        "start the Ferromq slave 1 of a at a1:1",
        "wait until the slave at a1:1 has what the master has",
        "compare the slave at a1:1 with the master",
    ];
    assert_eq!(steps(&stage.back(7)), early);
    let late = [
        "stop the Ferromq slave 1 of a at a0:1",
        "start the Java slave 1 of a at a0:1",
        "wait until the slave at a0:1 has what the master has",
        "compare the slave at a0:1 with the master",
        "wait until the slave at a0:1 has what the master has",
        "have a1:1 refuse new messages (brokerPermission=4)",
        "wait until no message comes to a any more",
        "write down what a1:1 has: offsets, consumers' offsets and samples",
        "wait until the slave at a0:1 has what the master has",
        "stop the Ferromq master of a at a1:1",
        "stop the Java slave 1 of a at a0:1",
        "start the Java master of a at a0:1",
        "check that a0:1 has what was written down",
        "have name servers send producers to a again",
        "have a0:1 take messages again (brokerPermission)",
        "start the Ferromq slave 1 of a at a1:1",
        "wait until the slave at a1:1 has what the master has",
        "compare the slave at a1:1 with the master",
        "have a1:1 take messages again (brokerPermission)",
    ];
    assert_eq!(steps(&stage.back(8)), late);
}

#[test]
fn a_dledger_group_is_drained_into_another_set() {
    let member = |address, id| broker(address, id, Make::Java, "enableDLegerCommitLog=true");
    let group = || set("d", &["t"], vec![member("d0:1", 0), member("d1:1", 2)]);
    let stage = &stages_of(vec![group()], Masters::InPlace)[1];
    let expect = [
        "start the broker set d-raft",
        "make topics and consumer groups of d in d-raft, too",
        "have name servers tell producers to leave d (wipeWritePerm)",
        "wait until no message comes to d any more",
        "wait until consumers, delays, timers and transactions have worked off what d has",
        "have members of d fill up their queues when they start (recheckReputOffsetFromCq=true)",
        "have d0:1 refuse new messages (brokerPermission=4)",
        "have d1:1 refuse new messages (brokerPermission=4)",
        "write down what the leader of d has: offsets, consumers' offsets and samples",
        "give all members of d the consumers' offsets that were written down",
        "stop the Java member of d at d0:1",
        "stop the Java member of d at d1:1",
    ];
    assert_eq!(steps(&stage.forward()), expect);
    let back = [
        "start the Java member of d at d0:1",
        "start the Java member of d at d1:1",
        "check that the leader of d has what was written down",
        "have d0:1 take messages again (brokerPermission)",
        "have d1:1 take messages again (brokerPermission)",
        "have name servers send producers to d again",
        "have name servers tell producers to leave d-raft (wipeWritePerm)",
        "wait until no message comes to d-raft any more",
        "wait until consumers, delays, timers and transactions have worked off what d-raft has",
        "stop the broker set d-raft",
    ];
    assert_eq!(steps(&stage.back(1)), back);
    assert_eq!(steps(&stage.back(12)), back);
    let named = Scope { into: vec![("d".into(), "e".into())], ..scope(Masters::InPlace) };
    assert!(shown(&stages(&survey(vec![group()]), &named))[1].contains("into the new broker set e,"));
}
