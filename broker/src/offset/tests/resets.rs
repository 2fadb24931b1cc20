use super::*;

#[tokio::test]
async fn a_reset_waits_for_the_pull_and_no_commit_undoes_it() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 5);
    fixture.append("T", 1, 3);
    fixture.commit("g", "T", 0, 5);
    assert_eq!(fixture.reset(reset_one(0, 2)).await.unwrap(), [(0, 2)]);
    assert_eq!(fixture.get("g", "T", 0), Some(2));
    let dropped = (ResponseCode::SUCCESS, Some("Offset has been previously reset".to_owned()));
    assert_eq!(fixture.commit("g", "T", 0, 5), dropped);
    assert_eq!(fixture.get("g", "T", 0), Some(2));
    let progress = fixture.offsets.progress(&"g".into(), &"T".into());
    assert_eq!(progress.begin(QueueId(0)), Start { reset: Some(QueueOffset(2)), cold: false });
    assert_eq!(progress.begin(QueueId(0)), Start::default(), "it is told once");
    assert_eq!(fixture.commit("g", "T", 0, 5), (ResponseCode::SUCCESS, None));

    assert_eq!(fixture.reset(reset_all(-1)).await.unwrap(), [(0, 5), (1, 3)], "the end of each queue");
    let start = fixture.surroundings.ctx.clock.now().0;
    assert_eq!(fixture.reset(reset_all(start)).await.unwrap(), [(0, 0), (1, 0)], "by time");
    let one_by_time = ResetOffset { offset: Some(QueueOffset(-1)), ..reset_one(1, 0) };
    let one_by_time = ResetOffset { timestamp: Timestamp(start + 1), ..one_by_time };
    assert_eq!(fixture.reset(one_by_time).await.unwrap(), [(1, 3)]);
    let fixture = fixture.reopen();
    assert_eq!(fixture.get("g", "T", 1), Some(3), "where it was reset to");
}

#[tokio::test]
async fn a_reset_is_refused_where_it_makes_no_sense() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 5);
    let code = async |request| {
        let err = fixture.reset(request).await.unwrap_err();
        (err.code(), err.to_string())
    };
    let out_of_range = "Target offset 7 not in consume queue range [0-5]".to_owned();
    assert_eq!(code(reset_one(0, 7)).await, (ResponseCode::SYSTEM_ERROR, out_of_range));
    assert_eq!(fixture.reset(reset_one(0, 6)).await.unwrap(), [(0, 6)], "Java lets it go one too far");
    let unknown_topic = ResetOffset { topic: "X".into(), ..reset_all(-1) };
    assert_eq!(code(unknown_topic).await, (ResponseCode::TOPIC_NOT_EXIST, "Topic X does not exist".into()));
    let unknown_group = ResetOffset { group: "x".into(), ..reset_all(-1) };
    assert_eq!(
        code(unknown_group).await,
        (ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "Group x does not exist".into())
    );
    fixture.surroundings.role.send_replace(Role::Slave);
    let slave = "Can not reset offset in slave broker".to_owned();
    assert_eq!(code(reset_all(-1)).await, (ResponseCode::SYSTEM_ERROR, slave));
}

#[tokio::test]
async fn without_server_side_resets_members_are_told_to_set_their_offsets() {
    let fixture = Fixture::new();
    fixture.surroundings.set(|config| config.use_server_side_reset_offset = false);
    fixture.append("T", 0, 5);
    let code = async |request| fixture.reset(request).await.unwrap_err().code();
    assert_eq!(code(reset_all(-1)).await, ResponseCode::SYSTEM_ERROR, "the group never committed");
    fixture.commit("g", "T", 0, 3);
    fixture.commit("g", "T", 1, 0);
    assert_eq!(code(reset_all(-1)).await, ResponseCode::CONSUMER_NOT_ONLINE);
    let member = peer(2);
    join(&fixture, &member, "T").await;
    assert_eq!(fixture.reset(reset_all(-1)).await.unwrap(), [(0, 5), (1, 0)]);
    let careful = ResetOffset { is_force: Some(false), ..reset_all(-1) };
    assert_eq!(fixture.reset(careful).await.unwrap(), [(0, 3), (1, 0)], "nothing is skipped");
    let sent = member.take_sent().unwrap();
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter().all(|sent| sent.is_one_way() && sent.request_code() == RequestCode::RESET_CONSUMER_CLIENT_OFFSET)
    );
    // The form that Go cuts by hand.
    let queue = |id| format!(r#"{{"brokerName":"broker-a","queueId":{id},"topic":"T"}}"#);
    let expect = format!(r#"{{"offsetTable":{{{}:5,{}:0}}}}"#, queue(0), queue(1));
    assert_eq!(std::str::from_utf8(&sent[0].body).unwrap(), expect);
    assert_eq!(fixture.get("g", "T", 0), Some(3), "the members commit by themselves");
}
