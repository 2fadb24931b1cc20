//! What operators and their tools do, and the life of the process.

use super::*;

#[tokio::test]
async fn tools_see_clusters_members_and_lists() {
    let site = Site::start().await;
    let caller = site.caller();
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    let reply = caller.register(&broker("b", 1, "s:1"), &topics(1, &["T", "U"])).await;
    assert_eq!((reply.master_addr.as_deref(), reply.ha_server_addr.as_deref()), (Some("a:1"), Some("a:12")));
    let elsewhere = RegisterBroker { cluster_name: "D".into(), ..broker("d", 0, "d:1") };
    caller.register(&elsewhere, &topics(1, &["U", "V"])).await;

    let text = caller.ask(GetClusterInfo {}).await;
    assert!(text.starts_with(br#"{"brokerAddrTable":{"b":{"brokerAddrs":{0:"a:1",1:"s:1"},"brokerName":"b""#));
    let info: ClusterInfo = fastjson::read(&text).unwrap();
    assert_eq!(info.cluster_addr_table, [("C".into(), vec!["b".into()]), ("D".into(), vec!["d".into()])].into());

    let members = caller.ask(GetBrokerMemberGroup { cluster_name: "C".into(), broker_name: "b".into() }).await;
    let members: BrokerMemberGroupBody = fastjson::read(&members).unwrap();
    assert_eq!(members.broker_member_group.broker_addrs, [(0, "a:1".to_owned()), (1, "s:1".to_owned())].into());

    let lists = async |list: Bytes| caller.topics(list).await;
    assert_eq!(lists(caller.ask(GetAllTopics {}).await).await, ["T", "U", "V"]);
    assert_eq!(lists(caller.ask(GetTopicsByCluster { cluster: "D".into() }).await).await, ["U", "V"]);
    assert_eq!(lists(caller.ask(GetTopicsByCluster { cluster: "none".into() }).await).await, [""; 0]);
    assert_eq!(lists(caller.ask(GetUnitTopics {}).await).await, [""; 0]);
    let system: TopicList = fastjson::read(&caller.ask(GetNamesrvSystemTopics {}).await).unwrap();
    assert_eq!(system.broker_addr.as_deref(), Some("a:1"));
    assert_eq!(system.topic_list, ["C", "D", "b", "d"].map(TopicName::new));
}

#[tokio::test]
async fn lists_can_be_turned_off_while_running() {
    let site = Site::start().await;
    let caller = site.caller();
    let disabled = (ResponseCode::SYSTEM_ERROR, "disable".to_owned());
    caller.send(UpdateNamesrvConfig {}, "enableTopicList=false\nenableAllTopicList=false").await;
    assert_eq!(caller.refusal(GetAllTopics {}, "").await, disabled);
    assert_eq!(caller.refusal(GetUnitTopics {}, "").await, disabled);
    assert_eq!(caller.refusal(GetTopicsByCluster { cluster: "C".into() }, "").await, disabled);
    assert_eq!(caller.send(GetNamesrvSystemTopics {}, "").await.code(), ResponseCode::SUCCESS);
}

#[tokio::test]
async fn key_value_settings_survive_a_restart() {
    let site = Site::start().await;
    let caller = site.caller();
    let key = || ("NS".to_owned(), "k".to_owned());
    let get = || GetKvConfig { namespace: key().0, key: key().1 };
    assert_eq!(
        caller.refusal(get(), "").await,
        (ResponseCode::QUERY_NOT_FOUND, "No config item, Namespace: NS Key: k".to_owned())
    );
    caller.ask(PutKvConfig { namespace: key().0, key: key().1, value: "v".to_owned() }).await;
    let site = site.restart(|_| {}).await;
    let caller = site.caller();
    let reply: GetKvConfigReply = caller.header(get()).await;
    assert_eq!(reply.value.as_deref(), Some("v"));
    let list: KvTable = fastjson::read(&caller.ask(GetKvList { namespace: key().0 }).await).unwrap();
    assert_eq!(list.table, [("k".to_owned(), "v".to_owned())].into());
    caller.ask(DeleteKvConfig { namespace: key().0, key: key().1 }).await;
    assert_eq!(caller.refusal(get(), "").await.0, ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(
        caller.refusal(GetKvList { namespace: "none".to_owned() }, "").await,
        (ResponseCode::QUERY_NOT_FOUND, "No config item, Namespace: none".to_owned())
    );
    let text = std::fs::read_to_string(site.folder.path().join("kvConfig.json")).unwrap();
    assert_eq!(text, r#"{"configTable":{"NS":{}}}"#);
}

#[tokio::test]
async fn settings_change_at_run_time_and_are_kept() {
    let site = Site::start().await;
    let file = site.folder.path().join("namesrv.conf");
    std::fs::write(&file, "# mine\nsupportActingMaster = false\n").unwrap();
    let caller = site.caller();
    let answer =
        caller.send(UpdateNamesrvConfig {}, "supportActingMaster=true\nnotifyMinBrokerIdChanged=true\nx=1").await;
    assert_eq!(answer.code(), ResponseCode::SUCCESS);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "# mine\nsupportActingMaster=true\nnotifyMinBrokerIdChanged=true\n"
    );
    let text = String::from_utf8(caller.ask(GetNamesrvConfig {}).await.to_vec()).unwrap();
    assert!(text.contains("supportActingMaster=true\n") && text.contains("listenPort=0\n"), "{text}");
    assert!(text.lines().is_sorted());

    let frozen = (ResponseCode::NO_PERMISSION, "Can not update config in black list.".to_owned());
    for key in ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"] {
        assert_eq!(caller.refusal(UpdateNamesrvConfig {}, format!("enableTopicList=false\n{key}=x")).await, frozen);
    }
    let wrong = caller.refusal(UpdateNamesrvConfig {}, "enableTopicList=perhaps").await;
    assert_eq!(
        wrong,
        (ResponseCode::SYSTEM_ERROR, "enableTopicList is \"perhaps\", which is not true or false".to_owned())
    );
    assert_eq!(caller.send(GetUnitTopics {}, "").await.code(), ResponseCode::SUCCESS);
}

#[tokio::test]
async fn a_stopped_name_server_frees_its_port_and_closes_its_connections() {
    let site = Site::start().await;
    let caller = site.caller();
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    let addr = site.namesrv.addr();
    let site = site.restart(|config| config.listen_port = addr.port()).await;
    assert_eq!(site.namesrv.addr(), addr);
    assert_eq!(site.caller().route("T").await, None);
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    assert!(caller.route("T").await.is_some());
}

#[tokio::test]
async fn a_taken_port_stops_the_start() {
    let site = Site::start().await;
    let config = NamesrvConfig {
        bind_address: "127.0.0.1".to_owned(),
        listen_port: site.namesrv.addr().port(),
        ..NamesrvConfig::default()
    };
    let Err(err) = Namesrv::start(config, Clock::system(), &CancellationToken::new()).await else {
        panic!("it started")
    };
    assert!(err.to_string().starts_with(&format!("listen on {}: ", site.namesrv.addr())), "{err}");
}
