use super::*;

#[tokio::test]
async fn a_commit_is_answered_by_what_exists() {
    let fixture = Fixture::new();
    assert_eq!(fixture.commit("g", "T", 0, 5), (ResponseCode::SUCCESS, None));
    assert_eq!(fixture.get("g", "T", 0), Some(5));
    assert_eq!(fixture.commit("g", "T", 0, 3), (ResponseCode::SUCCESS, None));
    assert_eq!(fixture.get("g", "T", 0), Some(3), "backwards is allowed");
    assert_eq!(fixture.commit("g", "T", 7, 1), (ResponseCode::SUCCESS, None), "no queue is checked");
    let refused = |code, remark: &str| (code, Some(remark.to_owned()));
    assert_eq!(
        fixture.commit("x", "T", 0, 5),
        refused(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "Group x not exist!")
    );
    assert_eq!(fixture.commit("g", "X", 0, 5), refused(ResponseCode::TOPIC_NOT_EXIST, "Topic X not exist!"));
    let mut without = RemotingCommand::request(RequestCode::UPDATE_CONSUMER_OFFSET);
    without.ext = [("consumerGroup", "g"), ("topic", "T"), ("commitOffset", "1")].into_iter().collect();
    assert_eq!(
        fixture.update(without.clone()),
        refused(ResponseCode::INVALID_PARAMETER, "QueueId is null, topic is T")
    );
    without.ext = [("consumerGroup", "g"), ("topic", "T"), ("queueId", "1")].into_iter().collect();
    assert_eq!(fixture.update(without), refused(ResponseCode::INVALID_PARAMETER, "Offset is null, topic is T"));
}

#[tokio::test]
async fn a_one_way_commit_is_taken_and_not_answered() {
    let fixture = Fixture::new();
    let header = UpdateConsumerOffset {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(0),
        commit_offset: QueueOffset(9),
        forward: None,
    };
    let one_way = RemotingCommand { flag: RemotingCommand::ONE_WAY, ..command(&header) };
    let peer = peer(1);
    fixture.offsets.handle_batch(&mut vec![one_way.clone(), one_way], &peer);
    assert!(peer.take_sent().unwrap().is_empty());
    assert_eq!(fixture.get("g", "T", 0), Some(9));
}

#[tokio::test]
async fn what_is_committed_behind_the_last_save_is_refused() {
    let fixture = Fixture::new();
    assert_eq!(fixture.commit("g", "T", 0, 5), (ResponseCode::SUCCESS, None));
    fixture.offsets.close();
    fixture.offsets.persist().await;
    assert_eq!(fixture.commit("g", "T", 0, 6).0, ResponseCode::SERVICE_NOT_AVAILABLE);
    let folder = fixture.surroundings.folder.path().join("config");
    let saved: ConsumerOffsets = crate::persist::Home::from(&folder).load(FILE).unwrap().unwrap();
    assert_eq!(saved.offset_table["T@g"], [(0, 5)].into());
}

#[tokio::test]
async fn a_commit_that_comes_too_late_for_the_group_is_not_left_waiting() {
    let waiting = || {
        let to = ReplyTo::of(&RemotingCommand::request(RequestCode::UPDATE_CONSUMER_OFFSET));
        vec![Waiting { peer: peer(1), to, remark: None }]
    };
    let unanswered = Unanswered::default();
    assert!(unanswered.add(waiting()).is_ok());
    assert_eq!(unanswered.close().len(), 1);
    assert_eq!(unanswered.add(waiting()).map_err(|late| late.len()), Err(1));
    assert!(unanswered.take().is_empty());
}

#[tokio::test]
async fn a_group_has_a_bounded_number_of_queues() {
    let progress = Progress::default();
    for queue in 0..100_000 {
        assert_eq!(progress.commit(QueueId(queue), QueueOffset(1)), Commit::Done);
    }
    assert_eq!(progress.commit(QueueId(-5), QueueOffset(1)), Commit::TooManyQueues);
    assert_eq!(progress.commit(QueueId(5), QueueOffset(2)), Commit::Done);
}
