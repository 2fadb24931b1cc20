use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use remoting::body::{DataVersion, TopicConfig, TopicConfigWrapper, fastjson};
use remoting::connection::Peer;
use remoting::protocol::register::{RegisterBroker, RegisterBrokerReply};
use remoting::types::{BrokerId, BrokerName, Timestamp, TopicName};

use super::register::Notice;
use super::remove::{Gone, Why};
use super::routes::Address;
use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn peer() -> Peer {
    Peer::detached(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
}

fn version(counter: i64) -> DataVersion {
    DataVersion { counter, ..DataVersion::default() }
}

/// A registration of `b`, cluster `C`, with topics of 4 queues.
fn registration(id: i64, addr: &str, counter: i64, topics: &[&str]) -> Registration {
    let table: BTreeMap<_, _> =
        topics.iter().map(|topic| (TopicName::new(topic), Arc::new(TopicConfig::new(*topic, 4, 6)))).collect();
    Registration {
        header: RegisterBroker {
            broker_name: "b".into(),
            broker_addr: addr.to_owned(),
            cluster_name: "C".into(),
            ha_server_addr: format!("ha-of-{addr}"),
            broker_id: BrokerId(id),
            heartbeat_timeout_millis: None,
            enable_acting_master: Some(false),
            compressed: Some(false),
            body_crc32: None,
            zone_name: None,
        },
        topics: TopicConfigWrapper {
            data_version: version(counter),
            topic_config_table: table,
            ..TopicConfigWrapper::default()
        },
        peer: peer(),
        fingerprint: Fingerprint(counter as u64),
    }
}

impl Registration {
    fn acting(mut self) -> Self {
        self.header.enable_acting_master = Some(true);
        self
    }

    fn named(mut self, name: &str, cluster: &str) -> Self {
        self.header.broker_name = name.into();
        self.header.cluster_name = cluster.into();
        self
    }

    fn in_zone(mut self, zone: &str) -> Self {
        self.header.zone_name = Some(zone.to_owned());
        self
    }

    fn of_generation_4(mut self) -> Self {
        self.header.enable_acting_master = None;
        self
    }
}

/// The table alone, driven without waiting.
#[derive(Default)]
struct Driver {
    interner: Interner,
    routes: Option<Routes>,
    rules: Rules,
}

impl Driver {
    fn notifying() -> Self {
        Self { rules: Rules { notify: true, ..Rules::default() }, ..Self::default() }
    }

    fn routes(&self) -> Routes {
        self.routes.clone().unwrap_or_else(Routes::empty)
    }

    fn change<T>(&mut self, apply: impl FnOnce(&mut Change<'_>) -> T) -> T {
        let before = self.routes();
        let mut change = Change::of(&before, &mut self.interner);
        let outcome = apply(&mut change);
        self.routes = Some(change.finish());
        outcome
    }

    fn try_register(&mut self, registration: &Registration) -> Result<Registered, OnlyOneTopic> {
        let before = self.routes();
        let mut change = Change::of(&before, &mut self.interner);
        let outcome = change.register(registration, self.rules, NOW)?;
        self.routes = Some(change.finish());
        Ok(outcome)
    }

    fn register(&mut self, registration: &Registration) -> Registered {
        self.try_register(registration).unwrap()
    }

    fn remove(&mut self, id: i64, addr: &str) -> Vec<Notice> {
        let gone = Gone {
            address: Address { cluster: "C".into(), addr: addr.to_owned() },
            member: Some(("b".into(), BrokerId(id))),
            why: Why::Unregistered,
        };
        let rules = self.rules;
        self.change(|change| change.remove(&[gone], rules))
    }

    /// Permissions of a topic by broker.
    fn perms(&self, topic: &str) -> Vec<(String, i32)> {
        let routes = self.routes();
        routes.holders(topic).map(|(set, queues)| (set.name.to_string(), queues.perm)).collect()
    }

    fn has(&self, topic: &str) -> bool {
        !self.perms(topic).is_empty()
    }
}

fn notice(to: &[&str], min: i64, min_addr: &str, offline: Option<&str>, ha: Option<&str>) -> Notice {
    use remoting::protocol::register::NotifyMinBrokerId;
    Notice {
        to: to.iter().map(ToString::to_string).collect(),
        header: NotifyMinBrokerId {
            min_broker_id: Some(BrokerId(min)),
            broker_name: None,
            min_broker_addr: Some(min_addr.to_owned()),
            offline_broker_addr: offline.map(str::to_owned),
            ha_broker_addr: ha.map(str::to_owned),
        },
    }
}

#[test]
fn a_registered_topic_has_a_route_as_java_spells_it() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "1.1.1.1:10911", 1, &["T", "U"]));
    let route = driver.routes().route("T", false).unwrap();
    assert_eq!(
        fastjson::write(&route),
        r#"{"brokerDatas":[{"brokerAddrs":{0:"1.1.1.1:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#
    );
    assert!(fastjson::write_standard(&route).contains(r#"{"0":"1.1.1.1:10911"}"#));
    assert_eq!(driver.routes().route("nothing", false), None);
}

#[test]
fn the_first_registration_of_an_id_needs_two_topics() {
    let mut driver = Driver::default();
    assert_eq!(driver.try_register(&registration(0, "a", 1, &["T"])), Err(OnlyOneTopic));
    assert!(driver.routes().sets.is_empty() && driver.routes().clusters.is_empty());

    driver.register(&registration(0, "a", 1, &["T", "U"]));
    assert_eq!(driver.try_register(&registration(0, "a", 2, &["V"])), Ok(Registered::Again));
    assert!(driver.has("V") && driver.has("T"));
    assert_eq!(driver.try_register(&registration(1, "s", 2, &["V"])), Err(OnlyOneTopic));
    driver.register(&registration(1, "s", 2, &[]));
}

#[test]
fn an_address_has_one_id_in_its_set() {
    let mut driver = Driver::default();
    driver.register(&registration(1, "a", 1, &["T", "U"]));
    driver.register(&registration(0, "a", 1, &["T", "U"]));
    let members = driver.routes().sets[&BrokerName::new("b")].members.clone();
    assert_eq!(members, [(BrokerId(0), "a".to_owned())].into());
}

#[test]
fn a_process_with_earlier_topics_does_not_replace_one_with_later_ones() {
    let state = |addr, state_version| {
        let mut registration = registration(0, addr, 1, &["T", "U"]);
        registration.topics.data_version.state_version = state_version;
        registration
    };
    let mut driver = Driver::default();
    driver.register(&state("new", 5));
    assert_eq!(driver.register(&state("old", 4)), Registered::Outdated);
    assert_eq!(driver.routes().sets[&BrokerName::new("b")].addrs()[&0], "new");
    assert!(driver.routes().live_at(&"C".into(), "old").is_none());
    assert!(matches!(driver.register(&state("equal", 5)), Registered::New(_)));
    assert_eq!(driver.routes().sets[&BrokerName::new("b")].addrs()[&0], "equal");
}

#[test]
fn topics_are_the_masters_or_those_of_the_smallest_slave() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "m", 1, &["T", "U"]));
    driver.register(&registration(1, "s", 1, &["T", "OfSlave"]));
    assert!(!driver.has("OfSlave"));

    driver.remove(0, "m");
    driver.register(&registration(2, "s2", 2, &["T", "OfSlave2"]));
    driver.register(&registration(1, "s", 2, &["T", "OfSlave"]));
    assert!(driver.has("OfSlave") && !driver.has("OfSlave2"));
    assert_eq!(driver.perms("OfSlave"), [("b".to_owned(), 6)]);

    // A 4.x slave does not say whether it may act as master, and so never speaks for its set.
    let mut driver = Driver::default();
    driver.register(&registration(1, "s", 1, &["T", "U"]).of_generation_4());
    assert!(!driver.has("T"));
}

#[test]
fn a_slave_that_acts_as_master_takes_no_writes() {
    let mut driver = Driver::default();
    driver.register(&registration(1, "s", 1, &["T", "U"]).acting());
    assert_eq!(driver.perms("T"), [("b".to_owned(), 4)]);
}

#[test]
fn settings_that_tools_changed_last_until_the_brokers_version_changes() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "a", 1, &["T", "U"]));
    let wipe =
        |driver: &mut Driver| driver.change(|change| change.set_write_permission(&"b".into(), WritePermission::Wipe));
    assert_eq!(wipe(&mut driver), 2);
    assert_eq!(driver.perms("T"), [("b".to_owned(), 4)]);
    driver.register(&registration(0, "a", 1, &["T", "U", "New"]));
    assert_eq!((driver.perms("T"), driver.perms("New")), (vec![("b".to_owned(), 4)], vec![("b".to_owned(), 6)]));
    driver.register(&registration(0, "a", 2, &["T", "U"]));
    assert_eq!(driver.perms("T"), [("b".to_owned(), 6)]);

    wipe(&mut driver);
    assert_eq!(driver.change(|change| change.set_write_permission(&"b".into(), WritePermission::Add)), 3);
    assert_eq!(driver.perms("U"), [("b".to_owned(), 6)]);
    assert_eq!(driver.change(|change| change.set_write_permission(&"unknown".into(), WritePermission::Add)), 0);
}

#[test]
fn topics_that_a_registration_no_longer_names_go_only_by_setting() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "a", 1, &["T", "U", "V"]));
    driver.register(&registration(0, "a", 2, &["T", "U"]));
    assert!(driver.has("V"));
    driver.rules.delete_missing_topics = true;
    driver.register(&registration(0, "a", 3, &["T", "U"]));
    assert!(!driver.has("V") && driver.has("T"));
}

#[test]
fn a_slave_learns_its_master_and_a_master_nothing() {
    let mut driver = Driver::default();
    let (master, slave) = (registration(0, "m", 1, &["T", "U"]), registration(1, "s", 1, &["T", "U"]));
    let nothing = RegisterBrokerReply { ha_server_addr: None, master_addr: None };
    driver.register(&slave);
    assert_eq!(driver.routes().master_of(&slave.header), nothing);
    driver.register(&master);
    let of_master = RegisterBrokerReply { ha_server_addr: Some("ha-of-m".into()), master_addr: Some("m".into()) };
    assert_eq!(driver.routes().master_of(&slave.header), of_master);
    assert_eq!(driver.routes().master_of(&master.header), nothing);
}

#[test]
fn a_registration_that_says_the_same_again_needs_no_reading() {
    let mut driver = Driver::default();
    let first = registration(0, "a", 1, &["T", "U"]);
    driver.register(&first);
    let repeated =
        |driver: &Driver, of: &Registration| driver.routes().repeated(&of.header, of.fingerprint, &of.peer).is_some();
    assert!(repeated(&driver, &first));
    assert!(!repeated(&driver, &registration(0, "a", 1, &["T", "U"])), "on another connection");
    assert!(!repeated(&driver, &Registration { fingerprint: Fingerprint(9), ..registration(0, "a", 1, &[]) }));

    // What a tool deleted comes back with the next registration.
    driver.change(|change| change.delete_topic(&"T".into(), None));
    assert!(!driver.has("T") && !repeated(&driver, &first));
    driver.register(&first);
    assert!(driver.has("T") && repeated(&driver, &first));

    // Whoever joins or leaves may change what the others' registrations mean.
    driver.register(&registration(1, "s", 1, &["T", "U"]));
    assert!(!repeated(&driver, &first));
}

#[test]
fn the_last_member_takes_its_topics_and_cluster_with_it() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "m", 1, &["T", "U"]));
    driver.register(&registration(1, "s", 1, &["T", "U"]));
    driver.register(&registration(0, "other", 1, &["T", "W"]).named("c", "D"));
    driver.remove(0, "m");
    assert_eq!(driver.perms("T"), [("b".to_owned(), 6), ("c".to_owned(), 6)]);
    assert_eq!(driver.routes().route("U", false).unwrap().broker_datas[0].broker_addrs, [(1, "s".to_owned())].into());
    driver.remove(1, "s");
    assert!(!driver.has("U") && driver.has("T"));
    let routes = driver.routes();
    assert_eq!(routes.clusters.keys().map(ToString::to_string).collect::<Vec<_>>(), ["D"]);
    assert_eq!(routes.live.len(), 1);
}

#[test]
fn a_set_without_master_shows_its_smallest_slave_as_one_if_it_may() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "m", 1, &["T", "U"]).acting());
    driver.register(&registration(1, "s1", 1, &["T", "U"]).acting());
    driver.register(&registration(2, "s2", 1, &["T", "U"]).acting());
    let addrs = |driver: &Driver, topic: &str, acting| {
        driver.routes().route(topic, acting).unwrap().broker_datas[0].broker_addrs.clone()
    };
    let all: BTreeMap<i64, String> = [(0, "m".to_owned()), (1, "s1".to_owned()), (2, "s2".to_owned())].into();
    assert_eq!(addrs(&driver, "T", true), all);

    driver.remove(0, "m");
    assert_eq!(driver.perms("T"), [("b".to_owned(), 4)]);
    assert_eq!(addrs(&driver, "T", true), [(0, "s1".to_owned()), (2, "s2".to_owned())].into());
    assert_eq!(addrs(&driver, "T", false), [(1, "s1".to_owned()), (2, "s2".to_owned())].into());

    let members = "rmq_sys_SYNC_BROKER_MEMBER_b";
    driver.register(&registration(1, "s1", 2, &["T", members]).acting());
    assert_eq!(addrs(&driver, members, true), [(1, "s1".to_owned()), (2, "s2".to_owned())].into());
}

#[test]
fn a_caller_in_a_zone_sees_its_zone_and_sets_that_lost_their_master() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "near", 1, &["T", "U"]).named("near", "C").in_zone("East"));
    driver.register(&registration(0, "far", 1, &["T", "U"]).named("far", "C").in_zone("west"));
    driver.register(&registration(1, "lost", 1, &["T", "U"]).named("lost", "C").in_zone("west"));
    driver.register(&registration(0, "none", 1, &["T", "U"]).named("none", "C"));
    let mut route = driver.routes().route("T", false).unwrap();
    pick::keep_zone(&mut route, "east");
    let brokers: Vec<_> = route.broker_datas.iter().map(|data| data.broker_name.as_str()).collect();
    let queues: Vec<_> = route.queue_datas.iter().map(|data| data.broker_name.as_str()).collect();
    assert_eq!((&brokers[..], &queues[..]), (&["lost", "near"][..], &["lost", "near"][..]));
}

#[test]
fn a_topic_is_deleted_everywhere_or_in_one_cluster() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "a", 1, &["T", "U"]));
    driver.register(&registration(0, "x", 1, &["T", "U"]).named("c", "D"));
    driver.change(|change| change.delete_topic(&"T".into(), Some(&"D".into())));
    assert_eq!(driver.perms("T"), [("b".to_owned(), 6)]);
    driver.change(|change| change.delete_topic(&"U".into(), Some(&"unknown".into())));
    assert_eq!(driver.perms("U").len(), 2);
    driver.change(|change| change.delete_topic(&"U".into(), None));
    assert!(!driver.has("U") && driver.has("T"));
}

#[test]
fn a_topic_is_added_to_brokers_that_are_known() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "a", 1, &["T", "U"]));
    let queues = |name: &str| Queues { read: 2, write: 2, perm: 6, sys_flag: 0 }.of_broker(&name.into());
    assert!(driver.change(|change| change.add_topic(&"N".into(), &[queues("b")])));
    assert!(driver.has("N"));
    assert!(!driver.change(|change| change.add_topic(&"M".into(), &[queues("b"), queues("unknown")])));
    assert!(!driver.has("M"));
}

#[test]
fn members_are_told_when_the_smallest_id_changes() {
    let mut driver = Driver::notifying();
    assert_eq!(driver.register(&registration(2, "s2", 1, &["T", "U"]).acting()), Registered::New(None));
    let told = driver.register(&registration(1, "s1", 1, &["T", "U"]).acting());
    assert_eq!(told, Registered::New(Some(notice(&["s2"], 1, "s1", None, Some("ha-of-s1")))));
    let told = driver.register(&registration(0, "m", 1, &["T", "U"]).acting());
    assert_eq!(told, Registered::New(Some(notice(&["s1", "s2"], 0, "m", None, Some("ha-of-m")))));
    assert_eq!(driver.remove(2, "s2"), []);
    assert_eq!(driver.remove(0, "m"), [notice(&["s1"], 1, "s1", Some("m"), None)]);

    let mut quiet = Driver::default();
    quiet.register(&registration(1, "s1", 1, &["T", "U"]).acting());
    assert_eq!(quiet.register(&registration(0, "m", 1, &["T", "U"]).acting()), Registered::New(None));
    assert_eq!(quiet.remove(0, "m"), []);
}

#[test]
fn brokers_are_lost_by_silence_or_with_their_connection() {
    let mut driver = Driver::default();
    let (mut one, two) = (registration(0, "a", 1, &["T", "U"]), registration(1, "s", 1, &["T", "U"]));
    one.header.heartbeat_timeout_millis = Some(10_000);
    driver.register(&one);
    driver.register(&two);
    let lost = |driver: &Driver, after| {
        let lost = driver.routes().lost(NOW.after(Duration::from_secs(after)));
        lost.into_iter().map(|gone| (gone.address.addr, gone.member, gone.why)).collect::<Vec<_>>()
    };
    assert_eq!(lost(&driver, 10), []);
    let master = ("a".to_owned(), Some(("b".into(), BrokerId(0))), Why::Silent);
    assert_eq!(lost(&driver, 11), [master]);
    driver.routes().live_at(&"C".into(), "a").unwrap().heard(NOW.after(Duration::from_secs(11)));
    assert_eq!(lost(&driver, 20), []);
    two.peer.close();
    assert_eq!(lost(&driver, 20), [("s".to_owned(), Some(("b".into(), BrokerId(1))), Why::Disconnected)]);
}

#[test]
fn only_routes_that_may_have_changed_are_made_anew() {
    let mut driver = Driver::default();
    driver.register(&registration(0, "a", 1, &["T", "U"]));
    let shard = table::shard_of("T");
    let other =
        (0..table::SHARDS).find(|at| ![shard, table::shard_of("U"), table::shard_of("V")].contains(at)).unwrap();
    let stamps = |driver: &Driver| (driver.routes().stamp(shard), driver.routes().stamp(other));

    let before = stamps(&driver);
    driver.register(&registration(0, "a", 2, &["T", "U"]));
    assert_eq!(stamps(&driver), before, "a new version of equal topics");
    driver.change(|change| change.set_write_permission(&"b".into(), WritePermission::Wipe));
    assert!(stamps(&driver).0 > before.0 && stamps(&driver).1 == before.1, "other settings of some topics");
    let before = stamps(&driver);
    driver.register(&registration(1, "s", 1, &["T", "U"]));
    assert!(stamps(&driver).0 > before.0 && stamps(&driver).1 > before.1, "another broker in every route");
}

#[test]
fn mappings_of_static_topics_pass_through() {
    let mut driver = Driver::default();
    let mut registration = registration(0, "a", 1, &["T", "U"]);
    let mapping = serde_json::json!({"bname": "b", "topic": "T", "totalQueues": 8});
    registration.topics.topic_queue_mapping_info_map.insert("T".into(), mapping.clone());
    driver.register(&registration);
    let route = driver.routes().route("T", false).unwrap();
    assert_eq!(route.topic_queue_mapping_by_broker.unwrap()[&BrokerName::new("b")], mapping);
    assert_eq!(driver.routes().route("U", false).unwrap().topic_queue_mapping_by_broker, None);
}
