//! Brokers that come and go.

use super::*;

/// A broker as far as it takes notices.
struct Notified(mpsc::UnboundedSender<NotifyMinBrokerId>);

impl Handle<NotifyMinBrokerId> for Notified {
    type Error = Infallible;

    async fn handle(&self, call: Call<NotifyMinBrokerId>) -> Result<Reply<NoHeader>, Infallible> {
        // The test may be over.
        let _ = self.0.send(call.header);
        Ok(Reply::done())
    }
}

#[tokio::test]
async fn a_registration_is_checked_and_may_be_compressed() {
    let site = Site::start().await;
    let caller = site.caller();
    let body = topics(1, &["T", "U"]);
    let compressed = RegisterBroker { compressed: Some(true), ..broker("b", 0, "a:1") };
    let answer = caller.send(compressed.clone(), body.deflate()).await;
    assert_eq!(answer.code(), ResponseCode::SUCCESS);
    assert!(caller.route("T").await.is_some());

    let refused = |remark: &str| (ResponseCode::SYSTEM_ERROR, remark.to_owned());
    let one = fastjson::write(&topics(1, &["T"]));
    assert_eq!(caller.refusal(broker("c", 0, "c:1"), one.clone()).await, refused("register broker failed"));
    let crc = (crc32fast::hash(one.as_bytes()) & 0x7FFF_FFFF) as i32;
    let with_crc = |crc| RegisterBroker { body_crc32: Some(crc), ..broker("b", 0, "a:1") };
    assert_eq!(caller.refusal(with_crc(crc ^ 1), one.clone()).await, refused("crc32 not match"));
    assert_eq!(caller.send(with_crc(crc), one).await.code(), ResponseCode::SUCCESS);
    for garbage in ["{", "7", "{\"topicConfigSerializeWrapper\":7}"] {
        assert_eq!(caller.refusal(broker("b", 0, "a:1"), garbage).await.0, ResponseCode::SYSTEM_ERROR);
        assert_eq!(caller.refusal(compressed.clone(), garbage).await.0, ResponseCode::SYSTEM_ERROR);
    }
    assert!(caller.route("T").await.is_some());
}

#[tokio::test]
async fn a_large_registration_is_taken() {
    let site = Site::start().await;
    let caller = site.caller();
    let names: Vec<String> = (0..5000).map(|number| format!("topic-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for broker_name in ["b", "c"] {
        caller.register(&broker(broker_name, 0, &format!("{broker_name}:1")), &topics(1, &names)).await;
    }
    assert_eq!(caller.route("topic-4999").await.unwrap().queue_datas.len(), 2);
    assert_eq!(caller.topics(caller.ask(GetAllTopics {}).await).await.len(), 5000);
}

#[tokio::test]
async fn a_broker_goes_with_its_connection() {
    let site = Site::start().await;
    let (caller, of_broker) = (site.caller(), site.caller());
    of_broker.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    assert!(caller.route("T").await.is_some());
    of_broker.client.close().await;
    caller.wait_for_route("T", false).await;
}

#[tokio::test]
async fn a_broker_that_came_back_is_not_taken_for_its_old_connection() {
    let site = Site::start().await;
    let (caller, old, new) = (site.caller(), site.caller(), site.caller());
    old.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    new.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    old.client.close().await;
    // Some looks for lost brokers later it is still there.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(caller.route("T").await.is_some());
}

#[tokio::test]
async fn a_silent_broker_is_forgotten_after_its_own_timeout() {
    let site = Site::start().await;
    let caller = site.caller();
    let quick = RegisterBroker { heartbeat_timeout_millis: Some(10_000), ..broker("quick", 0, "q:1") };
    let (of_quick, of_slow) = (site.caller(), site.caller());
    of_quick.register(&quick, &topics(1, &["Q", "U"])).await;
    of_slow.register(&broker("slow", 0, "s:1"), &topics(1, &["S", "U"])).await;
    let heartbeat = BrokerHeartbeat {
        cluster_name: "C".into(),
        broker_addr: "q:1".to_owned(),
        broker_name: "quick".into(),
        broker_id: Some(BrokerId(0)),
        epoch: None,
        max_offset: None,
        confirm_offset: None,
        heartbeat_timeout_mills: None,
        election_priority: None,
    };
    for _ in 0..3 {
        site.clock.advance(Duration::from_secs(9));
        of_quick.ask(heartbeat.clone()).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(caller.route("Q").await.is_some(), "it said it was alive");
    site.clock.advance(Duration::from_secs(11));
    caller.wait_for_route("Q", false).await;
    assert!(caller.route("S").await.is_some());
    site.clock.advance(Duration::from_secs(120));
    caller.wait_for_route("S", false).await;
}

#[tokio::test]
async fn a_broker_learns_whether_its_topics_are_known() {
    let site = Site::start().await;
    let caller = site.caller();
    let ask = async |counter| {
        let header = QueryDataVersion {
            broker_name: "b".into(),
            broker_addr: "a:1".to_owned(),
            cluster_name: "C".into(),
            broker_id: BrokerId(0),
        };
        let version = DataVersion { counter, ..DataVersion::default() };
        let answer = caller.send(header, fastjson::write(&version)).await;
        let (reply, body): (QueryDataVersionReply, _) = answer.success().unwrap();
        (reply.changed, String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(ask(1).await, (true, String::new()));
    caller.register(&broker("b", 0, "a:1"), &topics(1, &["T", "U"])).await;
    let known = r#"{"counter":1,"stateVersion":0,"timestamp":0}"#.to_owned();
    assert_eq!(ask(1).await, (false, known.clone()));
    assert_eq!(ask(2).await, (true, known));
}

#[tokio::test]
async fn members_are_told_when_their_smallest_id_changes() {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let mut router = Router::default();
    router.on::<NotifyMinBrokerId>(&Arc::new(Notified(sender)));
    let server = Server::bind(ServerConfig::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).unwrap();
    let slave_addr = server.local_addr().unwrap().to_string();
    let stopping = CancellationToken::new();
    let serving = tokio::spawn(server.run(Arc::new(router), Arc::new(()), stopping.clone()));

    let site = Site::start_with(|config| config.notify_min_broker_id_changed = true).await;
    let acting = |id, addr: &str| RegisterBroker { enable_acting_master: Some(true), ..broker("b", id, addr) };
    let (slave, master) = (site.caller(), site.caller());
    slave.register(&acting(1, &slave_addr), &topics(1, &["T", "U"])).await;
    master.register(&acting(0, "127.0.0.1:1"), &topics(1, &["T", "U"])).await;
    let mut notice = async || tokio::time::timeout(PATIENCE, notices.recv()).await.unwrap().unwrap();
    let told = notice().await;
    assert_eq!((told.min_broker_id, told.min_broker_addr.as_deref()), (Some(BrokerId(0)), Some("127.0.0.1:1")));
    assert_eq!((told.offline_broker_addr, told.ha_broker_addr.as_deref()), (None, Some("127.0.0.1:12")));

    master.client.close().await;
    let told = notice().await;
    assert_eq!((told.min_broker_id, told.min_broker_addr), (Some(BrokerId(1)), Some(slave_addr)));
    assert_eq!((told.offline_broker_addr.as_deref(), told.ha_broker_addr), (Some("127.0.0.1:1"), None));
    stopping.cancel();
    serving.await.unwrap();
}
