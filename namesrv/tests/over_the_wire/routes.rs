//! Routes, as clients ask for them.

use super::*;

#[tokio::test]
async fn a_route_is_spelled_for_the_callers_generation() {
    let site = Site::start().await;
    let caller = site.caller();
    caller.register(&broker("b", 0, "1.1.1.1:10911"), &topics(1, &["T", "U"])).await;
    let ask = async |version: Version, fields: &[(&str, &str)]| {
        let mut request = RemotingCommand::request(RequestCode::GET_ROUTEINFO_BY_TOPIC);
        request.version = version;
        request.ext = [("topic", "T")].iter().chain(fields).copied().collect();
        String::from_utf8(raw(site.namesrv.addr(), request).await.body.to_vec()).unwrap()
    };
    let plain = r#"{"brokerDatas":[{"brokerAddrs":{0:"1.1.1.1:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;
    let standard = plain.replace("{0:", "{\"0\":");
    // Twice each: made, then from the cache.
    for _ in 0..2 {
        assert_eq!(ask(Version::V4_9_3, &[]).await, plain);
        assert_eq!(ask(Version::V4_9_4, &[]).await, standard);
        assert_eq!(ask(Version::V4_9_3, &[("acceptStandardJsonOnly", "true")]).await, standard);
    }
    let zoned = [("__ZONE_MODE", "true"), ("__ZONE_NAME", "east")];
    assert_eq!(ask(Version::CURRENT, &zoned).await, r#"{"brokerDatas":[],"filterServerTable":{},"queueDatas":[]}"#);
    assert_eq!(ask(Version::CURRENT, &zoned[1..]).await, standard);
}

#[tokio::test]
async fn an_unknown_topic_is_answered_with_javas_words() {
    let site = Site::start().await;
    assert_eq!(
        site.caller().refusal(get_route("T"), "").await,
        (
            ResponseCode::TOPIC_NOT_EXIST,
            "No topic route info in name server for the topic: T\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ \
             for further details."
                .to_owned()
        )
    );
}

#[tokio::test]
async fn a_route_follows_every_change() {
    let site = Site::start().await;
    let caller = site.caller();
    let perm = async |topic| caller.route(topic).await.unwrap().queue_datas[0].perm;
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    assert_eq!(perm("T").await, 6);

    let wiped: WipeWritePermReply = caller.header(WipeWritePerm { broker_name: "b".into() }).await;
    assert_eq!((wiped.wipe_topic_count, perm("T").await), (2, 4));
    let added: AddWritePermReply = caller.header(AddWritePerm { broker_name: "b".into() }).await;
    assert_eq!((added.add_topic_count, perm("T").await), (2, 6));

    caller.register(&broker("b", 1, "s:1"), &topics(1, &["T", "U"])).await;
    assert_eq!(caller.route("T").await.unwrap().broker_datas[0].broker_addrs.len(), 2);
    caller.register(&broker("b", 0, "a:1"), &topics(2, &["New"])).await;
    assert_eq!(perm("New").await, 6);
    caller.ask(DeleteTopicInNamesrv { topic: "New".into(), cluster_name: None }).await;
    assert_eq!(caller.route("New").await, None);

    let route = caller.route("T").await.unwrap();
    let answer = caller.send(RegisterTopic { topic: "Given".into() }, fastjson::write(&route)).await;
    assert_eq!(answer.code(), ResponseCode::SUCCESS);
    assert_eq!(caller.route("Given").await, Some(route));

    let leave = |name: &str, id, addr: &str| UnregisterBroker {
        broker_name: name.into(),
        broker_addr: addr.to_owned(),
        cluster_name: "C".into(),
        broker_id: BrokerId(id),
    };
    caller.ask(leave("b", 0, "a:1")).await;
    assert_eq!(caller.route("T").await.unwrap().broker_datas[0].broker_addrs, [(1, "s:1".to_owned())].into());
    caller.ask(leave("b", 1, "s:1")).await;
    assert_eq!(caller.route("T").await, None);
}

#[tokio::test]
async fn ordered_topics_reach_brokers_and_routes() {
    let site = Site::start_with(|config| config.order_message_enable = true).await;
    let caller = site.caller();
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    assert_eq!(caller.route("T").await.unwrap().order_topic_conf, None);
    let order =
        PutKvConfig { namespace: "ORDER_TOPIC_CONFIG".to_owned(), key: "T".to_owned(), value: "b:4".to_owned() };
    caller.ask(order).await;
    assert_eq!(caller.route("T").await.unwrap().order_topic_conf.as_deref(), Some("b:4"));
    assert_eq!(caller.route("U").await.unwrap().order_topic_conf, None);

    let answer = caller.send(broker("b", 0, "a:1"), fastjson::write(&topics(1, &["T", "U"]))).await;
    let (_, body) = answer.success::<RegisterBrokerReply>().unwrap();
    assert_eq!(body, r#"{"table":{"T":"b:4"}}"#);

    caller.send(UpdateNamesrvConfig {}, "orderMessageEnable=false").await;
    assert_eq!(caller.route("T").await.unwrap().order_topic_conf, None);
}

#[tokio::test]
async fn routes_wait_until_brokers_had_time_to_register() {
    let site = Site::start_with(|config| config.need_wait_for_service = true).await;
    let caller = site.caller();
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    let not_ready = (ResponseCode::SYSTEM_ERROR, "name server not ready".to_owned());
    assert_eq!(caller.refusal(get_route("T"), "").await, not_ready);
    site.clock.advance(Duration::from_secs(45));
    assert!(caller.route("T").await.is_some());
}

#[tokio::test]
async fn what_is_not_supported_is_said() {
    let site = Site::start().await;
    let answer = raw(site.namesrv.addr(), RemotingCommand::request(RequestCode::SEND_MESSAGE)).await;
    assert_eq!(answer.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(answer.remark.as_deref(), Some(" request type 10 not supported"));
    let answer = raw(site.namesrv.addr(), RemotingCommand::request(RequestCode::GET_ROUTEINFO_BY_TOPIC)).await;
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
}
