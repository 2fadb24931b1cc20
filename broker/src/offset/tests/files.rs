use super::*;

#[tokio::test]
async fn offsets_survive_a_reopen() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 5);
    fixture.commit("g", "T", 1, 6);
    let progress = fixture.offsets.progress(&"g".into(), &"T".into());
    progress.pull(QueueId(0), QueueOffset(8), None, false);
    assert_eq!(fixture.offsets.pull_offset("g", "T", QueueId(0)), Some(QueueOffset(8)));
    let fixture = fixture.reopen();
    assert_eq!((fixture.get("g", "T", 0), fixture.get("g", "T", 1)), (Some(5), Some(6)));
    assert_eq!(
        fixture.offsets.pull_offset("g", "T", QueueId(0)),
        Some(QueueOffset(5)),
        "pulls are not kept, as in Java"
    );
    assert_eq!(fixture.offsets.topics_of("g"), ["T"]);
    assert_eq!(fixture.offsets.groups_of("T"), ["g"]);
}

#[tokio::test(start_paused = true)]
async fn offsets_are_saved_every_interval_and_only_when_they_changed() {
    let fixture = Fixture::new();
    let path = fixture.surroundings.folder.path().join("config/consumerOffset.json");
    fixture.offsets.start();
    fixture.commit("g", "T", 0, 5);
    tokio::time::sleep(tokio::time::Duration::from_millis(5001)).await;
    let wait = async || {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    wait().await;
    assert!(fs::read_to_string(&path).unwrap().contains("\"offsetTable\":{\"T@g\":{0:5}}"));
    fs::remove_file(&path).unwrap();
    fixture.offsets.save();
    assert!(!path.exists(), "nothing changed since");
    fixture.surroundings.ctx.stopping.cancel();
    fixture.surroundings.ctx.tasks.close();
    fixture.surroundings.ctx.tasks.wait().await;
}

#[tokio::test]
async fn javas_files_load() {
    // As 5.5.0 and 4.9.7 wrote them: bare numbers as keys, members that nobody reads, odd line breaks, no data version.
    let java_5 = include_str!("../../../../remoting/golden/config/java-5.5.0/consumerOffset.json");
    let java_4 = include_str!("../../../../remoting/golden/config/java-4.9.7/consumerOffset.json");
    for (text, order, revive) in [(java_5, 20, Some(18)), (java_4, 20, None)] {
        let surroundings = Surroundings::new();
        let folder = surroundings.folder.path().join("config");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("consumerOffset.json"), text).unwrap();
        let fixture = Fixture::on(surroundings);
        assert_eq!(fixture.get("GID_order", "FixOrder", 0), Some(order));
        assert_eq!(
            (fixture.get("GID_retry", "FixRetry", 0), fixture.get("GID_retry", "FixRetry", 1)),
            (Some(5), Some(5))
        );
        assert_eq!(fixture.get("CID_RMQ_SYS_REVIVE_GROUP", "rmq_sys_REVIVE_LOG_FixCluster", 1), revive);
        let mut topics = fixture.offsets.topics_of("GID_retry");
        topics.sort();
        assert_eq!(topics, ["%RETRY%GID_retry", "FixRetry"]);
        assert_eq!(fixture.offsets.groups_of("FixRetry"), ["GID_retry"]);

        // What we write of it is the same table.
        let written: ConsumerOffsets = fastjson::read(fixture.offsets.to_java().as_bytes()).unwrap();
        let original: ConsumerOffsets = fastjson::read(text.as_bytes()).unwrap();
        assert_eq!(written, original);
    }
}

#[tokio::test]
async fn the_offsets_of_broadcasting_groups_keep_their_name() {
    let surroundings = Surroundings::new();
    let folder = surroundings.folder.path().join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("consumerOffset.json"), r#"{"offsetTable":{"T@g@broadcast":{0:3},"no separator":{0:1}}}"#)
        .unwrap();
    let fixture = Fixture::on(surroundings);
    assert_eq!(fixture.get("g@broadcast", "T", 0), Some(3));
    assert!(fixture.offsets.groups_of("T").is_empty(), "nobody is called so");
    assert!(fixture.offsets.to_java().contains("{\"T@g@broadcast\":{0:3}}"));
}

#[tokio::test]
async fn the_data_version_grows_with_every_500_commits() {
    let fixture = Fixture::new();
    let counter = |fixture: &Fixture| {
        fastjson::read::<ConsumerOffsets>(fixture.offsets.to_java().as_bytes()).unwrap().data_version.counter
    };
    for commits in [(499, 0), (1, 1), (999, 2), (1, 3)] {
        for _ in 0..commits.0 {
            fixture.commit("g", "T", 0, 1);
        }
        assert_eq!(counter(&fixture), commits.1);
    }
    let fixture = fixture.reopen();
    assert_eq!(counter(&fixture), 3);
}
