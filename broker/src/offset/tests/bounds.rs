use super::*;

#[tokio::test]
async fn a_group_new_to_a_queue_starts_at_0_while_that_is_whole_and_in_memory() {
    let fixture = Fixture::new();
    assert_eq!(fixture.query(0, None).await.unwrap_err().code(), ResponseCode::QUERY_NOT_FOUND, "no queue");
    fixture.append("T", 0, 1);
    assert_eq!(fixture.query(0, None).await.unwrap(), 0);
    let err = fixture.query(0, Some(false)).await.unwrap_err();
    assert_eq!(err.to_string(), "Not found, do not set to zero, maybe this group boot first");
    fixture.commit("g", "T", 0, 1);
    assert_eq!(fixture.query(0, None).await.unwrap(), 1);

    let fixture = Fixture::with_memory(Surroundings::new(), 0);
    fixture.append("T", 0, 1);
    let err = fixture.query(0, None).await.unwrap_err();
    assert_eq!(err.to_string(), "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first", "not in memory");
}

#[tokio::test]
async fn queues_tell_their_bounds() {
    let fixture = Fixture::new();
    let (topic, queue_id) = (TopicName::from("T"), QueueId(0));
    let clock = &fixture.surroundings.ctx.clock;
    let start = clock.now();
    let ask = async |expect: (i64, i64, i64)| {
        let (offsets, topic, peer) = (&fixture.offsets, topic.clone(), peer(1));
        let min = offsets.handle(call(GetMinOffset { topic: topic.clone(), queue_id }, "", &peer)).await.unwrap();
        let max = GetMaxOffset { topic: topic.clone(), queue_id, committed: None };
        let max = offsets.handle(call(max, "", &peer)).await.unwrap();
        let time = offsets.handle(call(GetEarliestStoreTime { topic, queue_id }, "", &peer)).await.unwrap();
        let found =
            (min.header().unwrap().offset.0, max.header().unwrap().offset.0, time.header().unwrap().timestamp.0);
        assert_eq!(found, expect);
    };
    ask((0, 0, -1)).await;
    for _ in 0..3 {
        fixture.append("T", 0, 1);
        clock.advance(std::time::Duration::from_millis(10));
    }
    ask((0, 3, start.0)).await;
    for (after_start, boundary, offset) in [
        (-5, None, 0),
        (0, None, 0),
        (10, None, 1),
        (15, None, 2),
        (15, Some("UPPER"), 1),
        (99, None, 3),
        (99, Some("upper"), 2),
    ] {
        let header = SearchOffset {
            topic: topic.clone(),
            queue_id,
            timestamp: Timestamp(start.0 + after_start),
            boundary_type: boundary.map(Into::into),
        };
        let reply = fixture.offsets.handle(call(header, "", &peer(1))).await.unwrap();
        assert_eq!(reply.header().unwrap().offset.0, offset, "{after_start} {boundary:?}");
    }
}

#[tokio::test]
async fn the_smallest_offset_of_all_groups_is_told_and_nothing_is_deleted() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 9);
    fixture.offsets.groups.put_all(["h", "i"].map(SubscriptionGroupConfig::new).into()).unwrap();
    fixture.commit("g", "T", 0, 4);
    fixture.commit("h", "T", 0, 6);
    fixture.commit("i", "T", 0, 1);
    let ask = async |filter: &str, compare: &str| {
        let header = QueryCorrectionOffset {
            filter_groups: Some(filter.into()),
            compare_group: compare.into(),
            topic: "T".into(),
        };
        let reply = fixture.offsets.handle(call(header, "", &peer(1))).await.unwrap();
        fastjson::read::<CorrectionOffsets>(&reply.content()).unwrap().correction_offsets[&0]
    };
    assert_eq!(ask("", "x").await, 1);
    assert_eq!(ask("i", "x").await, 4);
    assert_eq!(ask("i", "h").await, 4);
    assert_eq!(ask("i,g", "g").await, i64::MAX, "the asking group is behind all others");
    assert_eq!(fixture.get("i", "T", 0), Some(1));
}
